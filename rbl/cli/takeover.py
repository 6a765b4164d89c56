"""A restart that loses nothing: the next process takes over the sockets of the one before, which then ends.

Each ``rbl serve`` that is ready waits at a Unix socket in ``data_dir`` for its successor, which must be of
the same user. It sends the sockets themselves (SCM_RIGHTS), so what waits in them is still there, whoever
reads it; both answer until the successor says that it is ready. A successor that fails changes nothing. See
docs/decisions/0022.

One message each, in JSON, over SOCK_SEQPACKET:

    the process before   pid, parts, version
    the successor        want: sockets
    the process before   part, with its sockets; several of these; then end
    the successor        ready
    the process before   leaving

Log events: ``sockets_handed_over``, ``take_over_failed``, ``take_over_unavailable``.
"""

import json
import os
import secrets
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import structlog

from rbl import __version__
from rbl.cli.listening import Sockets
from rbl.errors import ConfigError

_PATTERN = "serve-*.sock"
_MESSAGE_OCTETS = 4096
_SOCKETS_PER_MESSAGE = 64  # Linux takes 253
# For the process before to say who it is. It does not where another successor is at it.
_GREETING_SECONDS = 5.0
# For it to write its index to disk, of ten million listings too.
_SOCKETS_SECONDS = 60.0

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Before:
    """A process that runs with the same ``data_dir``, and the connection to it."""

    pid: int
    parts: frozenset[str]
    connection: socket.socket


class Successor:
    """This process in place of those before it, from the taking of their sockets until it is ready."""

    def __init__(self, before: Before) -> None:
        self._before = before

    @property
    def pid(self) -> int:
        """The process before."""
        return self._before.pid

    def finish(self) -> None:
        """Tell the process before that it may end; where it is gone already, so much the better."""
        with self._before.connection, suppress(OSError, ValueError):
            _send(self._before.connection, {"ready": True})
            _receive(self._before.connection)


def take_over(
    data_dir: Path, parts: frozenset[str], sockets: Sockets, pid: int | None = None
) -> Successor | None:
    """Put into *sockets* what the process has that runs *parts* with *data_dir*; None: there is none.

    Of several it is the one whose number is *pid*.

    Raises:
        ConfigError: it cannot be said which is meant, or it does not hand its sockets over.
    """
    found = [each for each in _others(data_dir) if pid is None or each.pid == pid]
    same = [each for each in found if each.parts == parts]
    for each in found:
        if each not in same or len(same) > 1:
            each.connection.close()
    if len(same) > 1:
        numbers = ", ".join(map(str, sorted(each.pid for each in same)))
        raise ConfigError([f"take over from which of the processes {numbers}? Say --take-over-from"])
    if not same:
        if pid is not None:
            raise ConfigError([f"process {pid} does not run {', '.join(sorted(parts))} with {data_dir}"])
        return None
    (before,) = same
    try:
        _fetch(before.connection, sockets)
    except (OSError, ValueError) as fault:
        before.connection.close()
        raise ConfigError([f"process {before.pid} did not hand its sockets over: {fault}"]) from None
    return Successor(before)


def running(data_dir: Path) -> list[str]:
    """Return in words which processes run with *data_dir* and are ready, and what to do about them."""
    found = _others(data_dir)
    for each in found:
        each.connection.close()
    return [
        f"process {each.pid} runs {', '.join(sorted(each.parts))} with {data_dir}:"
        " end it, or add --take-over"
        for each in found
    ]


class Handing:
    """Waits for the successor of this process, in a thread, from start to stop."""

    def __init__(
        self,
        data_dir: Path,
        parts: frozenset[str],
        sockets: Sockets,
        prepare: Callable[[], None],
        leave: Callable[[int], None],
    ) -> None:
        """*prepare* is called before sockets are given away, *leave* when the successor is ready.

        Both are called in the thread; *leave* with the successor's number.
        """
        self._path = data_dir / _PATTERN.replace("*", secrets.token_hex(4))
        self._hello = {"pid": os.getpid(), "parts": sorted(parts), "version": __version__}
        self._sockets = sockets
        self._prepare = prepare
        self._leave = leave
        self._listener: socket.socket | None = None
        self._connection: socket.socket | None = None
        self._thread = threading.Thread(target=self._run, name="take-over", daemon=True)

    def start(self) -> None:
        """Wait from now on; where no Unix socket can be made there, go without."""
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        unfinished = self._path.with_suffix(".new")
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with _reachable(unfinished) as place:
                listener.bind(place)
            unfinished.chmod(0o600)
            listener.listen()
            unfinished.rename(self._path)  # whoever finds it finds somebody there
        except OSError as fault:
            listener.close()
            _log.warning("take_over_unavailable", path=str(self._path), why=str(fault))
            return
        self._listener = listener
        self._thread.start()

    def stop(self) -> None:
        """Wait no more."""
        listener, self._listener = self._listener, None
        if listener is None:
            return
        self._path.unlink(missing_ok=True)
        for each in (listener, self._connection):
            if each is not None:
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
        if threading.current_thread() is not self._thread:
            self._thread.join()
        listener.close()

    def _run(self) -> None:
        listener = self._listener
        while listener is not None and self._listener is not None:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                self._connection = connection
                if self._hand_over(connection):
                    return
                self._connection = None

    def _hand_over(self, connection: socket.socket) -> bool:
        """Serve one visitor, and return whether it is the successor, ready."""
        pid, uid = _peer(connection)
        if uid not in {0, os.geteuid()}:
            return False
        try:
            _send(connection, self._hello)
            if _receive(connection).get("want") != "sockets":
                return False  # it wanted to know who runs
        except (OSError, ValueError):
            return False
        try:
            self._prepare()
            for part, sockets in self._sockets.share().items():
                for at in range(0, len(sockets), _SOCKETS_PER_MESSAGE):
                    _send(connection, {"part": part}, sockets[at : at + _SOCKETS_PER_MESSAGE])
            _send(connection, {"end": True})
            _log.info("sockets_handed_over", successor=pid)
            if not _receive(connection).get("ready"):
                raise OSError("it was not ready")  # noqa: TRY301 — one sentence for all ways to fail
            self._leave(pid)
            _send(connection, {"leaving": True})
        except (OSError, ValueError) as fault:
            if self._listener is not None:
                _log.warning("take_over_failed", successor=pid, why=str(fault))
            return False
        return True


def _others(data_dir: Path) -> list[Before]:
    found = []
    for path in sorted(data_dir.glob(_PATTERN)):
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        connection.settimeout(_GREETING_SECONDS)
        try:
            with _reachable(path) as place:
                connection.connect(place)
            hello = _receive(connection)
            parts = hello["parts"]
            assert isinstance(parts, list)
            found.append(Before(int(str(hello["pid"])), frozenset(map(str, parts)), connection))
        except ConnectionRefusedError:
            connection.close()
            path.unlink(missing_ok=True)  # a process was killed
        except TimeoutError:
            connection.close()
            raise ConfigError([f"{path}: another process is taking over there; try again"]) from None
        except (OSError, ValueError, LookupError):
            connection.close()  # it has just ended
    return found


def _fetch(connection: socket.socket, sockets: Sockets) -> None:
    """Put into *sockets* all that comes over *connection*."""
    connection.settimeout(_SOCKETS_SECONDS)
    _send(connection, {"want": "sockets"})
    while True:
        data, descriptors, _, _ = socket.recv_fds(
            connection, _MESSAGE_OCTETS, _SOCKETS_PER_MESSAGE, socket.MSG_CMSG_CLOEXEC
        )
        received = [socket.socket(fileno=descriptor) for descriptor in descriptors]
        told = _read(data)
        if told.get("end"):
            return
        sockets.inherit(str(told["part"]), received)


def _send(connection: socket.socket, message: object, sockets: Sequence[socket.socket] = ()) -> None:
    data = json.dumps(message).encode()
    if sockets:
        socket.send_fds(connection, [data], [each.fileno() for each in sockets])
    else:
        connection.send(data)


def _receive(connection: socket.socket) -> dict[str, object]:
    return _read(connection.recv(_MESSAGE_OCTETS))


def _read(data: bytes) -> dict[str, object]:
    """Return a message; ValueError where there is none, since the other end has gone."""
    if not data:
        raise ValueError("it has gone")
    told = json.loads(data)
    assert isinstance(told, dict), "each message is an object"
    return told


def _peer(connection: socket.socket) -> tuple[int, int]:
    """Return the process number and the user at the other end."""
    octets = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    pid, uid, _ = struct.unpack("3i", octets)
    return pid, uid


@contextmanager
def _reachable(path: Path) -> Iterator[str]:
    """Yield a name of *path* that is short enough for a Unix socket, which takes 107 octets."""
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
