"""A worker in a process of its own, to be stopped and continued: ``python -m tests.probe.workerprocess``.

Arguments: the database, the port of the host, the worker's name, the lease in seconds.
"""

import asyncio
import sys
from datetime import UTC, datetime, timedelta

from rbl.probe.worker import Worker
from rbl.store.engine import Store
from tests.probe.relay import KEY, POLICY, make_tools, nobody
from tests.store import steps


def now() -> datetime:
    """Return the present time."""
    return datetime.now(UTC)


async def work(url: str, port: int, owner: str, lease: timedelta) -> None:
    """Work until killed."""
    store = Store(url)
    settings = make_tools(store, port, now, lease=lease).settings
    await Worker(store, {steps.ZONE: POLICY}, settings, KEY, owner=owner, clock=now, name_of=nobody).run()


if __name__ == "__main__":
    asyncio.run(work(sys.argv[1], int(sys.argv[2]), sys.argv[3], timedelta(seconds=float(sys.argv[4]))))
