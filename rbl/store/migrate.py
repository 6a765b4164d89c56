"""Bringing a database to the schema of this version, with Alembic.

The migrations lie in ``migrations/`` of a checkout, and inside the package once it is installed.
"""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from rbl.errors import ConfigError
from rbl.store.engine import Store

PLACES = (Path(__file__).parent / "migrations", Path(__file__).parents[2] / "migrations")
_LOCK = 0x72626C  # "rbl": two processes that start at once migrate one after the other (PostgreSQL)


def upgrade(store: Store) -> None:
    """Bring the database of *store* to the newest schema; nothing is done where it has it.

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
        _refuse_newer(connection, settings)
        command.upgrade(settings, "head")


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


def _refuse_newer(connection: Connection, settings: Config) -> None:
    current = MigrationContext.configure(connection).get_current_revision()
    known = {script.revision for script in ScriptDirectory.from_config(settings).walk_revisions()}
    if current is not None and current not in known:
        raise ConfigError(
            [f"database.url: the database has schema {current}, unknown to this version: upgrade rbl"]
        )
