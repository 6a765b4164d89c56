"""``rbl rbldnsd`` as a process, as an init script starts it, and questions over its sockets."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import dns.message
import dns.query
import dns.rcode

from rbl.config import Listen, parse_listen

# What root starts becomes somebody else, who may not read a test's folder: here root is called so.
_CALLED_SO = ("unshare", "--user", "--map-user=1000", "--")
# In a chroot and in most containers nobody may be called otherwise, and has to become it.
_NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
_PATIENCE_SECONDS = 60
HEADER = "$SOA 300 ns1.bl.test hostmaster.bl.test 1 1h 15m 1w 5m\n$NS 1d ns1.bl.test\n$TTL 600\n"


@cache
def _not_root() -> tuple[str, ...]:
    """Return what a command begins with that must not be root's."""
    if os.geteuid() != 0:
        return ()
    tried = subprocess.run([*_CALLED_SO, "true"], capture_output=True, check=False)
    return _CALLED_SO if tried.returncode == 0 else _NOBODY


def _environment(folder: Path) -> dict[str, str]:
    """Return the environment of a daemon in *folder*; where it is nobody's, let nobody in there."""
    if _not_root() != _NOBODY:
        return dict(os.environ)
    folder.chmod(0o777)
    for above in folder.parents:
        if above.is_relative_to(tempfile.gettempdir()) and above != Path(tempfile.gettempdir()):
            above.chmod(above.stat().st_mode | 0o011)
    # It may not write beside the checkout, where what was covered is kept.
    return {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}


def command(*arguments: str, as_root: bool = False) -> list[str]:
    """Return what starts ``rbl rbldnsd`` with *arguments*."""
    return [*(() if as_root else _not_root()), sys.executable, "-m", "rbl", "rbldnsd", *arguments]


def ran(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run ``rbl rbldnsd`` to its end."""
    return subprocess.run(
        command(*arguments),
        cwd=folder,
        env=_environment(folder),
        capture_output=True,
        text=True,
        timeout=_PATIENCE_SECONDS,
        check=False,
    )


class Running:
    """One daemon, in the foreground or not, whose log lines are read one after the other."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        self.said: list[str] = []

    def until(self, *words: str) -> str:
        """Return the next log line that has all *words*."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.said.append(line)
            if all(word in line for word in words):
                return line
        raise AssertionError(f"it ended instead of saying {words}: {''.join(self.said)}")

    def bound(self) -> list[Listen]:
        """Wait until it answers, and return where."""
        line = self.until("event=rbldnsd_started")
        text = line.partition(" addresses=")[2]
        text = text[1:].partition('"')[0] if text.startswith('"') else text.partition(" ")[0]
        return [parse_listen(each) for each in text.split()]

    def end(self, number: int) -> int:
        """End it with a signal and return its exit status."""
        self.process.send_signal(number)
        return self.process.wait(_PATIENCE_SECONDS)


@contextmanager
def running(folder: Path, *arguments: str, as_root: bool = False) -> Iterator[Running]:
    """Run ``rbl rbldnsd`` in *folder* and end it whatever happens."""
    with subprocess.Popen(
        command(*arguments, as_root=as_root),
        cwd=folder,
        env=_environment(folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield Running(process)
        finally:
            if process.poll() is None:
                process.kill()


def asked(at: Listen, name: str, rtype: str = "A", *, tcp: bool = False) -> str:
    """Ask over a real socket; return in one line the rcode and the rdata of each record, sorted."""
    query = dns.message.make_query(name, rtype)
    ask = dns.query.tcp if tcp else dns.query.udp
    reply = ask(query, at.host, timeout=_PATIENCE_SECONDS, port=at.port)
    rdatas = sorted(rdata.to_text() for rrset in reply.answer for rdata in rrset)
    return " ".join([dns.rcode.to_text(reply.rcode()), *rdatas])


def write(file: Path, text: Sequence[str] | str, modified: int = 1_700_000_000) -> None:
    """Write a data file beside and rename it, as one does, with a time of its own."""
    beside = file.with_suffix(".new")
    beside.write_text(text if isinstance(text, str) else "\n".join([*text, ""]), encoding="utf-8")
    os.utime(beside, (modified, modified))
    beside.rename(file)
