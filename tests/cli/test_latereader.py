from datetime import timedelta

from rbl.cli.latereader import LateReader
from rbl.cli.opening import now
from rbl.store import journal
from rbl.store.engine import Store
from rbl.terms import Act, Change

ZONE = "relays.example"


def test_what_is_never_read_is_never_opened() -> None:
    """A reader that is closed at once asks for no database."""
    opened: list[str] = []

    def open_store() -> Store:
        opened.append("asked")
        raise AssertionError

    LateReader(open_store).close()

    assert [] == opened


def test_reads_what_the_journal_has(store: Store) -> None:
    """Everything a follower asks is answered from the one database, opened once."""
    with store.writing() as session:
        journal.open_zone(session, ZONE, now())
        act = Act("test", "test", now())
        serial = journal.append(session, ZONE, Change.LISTED, "20.0.0.1/32", act, reason="open-relay")
        journal.force(session, ZONE, act)
    opened = []

    def open_store() -> Store:
        opened.append(store)
        return store

    reader = LateReader(open_store)
    mark, listed = reader.snapshot(ZONE)
    found = (mark.serial, list(listed), reader.forced_serial(ZONE))
    with store.writing() as session:
        journal.append(session, ZONE, Change.DELISTED, "20.0.0.1/32", act, reason="open-relay")
    entries = reader.entries_after(ZONE, mark, 10)
    assert entries is not None
    changes = [entry.change for entry in entries]
    reader.wait_for_change(timedelta(0))
    reader.close()

    assert (serial, [], serial) == found
    assert ([Change.DELISTED], [store]) == (changes, opened)
