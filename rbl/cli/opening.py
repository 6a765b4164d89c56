"""Opening the database for a command: with the newest schema, and what every list needs in it.

Commands that only read look into it as it is: they make no database, and change no schema. Those that
write say so when they do. Log event, of ``rbl serve``: ``schema_changed`` (from what to what).
"""

import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
import typer

from rbl.cli import firstkey
from rbl.config import Settings
from rbl.errors import NotFound

if TYPE_CHECKING:
    from rbl.store.engine import Store
    from rbl.store.migrate import Migration

_log = structlog.get_logger()


def now() -> datetime:
    """Return the present time, aware, in UTC: the program's only clock for dates."""
    return datetime.now(UTC)


@contextmanager
def connected(settings: Settings) -> "Iterator[Store]":
    """Yield the database of *settings* as it is, without asking anything of it, and close it at the end.

    A command's statements may take as long as they take: imports and exports are among them.

    Raises:
        ConfigError: the database's URL is wrong.
    """
    from rbl.store.engine import Store  # noqa: PLC0415 — see rbl.cli

    store = Store(settings.database.url)
    try:
        yield store
    finally:
        store.close()


@contextmanager
def connected_late(settings: Settings) -> "Iterator[Callable[[], Store]]":
    """Yield what opens the database of *settings* the first time it is called, and close it at the end.

    It may be called from any thread, and raises ConfigError where the database's URL is wrong.
    """
    stores: list[Store] = []
    opening = threading.Lock()

    def open_store() -> "Store":
        from rbl.store.engine import Store  # noqa: PLC0415 — see rbl.cli
        from rbl.store.patience import Patience  # noqa: PLC0415

        limits = settings.database
        patience = Patience(
            connect=limits.connect_timeout,
            statement=limits.statement_timeout,
            lock=limits.lock_timeout,
            network=limits.network_timeout,
        )
        with opening:
            if not stores:
                stores.append(Store(settings.database.url, patience=patience))
            return stores[0]

    try:
        yield open_store
    finally:
        for store in stores:
            store.close()


@contextmanager
def opened(settings: Settings) -> "Iterator[Store]":
    """Yield the migrated database of *settings*, with its zones and switches, and close it at the end.

    Raises:
        ConfigError: the database's URL, its schema, or a zone file is wrong.
        Unavailable: the database does not answer.
    """
    from rbl.zone import zonefile  # noqa: PLC0415 — see rbl.cli

    zones = [zonefile.read(path) for path in settings.zones]
    with connected(settings) as store:
        changed = prepare(store, [zone.apex_text for zone in zones])
        if changed is not None:
            before = f"schema {changed.was}" if changed.was else "none"
            typer.echo(f"rbl: the database has schema {changed.became} now, and had {before}", err=True)
        yield store


@contextmanager
def looked_into(settings: Settings, apexes: Iterable[str] = ()) -> "Iterator[Store]":
    """Yield the database of *settings* to be read, as it is, and close it at the end.

    The lists *apexes* must be in it.

    Raises:
        ConfigError: the database's URL is wrong, or the database is of a newer version of the program.
        NotFound: there is no database, or it does not know one of the lists.
        Conflict: its schema is not the newest one.
        Unavailable: the database does not answer.
    """
    from rbl.store import journal, migrate  # noqa: PLC0415 — see rbl.cli
    from rbl.store.engine import Store  # noqa: PLC0415

    store = Store(settings.database.url, looking=True)
    try:
        if store.file is not None and not store.file.exists():
            raise NotFound(
                f"there is no database at {store.file}: `rbl serve` makes it, once; or is database.url, or"
                " the folder that this was started in, another one?",
                code="no-database",
            )
        migrate.check(store)
        with store.reading() as session:
            for apex in apexes:
                if not journal.has_zone(session, apex):
                    raise NotFound(
                        f"the database does not know {apex} yet: start `rbl serve` with its zone file in"
                        " the settings",
                        code="no-such-zone",
                    )
        yield store
    finally:
        store.close()


def prepare(store: "Store", apexes: Iterable[str]) -> "Migration | None":
    """Give the database the newest schema, and what every list needs in it; return how the schema changed.

    Raises:
        ConfigError: the database is of a newer version of the program.
        Unavailable: the database does not answer.
    """
    from rbl.store import journal, migrate, switches  # noqa: PLC0415 — see rbl.cli

    changed = migrate.upgrade(store)
    with store.writing() as session:
        switches.set_up(session, now())
        for apex in apexes:
            journal.open_zone(session, apex, now())
    return changed


def prepare_first(open_store: "Callable[[], Store]", apexes: Iterable[str], data_dir: Path) -> str | None:
    """Prepare the database, and return what is to be said of the first admin key, see ``firstkey``.

    Raises:
        ConfigError: the database is of a newer version of the program.
        Unavailable: it does not answer.
    """
    store = open_store()  # first: it sees to it that no two threads import SQLAlchemy at once
    changed = prepare(store, apexes)
    if changed is not None:
        _log.info("schema_changed", was=changed.was or "none", became=changed.became)
    return firstkey.tell_or_keep(store, data_dir, is_terminal=sys.stdout.isatty(), now=now())
