"""Requests whose client has gone: those that still wait for a thread are dropped, and never ask anything.

Visitors who lose patience press reload. Without this each press would wait its turn, hold a thread and
a connection to the database for a page that nobody reads, and make everybody wait still longer. What a
thread has begun it ends: a change is made, or not, as a whole.
"""

import asyncio

import anyio
from anyio import to_thread
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_ENDLESS = "/events"  # a stream looks itself whether its reader is there


def limit_threads(most: int) -> None:
    """Let no more than *most* requests of this event loop have a thread; the others wait, and may leave."""
    to_thread.current_default_thread_limiter().total_tokens = most


class Gone:
    """Wraps the application, and ends a request that waits when its client goes."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on, for as long as somebody waits for the answer."""
        if scope["type"] != "http" or scope["path"].endswith(_ENDLESS):
            await self._app(scope, receive, send)
            return
        with anyio.CancelScope() as waiting:
            client = _Client(receive, waiting)
            if not _has_body(scope):
                await client.listen()

            async def send_to_client(message: Message) -> None:
                client.forget()  # it is answered: the work is done, whether it reads the answer or not
                await send(message)

            try:
                await self._app(scope, client.receive, send_to_client)
            finally:
                client.forget()


class _Client:
    """What a client sends; once all of it is there, nothing but its going can come."""

    def __init__(self, receive: Receive, waiting: anyio.CancelScope) -> None:
        self._receive = receive
        self._waiting = waiting
        self._first: Message | None = None
        self._leaving: asyncio.Task[Message] | None = None

    async def listen(self) -> None:
        """Begin to listen whether the client of a request without a body goes."""
        self._first = await self.receive()

    async def receive(self) -> Message:
        """Return what came next."""
        if self._first is not None:
            first, self._first = self._first, None
            return first
        if self._leaving is not None:
            return await asyncio.shield(self._leaving)
        message = await self._receive()
        if message["type"] == "http.request" and not message.get("more_body", False):
            self._leaving = asyncio.ensure_future(self._receive())
            self._leaving.add_done_callback(self._left)
        return message

    def forget(self) -> None:
        """Care no more whether it goes."""
        leaving, self._leaving = self._leaving, None
        if leaving is not None:
            leaving.remove_done_callback(self._left)
            leaving.cancel()

    def _left(self, leaving: asyncio.Task[Message]) -> None:
        if not leaving.cancelled():
            self._waiting.cancel()


def _has_body(scope: Scope) -> bool:
    """Whether a body may still be on its way (RFC 9112 §6.3)."""
    return any(name in {b"content-length", b"transfer-encoding"} for name, _ in scope["headers"])
