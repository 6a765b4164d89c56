"""Bringing a database to the schema of this version, with Alembic.

The migrations lie in ``migrations/`` of a checkout, and inside the package once it is installed.
"""

from dataclasses import dataclass
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from rbl.errors import ConfigError, Conflict
from rbl.store.engine import Store

PLACES = (Path(__file__).parent / "migrations", Path(__file__).parents[2] / "migrations")
_LOCK = 0x72626C  # "rbl": two processes that start at once migrate one after the other (PostgreSQL)


@dataclass(frozen=True, slots=True)
class Migration:
    """A change of schema; *was* is None where there was none."""

    was: str | None
    became: str


def upgrade(store: Store) -> Migration | None:
    """Bring the database of *store* to the newest schema; return what that changed, None for nothing.

    Raises:
        Unavailable: the database does not answer.
        ConfigError: the database is of a newer version of the program.
    """
    with store.reading() as session:  # one that hangs is found to before the wait without an end
        session.connection()
    with store.at_leisure.writing() as session:
        connection = session.connection()
        if not store.is_sqlite:
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        settings = configuration(connection)
        was, newest = _versions(connection, settings)
        if was == newest:
            return None
        command.upgrade(settings, "head")
        return Migration(was, newest)


def check(store: Store) -> None:
    """Return if the database of *store* has the newest schema; it is not changed.

    Raises:
        Unavailable: the database does not answer.
        ConfigError: the database is of a newer version of the program.
        Conflict: it is of an older one, or has no schema yet.
    """
    with store.reading() as session:
        connection = session.connection()
        was, newest = _versions(connection, configuration(connection))
    if was is None:
        raise Conflict(
            "the database is empty: `rbl serve` makes its tables, once; or is database.url another one?",
            code="no-schema",
        )
    if was != newest:
        raise Conflict(
            f"the database has schema {was}, and this version of rbl reads {newest}: `rbl serve` of this"
            " version brings it there (first make a backup); until then look with the version before",
            code="old-schema",
        )


def configuration(connection: Connection) -> Config:
    """Return Alembic's configuration for *connection*, which the caller commits."""
    place = next((place for place in PLACES if (place / "env.py").is_file()), None)
    if place is None:
        raise ConfigError([f"the migrations are missing: looked in {', '.join(map(str, PLACES))}"])
    settings = Config()
    settings.set_main_option("script_location", str(place).replace("%", "%%"))
    settings.set_main_option("path_separator", "os")
    settings.attributes["connection"] = connection
    return settings


def _versions(connection: Connection, settings: Config) -> tuple[str | None, str]:
    """Return the schema that the database has, and the newest one.

    Raises:
        ConfigError: the database is of a newer version of the program.
    """
    scripts = ScriptDirectory.from_config(settings)
    current = MigrationContext.configure(connection).get_current_revision()
    known = {script.revision for script in scripts.walk_revisions()}
    if current is not None and current not in known:
        raise ConfigError(
            [f"database.url: the database has schema {current}, unknown to this version: upgrade rbl"]
        )
    newest = scripts.get_current_head()
    assert newest is not None
    return current, newest
