"""``rbl nominate`` against a real list."""

import asyncio
import io
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rbl.cli.nominate import LARGEST
from tests.cli.conftest import Ran
from tests.cli.process import Installation, spam

ADDRESS = "9.9.9.9"
Rbl = Callable[..., Ran]


Nominate = Callable[..., Ran]


@pytest.fixture
def nominate(rbl: Rbl, monkeypatch: pytest.MonkeyPatch) -> Nominate:
    """Runs ``rbl nominate`` with *given* on standard input, by default to a list that is down."""
    monkeypatch.setenv("RBL_CLIENT__SERVER", "http://[::1]:9")
    monkeypatch.setenv("RBL_CLIENT__API_KEY", "rbl_key")

    def run(*arguments: str, given: bytes = b"") -> Ran:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(given)))
        return rbl("nominate", *arguments)

    return run


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """The URL of a list that takes nominations, and a nominator's key."""
    installation = Installation(tmp_path_factory.mktemp("list"))
    key = installation.run("key", "make", "isp.example", "--mx", "mx.isp.example").stdout.decode().strip()
    with installation.serving("--only", "web") as process:
        yield process.web, key


@pytest.fixture
def to_list(nominate: Nominate, served: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> Nominate:
    """Runs ``rbl nominate`` as a nominator of a list that is up."""
    monkeypatch.setenv("RBL_CLIENT__SERVER", served[0])
    monkeypatch.setenv("RBL_CLIENT__API_KEY", served[1])
    return nominate


def test_nominated(to_list: Nominate, tmp_path: Path) -> None:
    """A spam in a file nominates the relay that it came through; again, it is known."""
    file = tmp_path / "spam.eml"
    file.write_bytes(spam("9.9.9.8"))

    first = to_list(str(file))
    again = to_list(str(file))

    assert (0, "", "9.9.9.8 nominated") == (first.status, first.err, first.out.partition(":")[0])
    assert (0, "", "9.9.9.8 nominated before") == (again.status, again.err, again.out.partition(":")[0])
    assert first.out.partition(":")[2] == again.out.partition(":")[2]
    assert first.out.endswith(", now queued\n")


def test_from_standard_input(to_list: Nominate) -> None:
    """A mail filter pipes the spam in, and may name the address that it wants checked."""
    ran = to_list("-", "--address", "9.9.9.10", given=spam("9.9.9.10", number=2))

    assert (0, True) == (ran.status, ran.out.startswith("9.9.9.10 nominated: nomination "))


def test_as_a_process(served: tuple[str, str], tmp_path: Path) -> None:
    """In a pipe, in a process of its own."""
    installation = Installation(
        tmp_path, {"RBL_CLIENT__SERVER": served[0], "RBL_CLIENT__API_KEY": served[1]}
    )

    ran = installation.run("nominate", "-", given=spam("9.9.9.11", number=3))

    assert (0, b"") == (ran.returncode, ran.stderr)
    assert ran.stdout.startswith(b"9.9.9.11 nominated: nomination ")


@pytest.mark.parametrize(
    ("message", "arguments", "words"),
    [
        (spam(ADDRESS), ["--api-key", "rbl_wrong"], "this API key is unknown, has expired or was revoked"),
        (b"Subject: no trace\r\n\r\nhello\r\n", [], "Received"),
        (spam(ADDRESS).replace(b"mx.isp", b"mx.elsewhere"), [], "mx.elsewhere.example"),
        (spam("192.0.2.1"), [], "192.0.2.1"),
        (spam(ADDRESS), ["--address", "9.9.9.1"], "9.9.9.1"),
        (b"Subject: long\r\n\r\n" + b"x" * 300_000, [], "at most 262144"),
    ],
    ids=["wrong key", "no evidence", "another's evidence", "reserved", "another address", "too large"],
)
def test_refused(to_list: Nominate, message: bytes, arguments: list[str], words: str) -> None:
    """What the list refuses is told in the list's own sentence, with status 1."""
    ran = to_list("-", *arguments, given=message)

    assert (1, "") == (ran.status, ran.out)
    assert ran.err.startswith("rbl: ")
    assert words in ran.err


def test_no_key(nominate: Nominate, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a key nothing is sent."""
    monkeypatch.delenv("RBL_CLIENT__API_KEY")

    ran = nominate("-", given=spam(ADDRESS))

    assert Ran(1, "", "rbl: give a nominator's key with --api-key or RBL_CLIENT__API_KEY\n") == ran


@pytest.mark.parametrize(
    ("arguments", "message", "words"),
    [
        (["-"], b" \r\n", "is empty: give the whole spam with its headers"),
        (["-"], b"x" * (LARGEST + 1), f"has more than {LARGEST} octets"),
        (["."], b"", "cannot be read: Is a directory"),
        (["-"], spam(ADDRESS), "the list at http://[::1]:9 does not answer"),
        (["-", "--server", "relays.example"], spam(ADDRESS), "the list at relays.example does not answer"),
        (["-", "--server", "http://["], spam(ADDRESS), "the list at http://[ does not answer"),
    ],
    ids=["empty", "too large", "a folder", "down", "no URL", "a broken URL"],
)
def test_not_sent(nominate: Nominate, arguments: list[str], message: bytes, words: str) -> None:
    """What cannot be sent is told in a sentence, with status 1."""
    ran = nominate(*arguments, given=message)

    assert (1, "") == (ran.status, ran.out)
    assert words in ran.err


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "does not speak this API (HTTP 200)"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]", "does not speak this API (HTTP 200)"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", "does not speak this API (HTTP 200)"),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n[]", "does not speak this API (HTTP 404)"),
        (b"HTTP/1.1 502 Bad\r\nContent-Length: 2\r\n\r\n{}", "does not speak this API (HTTP 502)"),
        (
            b"HTTP/1.1 301 Moved\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n",
            "does not speak this API (HTTP 301)",
        ),
        (b"220 mail.example ESMTP\r\n", "does not answer"),
    ],
    ids=["text", "a list", "an empty object", "404 of another", "a proxy's", "elsewhere", "SMTP"],
)
def test_server_that_is_no_list(
    nominate: Nominate, answering: Callable[[bytes], str], answer: bytes, words: str
) -> None:
    """A server that is something else is told from a list."""
    url = answering(answer)

    ran = nominate("-", "--server", url, given=spam(ADDRESS))

    assert (1, "") == (ran.status, ran.out)
    assert words in ran.err


@pytest.fixture
def answering() -> Iterator[Callable[[bytes], str]]:
    """Starts a server that gives every client one answer, and returns its URL."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    servers: list[asyncio.Server] = []

    def start(answer: bytes) -> str:
        async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            await writer.drain()
            writer.close()

        async def listen() -> asyncio.Server:
            return await asyncio.start_server(converse, "127.0.0.1", 0)

        server = asyncio.run_coroutine_threadsafe(listen(), loop).result()
        servers.append(server)
        return f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"

    yield start

    async def close() -> None:
        for server in servers:
            server.close()
            await server.wait_closed()

    asyncio.run_coroutine_threadsafe(close(), loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()
