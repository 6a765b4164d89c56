"""A zone file: a list as data, read from TOML.

What is published under one apex: SOA, NS and the apex's own records, the reasons for which something
is listed with their codes and texts, and the limits of what may be listed. RFC 1035 (records),
RFC 5782 (codes, texts, test points), RFC 6471 §3.5 (reserved space). ``zones/relays.example.toml``
is the file to copy. Reading is strict: all faults are reported at once, each with its place.
"""

import hashlib
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from types import MappingProxyType

from rbl.addresses import parse_address
from rbl.customerkey import LABEL_OCTETS
from rbl.errors import BadInput, ConfigError
from rbl.names import Name, name_text, parse_mailbox, parse_name, wire_octets
from rbl.terms import Address
from rbl.zone import access
from rbl.zone.access import AccessList, Keys
from rbl.zone.tomltables import Faults, Table

__all__ = ["ApexRecords", "Kind", "Limits", "Name", "Reason", "Soa", "ZoneFile", "read"]

_FIELD = re.compile(r"\{(address|url)\}")
_REASON_NAME = re.compile(r"(?=.*[a-z])[a-z0-9][a-z0-9-]{1,62}")
_NO_NAME: Name = ()  # stands in for a name that was at fault
_LARGEST_TTL = 2**31 - 1  # RFC 2181 §8
_VALUES = IPv4Network("127.0.0.0/8")  # RFC 5782 §2.3
# Several large lists answer so for "you may not ask": MTAs are set up to take these as no listing.
_ERROR_VALUES = IPv4Network("127.255.255.0/24")
_IPV6_OCTETS = 64  # 32 labels of one nibble (RFC 5782 §2.4)
_LONGEST_SUBJECT = "2001:0db8:ffff:ffff:ffff:ffff:ffff:ffff"  # for measuring only
# Leaves room in 1232 octets (DNS Flag Day 2020) for header, question, OPT and authority.
_LONGEST_TEXT = 1000


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
    # Neither of these two is of what an index is made from, so they are not in the fingerprint.
    access: AccessList = field(default=access.OPEN, repr=False)
    keys: Keys = field(default=Keys.UNUSED, repr=False)

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
        """A hash of all that an index is made from, to tell whether one on disk was made with it."""
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
    try:
        text = path.read_text(encoding="utf-8")
        values = tomllib.loads(text)
    except FileNotFoundError:
        raise ConfigError([f"{path}: there is no such file"]) from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as fault:
        raise ConfigError([f"{path}: {fault}"]) from None
    faults = Faults(path, text)
    zone = _zone(Table(faults, "", values))
    if faults.sentences:
        raise ConfigError(faults.sentences)
    return zone


def _zone(top: Table) -> ZoneFile:
    kind = top.parsed("kind", _kind, Kind.ADDRESSES, default=Kind.ADDRESSES.value)
    apex: Name = top.parsed("apex", lambda text: _apex(text, kind), _NO_NAME)
    ttl_seconds = top.number("ttl_seconds", 0, _LARGEST_TTL, 300)
    url = top.parsed("url", _url, "")
    servers = top.table("ns", required=True)
    limits = top.table("limits")
    zone = ZoneFile(
        apex=apex,
        soa=_soa(top.table("soa", required=True)),
        name_servers=servers.each("names", lambda text: _name_server(text, apex), required=True),
        name_server_ttl_seconds=servers.number("ttl_seconds", 0, _LARGEST_TTL, 3600),
        apex_records=_apex_records(top.table("apex_records"), ttl_seconds),
        reasons=_reasons(top.table("reasons", required=True), ttl_seconds, url),
        kind=kind,
        url=url,
        limits=Limits(
            limits.number("widest_ipv4_prefix", 0, 32, 16),
            limits.number("widest_ipv6_prefix", 0, 128, 32),
            limits.truth("list_reserved", default=False),
        ),
        ttl_seconds=ttl_seconds,
        access=access.read(
            top.table("access"), lambda text: _template(text, url), ttl_seconds, _LARGEST_TTL
        ),
        keys=_keys(top, apex, kind),
    )
    for table in (top, servers, limits):
        table.finish()
    return zone


def _soa(table: Table) -> Soa:
    soa = Soa(
        mname=table.parsed("mname", parse_name, _NO_NAME),
        rname=table.parsed("rname", parse_mailbox, _NO_NAME),
        ttl_seconds=table.number("ttl_seconds", 0, _LARGEST_TTL, 300),
        # What secondaries go by when no NOTIFY reaches them: a list changes all the time.
        refresh_seconds=table.number("refresh_seconds", 1, _LARGEST_TTL, 1800),
        retry_seconds=table.number("retry_seconds", 1, _LARGEST_TTL, 300),
        expire_seconds=table.number("expire_seconds", 1, _LARGEST_TTL, 604800),
        minimum_seconds=table.number("minimum_seconds", 0, _LARGEST_TTL, 300),
    )
    table.finish()
    return soa


def _apex_records(table: Table, ttl_seconds: int) -> ApexRecords:
    exchangers: list[tuple[int, Name]] = []
    for exchanger in table.tables("mail_exchangers"):
        preference = exchanger.number("preference", 0, 65535, 10)
        exchangers.append((preference, exchanger.parsed("name", parse_name, _NO_NAME)))
        exchanger.finish()
    records = ApexRecords(
        table.each("addresses", parse_address),
        table.each("texts", _printable),
        tuple(exchangers),
        table.number("ttl_seconds", 0, _LARGEST_TTL, ttl_seconds),
    )
    table.finish()
    return records


def _reasons(table: Table, ttl_seconds: int, url: str) -> Mapping[str, Reason]:
    if not table.keys():
        table.fault("", "has no reason: write at least [reasons.open-relay]")
    reasons: dict[str, Reason] = {}
    for name in table.keys():  # noqa: SIM118 - a Table, which is no mapping
        one = table.table(name)
        if not _REASON_NAME.fullmatch(name):
            # RFC 5782 §2.3: such a name may also be a sub-list's, beside octets and nibbles.
            table.fault(
                name, "a reason has a name of 2 to 63 letters a-z, digits and hyphens, not digits alone"
            )
        reasons[name] = Reason(
            name,
            one.each("addresses", _value, required=True),
            one.parsed("text", lambda text: _template(text, url), ""),
            one.number("ttl_seconds", 0, _LARGEST_TTL, ttl_seconds),
            one.parsed("title", _printable, "", default=name),
        )
        one.finish()
    return MappingProxyType(reasons)


def _keys(top: Table, apex: Name, kind: Kind) -> Keys:
    there = "keys" in top.keys()  # noqa: SIM118 - a Table, which is no mapping
    keys = top.table("keys")
    if not there:
        return Keys.UNUSED
    if kind is Kind.ADDRESSES and wire_octets(apex) + _IPV6_OCTETS + 1 + LABEL_OCTETS > 255:
        top.fault("apex", "is too long for keys: with one and an IPv6 address 255 octets are exceeded")
    return access.read_keys(keys)


def _kind(text: str) -> Kind:
    try:
        return Kind(text)
    except ValueError:
        raise BadInput(f'{text[:40]!a} is neither "addresses" nor "names"') from None


def _apex(text: str, kind: Kind) -> Name:
    apex = parse_name(text.lower())
    if kind is Kind.ADDRESSES and wire_octets(apex) + _IPV6_OCTETS > 255:
        raise BadInput(
            "is too long: with the 32 nibbles of an IPv6 address before it, 255 octets are exceeded"
        )
    return apex


def _name_server(text: str, apex: Name) -> Name:
    name = parse_name(text)
    below = tuple(label.lower() for label in name)
    if len(below) > len(apex) > 0 and below[-len(apex) :] == apex:
        raise BadInput(
            f"{text[:80]!a} lies below the apex, where only listings are answered: its address could"
            " not be found. Name the server elsewhere, or the apex itself and set apex_records.addresses"
        )
    return name


def _value(text: str) -> IPv4Address:
    address = parse_address(text)
    if not (isinstance(address, IPv4Address) and address in _VALUES):
        raise BadInput(f"{text} is no value of a list: RFC 5782 §2.3 wants one in 127.0.0.0/8")
    if address == IPv4Address("127.0.0.1"):
        raise BadInput("127.0.0.1 must never be listed, and so is no value: RFC 5782 §5")
    if address in _ERROR_VALUES:
        raise BadInput(f"{text} is read as an error by users of other lists: 127.255.255.x is no value")
    return address


def _url(text: str) -> str:
    if (
        not text.startswith(("https://", "http://"))
        or not text.isascii()
        or not text.isprintable()
        or " " in text
    ):
        raise BadInput(f"{text[:80]!a} is not a web address: write https://…/{{address}}")
    if "{address}" not in text or set("{}") & set(text.replace("{address}", "")):
        raise BadInput("must contain {address}, and no other field")
    return text


def _template(text: str, url: str) -> str:
    if set("{}") & set(_FIELD.sub("", _printable(text))):
        raise BadInput("only {address} and {url} may stand in braces")
    page = url.replace("{address}", _LONGEST_SUBJECT)
    rendered = _FIELD.sub(lambda found: _LONGEST_SUBJECT if found[1] == "address" else page, text)
    octets = len(rendered.encode())
    if octets > _LONGEST_TEXT:
        raise BadInput(
            f"is too long: {octets} octets with its fields filled in, of {_LONGEST_TEXT} at most"
        )
    return text


def _printable(text: str) -> str:
    if not text or not text.isprintable():
        raise BadInput(f"{text[:40]!a} is empty or has control characters")
    return text
