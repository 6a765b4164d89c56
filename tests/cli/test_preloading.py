"""``rbl rbldnsd`` in a tree that has nothing of Python, and as somebody who may not read Python's folders.

Whatever it does after it went there, it must have brought along.
"""

import gzip
import itertools
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from rbl.config import Listen
from tests.cli.dropin import HEADER, asked, command

_PATIENCE_SECONDS = 20
_PAUSE_SECONDS = 0.02
_ALONE = ("-n", "-r", "-s", "-l")
# Each of them with and without each other; -u and -p together, in every second one.
_COMBINATIONS = [
    (*(option for option, is_given in zip(_ALONE, given, strict=True) if is_given), *also)
    for number, given in enumerate(itertools.product((False, True), repeat=len(_ALONE)))
    for also in [("-u", "-p") if number.bit_count() % 2 else ()]
]
# Names and addresses; plain and compressed; a line that is refused, so that a first fault is told.
_ZONES = ("bl.test:ip4set:data/z", "names.test:dnset:data/names", "all.test:combined:data/all")
_FILES = {
    "z": gzip.compress(f"{HEADER}127.0.0.2 :2:{{text}}\nno address\n".encode().replace(b"{text}", b"old")),
    "names": f"{HEADER}listed.example :3:$ is listed\n..broken\n".encode(),
    "all": f"{HEADER}$DATASET ip6trie six @\n2001:db8::/32 :4:six\n".encode(),
}
pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can change to another tree and user"),
]


def _write(file: Path, content: bytes) -> None:
    beside = file.with_suffix(".new")
    beside.write_bytes(content)
    beside.rename(file)


@contextmanager
def _tree() -> Iterator[Path]:
    """A folder with data files that everybody may read, and one where everybody may write."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        root.chmod(0o755)
        (root / "data").mkdir(mode=0o755)
        (root / "logs").mkdir()
        (root / "logs").chmod(0o777)
        for file, content in _FILES.items():
            _write(root / "data" / file, content)
        yield root


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


def _arguments(options: Sequence[str], root: Path, port: int) -> list[str]:
    inside = "/" if "-r" in options else f"{root}/"
    values = {
        "-n": [],
        "-r": [str(root)],
        "-u": ["nobody"],
        "-s": [f"{inside}logs/numbers"],
        "-l": [f"+{inside}logs/queries"],
        "-p": [str(root / "pid")],
    }
    chosen = [word for option in options for word in (option, *values[option])]
    return [*chosen, "-w", inside, "-b", f"127.0.0.1/{port}", *_ZONES]


def _daemons(root: Path) -> list[int]:
    """Return the processes whose command line names *root*, but for those that are about to be another."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            words = (folder / "cmdline").read_bytes()
            if str(root).encode() in words and int(folder.name) != os.getpid():
                found.append(int(folder.name))
    return found


def _asked(at: Listen, name: str, rtype: str = "A") -> str:
    """Return what is answered over TCP, which an ended daemon refuses at once."""
    with suppress(OSError, EOFError):
        return asked(at, name, rtype, tcp=True)
    return "no answer"


def _until(root: Path, at: Listen, expected: str, name: str, rtype: str = "A") -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while (answer := _asked(at, name, rtype)) != expected:
        assert time.monotonic() < deadline, f"{answer}, not {expected}"
        assert _daemons(root), "it ended"
        time.sleep(_PAUSE_SECONDS)


def _live(options: Sequence[str]) -> str:
    """Start the daemon with *options*, have it do all it may ever do, end it; return what went wrong."""
    with _tree() as root, (root / "said").open("wb") as said:
        at = Listen("127.0.0.1", _free_port())
        process = subprocess.Popen(
            command(*_arguments(options, root, at.port), as_root=True),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=said,
            cwd="/",
        )
        try:
            if "-n" in options:
                _until_it_listens(at, process)
            else:
                assert process.wait(_PATIENCE_SECONDS) == 0, "it did not start"
            _do_everything(root, at)
            (daemon,) = _daemons(root)
            os.kill(daemon, signal.SIGTERM)
            deadline = time.monotonic() + _PATIENCE_SECONDS
            while _daemons(root) and process.poll() is None:
                assert time.monotonic() < deadline, "it does not end"
                time.sleep(_PAUSE_SECONDS)
            lines = {
                option: (root / "logs" / file).read_text().count("\n")
                for option, file in (("-s", "numbers"), ("-l", "queries"))
                if option in options
            }
            assert all(lines.values()), f"nothing was written: {lines}"
        except (AssertionError, OSError, ValueError) as fault:
            return f"{' '.join(options)}: {fault!r}: {(root / 'said').read_text()[-600:]}"
        finally:
            for daemon in _daemons(root):
                os.kill(daemon, signal.SIGKILL)
            process.wait()
    return ""


def _until_it_listens(at: Listen, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while process.poll() is None:
        with suppress(OSError), socket.create_connection(at, timeout=1):
            return
        assert time.monotonic() < deadline, "it does not listen"
        time.sleep(_PAUSE_SECONDS)
    raise AssertionError("it ended at its start")


def _do_everything(root: Path, at: Listen) -> None:
    _until(root, at, "NOERROR 127.0.0.2", "2.0.0.127.bl.test")
    _until(root, at, 'NOERROR "listed.example is listed"', "listed.example.names.test", "TXT")
    assert asked(at, "3.0.0.127.bl.test") == "NXDOMAIN"
    (daemon,) = _daemons(root)
    _write(root / "data/z", gzip.compress(f"{HEADER}127.0.0.2 :2:new\nworse\n".encode(), 1))
    os.kill(daemon, signal.SIGHUP)
    _until(root, at, 'NOERROR "new"', "2.0.0.127.bl.test", "TXT")
    _write(root / "data/z", gzip.compress(b"127.0.0.2\n" * 100)[:30])  # cut off: it cannot be read
    _write(root / "data/names", f"{HEADER}listed.example :3:\xe4 again\n".encode())
    os.kill(daemon, signal.SIGHUP)
    _until(root, at, 'NOERROR "\\195\\164 again"', "listed.example.names.test", "TXT")
    assert _asked(at, "2.0.0.127.bl.test", "TXT") == 'NOERROR "new"'
    os.kill(daemon, signal.SIGUSR1)
    os.kill(daemon, signal.SIGUSR2)
    _until(root, at, "NXDOMAIN", "3.0.0.127.bl.test")


def test_every_combination_of_options() -> None:
    """With each combination of -n -r -s -l it starts, reads anew, refuses, counts, logs and ends."""
    with ThreadPoolExecutor(4) as pool:
        faults = [fault for fault in pool.map(_live, _COMBINATIONS) if fault]

    assert [] == faults
