"""The database: which URLs are taken, what a transaction promises, and what happens when it is down."""

import sqlite3
from contextlib import closing
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import DBAPIError

from rbl.errors import ConfigError, Conflict, RblError, Unavailable
from rbl.store import engine, migrate, signal, switches
from rbl.store.engine import Store
from rbl.store.patience import Patience
from rbl.store.tables import Secret, Switch
from tests import postgresql
from tests.store import steps
from tests.store.steps import NOW


def a_switch(name: str = "probing") -> Switch:
    """Return a row that any test may write."""
    return Switch(name=name, on=True, changed_at=NOW, actor="test")


def count(store: Store) -> int:
    """Return how many switches there are."""
    with store.reading() as session:
        return session.execute(select(func.count()).select_from(Switch)).scalar_one()


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("", "'' is no database URL"),
        ("var/rbl.db", "'var/rbl.db' is no database URL"),
        ("postgresql://rbl:secret@db:port/rbl", "'db:port/rbl' is no database URL"),
        ("mysql://db/rbl", "mysql is not supported: use sqlite or postgresql"),
        ("postgres://db/rbl", "postgres is not supported: use sqlite or postgresql"),
        ("sqlite://", "SQLite needs a file: sqlite:///var/rbl.db"),
        ("sqlite:///:memory:", "SQLite needs a file: sqlite:///var/rbl.db"),
        ("sqlite+aiosqlite:///{tmp}/rbl.db", "sqlite+aiosqlite is not installed"),
        ("sqlite+none:///{tmp}/rbl.db", "sqlite+none is not installed"),
        ("postgresql+psycopg2://db/rbl", "postgresql+psycopg2 is not installed"),
        ("sqlite:////proc/none/rbl.db", "cannot make the folder /proc/none"),
    ],
)
def test_a_url_that_cannot_be_used_is_a_fault_of_the_settings(url: str, fault: str, tmp_path: Path) -> None:
    """A wrong URL is told with its place and its fault, and never with a password in it."""
    with pytest.raises(ConfigError) as caught:
        Store(url.replace("{tmp}", str(tmp_path)))

    assert caught.value.faults[0].startswith(f"database.url: {fault}")
    assert "secret" not in str(caught.value)


def test_the_folder_of_a_sqlite_file_is_made(tmp_path: Path) -> None:
    """The first start needs no folder to be made by hand."""
    store = Store(f"sqlite:///{tmp_path}/deep/er/rbl.db")
    migrate.upgrade(store)
    store.close()

    assert (tmp_path / "deep" / "er" / "rbl.db").is_file()


def test_a_transaction_is_kept_whole_or_not_at_all(store: Store) -> None:
    """What was written before an error is not there afterwards; without an error all is."""
    with pytest.raises(RuntimeError, match="in the middle"), store.writing() as session:  # noqa: PT012
        session.add(a_switch())
        session.flush()
        raise RuntimeError("in the middle")
    after_error = count(store)
    with store.writing() as session:
        session.add(a_switch())

    assert (0, 1) == (after_error, count(store))


def test_a_reader_cannot_write(store: Store) -> None:
    """The database itself refuses a change in a reading transaction."""
    with pytest.raises((DBAPIError, RblError)), store.reading() as session:
        session.add(a_switch())

    assert 0 == count(store)


def test_a_reader_sees_one_state(store: Store) -> None:
    """What is committed during a reading transaction is not seen by it, however often it looks."""
    with store.reading() as session:
        before = session.execute(select(func.count()).select_from(Switch)).scalar_one()
        with store.writing() as other:
            other.add(a_switch())
        after = session.execute(select(func.count()).select_from(Switch)).scalar_one()

    assert (0, 0, 1) == (before, after, count(store))


def test_the_same_thing_made_twice_is_a_conflict(store: Store) -> None:
    """A row that is there already is told as a conflict, not as a fault of the database."""
    with store.writing() as session:
        session.add(a_switch())

    with pytest.raises(Conflict) as caught, store.writing() as session:
        session.add(a_switch())

    assert "concurrent-change" == caught.value.code


def test_a_faulty_statement_is_not_hidden(postgresql_url: str) -> None:
    """A fault of the program is not told as a database that is down."""
    store = Store(postgresql_url)
    with pytest.raises(DBAPIError), store.reading() as session:
        session.execute(text("SELECT 1 / 0"))
    store.close()


def test_a_file_that_is_no_database_is_unavailable(tmp_path: Path) -> None:
    """A damaged or foreign file is told in words."""
    (tmp_path / "rbl.db").write_bytes(b"Dear postmaster, " * 100)
    store = Store(f"sqlite:///{tmp_path}/rbl.db")
    with pytest.raises(Unavailable, match="the database cannot be used: file is not a database"):
        count(store)
    store.close()


def test_made_once_by_many(store: Store) -> None:
    """Of several transactions that make the same row at once exactly one does, and no other fails."""

    def make(_: int) -> bool:
        with store.writing() as session:
            return engine.make_once(session, a_switch())

    made = steps.at_once(4, make)

    assert ([False, False, False, True], 1) == (sorted(made, key=str), count(store))


def test_a_locked_sqlite_file_is_unavailable(sqlite_url: str) -> None:
    """A writer that waited longer than the busy timeout is told that the database does not answer."""
    store = Store(sqlite_url, patience=Patience(lock=timedelta(milliseconds=20)))
    with store.writing() as session:
        session.add(a_switch())
        session.flush()
        with pytest.raises(Unavailable, match="database is locked"), store.writing() as other:
            switches.lock(other, "probing")
    found = count(store)
    store.close()

    assert 1 == found


def test_readers_do_not_wait_for_a_sqlite_writer(sqlite_url: str) -> None:
    """In WAL mode a reader goes on with the last state while a transaction is open."""
    store = Store(sqlite_url, patience=Patience(lock=timedelta(0)))
    with store.writing() as session:
        session.add(a_switch())
        session.flush()
        during = count(store)
    after = count(store)
    store.close()

    assert (0, 1) == (during, after)


def test_many_sqlite_writers_take_turns(sqlite_url: str) -> None:
    """Transactions that read and then write never fail as locked, however many there are."""
    store = Store(sqlite_url)
    with store.writing() as session:
        switches.set_up(session, NOW)

    def turn(number: int) -> None:
        for on in (False, True):
            with store.writing() as session:
                switches.is_on(session, switches.PROBING)
                switches.turn(session, switches.PROBING, steps.act(str(number)), on=on)

    outcomes = steps.at_once(8, turn)
    found = steps.actions(store, switches.PROBING)
    store.close()

    assert ([None] * 8, 16) == (outcomes, len(found))


def test_a_postgresql_that_stops_is_unavailable_and_back_when_it_is_back() -> None:
    """Each call while the server is down is told so; the first one after it is up works."""
    with postgresql.own_server() as server:
        store = Store(server.url)
        migrate.upgrade(store)
        with store.writing() as session:
            session.add(a_switch())
        server.stop()
        with pytest.raises(Unavailable, match="the database does not answer"):
            count(store)
        with pytest.raises(Unavailable, match="the database does not answer"), store.writing() as session:
            switches.is_on(session, "probing")
        server.start()
        found = count(store)
        store.close()

    assert 1 == found


def test_a_connection_lost_in_the_middle_is_unavailable(postgresql_url: str) -> None:
    """A transaction whose connection is cut changes nothing, and the next one works."""
    store = Store(postgresql_url)
    with pytest.raises(Unavailable), store.writing() as session:  # noqa: PT012
        session.add(a_switch())
        session.flush()
        pid = session.execute(text("SELECT pg_backend_pid()")).scalar_one()
        with store.reading() as other:
            other.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})
        session.execute(select(Switch)).all()
    after_loss = count(store)
    with store.writing() as session:
        session.add(a_switch())
    found = count(store)
    store.close()

    assert (0, 1) == (after_loss, found)


def test_more_users_than_connections_are_told_to_try_again(postgresql_url: str) -> None:
    """Whoever finds no free connection in time hears of it in words, not as a fault of the program."""
    store = Store(postgresql_url, patience=Patience(lock=timedelta(milliseconds=20)))
    with pytest.raises(Unavailable, match="too many use the database at once"):
        _read_nested(store, 20)
    store.close()


def _read_nested(store: Store, depth: int) -> None:
    with store.reading() as session:
        session.connection()
        if depth:
            _read_nested(store, depth - 1)


def test_a_file_put_in_the_place_of_the_database_is_used(tmp_path: Path, sqlite_url: str) -> None:
    """Whoever puts a backup back under the running program: what is written next is in that file."""
    store = Store(sqlite_url)
    wake = signal.ChangeSignal(store, "any")
    file, copy = tmp_path / "rbl.db", tmp_path / "copy.db"

    def seen() -> list[str]:
        with store.reading() as session:
            return list(session.execute(select(Secret.name)).scalars())

    def write(name: str) -> None:
        with store.writing() as session:
            session.add(Secret(name=name, value=b""))

    write("before")
    with closing(sqlite3.connect(file)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
    write("lost")
    wake.wait(timedelta(0))
    at_rest = wake.wait(timedelta(0))
    for left in ("rbl.db-wal", "rbl.db-shm"):
        (tmp_path / left).unlink()
    copy.replace(file)
    restored, woken = seen(), wake.wait(timedelta(0))
    write("after")
    wake.close()
    store.close()
    with closing(sqlite3.connect(file)) as database:
        in_file = database.execute("SELECT name FROM secrets ORDER BY name").fetchall()

    assert (False, True) == (at_rest, woken)
    assert ["before"] == restored
    assert [("after",), ("before",)] == in_file


def test_a_file_that_is_taken_away_is_not_made_anew(tmp_path: Path, sqlite_url: str) -> None:
    """Until another is in its place the program goes on with the one that it has open."""
    store = Store(sqlite_url)
    with store.writing() as session:
        session.add(a_switch())
    before = count(store)
    (tmp_path / "rbl.db").rename(tmp_path / "away.db")
    after = count(store)
    store.close()

    assert (1, 1) == (before, after)
    assert not (tmp_path / "rbl.db").exists()


def test_connections_that_change_a_new_file_at_once(tmp_path: Path) -> None:
    """SQLite refuses all but one of them whatever the busy timeout: they try again."""

    def connect(file: Path, _: int) -> None:
        store = Store(f"sqlite:///{file}")
        with store.writing() as session:
            session.execute(text("SELECT 1"))
        store.close()

    for number in range(100):
        file = tmp_path / f"{number}.db"
        assert [None] * 4 == steps.at_once(4, partial(connect, file))
