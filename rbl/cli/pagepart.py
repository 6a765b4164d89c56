"""The tester's own page, joined to the others: served beside the worker, before the database is asked."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from rbl.cli.parts import Built
from rbl.cli.watching import task_runs
from rbl.config import Listen
from rbl.web import testerpage
from rbl.web.server import Place, Server


@asynccontextmanager
async def page(built: Built) -> AsyncIterator[str]:
    """Serve the page, and yield where.

    Raises:
        ConfigError: an address cannot be bound.
    """
    settings = built.settings
    listeners = built.sockets.listen_at("page", settings.probe.page_listen, "probe.page_listen")
    bound = [Listen(*each.getsockname()[:2]) for each in listeners]
    apex, policy = next(iter(built.policies.items()))
    app = testerpage.create_app(settings, apex, policy.times)
    server = Server(app, Place("page", listeners, built.shares.page, "rbl_page"), settings, built.registry)
    task = asyncio.create_task(server.serve())
    try:
        with built.watches.of("page", task_runs(task)):
            yield f"{' '.join(f'http://{each}' for each in bound)} for {settings.probe.tester_names[0]}"
    finally:
        server.should_exit = True
        await task
