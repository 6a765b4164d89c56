"""``rbl nominate`` against a real list."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from rbl.cli.nominate import LARGEST
from tests.cli.process import Installation, spam

ADDRESS = "9.9.9.9"


@dataclass(frozen=True, slots=True)
class Shell:
    """A nominator's shell: returns status, output and errors of ``rbl nominate``."""

    installation: Installation

    def nominate(self, *arguments: str, given: bytes = b"") -> tuple[int, str, str]:
        """Run ``rbl nominate`` as a user does."""
        ran = self.installation.run("nominate", *arguments, given=given)
        return ran.returncode, ran.stdout.decode(), ran.stderr.decode()

    def file(self, message: bytes) -> str:
        """Write *message* to a file and return its path."""
        path = self.installation.folder / "spam.eml"
        path.write_bytes(message)
        return str(path)


@pytest.fixture
def away(tmp_path: Path) -> Shell:
    """A shell of somebody whose list is down."""
    folder = tmp_path / "shell"
    folder.mkdir()
    return Shell(
        Installation(folder, {"RBL_CLIENT__API_KEY": "rbl_key", "RBL_CLIENT__SERVER": "http://[::1]:9"})
    )


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """A shell with the key of a nominator, and a list that takes nominations."""
    folder = tmp_path_factory.mktemp("list")
    installation = Installation(folder)
    key = installation.run("key", "make", "isp.example", "--mx", "mx.isp.example").stdout.decode().strip()
    with installation.serving("--only", "web") as process:
        installation.settings |= {"RBL_CLIENT__SERVER": process.web, "RBL_CLIENT__API_KEY": key}
        yield Shell(installation)


def test_nominated(shell: Shell) -> None:
    """A spam in a file nominates the relay that it came through; again, it is known."""
    file = shell.file(spam(ADDRESS))

    assert (0, f"{ADDRESS} nominated: nomination 1, now queued\n", "") == shell.nominate(file)
    assert (0, f"{ADDRESS} nominated before: nomination 1, now queued\n", "") == shell.nominate(file)


def test_from_standard_input(shell: Shell) -> None:
    """A mail filter pipes the spam in, and may name the address that it wants checked."""
    status, said, _ = shell.nominate("-", "--address", "9.9.9.10", given=spam("9.9.9.10", number=2))

    assert (0, True) == (status, said.startswith("9.9.9.10 nominated: nomination "))


@pytest.mark.parametrize(
    ("message", "arguments", "words"),
    [
        (spam(ADDRESS), ["--api-key", "rbl_wrong"], "this API key is unknown or was revoked"),
        (b"Subject: no trace\r\n\r\nhello\r\n", [], "Received"),
        (spam(ADDRESS).replace(b"mx.isp", b"mx.elsewhere"), [], "mx.elsewhere.example"),
        (spam("192.0.2.1"), [], "192.0.2.1"),
        (spam(ADDRESS), ["--address", "9.9.9.1"], "9.9.9.1"),
        (b"Subject: long\r\n\r\n" + b"x" * 300_000, [], "at most 262144"),
    ],
    ids=["wrong key", "no evidence", "another's evidence", "reserved", "another address", "too large"],
)
def test_refused(shell: Shell, message: bytes, arguments: list[str], words: str) -> None:
    """What the list refuses is told in the list's own sentence, with status 1."""
    status, said, errors = shell.nominate("-", *arguments, given=message)

    assert (1, "") == (status, said)
    assert errors.startswith("rbl: ")
    assert words in errors
    assert "Traceback" not in errors


def test_no_key(shell: Shell) -> None:
    """Without a key nothing is sent."""
    bare = Installation(shell.installation.folder)

    status, _, errors = Shell(bare).nominate("-", given=spam(ADDRESS))

    assert (1, "rbl: give a nominator's key with --api-key or RBL_CLIENT__API_KEY\n") == (status, errors)


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
def test_not_sent(away: Shell, arguments: list[str], message: bytes, words: str) -> None:
    """What cannot be sent is told in a sentence, with status 1."""
    status, said, errors = away.nominate(*arguments, given=message)

    assert (1, "") == (status, said)
    assert words in errors
    assert "Traceback" not in errors


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
    away: Shell, answering: Callable[[bytes], str], answer: bytes, words: str
) -> None:
    """A server that is something else is told from a list."""
    url = answering(answer)

    status, _, errors = away.nominate("-", "--server", url, given=spam(ADDRESS))

    assert 1 == status
    assert words in errors
    assert "Traceback" not in errors


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
