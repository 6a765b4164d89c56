"""The web part of the program, joined to the others: pages and API under ``rbl serve``."""

import asyncio
import os
import socket
from collections import ChainMap
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from datetime import datetime

import uvicorn

from rbl.cli.opening import now
from rbl.cli.parts import Built
from rbl.config import Listen
from rbl.errors import ConfigError
from rbl.mail import evidence, redact
from rbl.probe import advice, plan
from rbl.store.engine import CONNECTIONS
from rbl.terms import Evidence, Nominator
from rbl.web.app import create_app
from rbl.web.gone import limit_threads
from rbl.web.parts import Parts as WebParts

# How long a page that is being sent, or an event stream, may hold up the end.
_WEB_GRACE_SECONDS = 5


@asynccontextmanager
async def web(built: Built) -> AsyncIterator[str]:
    """Serve pages and the API."""
    settings = built.settings
    listener = _listener(settings.web.listen)
    app = create_app(web_parts(built))
    server = _Uvicorn(
        uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=bool(settings.web.trusted_proxies),
            forwarded_allow_ips=[str(network) for network in settings.web.trusted_proxies],
            timeout_graceful_shutdown=_WEB_GRACE_SECONDS,
        )
    )
    limit_threads(CONNECTIONS)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield f"http://{Listen(*listener.getsockname()[:2])} as {settings.web.public_url}"
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
        form_title=plan.title,
        ready=lambda: {"dns": built.catalogue.ready()} if built.followers else {},
        lists=lambda: ChainMap(*(follower.standings() for follower in built.followers)),
        now=now,
        registry=built.registry,
    )


class _Uvicorn(uvicorn.Server):
    """uvicorn without its signal handlers: ``rbl serve`` has its own for all parts."""

    def capture_signals(self) -> nullcontext[None]:  # type: ignore[override]
        return nullcontext()


def _listener(listen: Listen) -> socket.socket:
    family = socket.AF_INET6 if ":" in listen.host else socket.AF_INET
    try:
        return socket.create_server(listen, family=family, backlog=1024)
    except OSError as fault:
        why = os.strerror(fault.errno or 0)
        raise ConfigError([f"web.listen: cannot listen on {listen}: {why}"]) from None
