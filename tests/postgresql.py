"""A real PostgreSQL for tests: Debian's programs, on a Unix socket, in a folder that goes with it.

As root the server runs as ``nobody``, since it refuses root. ``TEST_PG_URL`` names a server to use
instead, as a user who may create databases.
"""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Self

import psycopg
import pytest
from sqlalchemy import make_url

from rbl.store import migrate
from rbl.store.engine import Store
from rbl.store.tables import Zone

_DEBIAN = Path("/usr/lib/postgresql")
_START_SECONDS = 60
# A test process that is killed takes its server along; without setpriv the server is left behind.
_ENDING_WITH_US = ["setpriv", "--pdeathsig", "INT"] if shutil.which("setpriv") else []
# A crash of the machine may take the data: it lives for one test run.
_SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    "shared_buffers": "16MB",
    "max_wal_size": "256MB",
    "max_connections": "100",
    "log_min_messages": "fatal",
    "timezone": "Pacific/Apia",  # far from UTC: a time that is read without its zone shows
}


def programs() -> Path:
    """Return the folder of initdb and postgres, or skip the test and say what to install."""
    on_path = shutil.which("initdb")
    places = [Path(on_path).resolve().parent] if on_path else []
    places += sorted(_DEBIAN.glob("*/bin"), key=lambda place: int(place.parent.name), reverse=True)
    for place in places:
        if (place / "initdb").exists() and (place / "postgres").exists():
            return place
    pytest.skip("no PostgreSQL: install the package postgresql, or set TEST_PG_URL")


class Server:
    """A PostgreSQL server of this test process; on port 5432 of *address* too, where there is one."""

    def __init__(self, programs: Path, folder: Path, address: str = "") -> None:
        self._programs = programs
        self._folder = folder
        self._address = address
        self.socket = folder / ".s.PGSQL.5432"
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"postgresql://rbl@/postgres?host={folder}"
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            os.chown(folder, nobody.pw_uid, nobody.pw_gid)
            self._user, self._group = nobody.pw_uid, nobody.pw_gid
        else:
            self._user, self._group = os.geteuid(), os.getegid()
        make = ["-D", str(folder / "data"), "-A", "trust", "-U", "rbl", "-E", "UTF8", "--no-locale"]
        self._run("initdb", *make, "--no-sync").communicate()
        if address:
            with (folder / "data" / "pg_hba.conf").open("a", encoding="ascii") as rules:
                rules.write("host all all all trust\n")

    def start(self) -> Self:
        """Start the server and return when it answers."""
        settings = [f"--{name}={value}" for name, value in _SETTINGS.items()]
        settings.append(f"--listen_addresses={self._address}")
        self._process = self._run(
            "postgres", "-D", str(self._folder / "data"), "-k", str(self._folder), *settings
        )
        deadline = time.monotonic() + _START_SECONDS
        while True:
            try:
                psycopg.connect(self.url).close()
            except psycopg.OperationalError:
                assert self._process.poll() is None, (self._folder / "log").read_text()
                assert time.monotonic() < deadline, "PostgreSQL does not come up"
                time.sleep(0.02)
            else:
                return self

    def stop(self) -> None:
        """End every session at once and stop the server."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(_START_SECONDS)
            self._process = None

    @contextmanager
    def standing_still(self) -> Iterator[None]:
        """Stop every process of the server, as a machine that swaps or a frozen disk does; then go on."""
        stopped = self._processes()
        for process in stopped:
            os.kill(process, signal.SIGSTOP)
        try:
            yield
        finally:
            for process in stopped:
                os.kill(process, signal.SIGCONT)

    def _processes(self) -> list[int]:
        """Return the postmaster, which must not start others meanwhile, and then its children."""
        assert self._process is not None
        postmaster = self._process.pid
        os.kill(postmaster, signal.SIGSTOP)
        children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text(encoding="ascii")
        return [postmaster, *map(int, children.split())]

    def _run(self, program: str, *arguments: str) -> subprocess.Popen[bytes]:
        as_root = os.geteuid() == 0
        with (self._folder / "log").open("ab") as log:
            return subprocess.Popen(
                [*_ENDING_WITH_US, str(self._programs / program), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._folder,
                user=self._user if as_root else None,
                group=self._group if as_root else None,
                extra_groups=[] if as_root else None,
                start_new_session=True,  # an interrupt at the keyboard is for the tests, which stop it
            )


@contextmanager
def own_server(address: str = "") -> Iterator[Server]:
    """Start a server of one's own, and remove it and its data at the end.

    It ends with the thread that starts it, in whose network it is.
    """
    place = programs()
    # Short, as the path of a Unix socket has 107 octets; pytest's own folders are closed to nobody.
    with tempfile.TemporaryDirectory(prefix="rbl-pg-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        server = Server(place, Path(folder), address)
        try:
            yield server.start()
        finally:
            server.stop()


@contextmanager
def running(given: str | None) -> Iterator[str]:
    """Yield the URL of the server that *given* names, or of one that is started for as long."""
    if given:
        yield given
        return
    with own_server() as server:
        yield server.url


class Databases:
    """Makes databases with the program's schema, quickly: copies of one that was migrated."""

    def __init__(self, server_url: str) -> None:
        self._server_url = server_url
        self._names = (f"rbl_test_{os.getpid()}_{number}" for number in count())
        self._made: list[str] = []
        self._idle: list[str] = []
        self._template = self.empty()
        store = Store(self.url(self._template))
        migrate.upgrade(store)
        store.close()

    @contextmanager
    def lent(self) -> Iterator[str]:
        """Yield the URL of a migrated database without a row, and take it back for the next who asks."""
        name = self._idle.pop() if self._idle else self.migrated()
        yield self.url(name)
        try:
            self._empty_tables(name)
        except psycopg.Error:  # a test that failed, or changed the schema
            self.drop(name)
        else:
            self._idle.append(name)

    def empty(self) -> str:
        """Return the name of a new database without tables."""
        return self._create("template0")

    def migrated(self) -> str:
        """Return the name of a new database with the newest schema and nothing in it."""
        return self._create(self._template)

    def url(self, name: str) -> str:
        """Return the address of a database as the settings write it."""
        return make_url(self._server_url).set(database=name).render_as_string(hide_password=False)

    def drop(self, name: str) -> None:
        """Remove a database, whoever is still connected."""
        self._execute(f"DROP DATABASE {name} WITH (FORCE)")
        self._made.remove(name)

    def close(self) -> None:
        """Remove every database that was made."""
        for name in list(self._made):
            self.drop(name)

    def _empty_tables(self, name: str) -> None:
        """Delete every row, which takes a tenth of the time of a new database, and count from 1 again."""
        deletions = [f"DELETE FROM {table.name}" for table in reversed(Zone.metadata.sorted_tables)]
        # Journal and audit refuse to be emptied: whoever owns them must say so.
        for table in ("journal", "audit"):
            deletions.insert(0, f"ALTER TABLE {table} DISABLE TRIGGER USER")
            deletions.append(f"ALTER TABLE {table} ENABLE TRIGGER USER")
        restart = "SELECT setval(oid::regclass, 1, false) FROM pg_class WHERE relkind = 'S'"
        with psycopg.connect(self.url(name), options="-c lock_timeout=1s") as connection:
            connection.execute("; ".join([*deletions, restart]).encode())

    def _create(self, template: str) -> str:
        name = next(self._names)
        self._execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        self._made.append(name)
        return name

    def _execute(self, statement: str) -> None:
        with psycopg.connect(self._server_url, autocommit=True) as connection:
            connection.execute(statement.encode())
