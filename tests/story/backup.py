"""Backups by the databases' own means, and their restores as an operator makes them."""

import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Protocol

import psycopg
from sqlalchemy import make_url

from tests import postgresql


class Backup(Protocol):
    """A backup of a database that nobody is connected to while it is restored."""

    def make(self) -> None:
        """Take it."""

    def restore(self) -> None:
        """Put it back."""


class SqliteBackup:
    """A backup by SQLite's own means, and a restore as an operator makes it: the file put in place."""

    def __init__(self, url: str, folder: Path, number: int = 0) -> None:
        self._file = Path(make_url(url).database or "")
        self._copy = folder / f"backup.{number}.db"

    def make(self) -> None:
        """Take the backup, in the place of one before."""
        self._copy.unlink(missing_ok=True)
        with (
            closing(sqlite3.connect(self._file)) as file,
            closing(sqlite3.connect(self._copy)) as copy,
        ):
            file.backup(copy)

    def restore(self) -> None:
        """Put it back."""
        for left in ("-wal", "-shm"):
            self._file.with_name(self._file.name + left).unlink(missing_ok=True)
        shutil.copy(self._copy, self._file)


class PostgresqlBackup:
    """A dump, and its restore into the emptied database."""

    def __init__(self, url: str, folder: Path) -> None:
        self._url = url
        self._dump = folder / "backup.dump"
        self._programs = postgresql.programs()

    def make(self) -> None:
        """Dump it."""
        self._run("pg_dump", "--format=custom", f"--file={self._dump}", self._url)

    def restore(self) -> None:
        """Put the dump back, in the place of every table."""
        self._run("pg_restore", "--clean", "--exit-on-error", f"--dbname={self._url}", str(self._dump))

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run([self._programs / program, *arguments], check=True, capture_output=True)


def backup_of(url: str, folder: Path) -> Backup:
    """Return what backs the database at *url* up."""
    kind = SqliteBackup if url.startswith("sqlite") else PostgresqlBackup
    return kind(url, folder)


class TemplateBackup:
    """A copy of a whole PostgreSQL database by the server itself, which is quicker than a dump."""

    def __init__(self, url: str, number: int) -> None:
        parsed = make_url(url)
        self._server = parsed.set(database="postgres").render_as_string(hide_password=False)
        self._name = parsed.database or ""
        self._copy = f"{self._name}_backup_{number}"

    def make(self) -> None:
        """Take it, in the place of one before."""
        self._execute(f"DROP DATABASE IF EXISTS {self._copy}")
        self._execute(f"CREATE DATABASE {self._copy} TEMPLATE {self._name}")

    def restore(self) -> None:
        """Put a copy of it in the place of the database."""
        self._execute(f"DROP DATABASE {self._name} WITH (FORCE)")
        self._execute(f"CREATE DATABASE {self._name} TEMPLATE {self._copy}")

    def drop(self) -> None:
        """Throw it away."""
        self._execute(f"DROP DATABASE IF EXISTS {self._copy}")

    def _execute(self, statement: str) -> None:
        with psycopg.connect(self._server, autocommit=True) as connection:
            connection.execute(statement.encode())
