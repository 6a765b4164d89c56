"""One ``rbl serve`` takes over from another, under load, and nothing is lost."""

import json
import os
import signal
import smtplib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from dns import message as dns_message
from dns import query as dns_query

from rbl.config import Listen
from tests.cli import load
from tests.cli.process import TESTER, Installation, Serving
from tests.dnspaths import DNS_PATHS

QUERY = dns_message.make_query("2.0.0.127.relays.example", "A").to_wire()


class Load:
    """Somebody who asks all the time; *told* is what came of it, once he has stopped."""

    told: dict[str, Any]


@contextmanager
def asked(at: Listen, rate: int) -> Iterator[Load]:
    """Have DNS asked *rate* times a second for the length of a block."""
    result = Load()
    with subprocess.Popen(
        [sys.executable, load.__file__, at.host, str(at.port), str(rate), QUERY.hex()],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as asking:
        try:
            yield result
        finally:
            result.told = json.loads(asking.communicate(timeout=90)[0])


def ask(at: Listen) -> str:
    """Return what DNS says of the test point."""
    reply = dns_query.udp(dns_message.from_wire(QUERY), at.host, 10, at.port)
    return "; ".join(record.to_text() for rrset in reply.answer for record in rrset)


def until_logged(process: Serving, words: str) -> None:
    """Wait until the log of *process* has *words*."""
    deadline = time.monotonic() + 60
    while words not in process.log():
        assert time.monotonic() < deadline, process.log()
        time.sleep(0.02)


def restart(installation: Installation, restarts: int, rate: int, *arguments: str) -> dict[str, Any]:
    """Have one process take over from the other *restarts* times under load, and return what was lost."""
    with ExitStack() as running:
        process = running.enter_context(installation.serving(*arguments))
        with asked(process.dns, rate) as asking:
            for _ in range(restarts):
                before, process = (
                    process,
                    running.enter_context(installation.serving(*arguments, "--take-over")),
                )
                assert before.wait() == 0
                assert before.dns == process.dns
        assert process.end() == 0
        assert "level=error" not in process.log()
    return asking.told


@pytest.mark.parametrize("path", DNS_PATHS)
def test_nothing_is_lost(tmp_path: Path, path: str) -> None:
    """While one process after the other takes over, every query over UDP and TCP is answered."""
    installation = Installation(tmp_path, {"RBL_DNS__PATH": path})

    told = restart(installation, 2, 500, "--only", "dns")

    assert told["sent"] > 500
    assert told["connections"] > 10
    assert (0, 0, []) == (told["unanswered"], told["wrong"], told["faults"])


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    """A list on SQLite that tests nobody."""
    return Installation(tmp_path)


def refused(installation: Installation, *arguments: str) -> str:
    """Return why ``rbl serve`` does not start."""
    ran = installation.run("serve", *arguments)
    assert (1, b"") == (ran.returncode, ran.stdout)
    return ran.stderr.decode()


def test_all_listeners_stay_where_they_are(installation: Installation) -> None:
    """Pages and mail are taken at the same ports, whatever the system chose for the first."""
    with installation.serving() as first, installation.serving("--take-over") as second:
        assert 0 == first.wait()
        assert (first.dns, first.web, first.collector) == (second.dns, second.web, second.collector)
        assert f"process {second.pid} has taken over" in first.said
        assert httpx2.get(f"{second.web}/healthz").is_success
        with smtplib.SMTP(*second.collector) as client:
            assert 250 == client.noop()[0]


def test_a_collector_of_both_families_stays_where_it_is(installation: Installation) -> None:
    """Each of its addresses is taken over, and one that was added is bound."""
    installation.settings["RBL_COLLECTOR__LISTEN"] = f"{TESTER}:0"
    with installation.serving("--only", "collector") as first:
        installation.settings["RBL_COLLECTOR__LISTEN"] = f"[::1]:0,{first.collector}"
        with installation.serving("--only", "collector", "--take-over") as second:
            assert 0 == first.wait()
            added, kept = second.collectors
            with installation.serving("--only", "collector", "--take-over") as third:
                assert 0 == second.wait()
                assert (added, kept) == third.collectors
                for each in third.collectors:
                    with smtplib.SMTP(*each) as client:
                        assert 250 == client.noop()[0]

    assert ("::1", first.collector) == (added.host, kept)


def test_nobody_to_take_over_from(installation: Installation) -> None:
    """It starts as it would without; and so it does where the process before was killed."""
    with installation.serving("--take-over") as first:
        first.send(signal.SIGKILL)
        assert -signal.SIGKILL == first.wait()
    with installation.serving("--take-over") as second:
        assert 0 == second.end()

    assert [] == list((installation.folder / "var").glob("serve-*"))


def test_a_second_process_does_not_share_the_port(installation: Installation) -> None:
    """Without being told to take over it is refused, and told what to do; the first goes on."""
    with installation.serving("--only", "dns") as first:
        installation.settings["RBL_DNS__LISTEN"] = str(first.dns)

        said = refused(installation, "--only", "dns")

        assert f"dns.listen: cannot listen on {first.dns}: Address already in use" in said
        assert f"process {first.pid} runs dns with {installation.folder}/var" in said
        assert "end it, or add --take-over" in said
        assert "127.0.0.2" == ask(first.dns)


def test_somebody_elses_port(installation: Installation) -> None:
    """What another program has is not taken over, and the process before goes on where it is."""
    with (
        installation.serving("--only", "dns") as first,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other,
    ):
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", 0))
        taken = Listen(*other.getsockname())
        installation.settings["RBL_DNS__LISTEN"] = f"{first.dns},{taken}"

        said = refused(installation, "--only", "dns", "--take-over")

        assert f"dns.listen: cannot listen on {taken}: Address already in use" in said
        assert "127.0.0.2" == ask(first.dns)
        assert 0 == first.end()


@pytest.mark.parametrize("path", DNS_PATHS)
def test_a_successor_that_fails_changes_nothing(installation: Installation, path: str) -> None:
    """Where one part of it cannot start, no query is lost, and the next one can take over."""
    installation.settings["RBL_DNS__PATH"] = path
    with (
        installation.serving("--only", "dns,collector") as first,
        socket.create_server((TESTER, 0)) as other,
    ):
        free = installation.settings["RBL_COLLECTOR__LISTEN"]
        with asked(first.dns, 200) as asking:
            installation.settings["RBL_COLLECTOR__LISTEN"] = f"{TESTER}:{other.getsockname()[1]}"
            assert "collector.listen: cannot listen on" in refused(
                installation, "--only", "dns,collector", "--take-over"
            )
            installation.settings["RBL_COLLECTOR__LISTEN"] = free
            until_logged(first, "event=take_over_failed")
        assert (0, 0, []) == (asking.told["unanswered"], asking.told["wrong"], asking.told["faults"])
        with installation.serving("--only", "dns,collector", "--take-over") as second:
            assert 0 == first.wait()
            assert first.dns == second.dns


def test_other_parts_are_left_alone(installation: Installation) -> None:
    """A process takes over from one that runs the same parts; of two it must be told which."""
    with ExitStack() as running:
        web = running.enter_context(installation.serving("--only", "web"))
        first, second = (running.enter_context(installation.serving("--only", "dns")) for _ in range(2))

        said = refused(installation, "--only", "dns", "--take-over")
        assert f"of the processes {min(first.pid, second.pid)}" in said
        said = refused(installation, "--only", "dns", "--take-over-from", str(web.pid))
        assert f"process {web.pid} does not run dns" in said

        third = running.enter_context(
            installation.serving("--only", "dns", "--take-over-from", str(second.pid))
        )
        assert 0 == second.wait()
        assert second.dns == third.dns
        assert "127.0.0.2" == ask(first.dns) == ask(third.dns)
        assert httpx2.get(f"{web.web}/healthz").is_success


def test_the_paths_change_places(installation: Installation) -> None:
    """A process of fewer threads, or of the other path, reads all the sockets there are."""
    settings = [("reference", "1"), ("compiled", "3")] if len(DNS_PATHS) > 1 else []
    with ExitStack() as running:
        process = running.enter_context(installation.serving("--only", "dns"))
        with asked(process.dns, 200) as asking:
            for path, threads in settings:
                installation.settings |= {"RBL_DNS__PATH": path, "RBL_DNS__THREADS": threads}
                before, process = (
                    process,
                    running.enter_context(installation.serving("--only", "dns", "--take-over")),
                )
                assert 0 == before.wait()

    assert (0, 0, []) == (asking.told["unanswered"], asking.told["wrong"], asking.told["faults"])


def test_without_its_database_nobody_takes_over(installation: Installation) -> None:
    """The process before has a list to answer from, and goes on."""
    with installation.serving("--only", "dns") as first:
        installation.settings["RBL_DATABASE__URL"] = f"postgresql:///rbl?host={installation.folder}"

        assert "the database does not answer" in refused(installation, "--only", "dns", "--take-over")
        assert "127.0.0.2" == ask(first.dns)


def test_a_signal_starts_the_successor(installation: Installation, tmp_path: Path) -> None:
    """SIGUSR2: it starts another as it was started, and the supervisor is told which process counts."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
        place = f"\0rbl-test-{os.getpid()}"
        supervisor.bind(place)
        supervisor.settimeout(60)
        installation.settings["NOTIFY_SOCKET"] = f"@{place[1:]}"
        with installation.serving("--only", "dns") as first:
            assert b"READY=1" == supervisor.recv(1000)
            first.send(signal.SIGUSR2)
            told = supervisor.recv(1000)
            assert told.startswith(b"MAINPID=")
            pid = int(told.partition(b"=")[2])
            try:
                assert first.pid != pid
                assert b"READY=1" == supervisor.recv(1000)
                assert "127.0.0.2" == ask(first.dns)
            finally:
                os.kill(pid, signal.SIGTERM)
            assert b"STOPPING=1" == supervisor.recv(1000)
            assert 0 == first.wait()


def test_a_successor_by_signal_that_fails_is_told(installation: Installation) -> None:
    """The process before goes on, and the log has it."""
    with installation.serving("--only", "dns") as first:
        installation.zone_file.write_text("", encoding="utf-8")
        first.send(signal.SIGUSR2)
        until_logged(first, "event=successor_failed")
        assert "127.0.0.2" == ask(first.dns)
        assert 0 == first.end()
