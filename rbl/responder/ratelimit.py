"""Response-rate limiting: how many answers a network gets, so that forged queries cannot flood it.

For each client prefix and class of outcome there is a budget: so many answers a second, with a burst
of one window. Over it, every *slip*-th answer is cut to a header with TC, at which a real client
asks again over TCP, and the others are dropped. TCP and a valid cookie prove the address and are not
limited (``answer`` asks nothing here for them).

A budget is the generic cell rate algorithm: one number, the time at which the bucket would be full
again (TAT). They lie in an array of fixed size, found by a keyed hash of prefix and class, so that
an attack with many prefixes takes no memory; two prefixes in one slot share a budget, which a TC and
TCP get a client out of. The hot path may have an array of its own and another hash, but not another
rule. Time is an argument, in nanoseconds.

The idea: BIND's, Knot's and NSD's "RRL". Logs nothing.
"""

import secrets
from array import array
from collections.abc import Iterable
from enum import Enum, IntEnum
from hashlib import blake2b
from ipaddress import IPv4Address

from rbl.config import RateLimit
from rbl.responder.access import compile_table
from rbl.responder.codes import Outcome
from rbl.terms import Address, Network
from rbl.zone.access import ALLOW, AccessList, Action, Rule

# 65,536 budgets are half a megabyte. To close them all an attacker needs the rate times as many packets.
SLOTS = 1 << 16
_SECOND = 1_000_000_000


class Class(IntEnum):
    """What one budget is for: an attack that draws one kind of answer leaves the others alone."""

    POSITIVE = 0  # the apex, something listed, the server's name
    NODATA = 1
    NXDOMAIN = 2
    ERROR = 3  # also REFUSED


class Decision(Enum):
    """What becomes of one answer."""

    SEND = "send"
    SLIP = "slip"  # TC and nothing else; an error, which TCP would not better, as it is
    DROP = "drop"


_CLASSES = {
    Outcome.APEX: Class.POSITIVE,
    Outcome.CHAOS: Class.POSITIVE,
    Outcome.LISTED: Class.POSITIVE,
    Outcome.NODATA: Class.NODATA,
    Outcome.NXDOMAIN: Class.NXDOMAIN,
}


def class_of(outcome: Outcome) -> Class:
    """Return which budget an answer of *outcome* is taken from."""
    return _CLASSES.get(outcome, Class.ERROR)


def admit(tat: int, now: int, interval: int, tolerance: int) -> int | None:
    """Return the new TAT of a budget that had *tat* and gives one answer now, None where it has none.

    *interval* is the time in which one answer becomes available, *tolerance* the burst less one
    interval. A TAT later than any answer could have made it is of a clock that was set back.
    """
    if tat - now > tolerance + interval or tat < now:
        return now + interval
    if tat - now > tolerance:
        return None
    return tat + interval


class RateLimiter:
    """The budgets of all clients. Where several threads ask at once a budget may give an answer more.

    ``tats[slot]`` is a signed 64-bit number of nanoseconds; ``over[slot]`` counts, modulo *slip*,
    the answers over the limit: the one that makes it 0 slips. With *slip* 0 none does.
    """

    def __init__(self, limit: RateLimit, slots: int = SLOTS) -> None:
        self.interval = max(_SECOND // limit.responses_per_second, 1)
        # A window too short for one answer would give none at all.
        window = int(limit.window.total_seconds() * _SECOND)
        self.tolerance = max(window - self.interval, 0)
        self.slip = limit.slip
        self.ipv4_prefix = limit.ipv4_prefix
        self.ipv6_prefix = limit.ipv6_prefix
        self.exempt = compile_table(_limited_but(limit.exempt))
        self.tats = array("q", bytes(8 * slots))
        self.over = array("B", bytes(slots))
        self._key = secrets.token_bytes(16)  # nobody can choose whom he shares a budget with

    def decide(self, client: Address, outcome: Class, now: int) -> Decision:
        """Return what becomes of an answer to *client*, and take it out of the budget."""
        if self.exempt.rule(client).action is Action.ALLOW:
            return Decision.SEND
        slot = self._slot(client, outcome)
        tat = admit(self.tats[slot], now, self.interval, self.tolerance)
        if tat is not None:
            self.tats[slot] = tat
            return Decision.SEND
        if not self.slip:
            return Decision.DROP
        self.over[slot] = (self.over[slot] + 1) % self.slip
        return Decision.DROP if self.over[slot] else Decision.SLIP

    def _slot(self, client: Address, outcome: Class) -> int:
        is_ipv4 = isinstance(client, IPv4Address)
        prefix = int(client) >> ((32 - self.ipv4_prefix) if is_ipv4 else (128 - self.ipv6_prefix))
        name = (prefix << 1 | is_ipv4).to_bytes(17, "big")
        # The classes of one prefix lie side by side, and never share a budget.
        place = int.from_bytes(blake2b(name, digest_size=8, key=self._key).digest())
        return place % (len(self.tats) // len(Class)) * len(Class) + outcome


def _limited_but(exempt: Iterable[Network]) -> AccessList:
    """Return *exempt* as an access list that allows them and nobody else."""
    return AccessList(Rule(Action.REFUSE), tuple((network, ALLOW) for network in exempt))
