"""The program under attack: ``rbl serve`` with all its parts in a process of its own, and how it is.

An attack is a test that takes the ``target``, does its harm over loopback, and says what may be left of
it: ``target.is_well()`` and ``target.used(...)``. How long a part may take to answer a stranger after the
attack is bounded by a second in each of these; since the machine may be busy with other tests, they are
asked until they all did, for a while.
"""

import smtplib
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
from dns import exception as dns_exception
from dns import message as dns_message
from dns import query as dns_query
from dns import rcode as dns_rcode

from rbl.config import Listen
from tests.cli.process import DOMAIN, Installation, Serving

# An answer that takes longer is none.
ANSWER_SECONDS = 1.0
# The other tests of this machine may hold up any program for a moment, and no longer.
_PATIENCE_SECONDS = 20.0
_PAUSE_SECONDS = 0.1
_TEST_POINT = "2.0.0.127.relays.example"


@dataclass(frozen=True, slots=True)
class Used:
    """What it holds: octets of memory at most so far, octets of disk now, lines of log."""

    peak_memory: int
    disk: int
    log_lines: int


class Target:
    """A running list, as strangers see it."""

    def __init__(self, installation: Installation, process: Serving) -> None:
        self.installation = installation
        self.process = process
        self._before = self._used()

    @property
    def dns(self) -> Listen:
        """Where DNS listens, UDP and TCP."""
        return self.process.dns

    @property
    def web(self) -> str:
        """The URL of pages and API."""
        return self.process.web

    @property
    def collector(self) -> Listen:
        """Where the collector takes mail."""
        return self.process.collector

    def admin(self, method: str, path: str, **request: object) -> httpx2.Response:
        """Ask the API as the first admin."""
        headers = {"Authorization": f"Bearer {self.process.first_key}"}
        return httpx2.request(method, self.web + path, headers=headers, timeout=30, **request)  # type: ignore[arg-type]

    def is_well(self) -> None:
        """Return once DNS over UDP and TCP, a page and the collector each answer within a second.

        Raises:
            AssertionError: names those that did not, after a patience that a healthy program never needs.
        """
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while faults := self.faults():
            assert time.monotonic() < deadline, f"after the attack: {faults}"
            time.sleep(_PAUSE_SECONDS)

    def faults(self) -> Mapping[str, str]:
        """Return what does not answer now within a second, and what it said instead."""
        asked = {"udp": self._udp, "tcp": self._tcp, "page": self._page, "mail": self._mail}
        return {name: fault for name, ask in asked.items() if (fault := _fault_of(ask))}

    def used(self, *, memory_mib: float, disk_mib: float, log_lines: int) -> None:
        """See that the attack cost no more than that since the program began.

        Raises:
            AssertionError: it did; the message has the figures.
        """
        now = self._used()
        grown = (
            (now.peak_memory - self._before.peak_memory) / 2**20,
            (now.disk - self._before.disk) / 2**20,
            now.log_lines - self._before.log_lines,
        )
        allowed = (memory_mib, disk_mib, log_lines)
        assert all(is_ <= may for is_, may in zip(grown, allowed, strict=True)), (
            f"memory, disk in MiB and log lines grew by {grown}, more than {allowed}"
        )

    def _used(self) -> Used:
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        peak = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
        files = (file for file in self.installation.folder.rglob("*") if file.is_file())
        return Used(
            peak_memory=peak * 1024,
            disk=sum(_size(file) for file in files),
            log_lines=self.process.log().count("\n"),
        )

    def _udp(self) -> None:
        query = dns_message.make_query(_TEST_POINT, "A")
        _expect_listed(dns_query.udp(query, self.dns.host, ANSWER_SECONDS, self.dns.port))

    def _tcp(self) -> None:
        query = dns_message.make_query(_TEST_POINT, "A")
        _expect_listed(dns_query.tcp(query, self.dns.host, ANSWER_SECONDS, self.dns.port))

    def _page(self) -> None:
        page = httpx2.get(f"{self.web}/a/192.0.2.1", timeout=ANSWER_SECONDS)
        assert page.status_code == 200, f"{page.status_code}"

    def _mail(self) -> None:
        with smtplib.SMTP(*self.collector, timeout=ANSWER_SECONDS) as client:
            client.ehlo("stranger.example")
            assert client.mail("")[0] == 250
            assert client.rcpt(f"nobody@{DOMAIN}")[0] == 550


@contextmanager
def attacked(folder: Path, settings: Mapping[str, str] | None = None) -> Iterator[Target]:
    """Start a list with *settings* in *folder*, yield it, and end it."""
    installation = Installation(folder, settings)
    with installation.serving() as process:
        target = Target(installation, process)
        target.is_well()
        yield target


def _fault_of(ask: object) -> str | None:
    assert callable(ask)
    started = time.monotonic()
    try:
        ask()
    except (
        OSError,
        AssertionError,
        dns_exception.DNSException,
        httpx2.HTTPError,
        smtplib.SMTPException,
    ) as fault:
        return f"{type(fault).__name__}: {fault}"
    seconds = time.monotonic() - started
    return None if seconds <= ANSWER_SECONDS else f"an answer after {seconds:.1f} s"


def _expect_listed(reply: dns_message.Message) -> None:
    records = [record.to_text() for rrset in reply.answer for record in rrset]
    assert records == ["127.0.0.2"], f"{records or dns_rcode.to_text(reply.rcode())}"


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except FileNotFoundError:  # a journal of SQLite's that is gone by now
        return 0
