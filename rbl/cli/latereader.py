"""The journal's reader, opened when it is first read from.

DNS answers from its index on disk before SQLAlchemy and a database driver are imported, which takes
longer than to map ten million listings.
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING

from rbl.terms import Entry, Listed, Mark

if TYPE_CHECKING:
    from rbl.store.engine import Store
    from rbl.store.journal import JournalReader


class LateReader:
    """Reads from the journal of the database that *open_store* opens; one thread uses it."""

    def __init__(self, open_store: "Callable[[], Store]") -> None:
        self._open_store = open_store

    @cached_property
    def _reader(self) -> "JournalReader":
        store = self._open_store()  # first: it sees to it that no two threads import SQLAlchemy at once
        from rbl.store.journal import JournalReader  # noqa: PLC0415 — see above

        return JournalReader(store)

    def snapshot(self, zone: str, /) -> tuple[Mark, Iterable[Listed]]:
        """Return the end of the journal of *zone* and everything in the list there."""
        return self._reader.snapshot(zone)

    def entries_after(self, zone: str, mark: Mark, limit: int, /) -> Iterator[Entry] | None:
        """Return the entries of whole commits after *mark*, or None where the history is another one."""
        return self._reader.entries_after(zone, mark, limit)

    def forced_serial(self, zone: str, /) -> int:
        """Return up to which serial an operator lets out what is held back; 0: nothing."""
        return self._reader.forced_serial(zone)

    def wait_for_change(self, timeout: timedelta, /) -> bool:
        """Return soon after a commit, or after *timeout* at the latest."""
        return self._reader.wait_for_change(timeout)

    def give_up(self) -> None:
        """Let a snapshot that waits for the database fail soon."""
        if "_reader" in self.__dict__:
            self._reader.give_up()

    def close(self) -> None:
        """Let what was opened go."""
        if "_reader" in self.__dict__:
            self._reader.close()
