"""A zone file: a list as data, read from TOML.

What is published under one apex: SOA, NS and the apex's own records, the reasons for which something
is listed with their codes and texts, and the limits of what may be listed. RFC 1035 (records),
RFC 5782 (codes, texts, test points), RFC 6471 §3.5 (reserved space). ``zones/relays.example.toml``
is the file to copy. Reading is strict: all faults are reported at once, each with its place.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Address
from pathlib import Path

from rbl.terms import Address
from rbl.zone.names import Name, name_text

__all__ = ["ApexRecords", "Kind", "Limits", "Name", "Reason", "Soa", "ZoneFile", "read"]

_FIELD = re.compile(r"\{(address|url)\}")


class Kind(StrEnum):
    """What a list is asked for."""

    ADDRESSES = "addresses"  # reversed addresses (RFC 5782 §2)
    NAMES = "names"  # domain names (RFC 5782 §3)


@dataclass(frozen=True, slots=True)
class Soa:
    """The SOA record without its serial, which is the journal's (RFC 1035 §3.3.13)."""

    mname: Name
    rname: Name
    ttl_seconds: int
    refresh_seconds: int
    retry_seconds: int
    expire_seconds: int
    minimum_seconds: int

    @property
    def negative_ttl_seconds(self) -> int:
        """The TTL of the SOA in a negative answer (RFC 2308 §3)."""
        return min(self.ttl_seconds, self.minimum_seconds)


@dataclass(frozen=True, slots=True)
class Reason:
    """Why something is listed: the values that DNS answers, and the text for people.

    *text* is the TXT template; ``{address}`` and ``{url}`` in it are filled in for each answer.
    """

    name: str
    addresses: tuple[IPv4Address, ...]
    text: str
    ttl_seconds: int
    title: str


@dataclass(frozen=True, slots=True)
class ApexRecords:
    """What the apex itself answers beside SOA and NS (RFC 5782 §5: an address of the web site)."""

    addresses: tuple[Address, ...]
    texts: tuple[str, ...]
    mail_exchangers: tuple[tuple[int, Name], ...]
    ttl_seconds: int


@dataclass(frozen=True, slots=True)
class Limits:
    """What may be listed at all; ``guards`` holds an index against it."""

    widest_ipv4_prefix: int = 16
    widest_ipv6_prefix: int = 32
    list_reserved: bool = False


@dataclass(frozen=True, slots=True)
class ZoneFile:
    """One list: everything DNS shows under its apex except the listings.

    *apex* is lower case. *reasons* is immutable and in the order of the file; it is never empty.
    *url* is the template of the page about a listing. *ttl_seconds* is the TTL of the reasons that
    set none.
    """

    apex: Name
    soa: Soa
    name_servers: tuple[Name, ...]
    name_server_ttl_seconds: int
    apex_records: ApexRecords
    reasons: Mapping[str, Reason] = field(hash=False)
    kind: Kind
    url: str
    limits: Limits
    ttl_seconds: int

    @property
    def apex_text(self) -> str:
        """The apex as text: lower case, without the final dot."""
        return name_text(self.apex)

    @property
    def first_reason(self) -> Reason:
        """The reason that the test points 127.0.0.2 and TEST fall back to."""
        return next(iter(self.reasons.values()))

    @property
    def fingerprint(self) -> str:
        """A hash of everything the file says, to tell whether an index on disk was made with it."""
        return hashlib.sha256(repr(self).encode()).hexdigest()

    def render(self, template: str, subject: str) -> str:
        """Return *template* with ``{address}`` and ``{url}`` filled in for *subject*.

        *subject* is the address or name asked for, as text. Anything else in braces stays as it is,
        and what is filled in is not looked at again: a listing's own text may contain anything.
        """
        page = self.url.replace("{address}", subject)
        return _FIELD.sub(lambda found: subject if found[1] == "address" else page, template)


def read(path: Path) -> ZoneFile:
    """Return the list that the TOML file at *path* describes.

    Raises:
        ConfigError: names every fault with its place.
    """
    raise NotImplementedError
