"""What the follower reads from, its pace, and where it is with each zone. Logs nothing."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Protocol

from rbl.terms import Entry, Listed, Mark
from rbl.zone.index import Index
from rbl.zone.zonefile import ZoneFile


class Reader(Protocol):
    """What is read from the journal; each call may raise Unavailable."""

    def snapshot(self, zone: str, /) -> tuple[Mark, Iterable[Listed]]:
        """Return the end of the journal of *zone* and everything in the list there."""

    def entries_after(self, zone: str, mark: Mark, limit: int, /) -> Iterator[Entry] | None:
        """Return the entries after *mark*, in order; None: the journal tells another history.

        They are of whole commits: of as many as have some *limit* entries, or of one that has more.
        """

    def forced_serial(self, zone: str, /) -> int:
        """Return up to which serial an operator lets out what is held back; 0: nothing."""

    def wait_for_change(self, timeout: timedelta, /) -> object:
        """Return soon after a commit, or after *timeout* at the latest."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How often and how much."""

    # A change that the signal missed, and a stop, are seen after this at the latest.
    longest_wait: timedelta = timedelta(seconds=1)
    # Between two tries while the database does not answer, doubling from the first to the longest.
    first_pause: timedelta = timedelta(milliseconds=100)
    longest_pause: timedelta = timedelta(seconds=5)
    # Between two copies to disk; after a crash what is younger comes from the journal.
    write_every: timedelta = timedelta(seconds=60)
    # Entries for one generation, so that a long way back is gone in steps that are seen.
    batch: int = 10_000


@dataclass(frozen=True, slots=True)
class Standing:
    """Where one zone stands: what is answered from, what was read, and how long ago.

    *held* says why *newest* is not what is answered from.
    """

    serial: int | None
    newest: int | None
    lag_seconds: float
    held: str | None


@dataclass(slots=True, eq=False)
class Followed:
    """Where the follower is with one zone. *newest* is not what is served while it is held back."""

    file: ZoneFile
    path: Path
    newest: Index | None = None
    held: str | None = None  # why
    grown: bool = True  # newest is what is served and entries after it, not made from everything
    tried: tuple[int, int] = (0, 0)  # the serial forced last, and that of what was offered for it
    fault: str | None = None
    read_at: float = field(default_factory=time.monotonic)
    caught_up: bool = False  # the journal was read to its head, once
    written: Mark | None = None
    unwritten: bool = False

    @property
    def name(self) -> str:
        """The apex."""
        return self.file.apex_text

    def lag_seconds(self) -> float:
        """Return how long ago the journal was last read with success (or the follower made)."""
        return time.monotonic() - self.read_at


class Stopped(Exception):
    """The program stops while millions of rows are being read."""


class Counted(Iterator[Entry]):
    """The entries of *entries*, counted as they are taken."""

    def __init__(self, entries: Iterator[Entry]) -> None:
        self._entries = entries
        self.count = 0

    def __next__(self) -> Entry:
        entry = next(self._entries)
        self.count += 1
        return entry
