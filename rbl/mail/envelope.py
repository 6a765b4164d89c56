"""The arguments of MAIL and RCPT, and which recipients are the collector's own.

Senders are read leniently: what a relay makes of our test's sender must not cost us the message.
Recipients are read strictly: a token of ours, or nobody. RFC 5321 §4.1.2, §3.3. Pure; logs nothing.
"""

import re
from dataclasses import dataclass

# probe.plan: the letter of the kind, then 20 to 47 letters and digits.
_TOKEN = re.compile(r"[rs][a-z0-9]{20,47}")
_PATH = re.compile(r" ?(?:<(?P<angled>[^<>]*)>|(?P<bare>[^<> ]+))(?: +(?P<parameters>[!-~ ]*))?")
_SIZE = re.compile(r"(?:^| )SIZE=([0-9]{1,18})(?: |$)")
_SOURCE_ROUTE = re.compile(r"@[^:]*:")


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


def own_recipient(address: str, domain: str) -> str | None:
    """Return *address* without its source route where it is a token at *domain*, else None.

    Case does not matter, nor a trailing dot. A source route is ignored (RFC 5321 §3.3).
    """
    bare = _SOURCE_ROUTE.sub("", address, count=1) if address.startswith("@") else address
    token, _, host = bare.lower().rpartition("@")
    ours = bare.isascii() and host.removesuffix(".") == domain and _TOKEN.fullmatch(token)
    return bare if ours else None


def readable(text: str) -> str:
    """Return what a peer said, with escapes for octets that are no UTF-8 and for control characters."""
    said = text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in said)
