"""Clients that hold connections, begin requests and never end them: the whole list goes on beside them."""

import itertools
import resource
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.attacks.target import Target, attacked

_CONNECTIONS = 1_100
_FILES = 1_024  # what a process may usually have open
_ENDLESS_OCTETS = 64 * 1024 * 1024
_ENDLESS_SECONDS = 8.0

_UNFINISHED = b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: y"
_SLOW_BODY = b"POST /v1/nominations HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nx"
_SILENT = b""


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """A running list with all its parts, on which one attack follows the other."""
    with attacked(tmp_path_factory.mktemp("attacked")) as target:
        yield target


def _place(target: Target) -> tuple[str, int]:
    url = urlsplit(target.web)
    return str(url.hostname), url.port or 0


def _hold(stack: ExitStack, target: Target, source: str, said: bytes) -> None:
    """Hold one more connection, as long as the server lets it."""
    held = stack.enter_context(socket.socket())
    held.settimeout(5)
    held.bind((source, 0))
    try:
        held.connect(_place(target))
        held.sendall(said)
    except OSError:
        pass  # it was shown the door, which is as good


@pytest.fixture
def files() -> Iterator[None]:
    """Files enough for the attacker himself."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4 * _FILES, hard), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("sources", [1, 200], ids=["from one address", "from two hundred"])
@pytest.mark.parametrize("said", [_UNFINISHED, _SLOW_BODY, _SILENT], ids=["head", "body", "nothing"])
def test_requests_that_never_end(target: Target, files: None, said: bytes, sources: int) -> None:
    """More unfinished requests than the process may have files: it answers everybody else meanwhile."""
    before = resource.prlimit(target.process.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(target.process.pid, resource.RLIMIT_NOFILE, (min(_FILES, before[1]), before[1]))
    addresses = itertools.cycle([f"127.0.1.{number}" for number in range(1, sources + 1)])
    with ExitStack() as stack:
        for _ in range(_CONNECTIONS):
            _hold(stack, target, next(addresses), said)
        target.is_well()
    target.is_well()
    resource.prlimit(target.process.pid, resource.RLIMIT_NOFILE, before)
    target.used(memory_mib=64, disk_mib=1, log_lines=10)


@contextmanager
def _flooding(target: Target, begin: bytes, more: bytes) -> Iterator[Callable[[], int]]:
    """Send *begin* and then *more* without end in a thread; yield how many octets were taken so far."""
    taken = 0

    def flood() -> None:
        nonlocal taken
        deadline = time.monotonic() + _ENDLESS_SECONDS
        with socket.create_connection(_place(target), timeout=_ENDLESS_SECONDS) as attacker:
            try:
                attacker.sendall(begin)
                while taken < _ENDLESS_OCTETS and time.monotonic() < deadline:
                    taken += attacker.send(more)
            except OSError:
                pass  # refused

    thread = threading.Thread(target=flood)
    thread.start()
    try:
        yield lambda: taken
    finally:
        thread.join()


@pytest.mark.parametrize(
    ("begin", "more"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\nX-Endless: ", b"a" * 65_536),
        (b"GET / HTTP/1.1\r\nHost: x\r\n", b"X-Another: field\r\n" * 4_096),
        (b"GET /", b"a" * 65_536),
        (b"POST /v1/keys HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1;", b"a" * 65_536),
        (b"", b"\r\n" * 32_768),
    ],
    ids=["a field", "fields", "a path", "a chunk's extension", "empty lines"],
)
def test_a_head_without_end(target: Target, begin: bytes, more: bytes) -> None:
    """It is refused after some kilobytes, and holds up nobody for a second."""
    with _flooding(target, begin, more) as taken:
        target.is_well()
    octets = taken()

    assert octets < _ENDLESS_OCTETS // 4, f"{octets} octets were taken"
    target.is_well()
    target.used(memory_mib=64, disk_mib=1, log_lines=10)


def test_no_files_left(target: Target) -> None:
    """Where the process has no file descriptor left it waits a little, tells it once, and comes back."""
    pid = target.process.pid
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    open_now = len(list(Path(f"/proc/{pid}/fd").iterdir()))
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (open_now + 4, before[1]))
    with ExitStack() as stack:
        for number in range(60):
            _hold(stack, target, f"127.0.2.{number % 30 + 1}", _UNFINISHED)
        cpu = _cpu_seconds(pid)
        time.sleep(1)  # what it does with itself in this second is what is measured
        used = _cpu_seconds(pid) - cpu
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
        target.is_well()

    assert used < 0.5, f"{used} s of CPU in a second of waiting"
    target.used(memory_mib=64, disk_mib=1, log_lines=10)


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100
