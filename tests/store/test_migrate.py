"""Migrations: both databases come to the same schema, whatever state they are in and whoever begins."""

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import inspect, text

from rbl.errors import ConfigError
from rbl.store import history, journal, migrate
from rbl.store.engine import Store
from rbl.store.tables import Zone
from rbl.terms import Act, Change
from tests.postgresql import Databases

ZONES = ("a.example", "b.example")
TABLES = set(Zone.metadata.tables) | {"alembic_version"}
_MIGRATE = """
import sys
from rbl.store import history, journal, migrate
from rbl.store.engine import Store
print("ready", flush=True)
sys.stdin.readline()
migrate.upgrade(Store(sys.argv[1]))
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a database without any table."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/new/rbl.db"
        return
    databases: Databases = request.getfixturevalue("databases")
    name = databases.empty()
    yield databases.url(name)
    databases.drop(name)


@pytest.fixture
def empty(empty_url: str) -> Iterator[Store]:
    """A database without any table."""
    store = Store(empty_url)
    yield store
    store.close()


def tables(store: Store) -> set[str]:
    """Return the names of the tables there are."""
    with store.reading() as session:
        return set(inspect(session.connection()).get_table_names())


def downgrade(store: Store) -> None:
    """Take every migration back."""
    with store.writing() as session:
        command.downgrade(migrate.configuration(session.connection()), "base")


def test_up_down_and_up_again(empty: Store) -> None:
    """An empty database gets every table, loses every one when taken back, and gets them again."""
    migrate.upgrade(empty)
    first = tables(empty)
    downgrade(empty)
    none = tables(empty)
    migrate.upgrade(empty)

    assert (TABLES, {"alembic_version"}, TABLES) == (first, none, tables(empty))


def test_upgrading_twice_changes_nothing(store: Store) -> None:
    """A database of the newest schema is left as it is."""
    migrate.upgrade(store)

    assert TABLES == tables(store)


def test_models_equal_migrations(store: Store) -> None:
    """A schema made by migrations is the one that the models describe."""
    with store.writing() as session:
        command.check(migrate.configuration(session.connection()))


def test_a_newer_database_is_refused(empty: Store) -> None:
    """A database that a newer version has migrated is not touched, and the operator is told what to do."""
    migrate.upgrade(empty)
    with empty.writing() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))

    with pytest.raises(ConfigError, match="schema 9999, unknown to this version: upgrade rbl"):
        migrate.upgrade(empty)


def test_missing_migrations_are_told(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installation without its migrations says where it looked."""
    monkeypatch.setattr(migrate, "PLACES", (tmp_path,))

    with pytest.raises(ConfigError, match=f"the migrations are missing: looked in {tmp_path}"):
        migrate.upgrade(store)


def test_processes_that_start_at_once_migrate_one_after_the_other(empty_url: str) -> None:
    """Of several processes that find no schema one makes it, and the others find it made."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", _MIGRATE, empty_url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    for process in processes:
        assert process.stdout is not None
        process.stdout.readline()
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    errors = [process.communicate()[1] for process in processes]
    store = Store(empty_url)
    found = tables(store)
    store.close()

    assert (["", "", ""], TABLES) == (errors, found)


def test_a_journal_of_before_goes_on(empty: Store) -> None:
    """What an earlier version wrote is part of the history that the next entry continues."""
    with empty.writing() as session:
        command.upgrade(migrate.configuration(session.connection()), "0004")
        for zone in ZONES:
            session.execute(
                text("INSERT INTO zones (apex, serial, created_at) VALUES (:zone, 7, '2026-01-01')"),
                {"zone": zone},
            )
        for serial in (5, 7):
            session.execute(
                text(
                    "INSERT INTO journal (zone, serial, change, subject, reason, actor, why, at)"
                    " VALUES ('a.example', :serial, 'listed', '192.0.2.1/32', 'relay', '', '', :at)"
                ),
                {"serial": serial, "at": "2026-01-01 00:00:00"},
            )
    migrate.upgrade(empty)
    act = Act("operator", "by hand", datetime(2026, 1, 1, tzinfo=UTC))
    with empty.writing() as session:
        before = [history.mark(session, zone) for zone in ZONES]
        for zone in ZONES:
            journal.append(session, zone, Change.LISTED, "192.0.2.2/32", act, reason="relay")
    with empty.reading() as session:
        held = [history.holds(session, zone, mark) for zone, mark in zip(ZONES, before, strict=True)]
        entries = [entry.subject for entry in journal.entries_after(session, "a.example", 0, 10)]

    assert [7, 7] == [mark.serial for mark in before]
    assert before[0].chain != before[1].chain
    assert [True, True] == held
    assert ["192.0.2.1/32", "192.0.2.1/32", "192.0.2.2/32"] == entries


# What a list had before nominations were each nominator's own: a listed host, a test with an envelope.
_AT = "'2026-03-01 12:00:00+00:00'"
_OLD_ROWS = f"""
INSERT INTO zones (apex, serial, created_at) VALUES ('relays.example', 1, {_AT});
INSERT INTO hosts (id, zone, address, state, offences, failed_retests, created_at, changed_at)
    VALUES (1, 'relays.example', '203.0.113.9', 'listed', 1, 4, {_AT}, {_AT});
INSERT INTO api_keys (id, name, role, trust, digest, mx_names, internal_networks, created_at)
    VALUES (1, 'mx-admin', 'nominator', 'normal', 'x', '[]', '[]', {_AT});
INSERT INTO evidence (id, sha256, format, octets, message, published, created_at)
    VALUES (1, 'y', 'message/rfc822', 1, 'x', 'x', {_AT});
INSERT INTO nominations (id, host_id, evidence_id, key_id, fingerprint, request_sha256, received_at,
    helo, hop, created_at) VALUES (1, 1, 1, 1, 'of the Message-ID', 'z', {_AT}, 'h', 'h', {_AT});
INSERT INTO probe_runs (id, host_id, neighbourhood, purpose, asked_by, due_at, created_at)
    VALUES (1, 1, '203.0.113.0/24', 'nomination', 'mx-admin', {_AT}, {_AT});
INSERT INTO probe_envelopes (id, run_id, test_id, token, sender_token, mail_from, rcpt_to)
    VALUES (1, 1, 'T01', 'r', 's', 'm', 'r')
"""


def test_what_was_there_stays_when_nominations_become_each_nominators_own(empty: Store) -> None:
    """Rows, and the rows that refer to them, come through the migration."""
    with empty.writing() as session:
        command.upgrade(migrate.configuration(session.connection()), "0004")
        for statement in _OLD_ROWS.split(";"):
            session.execute(text(statement.replace(":", "\\:")))
    migrate.upgrade(empty)
    with empty.reading() as session:
        kept = session.execute(text("SELECT fingerprint FROM nominations")).scalar_one()
        run = session.execute(text("SELECT key_id, wanted_at FROM probe_runs")).one()
        envelopes = session.execute(text("SELECT count(*) FROM probe_envelopes")).scalar_one()

    assert ("of the Message-ID", (None, None), 1) == (kept, tuple(run), envelopes)


def test_what_came_back_still_belongs_to_its_envelope(empty: Store) -> None:
    """The table of envelopes is made anew under the receipts that refer to it, there and back."""
    receipt = (
        "INSERT INTO receipts (id, envelope_id, kind, peer, helo, mail_from, rcpt_to, message, received_at)"
        f" VALUES (1, 1, 'relayed', '203.0.113.9', 'h', '', 'r', 'x', {_AT})"
    )
    with empty.writing() as session:
        command.upgrade(migrate.configuration(session.connection()), "0004")
        for statement in (*_OLD_ROWS.split(";"), receipt):
            session.execute(text(statement.replace(":", "\\:")))
    migrate.upgrade(empty)
    with empty.writing() as session:
        second = (
            "INSERT INTO probe_envelopes"
            " (id, run_id, test_id, token, sender_token, mail_from, rcpt_to, vantage)"
            " VALUES (2, 1, 'T01', 'r2', 's2', 'm', 'r', '192.0.2.1')"
        )
        session.execute(text(second))
    joined = text("SELECT e.token FROM probe_envelopes e LEFT JOIN receipts r ON r.envelope_id = e.id")
    with empty.reading() as session:
        before = session.execute(joined).scalars().all()
    with empty.writing() as session:
        command.downgrade(migrate.configuration(session.connection()), "0012")
        after = session.execute(joined).scalars().all()

    assert (["r", "r2"], ["r"]) == (sorted(before), after)
