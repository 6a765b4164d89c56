"""Answer sets: what one listed address or name answers, shared by all that answer the same."""

from dataclasses import dataclass
from ipaddress import IPv4Address


@dataclass(frozen=True, slots=True)
class AnswerSet:
    """The answer for something listed.

    *values* are the A records, distinct and ascending; *texts* the TXT templates, distinct, to be
    filled in with ``ZoneFile.render``; *ttl_seconds* the smallest TTL of the reasons, since one
    RRset has one TTL (RFC 2181 §5.2).
    """

    values: tuple[IPv4Address, ...]
    texts: tuple[str, ...]
    ttl_seconds: int
