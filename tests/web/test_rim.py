import asyncio
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from urllib.parse import urlsplit

import httpx2
import pytest
from prometheus_client import CollectorRegistry
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.testing import capture_logs

from rbl.web.parts import Parts
from rbl.web.rim import Rim
from tests.web.conftest import Served

Header = dict[str, str]
LIMIT = 64 * 1024


def exchange(url: str, request: bytes) -> bytes:
    """Send octets to the server, and return all that it answers before it closes the connection."""
    address = urlsplit(url)
    with socket.create_connection((str(address.hostname), address.port or 0)) as connection:
        connection.sendall(request)
        return b"".join(iter(lambda: connection.recv(4096), b""))


def test_a_body_that_is_announced_too_large_is_not_read(server: Served) -> None:
    """413 comes before any of the body was sent, and the connection ends."""
    head = b"POST /v1/exemptions HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999\r\n\r\n"

    answer = exchange(server.url, head)

    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b'"code":"too-large"' in answer


@pytest.mark.parametrize("path", ["/v1/exemptions", "/v1/nominations"])
def test_a_body_that_grows_too_large_is_stopped(server: Served, nominator: Header, path: str) -> None:
    """Octets are counted as they come, whatever was announced; what a form or a key could need is less."""
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        while sent < 64 * 1024 * 1024:
            sent += LIMIT
            yield b"x" * LIMIT

    headers = nominator | {"Content-Type": "application/json"}
    try:
        answer = httpx2.post(f"{server.url}{path}", content=endless(), headers=headers)
    except httpx2.TransportError:
        pass  # the server stopped reading before it could be heard: as good
    else:
        assert answer.status_code != 200

    assert sent < 16 * 1024 * 1024


def test_a_body_of_the_limit_is_taken(api: httpx2.Client, operator: Header) -> None:
    """One octet more is not."""
    body = b'{"why":"' + b"x" * (LIMIT - 10) + b'"}'
    headers = operator | {"Content-Type": "application/json"}

    statuses = [
        api.post("/v1/exemptions", content=content, headers=headers).status_code
        for content in (body, body + b" ")
    ]

    assert [422, 413] == statuses


def test_a_chunked_body_over_the_limit_is_refused(server: Served) -> None:
    """Without a Content-Length too."""
    chunk = b"10001\r\n" + b"x" * 0x10001 + b"\r\n0\r\n\r\n"
    head = (
        b"POST /v1/exemptions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n"
    )

    answer = exchange(server.url, head + chunk)

    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"application/problem+json" in answer


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        (b"Host: relays.example.org\r\n", 200),
        (b"Host: [2001:db8::1]:8080\r\n", 200),
        (b"Host:\r\n", 200),
        (b"", 400),
        (b"Host: a.example\r\nHost: a.example\r\n", 400),
        (b"Host: a.example, b.example\r\nX: y\r\n", 400),
        (b"Host: a.example/path\r\n", 400),
        (b"Host: who@a.example\r\n", 400),
        (b"Host: a example\r\n", 400),
    ],
    ids=["a name", "IPv6", "empty", "none", "two", "a list", "a path", "a user", "a space"],
)
def test_a_request_has_one_host(server: Served, fields: bytes, status: int) -> None:
    """RFC 9112 §3.2: without it, with two, or with what is none, the answer is 400."""
    head = b"GET /healthz HTTP/1.1\r\nConnection: close\r\n"

    answer = exchange(server.url, head + fields + b"\r\n")

    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert (b'"code":"bad-request"' in answer) is (status == 400)


def test_http_1_0_needs_no_host(server: Served) -> None:
    """It is older than the field."""
    assert exchange(server.url, b"GET /healthz HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("path", ["/", "/v1/zones", "/nowhere", "/healthz", "/static/style.css"])
def test_every_answer_has_the_protecting_headers(api: httpx2.Client, path: str) -> None:
    """Whatever is asked for; without TLS nobody is told to keep to it."""
    headers = api.get(path).headers

    assert "nosniff" == headers["X-Content-Type-Options"]
    assert headers["Content-Security-Policy"].startswith("default-src 'none'; style-src 'self'")
    assert "Strict-Transport-Security" not in headers


def test_a_public_https_address_is_kept_to(serve: Callable[[Parts], Served], parts: Parts) -> None:
    """Where the list is known under https, browsers are told so (RFC 6797)."""
    web = parts.settings.web.model_copy(update={"public_url": "https://relays.example.org"})
    served = serve(replace(parts, settings=parts.settings.model_copy(update={"web": web})))

    assert "max-age=31536000" == httpx2.get(served.url).headers["Strict-Transport-Security"]


@pytest.fixture
def broken(serve: Callable[[Parts], Served], parts: Parts) -> Served:
    """An application in which a part has a fault."""

    def fail(platform: str | None) -> None:
        msg = f"a secret detail of {platform}"
        raise ZeroDivisionError(msg)

    return serve(replace(parts, advice=fail))


def test_an_unforeseen_fault_is_a_bare_500(broken: Served) -> None:
    """Logged once with its traceback; the client learns nothing of it."""
    with capture_logs() as logs:
        answer = httpx2.get(f"{broken.url}/a/9.9.9.9")

    assert (500, "internal") == (answer.status_code, answer.json()["code"])
    assert "secret" not in answer.text
    assert [("request_failed", "error", "/a/9.9.9.9", True)] == [
        (log["event"], log["log_level"], log["path"], log["exc_info"]) for log in logs
    ]


@pytest.mark.parametrize("path", ["/", "/v1/zones", "/nowhere", "/static/style.css", "/metrics"])
def test_head_is_get_without_its_body(api: httpx2.Client, path: str) -> None:
    """RFC 9110 §9.1: every server supports it."""
    get, head = api.get(path), api.head(path)

    assert (get.status_code, get.headers["Content-Type"], b"") == (
        head.status_code,
        head.headers["Content-Type"],
        head.content,
    )


def test_the_head_of_a_stream_is_not_waited_for(api: httpx2.Client) -> None:
    """It would not come before the end."""
    assert 405 == api.head("/v1/addresses/9.9.9.9/events").status_code


def test_requests_are_counted(api: httpx2.Client) -> None:
    """By method and status; a made-up method is no new row."""
    api.get("/nowhere")
    api.request("PROPFIND", "/")

    metrics = api.get("/metrics").text

    assert 'rbl_http_requests_total{method="GET",status="404"} 1.0' in metrics
    assert 'rbl_http_requests_total{method="other",status="405"} 1.0' in metrics


def rim_around(app: ASGIApp) -> Rim:
    """Return the rim around another application."""
    return Rim(
        app,
        public_url="https://relays.example.org",
        largest_body=lambda _: LIMIT,
        registry=CollectorRegistry(),
    )


SCOPE: Scope = {
    "type": "http",
    "http_version": "1.1",
    "method": "GET",
    "path": "/",
    "headers": [(b"host", b"x")],
    "query_string": b"",
}


async def nothing() -> Message:
    """Receive an empty body."""
    return {"type": "http.request", "body": b"", "more_body": False}


def test_a_fault_in_the_middle_of_an_answer_ends_the_connection() -> None:
    """Half an answer cannot become a 500: it is logged, and the server is told."""
    sent: list[Message] = []

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        msg = "in the middle"
        raise ZeroDivisionError(msg)

    async def send(message: Message) -> None:
        sent.append(message)

    with capture_logs() as logs, pytest.raises(ZeroDivisionError):
        asyncio.run(rim_around(app)(SCOPE, nothing, send))

    assert ([200], ["request_failed"]) == (
        [message["status"] for message in sent],
        [log["event"] for log in logs],
    )


@pytest.mark.parametrize("begun", [False, True])
def test_a_request_that_is_stopped_is_told_so(begun: bool) -> None:  # noqa: FBT001 — a table's column
    """When the program stops, what has not begun to answer answers 503, and nothing is logged."""
    sent: list[Message] = []

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        if begun:
            await send({"type": "http.response.start", "status": 200, "headers": []})
        raise asyncio.CancelledError

    async def send(message: Message) -> None:
        sent.append(message)

    with capture_logs() as logs:
        asyncio.run(rim_around(app)(SCOPE, nothing, send))

    assert ([200 if begun else 503], []) == (
        [message["status"] for message in sent if "status" in message],
        logs,
    )


def test_what_is_no_request_is_passed_on() -> None:
    """The server's own messages to the application are none of the rim's."""
    passed: list[str] = []

    async def app(scope: Scope, _receive: Receive, _send: Send) -> None:
        passed.append(scope["type"])

    async def send(_message: Message) -> None:
        """Nothing is sent."""

    asyncio.run(rim_around(app)({"type": "lifespan"}, nothing, send))

    assert ["lifespan"] == passed
