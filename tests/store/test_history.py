"""Which history a journal tells: of a restored database it is another one, whatever its serials."""

import json
from datetime import UTC, timedelta
from hashlib import blake2b
from ipaddress import ip_network
from pathlib import Path
from sqlite3 import connect

import pytest
from sqlalchemy import select, text, update

from rbl.errors import NotFound
from rbl.store import bulk, history, journal, listings
from rbl.store.engine import Store
from rbl.store.listings import NewListing
from rbl.store.tables import JournalEntry, Zone
from rbl.terms import Act, Change, Mark
from tests.store import steps
from tests.store.steps import NOW, ZONE, act

START = int(NOW.timestamp())


def append(store: Store, *subjects: str, why: str = "seen") -> Mark:
    """Write entries in one transaction, and return where the journal ends then."""
    with store.writing() as session:
        for subject in subjects:
            journal.append(session, ZONE, Change.LISTED, subject, act(why), reason="relay")
    return mark(store)


def mark(store: Store) -> Mark:
    """Return where the journal ends."""
    with store.reading() as session:
        return history.mark(session, ZONE)


def holds(store: Store, asked: Mark) -> bool:
    """Whether the journal tells the history of *asked*."""
    with store.reading() as session:
        return history.holds(session, ZONE, asked)


def lose(store: Store, serial: int) -> None:
    """Take away everything after *serial*, as a restored backup does.

    The database refuses that to everybody, and so is told to look away.
    """
    away, back = ["DROP TRIGGER journal_keeps_deleted"], []
    if not store.is_sqlite:  # whose databases serve other tests after this one
        away = ["ALTER TABLE journal DISABLE TRIGGER USER"]
        back = ["ALTER TABLE journal ENABLE TRIGGER USER"]
    with store.writing() as session:
        for statement in (*away, f"DELETE FROM journal WHERE serial > {serial}", *back):
            session.connection().execute(text(statement))
        session.execute(update(Zone).values(serial=serial))


def test_what_was_followed_is_held(opened: Store) -> None:
    """Every end that the journal had is part of its history, however it went on."""
    marks = [mark(opened), append(opened, "a"), append(opened, "b", "c"), append(opened, "d")]

    assert [START, START + 1, START + 2, START + 3] == [each.serial for each in marks]
    assert len({each.chain for each in marks}) == 4
    assert [True] * 4 == [holds(opened, each) for each in marks]


def test_one_serial_given_out_twice_is_two_histories(opened: Store) -> None:
    """After a restore the same serial stands for other entries: what followed the lost one knows."""
    before = append(opened, "a")
    lost = append(opened, "b")
    lose(opened, before.serial)
    while_lost = holds(opened, lost)
    found = append(opened, "c")

    assert lost.serial == found.serial
    assert (False, False, True, True) == (
        while_lost,
        holds(opened, lost),
        holds(opened, before),
        holds(opened, found),
    )


@pytest.mark.parametrize("difference", ["subject", "why", "order", "one more"])
def test_whatever_differs_makes_another_history(opened: Store, difference: str) -> None:
    """Each fact of an entry, and the order of the entries of one commit, are in the chain."""
    before = append(opened, "a")
    lost = append(opened, "b", "c")
    lose(opened, before.serial)
    match difference:
        case "subject":
            append(opened, "b", "d")
        case "why":
            append(opened, "b", "c", why="seen again")
        case "order":
            append(opened, "c", "b")
        case _:
            append(opened, "b", "c", "d")

    assert not holds(opened, lost)


def test_entries_alike_are_one_history(opened: Store) -> None:
    """The same entries make the same list: nobody needs to build it anew."""
    before = append(opened, "a")
    lost = append(opened, "b")
    lose(opened, before.serial)

    assert lost == append(opened, "b")
    assert holds(opened, lost)


def test_two_new_lists_are_two_histories(opened: Store) -> None:
    """An empty database put in the place of another one is told apart before it has an entry."""
    old = mark(opened)
    with opened.writing() as session:
        session.connection().execute(text("DELETE FROM zones"))
    steps.set_up(opened)

    assert old.serial == mark(opened).serial
    assert not holds(opened, old)


def test_an_unknown_history_is_held_by_none(opened: Store) -> None:
    """An index of an earlier version does not say what it followed."""
    end = append(opened, "a")

    assert not holds(opened, Mark(end.serial, ""))


def test_an_unknown_list(opened: Store) -> None:
    """It has no history."""
    with opened.writing() as session:
        for ask in (
            lambda: history.mark(session, "other.example"),
            lambda: history.holds(session, "other.example", Mark(1, "")),
            lambda: history.take(session, "other.example", NOW),
        ):
            with pytest.raises(NotFound, match=r"there is no zone other\.example"):
                ask()


def _chained(before: str, row: JournalEntry) -> str:
    """Return the chain at *row* as its description says."""
    facts = [
        row.serial,
        row.position,
        row.change.value,
        row.subject,
        row.reason,
        row.text,
        row.actor,
        row.why,
        row.at.astimezone(UTC).isoformat(),
    ]
    return blake2b((before + json.dumps(facts)).encode(), digest_size=16).hexdigest()


def test_anybody_can_work_the_chain_out(opened: Store) -> None:
    """From the rows and the epoch alone, through imports, odd texts and entries by hand."""
    odd = Act("ops\x00\ud800 \u20ac", 'why "this" \\ way\n', NOW + timedelta(microseconds=7))
    append(opened, "a", "b")
    with opened.writing() as session:
        bulk.add(
            session, ZONE, [("8.8.8.8/32", "relay", 'odd \u20ac"\\\t'), ("8.8.4.4/32", "relay", None)], odd
        )
        bulk.add(session, ZONE, [("8.8.4.5/32", "relay", None)], odd)
        network = ip_network("9.9.9.9/32")
        listings.start(session, NewListing(ZONE, network, "spam", text="\x00 {url}"), odd)
    append(opened, "c")
    with opened.reading() as session:
        epoch = session.execute(select(Zone.epoch)).scalar_one()
        order = (JournalEntry.serial, JournalEntry.position)
        rows = session.execute(select(JournalEntry).order_by(*order)).scalars().all()
        chain = blake2b(epoch.encode(), digest_size=16).hexdigest()
        wrong = []
        for row in rows:
            chain = _chained(chain, row)
            if row.chain not in (None, chain):
                wrong.append(row.subject)
        places = [(row.serial - START, row.position, row.chain is None) for row in rows]

    assert [] == wrong
    assert mark(opened) == Mark(START + 3, chain)
    assert [
        (1, 0, False),
        (1, 1, False),
        (2, 0, True),
        (2, 1, False),
        (2, 2, False),
        (2, 3, False),
        (3, 0, False),
    ] == places


def test_entries_of_an_earlier_version_are_part_of_the_history(opened: Store) -> None:
    """It writes neither position nor chain, while this version writes too: both orders are followed."""
    append(opened, "a")
    with opened.writing() as session:
        session.connection().execute(text("UPDATE zones SET serial = serial + 1"))
        session.connection().execute(
            text(
                "INSERT INTO journal (zone, serial, change, subject, reason, actor, why, at)"
                " SELECT zone, serial + 1, change, 'b', reason, actor, why, at FROM journal"
            )
        )
    theirs = mark(opened)
    ours = append(opened, "c")

    assert [START + 2, START + 3] == [theirs.serial, ours.serial]
    assert [True, True] == [holds(opened, theirs), holds(opened, ours)]


def test_a_list_of_an_earlier_version_gets_its_epoch(opened: Store) -> None:
    """A head that was made without one has it from the next start on."""
    with opened.writing() as session:
        session.execute(update(Zone).values(epoch=""))
        journal.open_zone(session, ZONE, NOW)
    with opened.reading() as session:
        assert len(session.execute(select(Zone.epoch)).scalar_one()) == 32


def test_a_file_put_back_is_another_history(tmp_path: Path, sqlite_url: str) -> None:
    """A real copy of a real file, put in its place: what was followed since is not in it."""
    store = Store(sqlite_url)
    steps.set_up(store)
    before = append(store, "a")
    with connect(tmp_path / "rbl.db") as file, connect(tmp_path / "copy.db") as copy:
        file.backup(copy)
    lost = append(store, "b")
    store.close()
    (tmp_path / "copy.db").replace(tmp_path / "rbl.db")
    for left in ("rbl.db-wal", "rbl.db-shm"):
        (tmp_path / left).unlink(missing_ok=True)
    store = Store(sqlite_url)
    after = append(store, "c")

    assert (lost.serial, True, False) == (after.serial, holds(store, before), holds(store, lost))
    store.close()
