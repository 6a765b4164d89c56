"""Commands that only read make no database and change no schema: they say what is there, and what to do."""

import hashlib
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import typer
from alembic import command
from typer.main import get_command

from rbl.cli import app
from rbl.store import migrate
from rbl.store.engine import Store
from tests.cli.conftest import Ran
from tests.postgresql import Databases

LOOKING = {
    "key list": ("key", "list"),
    "customer list": ("customer", "list"),
    "probing status": ("probing", "status"),
    "export": ("export", "csv"),
    "import rbldnsd --dry-run": ("import", "rbldnsd", "--dry-run", "relays.example:ip4set:data"),
}
# What the others do with the database: these write, or have another program do so, or ask it nothing.
WRITING = {
    "key limit",
    "key make",
    "key resume",
    "key revoke",
    "key rotate",
    "key suspend",
    "customer make",
    "customer revoke",
    "probing on",
    "probing off",
    "zone force",
    "import rbldnsd",
    "serve",
}
WITHOUT = {"demo", "nominate", "settings", "rbldnsd", "zone check"}

Rbl = Callable[..., Ran]


@pytest.fixture
def bare(rbl: Rbl, tmp_path: Path) -> Rbl:
    """The command line, with a data file and no database."""
    (tmp_path / "data").write_text("5.0.0.1\n", encoding="utf-8")
    (tmp_path / "rbl.db").unlink()
    return rbl


def files(folder: Path) -> dict[str, str]:
    """Return every file in *folder* with a digest of what is in it."""
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        if file.is_file()
        else ""
        for file in sorted(folder.rglob("*"))
    }


def older(url: str) -> None:
    """Make a database of the schema before the newest one."""
    store = Store(url)
    with store.writing() as session:
        settings = migrate.configuration(session.connection())
        command.upgrade(settings, "head")
        command.downgrade(settings, "-1")
    store.close()


def test_every_command_is_known_here() -> None:
    """Of a new command it is said here whether it reads, writes, or needs no database."""

    def names(group: object, before: str = "") -> Iterator[str]:
        assert isinstance(group, typer.core.TyperGroup)
        for name, each in group.commands.items():
            whole = f"{before}{name}"
            if isinstance(each, typer.core.TyperGroup):
                yield from names(each, f"{whole} ")
            else:
                yield whole

    dry = {"import rbldnsd --dry-run"}
    assert sorted((LOOKING.keys() - dry) | WRITING | WITHOUT) == sorted(names(get_command(app)))


@pytest.mark.parametrize("arguments", LOOKING.values(), ids=LOOKING)
def test_no_database(
    bare: Rbl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    """Where there is none it is said, with what to do, and none is made, nor a folder for it."""
    monkeypatch.setenv("RBL_DATABASE__URL", f"sqlite:///{tmp_path}/new/rbl.db")
    before = files(tmp_path)
    ran = bare(*arguments)

    assert (1, "", 1) == (ran.status, ran.out, len(ran.err.splitlines()))
    assert f"rbl: there is no database at {tmp_path}/new/rbl.db: `rbl serve` makes it" in ran.err
    assert before == files(tmp_path)


@pytest.mark.parametrize("arguments", LOOKING.values(), ids=LOOKING)
def test_empty_database(bare: Rbl, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """A file with nothing in it is no list."""
    (tmp_path / "rbl.db").touch()
    ran = bare(*arguments)

    assert (1, "", True) == (
        ran.status,
        ran.out,
        "rbl: the database is empty: `rbl serve` makes" in ran.err,
    )
    assert b"" == (tmp_path / "rbl.db").read_bytes()


@pytest.mark.parametrize("arguments", LOOKING.values(), ids=LOOKING)
def test_older_schema(bare: Rbl, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """A database of an older version is left as it is, and it is said how it becomes a newer one."""
    older(f"sqlite:///{tmp_path}/rbl.db")
    before = files(tmp_path)
    ran = bare(*arguments)

    assert (1, "") == (ran.status, ran.out)
    assert "rbl: the database has schema 00" in ran.err
    assert "`rbl serve` of this version brings it there (first make a backup)" in ran.err
    assert before == files(tmp_path)


def test_older_schema_on_postgresql(
    bare: Rbl, databases: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same holds on PostgreSQL, for one that is empty, too."""
    name = databases.empty()
    monkeypatch.setenv("RBL_DATABASE__URL", databases.url(name))
    empty = bare("key", "list")
    older(databases.url(name))
    old = bare("key", "list")
    databases.drop(name)

    assert (1, True) == (empty.status, "rbl: the database is empty" in empty.err)
    assert (1, True) == (old.status, "brings it there (first make a backup)" in old.err)


@pytest.mark.parametrize("arguments", LOOKING.values(), ids=LOOKING)
def test_newer_schema(bare: Rbl, tmp_path: Path, sqlite_template: Path, arguments: tuple[str, ...]) -> None:
    """A database of a newer version is for a newer program."""
    shutil.copy(sqlite_template, tmp_path / "rbl.db")
    with sqlite3.connect(tmp_path / "rbl.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()

    assert "the database has schema 9999, unknown to this version: upgrade rbl" in bare(*arguments).err


@pytest.mark.parametrize("arguments", LOOKING.values(), ids=LOOKING)
def test_a_look_leaves_no_trace(rbl: Rbl, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """Where all is well the command does its work, and the folder is as before."""
    (tmp_path / "data").write_text("5.0.0.1\n", encoding="utf-8")
    before = files(tmp_path)
    ran = rbl(*arguments)

    assert (0, "") == (ran.status, ran.err)
    assert before == files(tmp_path)


def test_a_list_that_the_database_does_not_know(rbl: Rbl, tmp_path: Path, zone_file: Path) -> None:
    """A zone file that no server has seen yet is told as what it is."""
    text = zone_file.read_text("utf-8").replace("relays.example", "new.example")
    zone_file.write_text(text, encoding="utf-8")

    ran = rbl("export", "csv")

    assert (1, "") == (ran.status, ran.out)
    assert (
        "rbl: the database does not know new.example yet: start `rbl serve` with its zone file" in ran.err
    )


def test_who_writes_says_that_the_schema_changed(bare: Rbl, tmp_path: Path) -> None:
    """A command that writes makes the database, or brings it to the newest schema, and tells so once."""
    first, second = bare("probing", "off"), bare("probing", "on")
    (tmp_path / "rbl.db").unlink()
    older(f"sqlite:///{tmp_path}/rbl.db")
    third = bare("probing", "off")

    assert (first.err.split(" now, and had ")[1], second.err) == ("none\n", "")
    assert "now, and had schema 00" in third.err
