"""A backup is put back under the running program: DNS answers what the database says, not what was lost."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from ipaddress import ip_network
from pathlib import Path

import httpx2
from dns import message as dns_message
from dns import query as dns_query
from dns import rcode as dns_rcode
from sqlalchemy import update

from rbl.store import journal, listings, migrate
from rbl.store.engine import Store
from rbl.store.listings import NewListing
from rbl.store.tables import Zone
from rbl.terms import Act
from tests.cli.process import Installation, Serving
from tests.story.backup import backup_of

ZONE = "relays.example"
_PATIENCE_SECONDS = 60
_PAUSE_SECONDS = 0.02


def list_by_hand(url: str, address: str) -> int:
    """List *address*, and return the serial."""
    store = Store(url)
    act = Act("operator", "by hand", datetime.now(UTC))
    with store.writing() as session:
        listings.start(session, NewListing(ZONE, ip_network(address), "open-relay"), act)
        serial = journal.head(session, ZONE)
    store.close()
    return serial


def as_after_an_import(url: str) -> None:
    """Have the serial run ahead of the clock by a day, as an import of an earlier version left it."""
    store = Store(url)
    migrate.upgrade(store)
    with store.writing() as session:
        journal.open_zone(session, ZONE, datetime.now(UTC))
        session.execute(update(Zone).values(serial=Zone.serial + 100_000))
    store.close()


def ask(process: Serving, address: str) -> str:
    """Return what DNS answers for *address*."""
    name = ".".join(reversed(address.split(".")))
    query = dns_message.make_query(f"{name}.{ZONE}", "A")
    reply = dns_query.udp(query, process.dns.host, 10, process.dns.port)
    records = [record.to_text() for rrset in reply.answer for record in rrset]
    return "; ".join(records) or dns_rcode.to_text(reply.rcode())


def eventually(condition: Callable[[], bool], told: Callable[[], object]) -> None:
    """Return when *condition* holds."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, told()
        time.sleep(_PAUSE_SECONDS)  # between two looks at the condition


def test_one_serial_for_two_listings(tmp_path: Path, database_url: str) -> None:
    """Dump; list .81; stop DNS; restore; list .82, which takes the serial of .81; start DNS."""
    installation = Installation(tmp_path, {"RBL_DATABASE__URL": database_url})
    backup = backup_of(database_url, tmp_path)
    as_after_an_import(database_url)
    kept = list_by_hand(database_url, "20.0.0.80")
    backup.make()
    with installation.serving("--only", "dns") as process:
        lost = list_by_hand(database_url, "20.0.0.81")
        eventually(lambda: ask(process, "20.0.0.81") == "127.0.0.2", process.log)
        assert 0 == process.end()
    backup.restore()
    found = list_by_hand(database_url, "20.0.0.82")
    with installation.serving("--only", "dns,web") as process:

        def answers() -> list[str]:
            return [ask(process, f"20.0.0.{number}") for number in (80, 81, 82)]

        eventually(lambda: answers() == ["127.0.0.2", "NXDOMAIN", "127.0.0.2"], answers)
        metrics = httpx2.get(f"{process.web}/metrics").text
        assert 0 == process.end()
        log = process.log()

    assert kept < lost == found
    assert 1 == log.count("event=journal_diverged")
    assert f'rbl_journal_diverged_total{{zone="{ZONE}"}} 1.0' in metrics
