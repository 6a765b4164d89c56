"""What the follower reads from, and what it tells of where it is. Logs nothing."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from rbl.terms import Entry, Listed


class Reader(Protocol):
    """What is read from the journal; each call may raise Unavailable."""

    def snapshot(self, zone: str, /) -> tuple[int, Iterable[Listed]]:
        """Return the head serial of *zone* and everything in it at that serial."""

    def entries_after(self, zone: str, serial: int, limit: int, /) -> Sequence[Entry]:
        """Return at most *limit* entries after *serial*, in order of serial."""

    def head(self, zone: str, /) -> int:
        """Return the last serial of *zone*."""

    def forced_serial(self, zone: str, /) -> int:
        """Return up to which serial an operator lets out what is held back; 0: nothing."""

    def wait_for_change(self, timeout: timedelta, /) -> object:
        """Return soon after a commit, or after *timeout* at the latest."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where one zone stands: what is answered from, what was read, and how long ago.

    *held* says why *newest* is not what is answered from.
    """

    serial: int | None
    newest: int | None
    lag_seconds: float
    held: str | None
