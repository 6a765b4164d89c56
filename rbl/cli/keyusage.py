"""Keeping how much each customer asked: the counts of the DNS server, added to the table every minute.

What could not be added goes with the next minute's counts. A process that is killed loses one minute.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from rbl.cli.opening import now
from rbl.errors import Unavailable
from rbl.responder.usage import KeyUsage

if TYPE_CHECKING:
    from rbl.store.engine import Store

_EVERY_SECONDS = 60


@asynccontextmanager
async def kept(
    open_store: "Callable[[], Store]", usage: KeyUsage, every_seconds: float = _EVERY_SECONDS
) -> AsyncIterator[None]:
    """Keep the counts of *usage* now and then, and once more at the end."""
    keeping = asyncio.create_task(_keep_on(open_store, usage, every_seconds))
    try:
        yield
    finally:
        keeping.cancel()
        with suppress(asyncio.CancelledError):
            await keeping
        await asyncio.to_thread(keep, open_store, usage)


def keep(open_store: "Callable[[], Store]", usage: KeyUsage) -> None:
    """Add the counts of *usage* to the table; while the database does not answer they stay."""
    counts = usage.take()
    if not counts:
        return
    from rbl.store import customers  # noqa: PLC0415 — only where there is something to keep

    try:
        with open_store().writing() as session:
            customers.add_usage(session, counts, now())
    except Unavailable:
        usage.give_back(counts)


async def _keep_on(open_store: "Callable[[], Store]", usage: KeyUsage, every_seconds: float) -> None:
    while True:
        await asyncio.sleep(every_seconds)
        await asyncio.to_thread(keep, open_store, usage)
