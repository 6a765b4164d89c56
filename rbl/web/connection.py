"""One HTTP connection, with limits for what a client may send and for how long it may let us wait.

uvicorn's protocol has no limit before a request is complete: its parser gathers a field of any length,
and waits for the rest of it for ever. Here octets are counted before the parser has them, and each wait
for the client has its end: for a whole head, a whole body, the next request, and for an answer to be
read. A request over a limit gets a problem document and the connection ends. Logs nothing: a stranger's
nonsense is counted in ``/metrics``.

RFC 9112 §2.2, §3 and §9.5, RFC 6585 §5, RFC 9110 §15.5.9.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from http import HTTPStatus
from typing import Any

import httptools
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from rbl.web.places import Places

# For a refused client to hear why: what it still sends meanwhile, up to so much, is thrown away.
_LEAVE_SECONDS = 2.0
_LEAVE_OCTETS = 256 * 1024
_MOST_FIELDS = 100  # a browser sends some 20
# Requests that wait for the answer to the one before them; each is as cheap to send as 30 octets.
_MOST_PIPELINED = 16


@dataclass(frozen=True, slots=True)
class Limits:
    """What a client may send, and for how long it may let us wait."""

    head_octets: int  # of the request line and all fields
    line_octets: int  # of the request line, and of each field
    message_octets: int  # of a whole request, however it is chunked
    head_seconds: float
    body_seconds: float
    idle_seconds: float  # between two requests
    read_seconds: float  # for the client to read some of what we sent


class Why(StrEnum):
    """Why a connection ended before its time, for the count."""

    NO_PLACE = "no-place"  # all places are taken by requests that are being answered
    CROWDED_OUT = "crowded-out"  # it let us wait, and its place was needed
    TOO_LARGE = "too-large"  # head, line or message
    TOO_SLOW = "too-slow"  # head, body, or reading the answer
    MALFORMED = "malformed"  # no HTTP


class _Wait(StrEnum):
    """What we wait for."""

    HEAD = "head"  # the end of a head that has begun, or the first one
    BODY = "body"  # its end
    REQUEST = "request"  # the next
    READ = "read"  # that the last answer is read: the connection is closed
    LEAVE = "leave"  # the same, of one who was refused


class _TooLargeError(Exception):
    """What was sent is over a limit; the parser passes it on as a fault of its own."""

    def __init__(self, status: HTTPStatus, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


# Makes the body of an answer to what never became a request, of a status and a sentence.
Refusal = Callable[[HTTPStatus, str], bytes]


class Connection(HttpToolsProtocol):
    """A connection that has one of *places* and keeps to *limits*; *count* hears of an untimely end."""

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        *,
        limits: Limits,
        places: Places,
        refusal: Refusal,
        count: Callable[[Why], None],
    ) -> None:
        super().__init__(config, server_state, app_state)
        self._limits = limits
        self._places = places
        self._refusal = refusal
        self._count = count
        self._waits: _Wait | None = None
        self._waits_since: float | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._unread_since: float | None = None
        self._unread_deadline: asyncio.TimerHandle | None = None
        self._has_begun = False
        self._in_body = False
        self._octets = 0  # of the request, with the empty lines before it (RFC 9112 §2.2)
        self._fields = 0
        self._over: _TooLargeError | None = None
        self._thrown_away = 0
        self._is_deaf = False  # nothing that still comes is read

    @property
    def waited_for_since(self) -> float | None:
        """Since when the client lets us wait, by the loop's clock; None while we work for it."""
        return self._waits_since if self._unread_since is None else self._unread_since

    def leave(self) -> None:
        """End it: its place is needed."""
        self._count(Why.CROWDED_OUT)
        if self.transport.get_write_buffer_size():
            self.transport.abort()
        else:
            self.transport.close()

    # What the transport tells.

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a place, or end at once."""
        super().connection_made(transport)
        if self._places.enter(self, self.client[0] if self.client else ""):
            self._wait(_Wait.HEAD, self._limits.head_seconds)
            return
        self._count(Why.NO_PLACE)
        self._is_deaf = True
        self._write(HTTPStatus.SERVICE_UNAVAILABLE, "all places are taken: try again in a minute")
        self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Give the place back."""
        self._places.exit(self)
        self._is_deaf = True
        self._wait_no_more()
        self._unread_no_more()
        self._stop_keep_alive_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Give the parser what is within the limits."""
        self._stop_keep_alive_timer()
        if self._is_deaf:
            self._throw_away(data)
        while data and not self._is_deaf:
            room = self._most_octets() - self._octets
            piece, data = data[:room], data[room:]
            self._octets += len(piece)
            self._parse(piece)
            # The limit grows where a body begins, and what counts begins anew with the next request.
            if self._octets >= self._most_octets() and not self._is_deaf:
                self._refuse_as_too_large(self._too_many_octets())
        self._look()

    def pause_writing(self) -> None:
        """The client does not read what we send: now it is waited for."""
        super().pause_writing()
        self._unread_since = self.loop.time()
        self._unread_deadline = self.loop.call_later(self._limits.read_seconds, self._is_unread)

    def resume_writing(self) -> None:
        """It does."""
        self._unread_no_more()
        super().resume_writing()

    # What the parser tells, and uvicorn.

    def on_message_begin(self) -> None:
        """The first octet of a request."""
        if len(self.pipeline) >= _MOST_PIPELINED:
            # What is not answered when the connection ends is sent again (RFC 9112 §9.3.2).
            raise self._is_over(HTTPStatus.TOO_MANY_REQUESTS, "too many requests wait on this connection")
        super().on_message_begin()
        self._has_begun = True

    def on_url(self, url: bytes) -> None:
        """Part of the request's target."""
        super().on_url(url)
        if len(self.url) > self._limits.line_octets:
            detail = f"a request's target may have at most {self._limits.line_octets} octets"
            raise self._is_over(HTTPStatus.REQUEST_URI_TOO_LONG, detail)

    def on_header(self, name: bytes, value: bytes) -> None:
        """One field, of the head or of a trailer."""
        self._fields += 1
        if len(name) + len(value) > self._limits.line_octets:
            detail = f"a field may have at most {self._limits.line_octets} octets"
            raise self._is_over(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, detail)
        if self._fields > _MOST_FIELDS:
            detail = f"a request may have at most {_MOST_FIELDS} fields"
            raise self._is_over(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, detail)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is whole, and the application begins."""
        super().on_headers_complete()
        self._in_body = True

    def on_message_complete(self) -> None:
        """The request is whole."""
        super().on_message_complete()
        self._has_begun = self._in_body = False
        self._octets = self._fields = 0

    def on_response_complete(self) -> None:
        """The answer is given: the next request is waited for."""
        super().on_response_complete()
        self._look()

    # How it goes on.

    def _parse(self, piece: bytes) -> None:
        try:
            self.parser.feed_data(piece)
        except httptools.HttpParserUpgrade:
            # No protocol but this one: answered as if nothing else had been asked for (RFC 9110 §7.8).
            self.cycle.keep_alive = False
            self._is_deaf = True
        except httptools.HttpParserError:
            if self._over is not None:
                self._refuse_as_too_large(self._over)
            else:
                self._count(Why.MALFORMED)
                self._refuse(HTTPStatus.BAD_REQUEST, "this is no HTTP request (RFC 9112)")

    def _look(self) -> None:
        """Wait for whoever is to act next: for the client until a deadline, for us as long as it takes."""
        if self._is_deaf and self._waits is _Wait.LEAVE:
            return
        if self.transport.is_closing():
            self._wait(_Wait.READ, self._limits.read_seconds)
        elif self._in_body and not self._is_deaf:
            self._wait(_Wait.BODY, self._limits.body_seconds)
        elif self._is_answering():
            self._wait_no_more()
        elif self._has_begun or self.cycle is None:
            self._wait(_Wait.HEAD, self._limits.head_seconds)
        else:
            self._wait(_Wait.REQUEST, self._limits.idle_seconds)

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _wait(self, what: _Wait, seconds: float) -> None:
        if self._waits is what:
            return
        self._wait_no_more()
        self._waits = what
        self._waits_since = self.loop.time()
        self._deadline = self.loop.call_later(seconds, partial(self._is_overdue, what))

    def _wait_no_more(self) -> None:
        self._waits = self._waits_since = None
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _is_overdue(self, what: _Wait) -> None:
        if what is _Wait.REQUEST or (what is _Wait.HEAD and not self._has_begun):
            self.transport.close()  # it asked for nothing: there is nothing to say
            self._look()
        elif what in {_Wait.HEAD, _Wait.BODY}:
            self._count(Why.TOO_SLOW)
            self._refuse(HTTPStatus.REQUEST_TIMEOUT, f"the {what.value} of the request took too long")
        else:
            self.transport.abort()

    def _is_unread(self) -> None:
        self._count(Why.TOO_SLOW)
        self.transport.abort()

    def _unread_no_more(self) -> None:
        self._unread_since = None
        if self._unread_deadline is not None:
            self._unread_deadline.cancel()
            self._unread_deadline = None

    def _stop_keep_alive_timer(self) -> None:
        """Stop uvicorn's own, which begins anew with each octet."""
        if self.timeout_keep_alive_task is not None:
            self.timeout_keep_alive_task.cancel()
            self.timeout_keep_alive_task = None

    def _throw_away(self, data: bytes) -> None:
        self._thrown_away += len(data)
        if self._thrown_away > _LEAVE_OCTETS:
            self.transport.abort()

    # What is over the limits.

    def _most_octets(self) -> int:
        return self._limits.message_octets if self._in_body else self._limits.head_octets

    def _too_many_octets(self) -> _TooLargeError:
        if self._in_body:
            detail = f"a request may have at most {self._limits.message_octets} octets in all"
            return _TooLargeError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, detail)
        detail = f"the head of a request may have at most {self._limits.head_octets} octets"
        return _TooLargeError(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, detail)

    def _is_over(self, status: HTTPStatus, detail: str) -> _TooLargeError:
        self._over = _TooLargeError(status, detail)
        return self._over

    def _refuse_as_too_large(self, over: _TooLargeError) -> None:
        self._count(Why.TOO_LARGE)
        self._refuse(over.status, over.detail)

    def _refuse(self, status: HTTPStatus, detail: str) -> None:
        """Answer with *status*, hear nothing more, and end; answers that are due come before."""
        self._is_deaf = True
        if self.transport.is_closing():
            return
        if self._in_body:
            if (
                self.cycle.response_started or self.pipeline
            ):  # this request has its answer, or an earlier none
                self.transport.close()
                return
            # Whoever reads the body hears that the client has gone, and what he says is not sent.
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        elif self._is_answering():
            self.cycle.keep_alive = False
            return
        self._write(status, detail)
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._wait(_Wait.LEAVE, _LEAVE_SECONDS)

    def _write(self, status: HTTPStatus, detail: str) -> None:
        body = self._refusal(status, detail)
        head = (
            f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: application/problem+json\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n"
        )
        for name, value in self.server_state.default_headers:  # the date
            head += f"{name.decode()}: {value.decode()}\r\n"
        self.transport.write(head.encode() + b"\r\n" + body)
