"""Requests whose client has gone take no thread, and those that a thread has begun are ended."""

import asyncio
import socket
import threading
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import replace
from urllib.parse import urlsplit

import httpx2
from anyio import to_thread
from starlette.types import Message, Receive, Scope, Send

from rbl.terms import State
from rbl.web.gone import Gone, limit_threads
from rbl.web.parts import Advice, Parts
from tests.web.conftest import Served
from tests.web.world import RELAY, World

_PATIENCE_SECONDS = 30
_TURNS = 5
_THREADS = 40  # that the event loop of the test's server has
# With the others no more than one client may have at once, however late their going is noticed.
_IMPATIENT = 20


class Door:
    """What a page asks for, and does not get before it is opened; counts who asked."""

    def __init__(self) -> None:
        self.opened = threading.Event()
        self.full = threading.Event()
        self.asked = 0
        self._lock = threading.Lock()

    def advice(self, platform: str | None) -> Advice | None:
        """Wait, and have no advice."""
        del platform
        with self._lock:
            self.asked += 1
            if self.asked == _THREADS:
                self.full.set()
        assert self.opened.wait(_PATIENCE_SECONDS)
        return None


def begin(url: str) -> socket.socket:
    """Ask for the page of the listed host, and do not wait for it."""
    address = urlsplit(url)
    connection = socket.create_connection((str(address.hostname), address.port or 0), _PATIENCE_SECONDS)
    connection.sendall(f"GET /a/{RELAY} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    return connection


def status(connection: socket.socket) -> bytes:
    """Return the first line of the answer, once all of it has come."""
    answer = b"".join(iter(lambda: connection.recv(65_536), b""))
    return answer.partition(b"\r\n")[0]


def test_visitors_who_went_are_not_waited_on(
    parts: Parts, world: World, serve: Callable[[Parts], Served]
) -> None:
    """Of those who wait for a thread only those are served who are still there, at once and all of them."""
    world.bring_to(State.LISTED)
    door = Door()
    server = serve(replace(parts, advice=door.advice))
    with ExitStack() as open_connections:

        def visit() -> socket.socket:
            return open_connections.enter_context(closing(begin(server.url)))

        first = [visit() for _ in range(_THREADS)]
        assert door.full.wait(_PATIENCE_SECONDS)
        for impatient in [visit() for _ in range(_IMPATIENT)]:
            impatient.close()
        last = visit()
        for _ in range(_TURNS):  # of the event loop, which sees what came before
            assert httpx2.get(f"{server.url}/healthz").status_code == 200
        door.opened.set()
        told = {status(connection) for connection in (*first, last)}

    assert {b"HTTP/1.1 200 OK"} == told
    assert _THREADS + 1 == door.asked


async def _ask(app: Gone, *, goes: asyncio.Event, body: bytes | None = None) -> list[Message]:
    """Ask *app* as a client that sends *body* and leaves at *goes*; return what it was sent."""
    given = [{"type": "http.request", "body": body or b"", "more_body": False}]
    sent: list[Message] = []

    async def receive() -> Message:
        if given:
            return given.pop()
        await goes.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    headers = [] if body is None else [(b"content-length", str(len(body)).encode())]
    await app({"type": "http", "path": "/", "headers": headers}, receive, send)
    return sent


def _in_threads(work: Callable[[bytes], None]) -> Gone:
    """Return an application that reads the body, and does *work* with it in a thread."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        del scope
        message = await receive()
        await to_thread.run_sync(work, message["body"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    return Gone(app)


def test_what_a_thread_has_begun_is_ended_and_what_waits_is_not_begun() -> None:
    """With one thread: the first is done though its client goes, the second is not, the third is."""
    begun, go_on = threading.Event(), threading.Event()
    done: list[bytes] = []

    def work(body: bytes) -> None:
        begun.set()
        assert go_on.wait(_PATIENCE_SECONDS)
        done.append(body)

    async def story() -> list[list[Message]]:
        limit_threads(1)
        app, gone = _in_threads(work), asyncio.Event()
        first = asyncio.create_task(_ask(app, goes=gone, body=b"first"))
        await asyncio.to_thread(begun.wait, _PATIENCE_SECONDS)
        second = asyncio.create_task(_ask(app, goes=gone, body=b"second"))
        without_body = asyncio.create_task(_ask(app, goes=gone))
        third = asyncio.create_task(_ask(app, goes=asyncio.Event(), body=b"third"))
        await asyncio.sleep(0)  # each has asked before anybody goes
        gone.set()
        left = [await second, await without_body]
        go_on.set()
        return [*left, await first, await third]

    *left, first, third = asyncio.run(story())

    assert ([[], []], [b"first", b"third"]) == (left, done)
    assert {("http.response.start", "http.response.body")} == {
        tuple(message["type"] for message in answer) for answer in (first, third)
    }
