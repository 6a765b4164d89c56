"""The HTTP server: uvicorn, with connections that have limits and a door of our own.

uvicorn runs the application and speaks HTTP; see ``connection`` and ``door`` for what it lacks. It
leaves signals to whoever runs it. Why uvicorn: docs/decisions/0020.
"""

import asyncio
import socket
from contextlib import nullcontext
from http import HTTPStatus

import uvicorn
from prometheus_client import CollectorRegistry, Counter, Gauge
from starlette.types import ASGIApp

from rbl.config import Settings
from rbl.web import problems
from rbl.web.app import largest_body_octets
from rbl.web.connection import Connection, Limits, Why
from rbl.web.door import Door
from rbl.web.places import Places

# How long an answer that is being sent, or an event stream, may hold up the end.
_GRACE_SECONDS = 5
# A chunk of one octet takes six, so no sensible body comes near it.
_LARGEST_OVERHEAD = 2

_CODES = {
    HTTPStatus.BAD_REQUEST: "bad-request",
    HTTPStatus.REQUEST_TIMEOUT: "too-slow",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "too-large",
    HTTPStatus.REQUEST_URI_TOO_LONG: "head-too-large",
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE: "head-too-large",
    HTTPStatus.SERVICE_UNAVAILABLE: "no-place",
}


class Server(uvicorn.Server):
    """Serves *app* at the listening socket *listener*, with the limits of *settings*.

    *most_connections* is what the process has file descriptors for, where that is less than is wanted.
    """

    def __init__(
        self,
        app: ASGIApp,
        listener: socket.socket,
        settings: Settings,
        registry: CollectorRegistry,
        most_connections: int,
        grace_seconds: int = _GRACE_SECONDS,
    ) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=Connection,
                ws="none",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,  # the application has its own, which knows nothing of the loopback
                timeout_graceful_shutdown=grace_seconds,
            )
        )
        self._listener = listener
        web, limits = settings.web, settings.web.limits
        self._public_url = web.public_url
        self._limits = Limits(
            head_octets=limits.header_octets,
            line_octets=limits.header_octets // 2,
            message_octets=limits.header_octets + _LARGEST_OVERHEAD * largest_body_octets(settings),
            head_seconds=limits.header_timeout.total_seconds(),
            body_seconds=limits.body_timeout.total_seconds(),
            idle_seconds=limits.idle_timeout.total_seconds(),
            read_seconds=limits.send_timeout.total_seconds(),
        )
        self._places = Places(most_connections, limits.connections_per_client, web.trusted_proxies)
        self._ended = Counter(
            "rbl_http_connections_ended",
            "HTTP connections that the server ended before their time, by why",
            ("why",),
            registry=registry,
        )
        for why in Why:
            self._ended.labels(why.value)
        Gauge("rbl_http_connections", "HTTP connections now", registry=registry).set_function(
            lambda: len(self._places)
        )

    def capture_signals(self) -> nullcontext[None]:  # type: ignore[override]
        """Leave them to ``rbl serve``, which stops all parts."""
        return nullcontext()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Open the door; uvicorn itself listens nowhere."""
        await super().startup(sockets or [])
        self._listener.settimeout(0)
        self._door = Door(self._listener, self._connection, "web")
        self._door.open()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close the door, and let those who are inside finish."""
        self._door.close()
        await super().shutdown(sockets)

    def _connection(self) -> asyncio.Protocol:
        return Connection(
            self.config,
            self.server_state,
            self.lifespan.state,
            limits=self._limits,
            places=self._places,
            refusal=self._refusal,
            count=lambda why: self._ended.labels(why.value).inc(),
        )

    def _refusal(self, status: HTTPStatus, detail: str) -> bytes:
        problem = problems.document(self._public_url, _CODES[status], status.value, detail)
        return problem.model_dump_json(exclude_none=True).encode()
