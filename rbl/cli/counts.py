"""Keeping what the DNS server counts: how much each customer asked, how often each listing was answered.

The counts are added to the tables every minute and at a stop, in one transaction: followers of the
journal on SQLite look once a minute more. What could not be added goes with the next minute's counts.
A process that is killed loses one minute. Log event: ``counts_not_kept`` (with traceback).
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from rbl.cli.opening import now
from rbl.errors import Unavailable
from rbl.responder.hits import ListingHits
from rbl.responder.usage import KeyUsage

if TYPE_CHECKING:
    from rbl.store.engine import Store

_EVERY_SECONDS = 60

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Counts:
    """What counts, and the database that keeps it."""

    open_store: "Callable[[], Store]"
    usage: KeyUsage
    hits: ListingHits

    def keep(self) -> None:
        """Add the counts to the tables; while the database does not answer they stay."""
        usage, hits = self.usage.take(), self.hits.take()
        if not usage and not hits:
            return
        try:
            store = self.open_store()  # first: it sees to it that no two threads import SQLAlchemy at once
            from rbl.store import customers  # noqa: PLC0415 — only where there is something to keep
            from rbl.store import hits as listing_hits  # noqa: PLC0415

            with store.writing() as session:
                customers.add_usage(session, usage, now())
                listing_hits.add(session, hits, now())
        except Exception as fault:  # noqa: BLE001 — the rim: the next minute tries again
            self.usage.give_back(usage)
            self.hits.give_back(hits)
            if not isinstance(fault, Unavailable):
                _log.exception("counts_not_kept")


@asynccontextmanager
async def kept(counts: Counts, every_seconds: float = _EVERY_SECONDS) -> AsyncIterator[None]:
    """Keep *counts* now and then, and once more at the end."""
    keeping = asyncio.create_task(_keep_on(counts, every_seconds))
    try:
        yield
    finally:
        keeping.cancel()
        with suppress(asyncio.CancelledError):
            await keeping
        await asyncio.to_thread(counts.keep)


async def _keep_on(counts: Counts, every_seconds: float) -> None:
    while True:
        await asyncio.sleep(every_seconds)
        await asyncio.to_thread(counts.keep)
