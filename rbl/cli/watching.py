"""Whether the parts of this process do their work: looked at once a second, told by log, metric, /readyz.

A part says why it does not; threads and tasks that ended are seen without its help. What is seen twice in
a row is told, so that nobody is woken for a moment. Log events: ``part_failed``, ``part_works``.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import TYPE_CHECKING

import structlog
from prometheus_client import CollectorRegistry, Gauge

from rbl.configdatabase import Database

if TYPE_CHECKING:
    from rbl.store.engine import Store

_EVERY_SECONDS = 1.0

_log = structlog.get_logger()

Watch = Callable[[], str | None]
"""Says why a part does not do its work; None: it does."""


class Watches:
    """What is watched in this process, by the part's name."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._watches: dict[str, Watch] = {}
        self._ready = Gauge(
            "rbl_part_ready", "1 while the part does its work", ("part",), registry=registry
        )

    @contextmanager
    def of(self, part: str, watch: Watch) -> Iterator[None]:
        """Watch *part* for as long as it runs."""
        self._watches[part] = watch
        self._ready.labels(part).set(1)
        try:
            yield
        finally:
            del self._watches[part]
            self._ready.remove(part)

    def fault(self, part: str) -> str | None:
        """Return why *part* does not do its work; None: it does, or it is not watched."""
        watch = self._watches.get(part)
        return None if watch is None else watch()

    def ready(self) -> dict[str, bool]:
        """Return whether each part does its work."""
        return {part: watch() is None for part, watch in list(self._watches.items())}

    def faults(self) -> dict[str, str]:
        """Return why, of each part that does not do its work."""
        said = {part: watch() for part, watch in list(self._watches.items())}
        for part, why in said.items():
            if part in self._watches:
                self._ready.labels(part).set(int(why is None))
        return {part: why for part, why in said.items() if why is not None}


@asynccontextmanager
async def watched(watches: Watches, every_seconds: float = _EVERY_SECONDS) -> AsyncIterator[None]:
    """Look at *watches* now and then, and say what changes."""
    looking = asyncio.create_task(_look_on(watches, every_seconds))
    try:
        yield
    finally:
        looking.cancel()
        with suppress(asyncio.CancelledError):
            await looking


async def _look_on(watches: Watches, every_seconds: float) -> None:
    before: dict[str, str] = {}
    told: set[str] = set()
    while True:
        await asyncio.sleep(every_seconds)
        faults = await asyncio.to_thread(watches.faults)
        for part in sorted(faults.keys() & before.keys() - told):
            _log.error("part_failed", part=part, why=faults[part])
            told.add(part)
        for part in sorted(told - faults.keys()):
            _log.info("part_works", part=part)
            told.remove(part)
        before = faults


def database_room(store: "Store", settings: Database) -> Watch:
    """Return what says when the database takes no more."""
    from rbl.store.room import Room  # noqa: PLC0415 — see rbl.cli

    return Room(store, settings.min_free_mib).fault


def threads_alive(prefix: str) -> Watch:
    """Return what says when one of the threads has ended whose names begin with *prefix* now."""
    threads = [thread for thread in threading.enumerate() if thread.name.startswith(prefix)]

    def look() -> str | None:
        ended = [thread.name for thread in threads if not thread.is_alive()]
        return f"{', '.join(ended)} ended: start the program anew" if ended else None

    return look


def task_runs(task: "asyncio.Task[None]") -> Watch:
    """Return what says when *task* has ended."""

    def look() -> str | None:
        if not task.done():
            return None
        fault = None if task.cancelled() else task.exception()
        return f"it ended ({fault!r}): start the program anew"

    return look
