"""A fuse between those who ask and a database that hangs: once it is known to, nobody waits for it.

Whoever first waits in vain trips it. From then on everybody is told at once, and one at a time tries
whether the database answers again: so no more than one thread is ever held up, however many ask.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rbl.errors import Unavailable

# Between two tries; each takes at most as long as an answer may, so this decides little.
_PAUSE_SECONDS = 0.2


class Circuit:
    """Counts how often somebody waited in vain; calls *on_trip* each time. Shared between threads."""

    def __init__(self, on_trip: Callable[[], None] = lambda: None) -> None:
        self._on_trip = on_trip
        self._lock = threading.Lock()
        self._trips = 0
        self._mended = 0  # how often a try found that the database answers again
        self._is_tripped = False
        self._is_tried = False
        self._next_try = 0.0
        self._here = threading.local()

    @contextmanager
    def passed(self) -> Iterator[None]:
        """Let the calling thread through, or one at a time where the database is known to hang.

        Raises:
            Unavailable: the database hangs, and another thread tries it or has just tried it.
        """
        if self._seen() == self._trips:  # a transaction within another of the same thread
            yield
            return
        with self._lock:
            if self._is_tripped and (self._is_tried or time.monotonic() < self._next_try):
                raise Unavailable("the database does not answer: it is tried again", code="database")
            is_trying = self._is_tried = self._is_tripped
            seen = self._here.seen = self._trips
            self._here.mended = self._mended
        try:
            yield
        finally:
            self._here.seen = None
            if is_trying:
                with self._lock:
                    self._is_tried = False
                    self._is_tripped = self._trips != seen
                    self._mended += not self._is_tripped

    def trip(self) -> None:
        """Note that somebody waited in vain; what he began before the database was back tells nothing."""
        with self._lock:
            if getattr(self._here, "mended", self._mended) != self._mended:
                return
            self._trips += 1
            self._is_tripped = True
            self._next_try = time.monotonic() + _PAUSE_SECONDS
        self._on_trip()

    def is_hopeless(self) -> bool:
        """Whether it was tripped since the calling thread was let through: another wait is in vain."""
        seen = self._seen()
        return seen is not None and seen != self._trips

    def _seen(self) -> int | None:
        seen: int | None = getattr(self._here, "seen", None)
        return seen
