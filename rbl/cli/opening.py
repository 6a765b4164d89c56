"""Opening the database for a command: with the newest schema, and what every list needs in it."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rbl.config import Settings

if TYPE_CHECKING:
    from rbl.store.engine import Store


def now() -> datetime:
    """Return the present time, aware, in UTC: the program's only clock for dates."""
    return datetime.now(UTC)


@contextmanager
def opened(settings: Settings) -> "Iterator[Store]":
    """Yield the migrated database of *settings*, with its zones and switches, and close it at the end.

    Raises:
        ConfigError: the database's URL, its schema, or a zone file is wrong.
        Unavailable: the database does not answer.
    """
    from rbl.store import journal, migrate, switches  # noqa: PLC0415 — see rbl.cli
    from rbl.store.engine import Store  # noqa: PLC0415
    from rbl.zone import zonefile  # noqa: PLC0415

    zones = [zonefile.read(path) for path in settings.zones]
    store = Store(settings.database.url)
    try:
        migrate.upgrade(store)
        with store.writing() as session:
            switches.set_up(session, now())
            for zone in zones:
                journal.open_zone(session, zone.apex_text, now())
        yield store
    finally:
        store.close()
