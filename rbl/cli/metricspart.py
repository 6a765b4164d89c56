"""A listener for whatever watches this process: ``/metrics``, ``/healthz``, ``/readyz`` and nothing else.

For processes without the web part, and for those who keep the watching apart from the public. It is no
part by itself. There is no framework in it: a process that answers DNS alone loads an HTTP server and no
more. What it tells of readiness is what the web part tells.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from contextlib import asynccontextmanager, nullcontext
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from rbl.config import Listen
from rbl.errors import RblError

if TYPE_CHECKING:
    from rbl.cli.parts import Built

_GRACE_SECONDS = 2
# Some scrapers at once. h11 waits for no more headers than so many octets; httptools would for ever.
_CONNECTIONS = 32
_HEADER_OCTETS = 8 * 1024

_Message = MutableMapping[str, Any]


@asynccontextmanager
async def metrics(
    built: "Built", listen: Listen, ready: Callable[[], Mapping[str, bool]]
) -> AsyncIterator[str]:
    """Serve what watches this process at *listen*; *ready* says which parts are, and may ask a database."""
    listener = built.sockets.listen("metrics", listen)
    server = _Uvicorn(
        uvicorn.Config(
            _Watched(built, ready),
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            limit_concurrency=_CONNECTIONS,
            h11_max_incomplete_event_size=_HEADER_OCTETS,
            timeout_graceful_shutdown=_GRACE_SECONDS,
        )
    )
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield f"http://{Listen(*listener.getsockname()[:2])}/metrics"
    finally:
        server.should_exit = True
        await task


def database_answers(built: "Built") -> bool:
    """Whether the database answers now."""
    store = built.store  # first: it sees to it that no two threads import SQLAlchemy at once
    from rbl.store import switches  # noqa: PLC0415 — see rbl.cli

    try:
        with store.reading() as session:
            switches.is_on(session, switches.PROBING)
    except RblError:
        return False
    return True


class _Uvicorn(uvicorn.Server):
    """uvicorn without its signal handlers: ``rbl serve`` has its own for all parts."""

    def capture_signals(self) -> nullcontext[None]:  # type: ignore[override]
        return nullcontext()


class _Watched:
    """The three pages, as an ASGI application."""

    def __init__(self, built: "Built", ready: Callable[[], Mapping[str, bool]]) -> None:
        self._built = built
        self._ready = ready

    async def __call__(
        self,
        scope: _Message,
        receive: Callable[[], Awaitable[_Message]],
        send: Callable[[_Message], Awaitable[None]],
    ) -> None:
        del receive  # no page has a body to read
        if scope["method"] not in {"GET", "HEAD"}:
            status, kind, body = 405, "text/plain", b"GET and HEAD are allowed\n"
        else:
            status, kind, body = await self._page(scope["path"])
        headers = [(b"content-type", kind.encode()), (b"content-length", b"%d" % len(body))]
        if status == 405:
            headers.append((b"allow", b"GET, HEAD"))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    async def _page(self, path: str) -> tuple[int, str, bytes]:
        match path:
            case "/healthz":
                return 200, "application/json", b'{"alive":true}'
            case "/readyz":
                return await asyncio.to_thread(self._readyz)
            case "/metrics":
                body = await asyncio.to_thread(generate_latest, self._built.registry)
                return 200, CONTENT_TYPE_LATEST, body
            case _:
                return 404, "text/plain", b"there are /metrics, /healthz and /readyz\n"

    def _readyz(self) -> tuple[int, str, bytes]:
        parts = dict(self._ready())
        lists = {
            apex: asdict(standing)
            for follower in self._built.followers
            for apex, standing in follower.standings().items()
        }
        told: dict[str, object] = {"parts": parts, "lists": lists}
        missing = [name for name, is_ready in parts.items() if not is_ready]
        if not missing:
            return 200, "application/json", json.dumps(told).encode()
        told |= {"status": 503, "code": "not-ready", "detail": f"not ready: {', '.join(missing)}"}
        return 503, "application/problem+json", json.dumps(told).encode()
