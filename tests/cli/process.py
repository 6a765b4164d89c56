"""``rbl`` in processes of its own, as a user, a supervisor or a terminal starts it."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path

from rbl.config import Listen
from tests.cli.conftest import ZONE

DOMAIN = "relaytest.example"
TESTER = "127.0.0.10"
_PATIENCE_SECONDS = 60


class Serving:
    """One ``rbl serve``. *places* has what each part said of itself at the start."""

    def __init__(self, process: "subprocess.Popen[str]", log: Path) -> None:
        self._process = process
        self._log = log
        self.said: list[str] = []
        self.places: dict[str, str] = {}

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._process.pid

    def until_ready(self) -> None:
        """Wait until it says that it is ready."""
        while not self.said or self.said[-1] != "ready":
            line = self.line()
            part, _, place = line.strip().partition(" ")
            if line.startswith("  ") and part != "first":
                self.places[part] = place.strip()

    def line(self) -> str:
        """Return the next line that it says."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, f"it ended instead: {self.log()}"
        self.said.append(line.rstrip("\n"))
        return self.said[-1]

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End it with a signal, unless it has ended, and return its exit status."""
        if self._process.poll() is None:
            self.send(number)
        return self.wait()

    def wait(self) -> int:
        """Wait for its end and return its exit status."""
        rest, _ = self._process.communicate(timeout=_PATIENCE_SECONDS)
        self.said += rest.splitlines()
        return self._process.returncode

    def log(self) -> str:
        """Return its log lines and whatever else is on its standard error."""
        return self._log.read_text(encoding="utf-8")

    @property
    def first_key(self) -> str | None:
        """The first admin key, where it told of one: which file it is in."""
        files = [line.rpartition(": ")[2] for line in self.said if "first admin API key" in line]
        assert len(files) <= 1
        return Path(files[0]).read_text(encoding="ascii").strip() if files else None

    @property
    def dns(self) -> Listen:
        """Where DNS listens."""
        return _listen(self.places["dns"])

    @property
    def web(self) -> str:
        """The URL of the pages and the API."""
        return self.places["web"].split(maxsplit=1)[0]

    @property
    def collector(self) -> Listen:
        """Where SMTP listens."""
        return self.collectors[0]

    @property
    def collectors(self) -> tuple[Listen, ...]:
        """Every address where SMTP listens."""
        return tuple(map(_listen, self.places["collector"].partition(" for ")[0].split()))


class Installation:
    """A folder with a zone file and settings, which any number of processes use."""

    def __init__(self, folder: Path, settings: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self.zone_file = folder / "zone.toml"
        self.zone_file.write_text(
            ZONE.replace("[soa]", "ttl_seconds = 1\n\n[soa]").replace("[ns]", "minimum_seconds = 1\n\n[ns]")
            + "\n[limits]\nlist_reserved = true\n",
            encoding="utf-8",
        )
        self.settings = {
            "RBL_ZONES": str(self.zone_file),
            "RBL_DATA_DIR": str(folder / "var"),
            "RBL_DATABASE__URL": f"sqlite:///{folder}/rbl.db",
            "RBL_DNS__LISTEN": "127.0.0.1:0",
            "RBL_WEB__LISTEN": "127.0.0.1:0",
            "RBL_COLLECTOR__LISTEN": f"{TESTER}:0",
            "RBL_COLLECTOR__DOMAIN": DOMAIN,
            **(settings or {}),
        }
        self._number = 0

    def may_test(self, relay_port: int) -> None:
        """Let it test hosts on loopback, at *relay_port*."""
        self.settings |= {
            "RBL_PROBE__ENABLED": "true",
            "RBL_PROBE__ACKNOWLEDGE": "true",
            "RBL_PROBE__EHLO_NAME": f"tester.{DOMAIN}",
            "RBL_PROBE__CONTACT": f"postmaster@{DOMAIN}",
            "RBL_PROBE__SOURCE_ADDRESS": TESTER,
            "RBL_PROBE__PORT": str(relay_port),
            "RBL_PROBE__ALLOW_RESERVED": "127.0.0.0/8",
            "RBL_PROBE__COMMAND_DELAY": "0",
            "RBL_LISTS__FIRST_WAIT": "0.3",
        }

    def environment(self) -> dict[str, str]:
        """Return the settings as environment variables, and nothing of the user's own."""
        own = {name: value for name, value in os.environ.items() if not name.startswith("RBL_")}
        return {**own, **self.settings, "PYTHONUNBUFFERED": "1"}

    def run(self, *arguments: str, given: bytes = b"") -> "subprocess.CompletedProcess[bytes]":
        """Run a command to its end, with *given* on its standard input."""
        return subprocess.run(
            [sys.executable, "-m", "rbl", *arguments],
            input=given,
            capture_output=True,
            env=self.environment(),
            cwd=self.folder,
            timeout=_PATIENCE_SECONDS,
            check=False,
        )

    @contextmanager
    def beginning(self, *arguments: str) -> Iterator[Serving]:
        """Start ``rbl serve``, and end it whatever happens."""
        self._number += 1
        log = self.folder / f"log.{self._number}"
        with log.open("wb") as errors:
            process = subprocess.Popen(
                [sys.executable, "-m", "rbl", "serve", *arguments],
                stdout=subprocess.PIPE,
                stderr=errors,
                env=self.environment(),
                cwd=self.folder,
                text=True,
            )
        try:
            yield Serving(process, log)
        finally:
            if process.poll() is None:
                process.kill()
            process.communicate()

    @contextmanager
    def serving(self, *arguments: str) -> Iterator[Serving]:
        """Start ``rbl serve``, wait until it is ready, and end it whatever happens."""
        with self.beginning(*arguments) as process:
            process.until_ready()
            yield process


def spam(address: str, number: int = 1) -> bytes:
    """Return a spam that mx.isp.example took from *address* just now."""
    return (
        f"Received: from relay.example ([{address}])\r\n\tby mx.isp.example with ESMTP;"
        f" {format_datetime(datetime.now(UTC))}\r\nFrom: winner@bulk.example\r\nSubject: You won\r\n"
        f"Message-ID: <{number}@bulk.example>\r\n\r\nClick here.\r\n"
    ).encode()


def _listen(place: str) -> Listen:
    host, _, port = place.split(maxsplit=1)[0].rpartition(":")
    return Listen(host.strip("[]"), int(port))
