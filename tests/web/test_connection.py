import asyncio
import itertools
import json
import logging
import socket
import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from urllib.parse import urlsplit

import pytest
from starlette.types import Receive, Scope, Send

from rbl.terms import State
from rbl.web.parts import Parts
from tests.web.conftest import Served
from tests.web.world import RELAY, World

Web = Callable[..., Served]
GET = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
HEAD = b"GET /healthz HTTP/1.1\r\nHost: x\r\n"
POST = b"POST /v1/nominations HTTP/1.1\r\nHost: x\r\nContent-Type: message/rfc822\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.fixture
def web(serve: Callable[[Parts], Served], parts: Parts) -> Web:
    """Serve with other limits."""

    def start(**changed: object) -> Served:
        settings = parts.settings.model_validate({"web": {"limits": changed}})
        return serve(replace(parts, settings=settings))

    return start


@pytest.fixture
def known(nominator: dict[str, str]) -> Callable[[bytes], bytes]:
    """Put a nominator's key into a request, since without one nobody waits for its body."""
    field = f"Authorization: {nominator['Authorization']}\r\n".encode()
    return lambda request: request.replace(b"Content-Type: message", field + b"Content-Type: message")


def connected(served: Served) -> socket.socket:
    """Return a connection to the server."""
    url = urlsplit(served.url)
    connection = socket.create_connection((str(url.hostname), url.port or 0))
    connection.settimeout(20)
    return connection


def said(connection: socket.socket) -> bytes:
    """Return all that the server says until it ends the connection."""
    told = b""
    try:
        while more := connection.recv(65_536):
            told += more
    except ConnectionResetError:
        pass  # it had not read all that was sent
    return told


def exchanged(served: Served, sent: bytes) -> bytes:
    """Send octets and return all that is answered."""
    with connected(served) as connection:
        connection.sendall(sent)
        return said(connection)


def refused(answer: bytes) -> tuple[int, str]:
    """Return the status and code of an answer to what never became a request."""
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"Content-Type: application/problem+json" in head
    assert b"Connection: close" in head
    told = json.loads(body)
    assert told["status"] == int(head.split()[1])
    return told["status"], told["code"]


@pytest.mark.parametrize(
    ("begun", "status"),
    [
        (b"", None),
        (b"\r\n\r\n", None),
        (b"GE", 408),
        (HEAD, 408),
        (POST + b"Content-Length: 10\r\n\r\n12345", 408),
        (CHUNKED + b"5\r\n1234", 408),
    ],
    ids=["nothing", "empty lines", "two letters", "half a head", "half a body", "half a chunk"],
)
def test_a_request_has_so_long(
    web: Web, known: Callable[[bytes], bytes], begun: bytes, status: int | None
) -> None:
    """A head or a body that is not whole in time is answered with 408; a silent client with nothing."""
    answer = exchanged(web(header_timeout=0.2, body_timeout=0.2), known(begun))

    assert b"" == answer if status is None else (status, "too-slow") == refused(answer)


@pytest.mark.parametrize(
    "begun", [HEAD + b"X: ", POST + b"Content-Length: 9999\r\n\r\n"], ids=["head", "body"]
)
def test_dripping_is_no_progress(web: Web, known: Callable[[bytes], bytes], begun: bytes) -> None:
    """A client that sends an octet now and then has no more time than another."""
    with connected(web(header_timeout=0.5, body_timeout=0.5)) as connection:
        connection.sendall(known(begun))
        connection.settimeout(0.05)
        answer = b""
        for _ in itertools.repeat(None, 200):
            try:
                connection.send(b"y")
                answer = connection.recv(65_536)
                break
            except TimeoutError:
                continue

    assert (408, "too-slow") == refused(answer)


@pytest.mark.parametrize("more", [b"", b"\r\n"], ids=["silent", "with empty lines"])
def test_an_idle_connection_ends(web: Web, more: bytes) -> None:
    """After a request the next one is waited for, and nothing that is none prolongs that."""
    with connected(web(idle_timeout=0.3)) as connection:
        connection.sendall(GET)
        first = connection.recv(65_536)
        connection.sendall(more)
        rest = said(connection)

    assert (True, b"") == (
        first.startswith(b"HTTP/1.1 200 "),
        rest.partition(b"alive")[2].strip(b'":true}'),
    )


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        (HEAD + b"X: " + b"y" * 20_000 + b"\r\n\r\n", 431, "head-too-large"),
        (HEAD + b"X: " + b"y" * 40_000, 431, "head-too-large"),
        (HEAD + b"X: y\r\n" * 100 + b"\r\n", 431, "head-too-large"),
        (HEAD + (b"X: " + b"y" * 4_000 + b"\r\n") * 9 + b"\r\n", 431, "head-too-large"),
        (b"GET /" + b"y" * 20_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414, "head-too-large"),
        (CHUNKED + b"1\r\nx\r\n0\r\nX: " + b"y" * 20_000 + b"\r\n\r\n", 431, "head-too-large"),
        (b"\x16\x03\x01\x02\x00\x01\x00", 400, "bad-request"),
        (HEAD + b"No field\r\n\r\n", 400, "bad-request"),
        (HEAD + b"Content-Length: x\r\n\r\n", 400, "bad-request"),
        (POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "bad-request"),
        (b"GET /caf\xe9 HTTP/1.1\r\nHost: x\r\n\r\n", 400, "bad-request"),
        (b"\r\n" * 20_000, 431, "head-too-large"),
    ],
    ids=[
        "a field",
        "a field without end",
        "fields",
        "all together",
        "a path",
        "a trailer",
        "TLS",
        "no colon",
        "no length",
        "two lengths",
        "no ASCII",
        "empty lines",
    ],
)
def test_what_is_no_request(
    web: Web,
    known: Callable[[bytes], bytes],
    caplog: pytest.LogCaptureFixture,
    sent: bytes,
    status: int,
    code: str,
) -> None:
    """Over a limit or no HTTP: told as every other problem, counted, and not worth a line of log."""
    served = web()
    with caplog.at_level(logging.DEBUG):
        answer = exchanged(served, known(sent))

    assert (status, code) == refused(answer)
    assert [] == [record for record in caplog.records if record.levelno > logging.INFO]
    why = "malformed" if status == 400 else "too-large"
    metrics = exchanged(served, b"GET /metrics HTTP/1.0\r\nHost: x\r\n\r\n").decode()
    assert f'rbl_http_connections_ended_total{{why="{why}"}} 1.0' in metrics


def test_a_body_without_end_is_not_read_for_ever(web: Web) -> None:
    """What is around its chunks counts as well."""
    served = web()
    begun = CHUNKED + b"1;"

    answer = exchanged(served, begun + b"y" * 4_000_000)

    assert answer == b"" or refused(answer) == (413, "too-large")


def test_the_body_of_a_refused_request_is_not_waited_for_either(web: Web) -> None:
    """It had its answer before its body was whole: there is no second one, and the connection ends."""
    answer = exchanged(web(body_timeout=0.2), POST + b"Content-Length: 10\r\n\r\n12345")

    assert answer.startswith(b"HTTP/1.1 401 ")
    assert 1 == answer.count(b"HTTP/1.1")


def test_the_answer_that_is_due_comes_first(web: Web) -> None:
    """Nonsense behind a good request does not cost the client its answer."""
    answer = exchanged(web(), GET + b"nonsense\r\n\r\n")

    assert answer.startswith(b"HTTP/1.1 200 ")
    assert 1 == answer.count(b"HTTP/1.1")


def test_requests_one_after_the_other(web: Web) -> None:
    """Many on one connection, and several at once: the limits are of each."""
    heavy = HEAD + b"X: " + b"y" * 10_000 + b"\r\n\r\n"
    last = HEAD + b"Connection: close\r\n\r\n"

    answer = exchanged(web(), heavy * 9 + last)

    assert 10 == answer.count(b"HTTP/1.1 200 OK")


def test_another_protocol_is_not_taken(web: Web, caplog: pytest.LogCaptureFixture) -> None:
    """Whoever would rather speak another one is answered in this one (RFC 9110 §7.8)."""
    answer = exchanged(web(), HEAD + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\nframes")

    assert answer.startswith(b"HTTP/1.1 200 ")
    assert [] == [record for record in caplog.records if record.levelno > logging.INFO]


def test_a_client_who_does_not_read_is_left(serve: Callable[..., Served], parts: Parts) -> None:
    """An answer that nobody takes holds its connection for so long and no longer."""
    ended = threading.Event()

    async def endless(_scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while (await asyncio.wait_for(receive(), 20))["type"] != "http.disconnect":
            for _ in range(200):
                await send({"type": "http.response.body", "body": b"y" * 65_536, "more_body": True})
        ended.set()

    settings = parts.settings.model_validate({"web": {"limits": {"send_timeout": 0.3}}})
    served = serve(replace(parts, settings=settings), endless)
    with connected(served) as deaf:
        deaf.sendall(GET)

        assert ended.wait(20)


def test_many_requests_at_once_are_not_queued_without_end(web: Web) -> None:
    """Some are answered, and then the connection ends: the client sends the others again."""
    answer = exchanged(web(), GET * 5_000)

    assert 1 <= answer.count(b"HTTP/1.1 200 OK") < 50


def test_one_client_crowds_out_himself(web: Web) -> None:
    """His oldest unfinished request makes way for his next connection."""
    served = web(connections_per_client=2)
    with ExitStack() as stack:
        first, second = (stack.enter_context(connected(served)) for _ in range(2))
        for each in (first, second):
            each.sendall(HEAD)
        answer = exchanged(served, HEAD + b"Connection: close\r\n\r\n")

        assert answer.startswith(b"HTTP/1.1 200 ")
        assert b"" == said(first)
        second.sendall(b"Connection: close\r\n\r\n")
        assert said(second).startswith(b"HTTP/1.1 200 ")


def test_requests_that_are_answered_keep_their_places(web: Web, world: World) -> None:
    """Where a client has as many as he may, the next is told to come later."""
    world.bring_to(State.RETEST_QUEUED)
    served = web(connections_per_client=2)
    stream = f"GET /v1/addresses/{RELAY}/events HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    with ExitStack() as stack:
        for _ in range(2):
            watcher = stack.enter_context(connected(served))
            watcher.sendall(stream)
            assert watcher.recv(65_536).startswith(b"HTTP/1.1 200 ")
        answer = exchanged(served, b"")

    assert (503, "no-place") == refused(answer)
