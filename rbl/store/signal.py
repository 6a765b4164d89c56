"""Hearing of a commit without asking the tables: for followers and workers.

SQLite: ``PRAGMA data_version`` of an idle connection changes with every commit of another one, and
costs microseconds. PostgreSQL: LISTEN. Either may miss a change (a lost connection, a restart of
the database), so whoever waits also reads now and then without having been told.
"""

import time
from datetime import timedelta

import psycopg
from sqlalchemy import Connection, func, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from rbl.errors import Unavailable
from rbl.store.engine import Store, file_identity

_POLL_SECONDS = 0.01  # a data_version read costs 5 µs: 0.05 % of a core, and a change is seen in 10 ms


def notify(session: Session, channel: str) -> None:
    """Wake those who wait on *channel* when this transaction commits; SQLite needs no telling."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(select(func.pg_notify(channel, "")))


class ChangeSignal:
    """Waits for commits on *store*, one waiting thread for each signal."""

    def __init__(self, store: Store, channel: str) -> None:
        self._store = store
        self._channel = channel
        self._connection: Connection | None = None
        self._version: int | None = None
        self._file: tuple[int, int] | None = None  # which file a SQLite connection has open

    def wait(self, timeout: timedelta) -> bool:
        """Return True when something was committed since the last call, False after *timeout*.

        The first call after a (re)connection returns True at once: what came before it is unknown.

        Raises:
            Unavailable: the database does not answer; the next call connects again.
        """
        try:
            connection = self._connection
            if connection is not None and self._is_of_another_file():
                self.close()
                connection = None
            if connection is None:
                self._connect()
                return True
            if self._store.is_sqlite:
                return self._poll(connection, timeout)
            return _notified(connection, timeout)
        except (DBAPIError, psycopg.Error) as fault:
            self.close()
            raise Unavailable(f"waiting for changes failed: {fault}", code="database") from fault

    def close(self) -> None:
        """Let the connection go; the next wait opens another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.invalidate()
            connection.close()

    def _connect(self) -> None:
        engine = self._store.writer if not self._store.is_sqlite else self._store.reader
        with self._store.connecting():
            connection = engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        self._connection = connection
        if self._store.is_sqlite:
            self._file = file_identity(self._store.reader)
            self._version = _data_version(connection)
        else:
            connection.exec_driver_sql(f'LISTEN "{self._channel}"')

    def _is_of_another_file(self) -> bool:
        """Whether another file has the name of the one that is open: a restored backup, say."""
        now = file_identity(self._store.reader) if self._store.is_sqlite else None
        return now is not None and now != self._file

    def _poll(self, connection: Connection, timeout: timedelta) -> bool:
        deadline = time.monotonic() + timeout.total_seconds()
        while True:
            version = _data_version(connection)
            if version != self._version:
                self._version = version
                return True
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            time.sleep(min(_POLL_SECONDS, left))


def _data_version(connection: Connection) -> int:
    driver = connection.connection.driver_connection
    assert driver is not None
    row: tuple[int] = driver.execute("PRAGMA data_version").fetchone()
    return row[0]


def _notified(connection: Connection, timeout: timedelta) -> bool:
    driver = connection.connection.driver_connection
    assert isinstance(driver, psycopg.Connection)
    return any(True for _ in driver.notifies(timeout=timeout.total_seconds(), stop_after=1))
