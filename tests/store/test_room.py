"""A database that takes no more is known before anything is lost by it."""

import os
import pwd
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import select

from rbl.store import migrate
from rbl.store.engine import Store
from rbl.store.room import Room
from rbl.store.tables import Secret
from tests.postgresql import Databases


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A disk of 24 MiB, which the tests' PostgreSQL may write to: as root's it runs as nobody."""
    if os.geteuid() != 0:
        pytest.skip("needs root for a mount")
    options = f"size=24m,mode=0700,uid={pwd.getpwnam('nobody').pw_uid}"
    with tempfile.TemporaryDirectory(prefix="rbl-disk-", dir="/tmp") as folder:
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=True)
        yield Path(folder)
        subprocess.run(["umount", "--lazy", folder], check=True)


def fill(folder: Path) -> Path:
    """Write until nothing goes in any more."""
    file = folder / "filler"
    with file.open("wb", buffering=0) as out, suppress(OSError):
        while out.write(bytes(64 * 1024)):
            pass
    return file


def test_there_is_room(store: Store) -> None:
    """Most of the time; and to have asked leaves nothing behind."""
    room = Room(store, 1, every_seconds=0)

    assert [None, None] == [room.fault(), room.fault()]
    with store.reading() as session:
        assert [] == session.execute(select(Secret.name)).all()


def test_less_space_than_wanted(sqlite_url: str) -> None:
    """The setting says how much is wanted."""
    store = Store(sqlite_url)
    why = Room(store, 2**40).fault()
    store.close()

    assert why is not None
    assert "MiB are free in" in why


def test_a_folder_that_is_gone(tmp_path: Path) -> None:
    """It is said which."""
    store = Store(f"sqlite:///{tmp_path}/gone/rbl.db")
    (tmp_path / "gone").rmdir()
    why = Room(store, 1).fault()
    store.close()

    assert f"the folder of the database cannot be looked at: {tmp_path}/gone: No such file" in (why or "")


@pytest.mark.root
def test_the_disk_of_sqlite_is_full(small_disk: Path) -> None:
    """And when it has room again, that is seen too; a disk that became read-only is as good as full."""
    store = Store(f"sqlite:///{small_disk}/rbl.db")
    migrate.upgrade(store)
    room = Room(store, 1)
    before = room.fault()
    filler = fill(small_disk)
    full = room.fault()
    filler.unlink()
    after = room.fault()
    store.close()
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True, capture_output=True)

    assert (None, None) == (before, after)
    assert f"the disk of the database is full: 0 MiB are free in {small_disk}, less than" in (full or "")
    assert f"the disk of the database is read-only: {small_disk}" == room.fault()


@pytest.mark.root
def test_the_disk_of_postgresql_is_full(small_disk: Path, databases: Databases) -> None:
    """Its own words say what is missing; a row that is there already could still be changed."""
    name = databases.empty()
    url = databases.url(name)
    with psycopg.connect(databases.url("postgres"), autocommit=True) as server:
        server.execute(f"CREATE TABLESPACE small LOCATION '{small_disk}'".encode())
        server.execute(f"ALTER DATABASE {name} SET TABLESPACE small".encode())
    store = Store(url)
    try:
        migrate.upgrade(store)
        room = Room(store, 1, every_seconds=0)
        before = room.fault()
        filler = fill(small_disk)
        full = room.fault()
        filler.unlink()
        after = room.fault()
    finally:
        store.close()
        databases.drop(name)
        with psycopg.connect(databases.url("postgres"), autocommit=True) as server:
            server.execute(b"DROP TABLESPACE small")

    assert (None, None) == (before, after)
    assert (full or "").startswith("nothing can be written: the database does not answer: could not extend")


def test_a_postgresql_that_only_reads(postgresql_url: str) -> None:
    """As after a switch to a standby: what is asked within the next seconds gets the same answer."""
    store = Store(f"{postgresql_url}&options=-c%20default_transaction_read_only%3Don")
    room = Room(store, 1)
    whys = [room.fault(), room.fault()]
    store.close()

    assert whys[0] == whys[1]
    assert "read-only transaction" in (whys[0] or "")
