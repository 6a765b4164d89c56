"""Many listings at once: each with its journal entry, none twice, all or none."""

from collections.abc import Iterator
from ipaddress import ip_network

import pytest
from sqlalchemy import select

from rbl.errors import NotFound
from rbl.store import bulk, journal, listings
from rbl.store.bulk import Added, Row
from rbl.store.engine import Store
from rbl.store.listings import NewListing
from rbl.store.tables import Listing
from rbl.terms import Change, Listed, Origin
from tests.store import steps
from tests.store.steps import DAY, NOW, ZONE, act

ROWS: list[Row] = [
    ("8.8.8.8/32", "spam", None),
    ("8.8.8.0/24", "spam", "about {address}"),
    ("8.8.8.8/32", "relay", 'odd "text" \\N\t of 5 %'),
    ("2a00::/32", "relay", None),
]


def add(store: Store, rows: list[Row], zone: str = ZONE) -> Added:
    """Add rows in a transaction of their own."""
    with store.writing() as session:
        return bulk.add(session, zone, iter(rows), act("imported"))


def test_rows_are_listed_in_order_with_one_serial(opened: Store) -> None:
    """Every row is a listing of origin import and a journal entry; their serial is the head's."""
    with opened.reading() as session:
        before = journal.head(session, ZONE)
    added = add(opened, ROWS)
    with opened.reading() as session:
        entries = list(journal.entries_after(session, ZONE, before, 2))
        head = journal.head(session, ZONE)
        rows = session.execute(select(Listing).order_by(Listing.id)).scalars().all()
        stored = [(row.subject, row.reason, row.text, row.origin, row.actor, row.why) for row in rows]
        times = {(row.listed_at, row.expires_at, row.ended_at, row.host_id) for row in rows}

    assert Added(listed=4, known=0) == added
    assert [(before + 1, Change.LISTED, *row) for row in ROWS] == [
        (entry.serial, entry.change, entry.subject, entry.reason, entry.text) for entry in entries
    ]
    assert {("operator", "imported", NOW)} == {(entry.actor, entry.why, entry.at) for entry in entries}
    assert before + 1 == head
    assert [(*row, Origin.IMPORT, "operator", "imported") for row in ROWS] == stored
    assert {(NOW, None, None, None)} == times
    assert [("import", None, "4 listed")] == steps.actions(opened, ZONE)


def test_the_list_is_what_the_journal_says(opened: Store) -> None:
    """A snapshot and a replay of the journal agree after an import."""
    add(opened, ROWS)

    assert steps.replay(opened) == steps.snapshot(opened)
    assert {Listed(*row, exempt=False) for row in ROWS} == steps.snapshot(opened)


def test_the_serial_follows_the_clock(opened: Store) -> None:
    """However many rows there are, the serial is the time in seconds where that is ahead."""
    with opened.writing() as session:
        bulk.add(session, ZONE, ROWS, act("imported", NOW + DAY))
    with opened.reading() as session:
        head = journal.head(session, ZONE)

    assert int((NOW + DAY).timestamp()) == head


def test_what_is_listed_already_stays_as_it_is(opened: Store) -> None:
    """A second import of the same rows changes nothing and writes nothing, not even to the audit."""
    add(opened, ROWS[:3])
    before = steps.lengths(opened)
    known = add(opened, ROWS[:3])

    assert Added(listed=0, known=3) == known
    assert before == steps.lengths(opened)
    assert Added(listed=1, known=3) == add(opened, ROWS)


def test_what_was_listed_once_is_listed_again(opened: Store) -> None:
    """A listing that ended is no hindrance."""
    network = ip_network("8.8.8.8/32")
    with opened.writing() as session:
        listings.start(session, NewListing(ZONE, network, "spam"), act())
    with opened.writing() as session:
        listings.end(session, ZONE, network, "spam", act("a mistake"))

    assert Added(listed=4, known=0) == add(opened, ROWS)


def test_all_or_nothing(opened: Store) -> None:
    """A fault while the rows come leaves no trace, and the next import finds no table in its way."""

    def rows() -> Iterator[Row]:
        yield from ROWS
        raise ValueError

    before = steps.lengths(opened)
    with pytest.raises(ValueError), opened.writing() as session:  # noqa: PT011 — raised above
        bulk.add(session, ZONE, rows(), act())

    assert before == steps.lengths(opened)
    assert set() == steps.snapshot(opened)
    assert Added(listed=4, known=0) == add(opened, ROWS)


def test_an_unknown_zone(opened: Store) -> None:
    """Rows for a zone that is none are refused."""
    with pytest.raises(NotFound, match=r"there is no zone none\.example"):
        add(opened, ROWS, "none.example")


def test_no_rows(opened: Store) -> None:
    """Nothing is nothing, also in the audit."""
    assert Added(listed=0, known=0) == add(opened, [])
    assert [] == steps.actions(opened, ZONE)
