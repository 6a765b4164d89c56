"""The real program while its database is stopped, and while it holds back a change: what it tells of it."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
from dns import message as dns_message
from dns import query as dns_query
from dns import rcode as dns_rcode

from tests import postgresql
from tests.cli.process import Installation, Serving
from tests.dnspaths import DNS_PATHS

_PATIENCE_SECONDS = 60
_PAUSE_SECONDS = 0.02
ZONE = "relays.example"
PATHS = pytest.mark.parametrize("path", DNS_PATHS)


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    """A list on SQLite that tests nobody."""
    return Installation(tmp_path)


def eventually(condition: Callable[[], bool]) -> None:
    """Return when *condition* holds."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it never holds"
        time.sleep(_PAUSE_SECONDS)  # between two looks at the condition


def ask(process: Serving, qname: str) -> str:
    """Return what DNS answers."""
    query = dns_message.make_query(f"{qname}.{ZONE}", "A")
    reply = dns_query.udp(query, process.dns.host, 10, process.dns.port)
    records = [record.to_text() for rrset in reply.answer for record in rrset]
    return "; ".join(records) or dns_rcode.to_text(reply.rcode())


def ready(process: Serving) -> tuple[int, dict[str, Any], dict[str, Any]]:
    """Return what /readyz says: its status, the parts, and where the list stands."""
    answer = httpx2.get(f"{process.web}/readyz", timeout=30)
    told = answer.json()
    return answer.status_code, told["parts"], told["lists"][ZONE]


def metric(process: Serving, name: str) -> float:
    """Return a metric of the list."""
    lines = httpx2.get(f"{process.web}/metrics").text.splitlines()
    (line,) = [line for line in lines if line.startswith(f'{name}{{zone="{ZONE}"}} ')]
    return float(line.split()[1])


def list_by_hand(process: Serving, admin: str, address: str) -> None:
    """List *address* over the API."""
    body = {"network": address, "reason": "open-relay", "why": "by hand"}
    headers = {"Authorization": f"Bearer {admin}"}
    assert httpx2.post(f"{process.web}/v1/listings", json=body, headers=headers).status_code == 201


@PATHS
def test_answers_go_on_while_the_database_is_stopped(installation: Installation, path: str) -> None:
    """DNS answers from the last list, /readyz and a metric tell how old it is, and then it catches up."""
    installation.settings["RBL_DNS__PATH"] = path
    with postgresql.own_server() as server:
        installation.settings["RBL_DATABASE__URL"] = server.url
        with installation.serving() as process:
            admin = process.first_key or ""
            list_by_hand(process, admin, "20.0.0.1")
            eventually(lambda: ask(process, "1.0.0.20") == "127.0.0.2")
            before = ready(process)
            server.stop()
            eventually(lambda: ready(process)[2]["lag_seconds"] > 1.5)
            during = ready(process)
            answered = (ask(process, "1.0.0.20"), ask(process, "2.0.0.20"))
            lag = metric(process, "rbl_journal_read_age_seconds")
            server.start()
            eventually(lambda: ready(process)[0] == 200)
            list_by_hand(process, admin, "20.0.0.2")
            eventually(lambda: ask(process, "2.0.0.20") == "127.0.0.2")
            eventually(lambda: ready(process)[2]["lag_seconds"] < lag)
            after = ready(process)
            assert 0 == process.end()

    assert (200, {"database": True, "dns": True}) == before[:2]
    assert (503, {"database": False, "dns": True}) == during[:2]
    assert before[2]["serial"] == during[2]["serial"]
    assert ("127.0.0.2", "NXDOMAIN") == answered
    assert lag >= during[2]["lag_seconds"]
    assert (200, after[2]["newest"], None) == (after[0], after[2]["serial"], after[2]["held"])


@PATHS
def test_a_held_change_is_let_out_by_a_command(installation: Installation, path: str) -> None:
    """A list that changes too much at once stays as it was; /readyz says why, until it is forced."""
    installation.settings["RBL_DNS__PATH"] = path
    file = installation.folder / "many"
    file.write_text("".join(f"20.1.{number}.1\n" for number in range(150)), encoding="ascii")
    with installation.serving() as process:
        list_by_hand(process, process.first_key or "", "20.0.0.1")
        eventually(lambda: ask(process, "1.0.0.20") == "127.0.0.2")
        imported = installation.run("import", "rbldnsd", f"{ZONE}:ip4set:{file}", "--reason", "open-relay")
        eventually(lambda: ready(process)[2]["held"] is not None)
        status, _, standing = ready(process)
        held = (
            status,
            metric(process, "rbl_zone_held"),
            ask(process, "1.0.1.20"),
            ask(process, "1.0.0.20"),
        )
        force = ("zone", "force", ZONE, "--why", "an import", "--yes")
        eventually(lambda: installation.run(*force).returncode == 0)  # DNS has told of it
        eventually(lambda: ask(process, "1.0.1.20") == "127.0.0.2")
        after = ready(process)[2]
        assert 0 == process.end()

    assert 0 == imported.returncode
    assert (200, 1.0, "NXDOMAIN", "127.0.0.2") == held
    assert "150 changes to a list of 1 from serial" in standing["held"]
    assert standing["newest"] > standing["serial"]
    assert (standing["newest"], None) == (after["serial"], after["held"])
