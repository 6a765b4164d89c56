"""The HTTP server: uvicorn, with connections that have limits and a door of our own.

uvicorn runs the application and speaks HTTP; see ``connection`` and ``door`` for what it lacks. It
leaves signals to whoever runs it. Why uvicorn: docs/decisions/0020.
"""

import asyncio
import socket
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from http import HTTPStatus

import uvicorn
from prometheus_client import CollectorRegistry, Counter, Gauge
from starlette.types import ASGIApp

from rbl.config import Settings
from rbl.web import problems
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


@dataclass(frozen=True, slots=True)
class Place:
    """What is served where: *part* by name, at *listeners*, with so many *connections* at once.

    *metrics* begins the names of its counts, and *largest_body* is of any request, in octets.
    """

    part: str
    listeners: Sequence[socket.socket]
    connections: int  # what the process has file descriptors for, where that is less than is wanted
    metrics: str = "rbl_http"
    largest_body: int = 0


class Server(uvicorn.Server):
    """Serves *app* at *place*, with the limits of *settings*."""

    def __init__(
        self,
        app: ASGIApp,
        place: Place,
        settings: Settings,
        registry: CollectorRegistry,
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
        self._place = place
        web, limits = settings.web, settings.web.limits
        self._public_url = web.public_url
        self._limits = Limits(
            head_octets=limits.header_octets,
            line_octets=limits.header_octets // 2,
            message_octets=limits.header_octets + _LARGEST_OVERHEAD * place.largest_body,
            head_seconds=limits.header_timeout.total_seconds(),
            body_seconds=limits.body_timeout.total_seconds(),
            idle_seconds=limits.idle_timeout.total_seconds(),
            read_seconds=limits.send_timeout.total_seconds(),
        )
        self._places = Places(place.connections, limits.connections_per_client, web.trusted_proxies)
        self._ended = Counter(
            f"{place.metrics}_connections_ended",
            "HTTP connections that the server ended before their time, by why",
            ("why",),
            registry=registry,
        )
        for why in Why:
            self._ended.labels(why.value)
        now = Gauge(f"{place.metrics}_connections", "HTTP connections now", registry=registry)
        now.set_function(lambda: len(self._places))

    def capture_signals(self) -> nullcontext[None]:  # type: ignore[override]
        """Leave them to ``rbl serve``, which stops all parts."""
        return nullcontext()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Open the doors; uvicorn itself listens nowhere."""
        await super().startup(sockets or [])
        self._doors = []
        for listener in self._place.listeners:
            listener.settimeout(0)
            self._doors.append(Door(listener, self._connection, self._place.part))
            self._doors[-1].open()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close the doors, and let those who are inside finish."""
        for door in self._doors:
            door.close()
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
