"""The arguments of MAIL and RCPT, and which recipients are the collector's own.

Senders are read leniently: what a relay makes of our test's sender must not cost us the message.
Recipients are read strictly: a token of ours, or the people whom RFC 5321 §4.5.1 and RFC 2142 §2 and §4
promise, or nobody. RFC 5321 §4.1.2, §3.3. Pure; logs nothing.
"""

import re
from dataclasses import dataclass

# plan: the letter of the kind, then 20 to 47 letters and digits.
_TOKEN = re.compile(r"[rs][a-z0-9]{20,47}")
_PATH = re.compile(r" ?(?:<(?P<angled>[^<>]*)>|(?P<bare>[^<> ]+))(?: +(?P<parameters>[!-~ ]*))?")
_SIZE = re.compile(r"(?:^| )SIZE=([0-9]{1,18})(?: |$)")
_SOURCE_ROUTE = re.compile(r"@[^:]*:")
_POSTMASTER = "postmaster"  # the only one that needs no domain
_PEOPLE = frozenset({_POSTMASTER, "abuse"})


@dataclass(frozen=True, slots=True)
class Path:
    """An address of the envelope, empty for ``<>``, and what stood behind it, upper case."""

    address: str
    parameters: str

    @property
    def declared_size(self) -> int:
        """The octets that the sender declares with SIZE (RFC 1870), 0 where he does not."""
        found = _SIZE.search(self.parameters)
        return int(found[1]) if found else 0


def read_path(keyword: str, argument: str) -> Path | None:
    """Return the path behind *keyword* (``FROM:``, ``TO:``) in *argument*, or None where there is none."""
    if argument[: len(keyword)].upper() != keyword:
        return None
    match = _PATH.fullmatch(argument[len(keyword) :])
    if match is None:
        return None
    return Path((match["angled"] or match["bare"] or "").strip(), (match["parameters"] or "").upper())


@dataclass(frozen=True, slots=True)
class Recipient:
    """A recipient of the collector's own: *address* as written, *token* None where people read it."""

    address: str
    token: str | None


def own_recipient(address: str, domains: tuple[str, ...]) -> Recipient | None:
    """Return whose *address* is where it is one at any of *domains* that we take, else None.

    Case does not matter, nor a trailing dot. A source route is ignored (RFC 5321 §3.3), and
    ``postmaster`` needs no domain (§2.3.5). Whether the token is ours is not looked at.
    """
    bare = _SOURCE_ROUTE.sub("", address, count=1) if address.startswith("@") else address
    local, at, host = bare.lower().rpartition("@")
    if bare.lower() == _POSTMASTER:
        return Recipient(bare, None)
    if not (at and bare.isascii() and host.removesuffix(".") in domains):
        return None
    if local in _PEOPLE:
        return Recipient(bare, None)
    return Recipient(bare, local) if _TOKEN.fullmatch(local) else None


def readable(text: str) -> str:
    """Return what a peer said, with escapes for octets that are no UTF-8 and for control characters."""
    said = text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in said)
