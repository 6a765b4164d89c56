"""Opening the database for a command."""

import sqlite3
from datetime import UTC, timedelta
from pathlib import Path

import pytest

from rbl.cli.opening import connected, now, opened, prepare
from rbl.config import Settings
from rbl.errors import ConfigError, Unavailable
from rbl.store import journal, switches


@pytest.fixture
def settings(zone_file: Path, tmp_path: Path) -> Settings:
    """Settings with one list and a database that is not there yet."""
    return Settings.model_validate(
        {"zones": [zone_file], "database": {"url": f"sqlite:///{tmp_path}/new/rbl.db"}}
    )


def test_now_is_aware() -> None:
    """The program's clock is UTC, and says so."""
    assert (UTC, timedelta(0)) == (now().tzinfo, now().utcoffset())


def test_opened_has_what_a_list_needs(settings: Settings) -> None:
    """A database that was not there has the schema, the switches and a head for each zone."""
    with opened(settings) as store, store.reading() as session:
        assert switches.is_on(session, switches.PROBING)
        first = journal.head(session, "relays.example")

    with opened(settings) as store, store.reading() as session:
        assert first == journal.head(session, "relays.example")


def test_connected_asks_nothing(settings: Settings, tmp_path: Path) -> None:
    """Being connected touches no table, and preparing makes them; twice changes nothing."""
    with connected(settings) as store:
        assert not (tmp_path / "new" / "rbl.db").exists()
        prepare(store, ["relays.example"])
        prepare(store, ["relays.example", "more.example"])
        with store.reading() as session:
            assert journal.head(session, "more.example") > 0


def test_zone_file_with_faults(settings: Settings, zone_file: Path, tmp_path: Path) -> None:
    """A faulty zone file is told before the database is touched."""
    zone_file.write_text("", encoding="utf-8")

    with pytest.raises(ConfigError), opened(settings):
        pass
    assert not (tmp_path / "new" / "rbl.db").exists()


def test_newer_database(settings: Settings, tmp_path: Path) -> None:
    """A database of a newer version is left alone."""
    with opened(settings):
        pass
    with sqlite3.connect(tmp_path / "new" / "rbl.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()

    with pytest.raises(ConfigError, match="schema 9999, unknown to this version"), opened(settings):
        pass


def test_database_down(settings: Settings, tmp_path: Path) -> None:
    """A database that does not answer is told as unavailable."""
    down = settings.model_copy(
        update={
            "database": settings.database.model_copy(update={"url": f"postgresql:///x?host={tmp_path}"})
        }
    )

    with pytest.raises(Unavailable, match="the database does not answer"), opened(down):
        pass
