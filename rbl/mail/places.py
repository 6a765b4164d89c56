"""Who may be connected to the collector at once, and who goes when it is full.

Strangers share a number of places, and a peer (IPv6: a /64) has a share of them at most. When all are
taken, whoever has been there longest without naming a recipient that is awaited leaves for the next:
a mail server that brings a message has named it within seconds. Hosts that are under test have further
places, for their neighbourhood; that is help and no proof, since a relay may deliver from elsewhere.
Pure bookkeeping; the sockets are the collector's.
"""

from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from ipaddress import IPv6Address, ip_network
from typing import Generic, TypeVar

from rbl.addresses import neighbourhood
from rbl.terms import Address, Network

_Guest = TypeVar("_Guest", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Limits:
    """What one peer and all peers together may use."""

    connections: int = 200
    connections_per_peer: int = 20  # an IPv6 peer is its /64
    # Beside those, for hosts under test: in all, and for each neighbourhood (/24, /64).
    kept_connections: int = 40
    kept_per_neighbourhood: int = 10
    # RFC 5321 §4.5.3.2: a server waits five minutes for the next command.
    command_timeout: timedelta = timedelta(minutes=5)
    session_timeout: timedelta = timedelta(minutes=30)
    # How long a stop waits for transactions that are under way: whoever sends slowly sends again.
    grace: timedelta = timedelta(seconds=4)


class Answer(StrEnum):
    """What becomes of a new connection."""

    ENTER = "enter"
    FULL = "full"  # all places are taken, by guests who may stay
    PEER_FULL = "peer-full"  # this peer has its share


@dataclass(slots=True)
class _Seat:
    site: Network
    neighbourhood: Network
    is_kept: bool
    is_settled: bool = False


class Places(Generic[_Guest]):
    """The guests, in order of their coming or of their last transaction's end."""

    def __init__(self, limits: Limits) -> None:
        self.awaited: frozenset[Network] = frozenset()  # neighbourhoods of the hosts under test
        self._limits = limits
        self._seats: dict[_Guest, _Seat] = {}
        self._sites: Counter[Network] = Counter()
        self._kept: Counter[Network] = Counter()

    def __len__(self) -> int:
        return len(self._seats)

    def guests(self) -> list[_Guest]:
        """Return everybody who is there."""
        return list(self._seats)

    def admit(self, peer: Address) -> tuple[Answer, _Guest | None]:
        """Return whether a guest from *peer* may enter, and who leaves for him: counted out already."""
        if self._sites[_site(peer)] >= self._limits.connections_per_peer:
            return Answer.PEER_FULL, None
        if self._has_kept_place(neighbourhood(peer)):
            return Answer.ENTER, None
        if len(self._seats) - self._kept.total() < self._limits.connections:
            return Answer.ENTER, None
        leaver = next((each for each, seat in self._seats.items() if self._may_go(seat)), None)
        if leaver is None:
            return Answer.FULL, None
        self.leave(leaver)
        return Answer.ENTER, leaver

    def enter(self, guest: _Guest, peer: Address) -> None:
        """Give *guest*, whose *peer* was admitted, a place."""
        seat = _Seat(_site(peer), neighbourhood(peer), self._has_kept_place(neighbourhood(peer)))
        self._seats[guest] = seat
        self._sites[seat.site] += 1
        if seat.is_kept:
            self._kept[seat.neighbourhood] += 1

    def settle(self, guest: _Guest) -> None:
        """Let *guest* stay when it is full: a message that is awaited is being brought."""
        if guest in self._seats:
            self._seats[guest].is_settled = True

    def unsettle(self, guest: _Guest) -> None:
        """End that: the transaction is over, and the guest the one who came last."""
        if guest in self._seats and self._seats[guest].is_settled:
            seat = self._seats.pop(guest)
            seat.is_settled = False
            self._seats[guest] = seat

    def leave(self, guest: _Guest) -> None:
        """Count *guest* out; nothing happens where that was done before."""
        seat = self._seats.pop(guest, None)
        if seat is None:
            return
        self._sites[seat.site] -= 1
        self._sites += Counter()  # drops the peers that have none left
        if seat.is_kept:
            self._kept[seat.neighbourhood] -= 1
            self._kept += Counter()

    def _has_kept_place(self, around: Network) -> bool:
        return (
            around in self.awaited
            and self._kept[around] < self._limits.kept_per_neighbourhood
            and self._kept.total() < self._limits.kept_connections
        )

    def _may_go(self, seat: _Seat) -> bool:
        return not (seat.is_kept or seat.is_settled)


def _site(peer: Address) -> Network:
    return ip_network((peer, 64), strict=False) if isinstance(peer, IPv6Address) else ip_network(peer)
