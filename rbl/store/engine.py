"""The database: engines for SQLite and PostgreSQL, and the two kinds of transaction.

A writing transaction on SQLite takes the write lock at BEGIN: with the deferred default one that
reads and then writes fails with "locked" whatever the busy timeout. A reading transaction sees one
state of the database throughout, and may not write. A SQLite file is made for its user alone, and those
that SQLite lays beside it get its mode.
"""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import (
    ArgumentError,
    DatabaseError,
    DBAPIError,
    DisconnectionError,
    IntegrityError,
    InterfaceError,
    OperationalError,
    TimeoutError,  # noqa: A004 — no other is meant here: no connection of the pool was free in time
)
from sqlalchemy.orm import DeclarativeBase, Session
from sqlalchemy.pool import ConnectionPoolEntry, QueuePool

from rbl import privatefiles
from rbl.errors import ConfigError, Conflict, Unavailable

_BUSY_TIMEOUT = timedelta(seconds=30)  # longer than any transaction of ours; then the caller hears of it
_DIALECTS = ("sqlite", "postgresql")
_LOCKED_PAUSE_SECONDS = 0.01
_FILE = "rbl file"  # in the info of a connection: which file it has open


class Store:
    """The database at *url*; hands out transactions. Safe to share between threads.

    *busy_timeout*: how long to wait for a free connection, and on SQLite for another writer's transaction.
    With *looking* a SQLite file is never made, nor is its form changed: there is only ``reading`` then.

    Raises:
        ConfigError: *url* is none we can use.
    """

    def __init__(self, url: str, *, busy_timeout: timedelta = _BUSY_TIMEOUT, looking: bool = False) -> None:
        try:
            parsed = make_url(url)
        except (ArgumentError, ValueError):
            raise ConfigError([f"database.url: {_without_password(url)} is no database URL"]) from None
        if parsed.get_backend_name() not in _DIALECTS:
            raise ConfigError(
                [f"database.url: {parsed.get_backend_name()} is not supported: use sqlite or postgresql"]
            )
        self.is_sqlite = parsed.get_backend_name() == "sqlite"
        self.file: Path | None = None  # of SQLite
        if self.is_sqlite:
            if not parsed.database or parsed.database == ":memory:":
                raise ConfigError(["database.url: SQLite needs a file: sqlite:///var/rbl.db"])
            self.file = Path(parsed.database)
            if not looking:
                _prepare_folder(self.file)
        try:
            if self.file is not None:
                make = None if looking else self.file
                self.writer = _sqlite_engine(url, "BEGIN IMMEDIATE", busy_timeout, make)
                self.reader = _sqlite_engine(url, "BEGIN", busy_timeout, make)
            else:
                waiting = busy_timeout.total_seconds()
                self.writer = create_engine(url, pool_pre_ping=True, pool_timeout=waiting)
                self.reader = create_engine(
                    url,
                    pool_pre_ping=True,
                    pool_timeout=waiting,
                    isolation_level="REPEATABLE READ",
                    execution_options={"postgresql_readonly": True},
                )
        except (ArgumentError, ImportError):
            raise ConfigError(
                [f"database.url: {parsed.drivername} is not installed: write sqlite or postgresql alone"]
            ) from None

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """Yield a session whose changes are committed together at the end, or not at all.

        Raises:
            Unavailable: the database does not answer or stays locked.
            Conflict: another transaction made the same thing at the same moment.
        """
        with _unavailable_when_down(), Session(self.writer) as session, session.begin():
            yield session

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """Yield a session that sees one state of the database and cannot change it.

        Raises:
            Unavailable: the database does not answer.
        """
        with _unavailable_when_down(), Session(self.reader) as session, session.begin():
            yield session

    def close(self) -> None:
        """Close all connections."""
        self.writer.dispose()
        self.reader.dispose()


def make_once(session: Session, row: DeclarativeBase) -> bool:
    """Insert *row* and return True, or False where another transaction made it: then it is visible now."""
    try:
        with session.begin_nested():
            session.add(row)
    except IntegrityError:
        return False
    return True


@contextmanager
def _unavailable_when_down() -> Iterator[None]:
    try:
        yield
    except (OperationalError, InterfaceError) as fault:
        raise Unavailable(f"the database does not answer: {fault.orig}", code="database") from fault
    except TimeoutError as fault:
        raise Unavailable("too many use the database at once: try again", code="database") from fault
    except IntegrityError as fault:
        raise Conflict(
            "somebody else changed the same thing at the same moment: try again", code="concurrent-change"
        ) from fault
    except DBAPIError as fault:
        # SQLite's plain DatabaseError: the file is damaged, or no database.
        if not (fault.connection_invalidated or type(fault) is DatabaseError):
            raise
        raise Unavailable(f"the database cannot be used: {fault.orig}", code="database") from fault


def _prepare_folder(file: Path) -> None:
    try:
        privatefiles.make_folder(file.parent)
    except OSError as fault:
        raise ConfigError(
            [f"database.url: cannot make the folder {file.parent}: {fault.strerror}"]
        ) from None


def _sqlite_engine(url: str, begin: str, busy_timeout: timedelta, make: Path | None) -> Engine:
    """Return an engine whose transactions start with *begin*; the file *make* is made, None: nothing is."""
    engine = create_engine(
        url,
        poolclass=QueuePool,
        pool_timeout=busy_timeout.total_seconds(),
        connect_args={"check_same_thread": False, "uri": make is None},
    )

    @event.listens_for(engine, "do_connect")
    def prepare(dialect: object, record: object, arguments: list[str], options: object) -> None:
        del dialect, record, options
        if make is None:
            # Of a file that is there already; "ro" would leave SQLite's own two files behind.
            arguments[0] = f"{Path(arguments[0]).as_uri()}?mode=rw"
            return
        with suppress(OSError):  # SQLite says it in its own words
            privatefiles.make_file(make)

    @event.listens_for(engine, "connect")
    def set_up(connection: Any, record: object) -> None:  # noqa: ANN401 — the driver's own type
        del record
        connection.isolation_level = None  # BEGIN is ours to say, below
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout={int(busy_timeout.total_seconds() * 1000)}")
        if make is not None:
            _write_ahead(cursor, busy_timeout)
        cursor.execute("PRAGMA synchronous=FULL")  # a commit survives a power cut
        cursor.execute("PRAGMA foreign_keys=ON")
        if make is None or begin == "BEGIN":
            cursor.execute("PRAGMA query_only=ON")
        cursor.close()

    @event.listens_for(engine, "checkout")
    def leave_a_replaced_file(connection: object, record: ConnectionPoolEntry, proxy: object) -> None:
        """Open the file anew where another one has its name: a restored backup, say.

        What is written to a file without a name is lost at the end of the process, and nobody is told.
        """
        del connection, proxy
        now = file_identity(engine)
        before = record.info.setdefault(_FILE, now)
        if now is not None and now != before:
            raise DisconnectionError

    @event.listens_for(engine, "begin")
    def begin_transaction(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


def _write_ahead(cursor: sqlite3.Cursor, patience: timedelta) -> None:
    """Have a file written by way of its write-ahead log.

    Where several connections change a new file to that at once, SQLite tells all but one that it is
    locked, at once and whatever the busy timeout.
    """
    deadline = time.monotonic() + patience.total_seconds()
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as fault:
            if fault.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(_LOCKED_PAUSE_SECONDS)
        else:
            return


def file_identity(engine: Engine) -> tuple[int, int] | None:
    """Return what tells SQLite's file from another one of its name; None: there is none."""
    try:
        state = Path(engine.url.database or "").stat()
    except OSError:
        return None
    return state.st_dev, state.st_ino


def _without_password(url: str) -> str:
    """Return *url* cut before anything that could be a password."""
    return repr(url.rpartition("@")[2][:60])
