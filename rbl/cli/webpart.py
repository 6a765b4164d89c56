"""The web part of the program, joined to the others: pages and API under ``rbl serve``."""

import asyncio
from collections import ChainMap
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime

from rbl.cli.opening import now
from rbl.cli.parts import Built
from rbl.cli.watching import task_runs
from rbl.config import Listen
from rbl.mail import evidence, redact
from rbl.probe import advice, control
from rbl.store.engine import CONNECTIONS
from rbl.terms import Evidence, Nominator
from rbl.web.app import create_app
from rbl.web.gone import limit_threads
from rbl.web.parts import Parts as WebParts
from rbl.web.server import Server


@asynccontextmanager
async def web(built: Built) -> AsyncIterator[str]:
    """Serve pages and the API."""
    settings = built.settings
    listener = built.sockets.listen("web", settings.web.listen)
    place = Listen(*listener.getsockname()[:2])
    app = create_app(web_parts(built))
    server = Server(app, listener, settings, built.registry, built.shares.web)
    limit_threads(CONNECTIONS)
    task = asyncio.create_task(server.serve())
    try:
        with built.watches.of("web", task_runs(task)):
            yield f"http://{place} as {settings.web.public_url}"
    finally:
        app.state.streams.end()
        server.should_exit = True
        await task


def web_parts(built: Built) -> WebParts:
    """Return what the web part needs of the others."""
    lists = built.settings.lists
    # A test network stands for the world outside, whatever addresses it has.
    inside = [network for network in evidence.INSIDE if network not in built.settings.probe.allow_reserved]

    def read_evidence(raw: bytes, nominator: Nominator, at: datetime) -> Evidence:
        return evidence.read(
            raw, nominator, at, lists.max_evidence_age, lists.max_evidence_octets, inside=inside
        )

    return WebParts(
        store=built.store,
        settings=built.settings,
        policies=built.policies,
        zone_files=built.zones,
        read_evidence=read_evidence,
        published=redact.published,
        advice=advice.advice,
        form_title=control.title,
        ready=built.watches.ready,
        faults=built.watches.faults,
        lists=lambda: ChainMap(*(follower.standings() for follower in built.followers)),
        now=now,
        registry=built.registry,
    )
