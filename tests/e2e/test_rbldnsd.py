"""rbldnsd itself and our answers from the same data files, side by side, over made-up files."""

import os
import socket
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from tests.e2e import needs
from tests.responder import recorded
from tests.responder.madeup import MadeUp

RBLDNSD = needs.PACKAGES / "rbldnsd" / "usr" / "sbin" / "rbldnsd"
_SERIAL_TIME = 1_700_000_000  # of all files: the serial where $SOA says 0


@contextmanager
def _running(folder: Path, arguments: list[str]) -> Iterator[socket.socket | None]:
    """Run rbldnsd; yield a socket that is connected to it, or None where it ends instead of starting."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    user = ["-u", "nobody"] if os.geteuid() == 0 else []
    command = [str(RBLDNSD), "-n", *user, "-b", f"127.0.0.1/{port}", "-w", str(folder), *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        started = any(" started " in line for line in process.stdout)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.connect(("127.0.0.1", port))
            client.settimeout(10)
            yield client if started else None
        process.kill()


def _comparable(shown: dict[str, Any], asked: dict[str, str], *, may_exist: bool) -> dict[str, Any]:
    """Return a reply without what may differ: see domain names that exist, and name servers said twice."""
    if asked["type"] in {"NS", "ANY"}:
        shown.pop("authority", None)
    if may_exist and shown.get("rcode") in {"NXDOMAIN", "NOERROR"} and "answer" not in shown:
        shown["rcode"] = "no such data"
    return shown


# What may stand behind a question; the counts are those of questions, answers, authorities, additionals.
_QUESTION = b"\x012\x010\x010\x03127\x02bl\x04test\0\0\1\0\1"
_RECORD = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\1\2\3\4"
_OPT = b"\0\0\x29\x04\xd0\0\0\0\0\0\0"
_BEHIND = {
    "octets": ((1, 0, 0, 0), b"xyz"),
    "octets after OPT": ((1, 0, 0, 1), _OPT + b"xyz"),
    "an answer": ((1, 1, 0, 0), _RECORD),
    "an authority": ((1, 0, 1, 0), _RECORD),
    "an authority and OPT": ((1, 0, 1, 1), _RECORD + _OPT),
    "a record that is missing": ((1, 1, 0, 0), b""),
    "many records": ((1, 0, 0, 9), _RECORD * 9),
    "many options": ((1, 0, 0, 1), _OPT[:-2] + b"\1\x90" + b"\xfd\xe9\0\0" * 100),
}


@pytest.mark.parametrize("what", _BEHIND)
def test_what_stands_behind_a_question_changes_nothing(what: str, tmp_path: Path) -> None:
    """A question with whatever behind it is answered as rbldnsd answers it."""
    needs.decide([] if RBLDNSD.exists() else ["rbldnsd is not unpacked: run sh tests/e2e/packages.sh"])
    counts, rest = _BEHIND[what]
    packet = struct.pack("!6H", 4711, 0x0100, *counts) + _QUESTION + rest
    arguments, files = ["bl.test:ip4set:z"], {"z": "127.0.0.2 :2:listed\n"}
    served = recorded.Served(tmp_path, ["-b", "127.0.0.1/0", *arguments], files)
    with TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)  # it is read by another user
        (folder / "z").write_text(files["z"], encoding="utf-8")
        with _running(folder, arguments) as real:
            assert real is not None
            real.send(packet)
            theirs = recorded.show(real.recv(4096))

    ours = recorded.show(served.reply(packet))
    assert theirs["answer"] == ours["answer"]
    assert theirs["rcode"] == ours["rcode"]


@pytest.mark.parametrize("seed", range(40))
def test_made_up_files_are_answered_as_rbldnsd_answers_them(seed: int, tmp_path: Path) -> None:
    """Whatever stands in the files, every answer is rbldnsd's but for names that exist above others."""
    needs.decide([] if RBLDNSD.exists() else ["rbldnsd is not unpacked: run sh tests/e2e/packages.sh"])
    made = MadeUp(seed)
    served = recorded.Served(tmp_path, ["-b", "127.0.0.1/0", *made.arguments], made.files)
    with TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)  # it is read by another user
        for file, text in made.files.items():
            for place in (folder, tmp_path):
                (place / file).write_text(text, encoding="utf-8")
                os.utime(place / file, (_SERIAL_TIME, _SERIAL_TIME))
        served.loaded = served.follower.follow()
        expected, actual = [], []
        with _running(folder, made.arguments) as real:
            assert served.loaded == (real is not None)
            for asked in made.questions():
                if real is None:
                    break
                packet = recorded.ask(asked)
                real.send(packet)
                theirs, ours = recorded.show(real.recv(4096)), recorded.show(served.reply(packet))
                exists = ours.get("rcode") == "NOERROR"
                expected.append((asked, _comparable(theirs, asked, may_exist=exists)))
                actual.append((asked, _comparable(ours, asked, may_exist=exists)))

    assert expected == actual
