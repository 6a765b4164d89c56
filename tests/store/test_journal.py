"""The journal: serial order is commit order, nothing is missed, and its entries give the list."""

import threading
from dataclasses import replace
from datetime import timedelta
from ipaddress import ip_network

import pytest
from sqlalchemy import update

from rbl.errors import BadInput, NotFound
from rbl.store import exemptions, history, journal, listings
from rbl.store.engine import Store
from rbl.store.journal import JournalReader
from rbl.store.listings import NewListing
from rbl.store.tables import Zone
from rbl.terms import Change, Entry, Listed, Mark
from tests.store import steps
from tests.store.steps import DAY, NOW, ZONE, act

START = int(NOW.timestamp())
OTHER = "names.example"


def append(store: Store, subject: str, at_offset: timedelta = timedelta(0), zone: str = ZONE) -> int:
    """Write one entry in a transaction of its own and return its serial."""
    with store.writing() as session:
        return journal.append(
            session, zone, Change.LISTED, subject, act(at=NOW + at_offset), reason="relay"
        )


def serials(store: Store, zone: str = ZONE) -> list[int]:
    """Return all serials of *zone*."""
    with store.reading() as session:
        return [entry.serial for entry in journal.entries_after(session, zone, 0, 10_000)]


def entries(reader: JournalReader, mark: Mark, limit: int) -> list[Entry]:
    """Return what a follower reads after *mark*, of the same history."""
    found = reader.entries_after(ZONE, mark, limit)
    assert found is not None, "another history"
    return list(found)


def hand_listing(network: str, *, text: str | None = None) -> NewListing:
    """Return what an operator lists."""
    return NewListing(ZONE, ip_network(network), "spam", text=text, allow_reserved=True)


def test_a_new_list_begins_with_the_time(opened: Store) -> None:
    """The first serial is the time in seconds, so that secondaries of an older list take the new one."""
    with opened.reading() as session:
        assert START == journal.head(session, ZONE)


def test_opening_a_list_again_changes_nothing(opened: Store) -> None:
    """A restart goes on from the last serial."""
    last = append(opened, "192.0.2.1/32")
    with opened.writing() as session:
        journal.open_zone(session, ZONE, NOW + DAY)
    with opened.reading() as session:
        assert last == journal.head(session, ZONE)


def test_a_new_list_begins_with_the_exemptions_that_hold(opened: Store) -> None:
    """An exemption made before the list exists is an entry of it, unless it ended or only forbids tests."""
    with opened.writing() as session:
        exemptions.add(session, ip_network("192.0.2.0/24"), never_list=True, never_test=False, act=act())
        exemptions.add(session, ip_network("198.51.100.0/24"), never_list=False, never_test=True, act=act())
        exemptions.add(session, ip_network("203.0.113.0/24"), never_list=True, never_test=False, act=act())
        exemptions.end(session, ip_network("203.0.113.0/24"), act())
        journal.open_zone(session, OTHER, NOW)

    assert [(Change.EXEMPTED, "192.0.2.0/24")] == steps.changes(opened, OTHER)
    assert steps.replay(opened, OTHER) == steps.snapshot(opened, OTHER)


def test_lists_opened_at_once_are_opened_once(store: Store) -> None:
    """Processes that start together neither fail nor make a list twice."""

    def open_all(_: int) -> None:
        with store.writing() as session:
            for zone in (ZONE, OTHER):
                journal.open_zone(session, zone, NOW)

    assert [None] * 4 == steps.at_once(4, open_all)


@pytest.mark.parametrize(
    ("offset", "serial", "reason"),
    [
        (timedelta(0), START + 1, "the same second: one more"),
        (timedelta(seconds=-100), START + 1, "a clock that went back: never back with it"),
        (timedelta(seconds=100), START + 100, "time has passed: the time in seconds"),
        (timedelta(seconds=1, milliseconds=900), START + 1, "whole seconds"),
    ],
)
def test_a_serial_is_the_time_or_one_more_than_the_last(
    opened: Store, offset: timedelta, serial: int, reason: str
) -> None:
    """A serial is never less than the time in seconds, and always more than the last."""
    assert serial == append(opened, "192.0.2.1/32", offset), reason


def test_a_restored_database_goes_on_above_what_it_gave_out(opened: Store) -> None:
    """After a restore the next serial is above the lost ones, where enough time has passed."""
    lost = [append(opened, f"192.0.2.{number}/32") for number in range(10)]
    with opened.writing() as session:
        session.execute(update(Zone).values(serial=START))

    assert append(opened, "192.0.2.99/32", timedelta(minutes=1)) > max(lost)


def test_entries_of_one_commit_have_one_serial(opened: Store) -> None:
    """A list changes from one serial to the next; a position tells the entries of a commit apart."""
    with opened.writing() as session:
        journal.open_zone(session, OTHER, NOW)
    with opened.writing() as session:
        told = [
            journal.append(session, zone, Change.LISTED, subject, act(), reason="relay")
            for zone, subject in ((ZONE, "192.0.2.1/32"), (OTHER, "a.example"), (ZONE, "192.0.2.2/32"))
        ]
    again = append(opened, "192.0.2.3/32")

    assert ([START + 1] * 3, START + 2) == (told, again)
    assert ["192.0.2.1/32", "192.0.2.2/32", "192.0.2.3/32"] == [
        subject for _, subject in steps.changes(opened)
    ]


def test_a_savepoint_that_was_taken_back_leaves_no_trace(opened: Store) -> None:
    """The entries before and after it are of one commit, and their chain has no gap."""
    with opened.writing() as session:
        first = journal.append(session, ZONE, Change.LISTED, "192.0.2.1/32", act(), reason="relay")
        with pytest.raises(RuntimeError), session.begin_nested():  # noqa: PT012
            journal.append(session, ZONE, Change.LISTED, "192.0.2.2/32", act(), reason="relay")
            raise RuntimeError
        second = journal.append(session, ZONE, Change.LISTED, "192.0.2.3/32", act(), reason="relay")

    assert first == second
    assert ["192.0.2.1/32", "192.0.2.3/32"] == [subject for _, subject in steps.changes(opened)]


def test_a_commit_is_never_cut(opened: Store) -> None:
    """A portion ends with a commit, and one that is larger than the portion comes whole."""
    reader = JournalReader(opened)
    mark, _ = reader.snapshot(ZONE)
    for count in (2, 2, 5, 1):
        with opened.writing() as session:
            for number in range(count):
                journal.append(session, ZONE, Change.LISTED, f"{number}", act(), reason="relay")
    portions = []
    while found := entries(reader, mark, 3):
        portions.append(len(found))
        mark = Mark(found[-1].serial, found[-1].chain)
    reader.close()

    assert [2, 2, 5, 1] == portions


def test_each_list_has_its_own_serials(opened: Store) -> None:
    """Entries of one list neither show in another nor move its serial."""
    with opened.writing() as session:
        journal.open_zone(session, OTHER, NOW)
    append(opened, "192.0.2.1/32")
    append(opened, "192.0.2.2/32")
    append(opened, "spam.example", zone=OTHER)

    assert ([START + 1, START + 2], [START + 1]) == (serials(opened), serials(opened, OTHER))


def test_an_entry_comes_back_as_it_was_written(opened: Store) -> None:
    """An entry says what changed, who changed it, why and when."""
    with opened.writing() as session:
        serial = journal.append(
            session, ZONE, Change.LISTED, "192.0.2.1/32", act("spam"), reason="relay", text="see {url}"
        )
    with opened.reading() as session:
        (found,) = journal.entries_after(session, ZONE, 0, 10)
        end = history.mark(session, ZONE)

    expected = Entry(
        ZONE,
        serial,
        Change.LISTED,
        "192.0.2.1/32",
        "relay",
        "see {url}",
        "operator",
        "spam",
        NOW,
        end.chain,
    )
    assert expected == found


def test_entries_come_in_order_and_in_portions(opened: Store) -> None:
    """A reader that asks for what came after the last it saw gets everything once, in order."""
    reader = JournalReader(opened)
    mark, _ = reader.snapshot(ZONE)
    written = [append(opened, f"192.0.2.{number}/32") for number in range(7)]
    read: list[int] = []
    while found := entries(reader, mark, 3):
        assert len(found) <= 3
        read += [entry.serial for entry in found]
        mark = Mark(found[-1].serial, found[-1].chain)
    head = reader.head(ZONE)
    reader.close()

    assert (written, written[-1]) == (read, head)


def test_an_unknown_list_is_told(opened: Store) -> None:
    """Nothing can be read or written of a list that was never opened."""
    reader = JournalReader(opened)
    with pytest.raises(NotFound, match=r"there is no zone nowhere\.example"):
        append(opened, "192.0.2.1/32", zone="nowhere.example")
    with pytest.raises(NotFound, match=r"there is no zone nowhere\.example"):
        reader.head("nowhere.example")
    with pytest.raises(NotFound, match=r"there is no zone nowhere\.example"):
        reader.snapshot("nowhere.example")
    with pytest.raises(NotFound), opened.writing() as session:
        listings.start(session, replace(hand_listing("192.0.2.1"), zone="nowhere.example"), act())
    with pytest.raises(NotFound, match=r"there is no zone nowhere\.example"):
        reader.entries_after("nowhere.example", Mark(0, ""), 10)
    reader.close()


def test_a_rollback_leaves_no_entry_and_no_gap(opened: Store) -> None:
    """A transaction that fails leaves neither entry nor serial behind."""
    with pytest.raises(RuntimeError), opened.writing() as session:  # noqa: PT012
        journal.append(session, ZONE, Change.LISTED, "192.0.2.1/32", act(), reason="relay")
        raise RuntimeError
    after_rollback = serials(opened)

    assert ([], START + 1) == (after_rollback, append(opened, "192.0.2.2/32"))


def test_a_snapshot_is_what_the_entries_give(opened: Store) -> None:
    """A whole list as delivered has each live listing and exemption, with text and reason."""
    with opened.writing() as session:
        listings.start(session, hand_listing("192.0.2.1", text="see {url}"), act())
        listings.start(session, hand_listing("192.0.2.0/24"), act())
        listings.start(session, hand_listing("2001:db8::/32"), act())
        listings.end(session, ZONE, ip_network("192.0.2.0/24"), "spam", act())
        exemptions.add(session, ip_network("192.0.2.5/32"), never_list=True, never_test=True, act=act())
        exemptions.add(session, ip_network("192.0.2.6/32"), never_list=False, never_test=True, act=act())
    reader = JournalReader(opened)
    mark, rows = reader.snapshot(ZONE)
    found = set(rows)
    reader.close()

    assert {
        Listed("192.0.2.1/32", "spam", "see {url}", exempt=False),
        Listed("2001:db8::/32", "spam", None, exempt=False),
        Listed("192.0.2.5/32", "", None, exempt=True),
    } == found
    assert serials(opened)[-1] == mark.serial
    assert steps.replay(opened) == found


def test_a_snapshot_shows_one_moment(opened: Store) -> None:
    """What is committed while a snapshot is being read is not in it, and comes after its serial."""
    with opened.writing() as session:
        listings.start(session, hand_listing("192.0.2.1"), act())
    reader = JournalReader(opened)
    mark, rows = reader.snapshot(ZONE)
    with opened.writing() as session:
        listings.start(session, hand_listing("192.0.2.2"), act())
    inside = [row.subject for row in rows]
    after = [entry.subject for entry in entries(reader, mark, 10)]
    reader.close()

    assert (["192.0.2.1/32"], ["192.0.2.2/32"]) == (inside, after)


def test_a_snapshot_may_be_left_unread(opened: Store) -> None:
    """Closing the iterator lets its transaction go, so that the database can be closed."""
    reader = JournalReader(opened)
    for _ in range(40):  # more than there are connections
        _, rows = reader.snapshot(ZONE)
        rows.close()  # type: ignore[attr-defined]  # it is a generator
    reader.close()


def test_serial_order_is_commit_order(opened: Store) -> None:
    """A follower that reads while many write misses no entry, and sees serials grow without exception."""
    writers, each = 6, 20
    with opened.reading() as session:
        beginning = history.mark(session, ZONE)
    seen: list[Entry] = []
    done = threading.Event()

    def follow() -> None:
        reader = JournalReader(opened)
        while True:
            last_round = done.is_set()
            mark = Mark(seen[-1].serial, seen[-1].chain) if seen else beginning
            found = entries(reader, mark, 1000)
            seen.extend(found)
            if last_round and not found:
                break
        reader.close()

    def write(number: int) -> None:
        for item in range(each):
            append(opened, f"192.0.2.{number}/{item}")

    follower = threading.Thread(target=follow)
    follower.start()
    outcomes = steps.at_once(writers, write)
    done.set()
    follower.join()

    assert [None] * writers == outcomes
    assert {f"192.0.2.{number}/{item}" for number in range(writers) for item in range(each)} == {
        entry.subject for entry in seen
    }
    assert list(range(START + 1, START + writers * each + 1)) == [entry.serial for entry in seen]


def test_a_writer_that_has_not_committed_hides_no_entry(postgresql_url: str) -> None:
    """While one transaction holds a serial, no other can commit a later one: there is nothing to skip."""
    store = Store(postgresql_url)
    steps.set_up(store)
    later: list[int] = []
    other = threading.Thread(target=lambda: later.append(append(store, "192.0.2.2/32")))
    with store.writing() as session:
        first = journal.append(session, ZONE, Change.LISTED, "192.0.2.1/32", act(), reason="relay")
        other.start()
        steps.until_one_waits(store)
        hidden = serials(store)
    other.join()
    found = serials(store)
    store.close()

    assert ([], [first, first + 1], [first + 1]) == (hidden, found, later)


def test_a_follower_is_woken(opened: Store) -> None:
    """Whoever waits for a change hears of the next commit."""
    reader = JournalReader(opened)
    reader.wait_for_change(timedelta(0))  # the first call connects
    append(opened, "192.0.2.1/32")
    woken = reader.wait_for_change(timedelta(seconds=30))
    reader.close()

    assert woken


def test_force_names_the_last_serial_by_default(opened: Store) -> None:
    """What is held back up to now is let out, with who did so and why in the audit."""
    serial = append(opened, "192.0.2.1/32")
    reader = JournalReader(opened)
    before = reader.forced_serial(ZONE)
    with opened.writing() as session:
        forced = journal.force(session, ZONE, act("spring cleaning"))
    after = reader.forced_serial(ZONE)
    reader.close()

    assert (0, serial, serial) == (before, forced, after)
    assert [("force", None, str(serial))] == steps.actions(opened, ZONE)


def test_what_was_forced_stays_forced(opened: Store) -> None:
    """A lower serial than the last forced one changes nothing; a higher one goes on from there."""
    first, second = append(opened, "192.0.2.1/32"), append(opened, "192.0.2.2/32")
    told = []
    for serial in (first, second, first):
        with opened.writing() as session:
            told.append(journal.force(session, ZONE, act(), serial))

    assert [first, second, second] == told
    assert [(None, first), (first, second), (second, second)] == [
        (int(was) if was else None, int(became or "")) for _, was, became in steps.actions(opened, ZONE)
    ]


def test_what_is_still_to_come_cannot_be_forced(opened: Store) -> None:
    """Nobody has looked at entries that are not written yet."""
    serial = append(opened, "192.0.2.1/32")

    with opened.writing() as session, pytest.raises(BadInput, match="is still to come"):
        journal.force(session, ZONE, act(), serial + 1)


def test_force_needs_a_list(opened: Store) -> None:
    """Forcing, and asking what is forced, names a list that there is."""
    there_is_none = pytest.raises(NotFound, match=r"there is no zone other\.example")
    with opened.writing() as session, there_is_none:
        journal.force(session, "other.example", act())
    with opened.reading() as session, there_is_none:
        journal.forced_serial(session, "other.example")


def test_force_wakes_whoever_waits(opened: Store) -> None:
    """A follower that waits for a change sees it without waiting for the next one."""
    reader = JournalReader(opened)
    reader.wait_for_change(timedelta(0))
    with opened.writing() as session:
        journal.force(session, ZONE, act())
    woken = reader.wait_for_change(timedelta(seconds=30))
    reader.close()

    assert woken
