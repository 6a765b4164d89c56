"""The follower: from the journal to what DNS answers, with the database up, down and restored."""

import errno
import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import NoReturn

import pytest
import structlog
from prometheus_client import CollectorRegistry
from sqlalchemy.exc import DBAPIError
from structlog.testing import capture_logs

from rbl.config import Dns
from rbl.errors import Unavailable
from rbl.responder.answer import answer
from rbl.responder.catalogue import Catalogue
from rbl.responder.codes import Outcome
from rbl.responder.counters import Counters
from rbl.responder.follower import Follower, index_path
from rbl.responder.following import Pace, Reader
from rbl.responder.rules import rules_of
from rbl.store import journal, listings
from rbl.store.engine import Store
from rbl.store.listings import NewListing
from rbl.terms import Act, Change, Entry, Listed, Mark
from rbl.zone import snapshot
from rbl.zone.index import compile_index
from rbl.zone.zonefile import ZoneFile
from tests.responder.lists import ANYBODY, NOW, make_zone
from tests.responder.presentation import make_query

RULES = rules_of(Dns())
APEX = "bl.test"
QUICK = Pace(
    longest_wait=timedelta(milliseconds=20),
    first_pause=timedelta(milliseconds=1),
    longest_pause=timedelta(milliseconds=4),
    write_every=timedelta(0),
)


class Journal:
    """A journal of one zone in memory, which can be down, lose its end, and be waited for."""

    def __init__(self, first_serial: int = 100) -> None:
        self.fault: Exception | None = None
        self.signal_fault: Exception | None = None
        self.snapshots_made = 0
        self.forced = 0
        self.version = 0  # of the history, which a restore changes
        self._head = first_serial
        self._entries: list[Entry] = []
        self._changed = threading.Condition()

    def append(self, change: Change, *subjects: str) -> None:
        """Write an entry for each of *subjects*."""
        with self._changed:
            for subject in subjects:
                self._head += 1
                self._entries.append(
                    Entry(
                        zone=APEX,
                        serial=self._head,
                        change=change,
                        subject=subject,
                        reason="" if change in (Change.EXEMPTED, Change.UNEXEMPTED) else "relay",
                        text=None,
                        actor="test",
                        why="test",
                        at=datetime(2026, 1, 1, tzinfo=UTC),
                        chain=f"{self._head} of history {self.version}",
                    )
                )
            self._changed.notify_all()

    def list_(self, *subjects: str) -> None:
        """Write that each of *subjects* is listed."""
        self.append(Change.LISTED, *subjects)

    def delist(self, *subjects: str) -> None:
        """Write that each of *subjects* is delisted."""
        self.append(Change.DELISTED, *subjects)

    def lose(self, count: int, *, head: int | None = None) -> None:
        """Forget the last *count* entries, as a restore from a backup does; go on from *head*."""
        with self._changed:
            del self._entries[len(self._entries) - count :]
            self._head = head or (self._entries[-1].serial if self._entries else 100)
            self.version += 1

    def snapshot(self, zone: str, /) -> tuple[Mark, Iterator[Listed]]:
        """Return everything in the zone."""
        self._answer(zone)
        self.snapshots_made += 1
        live: dict[str, Listed] = {}
        for entry in self._entries:
            if entry.change is Change.LISTED:
                live[entry.subject] = Listed(entry.subject, entry.reason, entry.text, exempt=False)
            else:
                live.pop(entry.subject, None)
        return Mark(self._head, self._chain(self._head)), iter(live.values())

    def entries_after(self, zone: str, mark: Mark, limit: int, /) -> Iterator[Entry] | None:
        """Return the entries after *mark*, each of which is a commit, or None for another history."""
        self._answer(zone)
        if mark.chain != self._chain(mark.serial):
            return None
        return iter([entry for entry in self._entries if entry.serial > mark.serial][:limit])

    def head(self) -> int:
        """Return the last serial."""
        return self._head

    def _chain(self, serial: int) -> str:
        before = [entry.chain for entry in self._entries if entry.serial <= serial]
        return before[-1] if before else "the beginning"

    def force(self, serial: int | None = None) -> None:
        """Let out what is held back up to *serial*, by default the last."""
        with self._changed:
            self.forced = serial or self._head

    def forced_serial(self, zone: str, /) -> int:
        """Return up to which serial what is held back is let out."""
        self._answer(zone)
        return self.forced

    def wait_for_change(self, timeout: timedelta, /) -> bool:
        """Return when something is written, or after *timeout*."""
        self._answer(APEX)
        if self.signal_fault is not None:
            raise self.signal_fault
        with self._changed:
            return self._changed.wait(timeout.total_seconds())

    def _answer(self, zone: str) -> None:
        if self.fault is not None:
            raise self.fault
        assert zone == APEX


class Following:
    """A follower of one zone, with what it serves and counts."""

    def __init__(
        self,
        reader: Reader,
        data_dir: Path,
        *,
        max_change_share: float = 1.0,
        pace: Pace = QUICK,
    ) -> None:
        self.zone: ZoneFile = make_zone(APEX)
        self.catalogue = Catalogue([self.zone])
        self.registry = CollectorRegistry()
        self.follower = Follower(
            reader,
            self.catalogue,
            [self.zone],
            data_dir,
            Counters(self.registry),
            max_change_share=max_change_share,
            pace=pace,
        )

    @property
    def serial(self) -> int | None:
        """The serial of what is served."""
        index = self.catalogue.index(self.zone.apex)
        return None if index is None else index.serial

    def ask(self, address: str) -> Outcome:
        """Return what DNS says of an IPv4 address."""
        name = ".".join(reversed(address.split(".")))
        packet, _ = make_query(f"{name}.{APEX}. IN A")
        return answer(packet, ANYBODY, self.catalogue, RULES, NOW).outcome

    def gauge(self, name: str) -> float | None:
        """Return a metric of the zone."""
        return self.registry.get_sample_value(name, {"zone": APEX})


def eventually(condition: Callable[[], bool]) -> None:
    """Return once *condition* holds."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        threading.Event().wait(0.002)


def addresses(count: int, network: str = "20.0.0.0/16") -> list[str]:
    """Return *count* networks of one address each."""
    base = int(ip_network(network).network_address)
    return [str(ip_network(base + number)) for number in range(count)]


def test_a_first_start_reads_everything(tmp_path: Path) -> None:
    """Without an index on disk the list is built from what is in the database."""
    journal = Journal()
    journal.list_("20.0.0.1/32", "20.0.0.2/32")
    journal.delist("20.0.0.2/32")
    following = Following(journal, tmp_path)
    assert not following.follower.ready()
    assert Outcome.NOT_READY == following.ask("20.0.0.1")
    following.follower.load()

    assert following.follower.follow()
    assert following.follower.ready()
    assert [Outcome.LISTED, Outcome.NXDOMAIN] == [following.ask("20.0.0.1"), following.ask("20.0.0.2")]
    assert 103 == following.serial


def test_entries_change_what_is_answered(tmp_path: Path) -> None:
    """Each round applies what was written since the last one, without reading everything again."""
    journal = Journal()
    journal.list_("20.0.0.1/32")
    following = Following(journal, tmp_path)
    following.follower.follow()
    journal.list_("20.0.0.2/32")
    following.follower.follow()
    listed = following.ask("20.0.0.2")
    journal.append(Change.EXEMPTED, "20.0.0.2/32")
    following.follower.follow()
    exempted = following.ask("20.0.0.2")
    journal.append(Change.UNEXEMPTED, "20.0.0.2/32")
    journal.delist("20.0.0.1/32")
    following.follower.follow()

    assert [Outcome.LISTED, Outcome.NXDOMAIN] == [listed, exempted]
    assert [Outcome.NXDOMAIN, Outcome.LISTED] == [following.ask("20.0.0.1"), following.ask("20.0.0.2")]
    assert 1 == journal.snapshots_made


def test_a_swap_is_logged_and_measured(tmp_path: Path) -> None:
    """Each swap is one log line with serial, entries and live listings, and sets the metrics."""
    journal = Journal()
    journal.list_("20.0.0.1/32")
    following = Following(journal, tmp_path)
    with capture_logs() as logs:
        following.follower.follow()
        journal.list_("20.0.0.2/32", "20.0.0.3/32")
        following.follower.follow()
        following.follower.follow()

    assert [("snapshot_swapped", 101, 0, 1), ("snapshot_swapped", 103, 2, 3)] == [
        (line["event"], line["serial"], line["entries"], line["live"]) for line in logs
    ]
    assert (103.0, 3.0) == (following.gauge("rbl_zone_serial"), following.gauge("rbl_zone_listings"))
    lag = following.gauge("rbl_journal_read_age_seconds")
    assert lag is not None
    assert lag >= 0


def test_a_long_way_back_is_gone_in_steps(tmp_path: Path) -> None:
    """More entries than fit one batch are several generations in one round."""
    journal = Journal()
    journal.list_("20.0.0.1/32")
    following = Following(journal, tmp_path, pace=Pace(batch=4))
    following.follower.follow()
    journal.list_(*addresses(10, "30.0.0.0/16"))
    with capture_logs() as logs:
        following.follower.follow()

    assert [4, 4, 2] == [line["entries"] for line in logs]
    assert 111 == following.serial


def test_a_zone_without_entries(tmp_path: Path) -> None:
    """A new zone is served empty, and its first entry is applied without building all again."""
    journal = Journal()
    following = Following(journal, tmp_path)
    following.follower.follow()
    following.follower.follow()
    empty = following.ask("20.0.0.1")
    journal.list_("20.0.0.1/32")
    following.follower.follow()

    assert [Outcome.NXDOMAIN, Outcome.LISTED] == [empty, following.ask("20.0.0.1")]
    assert 1 == journal.snapshots_made


def test_a_restart_without_the_database(tmp_path: Path) -> None:
    """After a restart the index on disk answers at once, and the journal is caught up with later."""
    journal = Journal()
    journal.list_("20.0.0.1/32")
    before = Following(journal, tmp_path)
    before.follower.follow()
    before.follower.write()
    journal.list_("20.0.0.2/32")
    journal.fault = Unavailable("the database does not answer")

    after = Following(journal, tmp_path)
    after.follower.load()
    ready, followed = after.follower.ready(), after.follower.follow()
    old = [after.ask("20.0.0.1"), after.ask("20.0.0.2")]
    journal.fault = None
    after.follower.follow()

    assert (True, False) == (ready, followed)
    assert [Outcome.LISTED, Outcome.NXDOMAIN] == old
    assert Outcome.LISTED == after.ask("20.0.0.2")
    assert 1 == journal.snapshots_made


@pytest.mark.parametrize("damage", [b"", b"nonsense", None])
def test_an_unusable_index_on_disk_is_built_anew(tmp_path: Path, damage: bytes | None) -> None:
    """What is cut, changed or missing on disk is not answered from; the database has everything."""
    journal = Journal()
    journal.list_("20.0.0.1/32")
    before = Following(journal, tmp_path)
    before.follower.follow()
    before.follower.write()
    (path,) = tmp_path.iterdir()
    if damage is None:
        path.unlink()
    else:
        path.write_bytes(damage)

    after = Following(journal, tmp_path)
    with capture_logs() as logs:
        after.follower.load()
    ready = after.follower.ready()
    after.follower.follow()

    assert not ready
    assert ([] if damage is None else ["snapshot_unusable"]) == [line["event"] for line in logs]
    assert Outcome.LISTED == after.ask("20.0.0.1")


def test_the_database_is_down_at_the_first_start(tmp_path: Path) -> None:
    """Without an index and without the database nothing is ready, and never "not listed" answered."""
    journal = Journal()
    journal.fault = Unavailable("the database does not answer")
    following = Following(journal, tmp_path)
    following.follower.load()

    assert not following.follower.follow()
    assert not following.follower.ready()
    assert Outcome.NOT_READY == following.ask("20.0.0.1")


def test_a_lost_database_is_logged_once(tmp_path: Path) -> None:
    """Losing the database and finding it again are one line each, however long it is away."""
    journal = Journal()
    following = Following(journal, tmp_path)
    following.follower.follow()
    with capture_logs() as logs:
        journal.fault = Unavailable("the database does not answer")
        for _ in range(3):
            following.follower.follow()
        journal.fault = None
        for _ in range(3):
            following.follower.follow()

    assert [("journal_lost", "error"), ("journal_found", "info")] == [
        (line["event"], line["log_level"]) for line in logs
    ]
    assert "Unavailable: the database does not answer" == logs[0]["fault"]
    assert not logs[0]["exc_info"]


def test_a_fault_of_ours_is_logged_with_its_traceback(tmp_path: Path) -> None:
    """What should not happen leaves the list in service and the traceback in the log."""
    journal = Journal()
    journal.list_("20.0.0.1/32")
    following = Following(journal, tmp_path)
    following.follower.follow()
    journal.fault = ValueError("a fault of ours")
    with capture_logs() as logs:
        followed = following.follower.follow()

    assert not followed
    assert Outcome.LISTED == following.ask("20.0.0.1")
    assert [True] == [line["exc_info"] for line in logs]


def test_guards_hold_back_too_large_a_change(tmp_path: Path) -> None:
    """A change of too much of the list is reported once and not served, until it is forced."""
    journal = Journal()
    journal.list_(*addresses(2000))
    following = Following(journal, tmp_path, max_change_share=0.3)
    following.follower.follow()
    journal.delist(*addresses(1500))
    with capture_logs() as logs:
        following.follower.follow()
        journal.delist("20.0.7.200/32")
        following.follower.follow()
    held = (following.serial, following.gauge("rbl_zone_held"), following.ask("20.0.0.1"))
    standing = following.follower.standings()[APEX]
    journal.force()
    following.follower.follow()

    assert ["snapshot_refused"] == [line["event"] for line in logs]
    assert (2100, 1.0, Outcome.LISTED) == held
    assert (2100, 3601) == (standing.serial, standing.newest)
    assert (standing.held or "").startswith("1501 changes to a list of 2000 from serial 2100 to 3601")
    assert following.follower.standings()[APEX].held is None
    assert 2.0 == following.gauge("rbl_zone_refused_batches_total")
    assert (3601, 0.0) == (following.serial, following.gauge("rbl_zone_held"))
    assert Outcome.NXDOMAIN == following.ask("20.0.0.1")


def test_what_may_never_be_served_cannot_be_forced(tmp_path: Path) -> None:
    """A list with reserved space in it stays held back when it is forced, and the log says so again."""
    journal = Journal()
    journal.list_("20.0.0.1/32")
    following = Following(journal, tmp_path)
    following.follower.follow()
    journal.list_("10.0.0.0/24")
    with capture_logs() as logs:
        following.follower.follow()
        journal.force()
        for subject in ("20.0.0.2/32", "20.0.0.3/32", "20.0.0.4/32"):
            following.follower.follow()
            journal.list_(subject)

    assert [False, True] == [line["forced"] for line in logs]
    assert (101, 1.0) == (following.serial, following.gauge("rbl_zone_held"))


def test_a_change_that_was_held_back_is_served_when_it_is_taken_back(tmp_path: Path) -> None:
    """Entries after a refused batch are applied to it; once the guards agree it is served."""
    journal = Journal()
    journal.list_(*addresses(2000))
    following = Following(journal, tmp_path, max_change_share=0.3)
    following.follower.follow()
    journal.delist(*addresses(1500))
    following.follower.follow()
    journal.list_(*addresses(1499))
    following.follower.follow()

    assert 0.0 == following.gauge("rbl_zone_held")
    assert Outcome.LISTED == following.ask("20.0.0.1")
    assert 1 == journal.snapshots_made


def test_force_lets_out_no_more_than_was_looked_at(tmp_path: Path) -> None:
    """What came after the forced serial is held against the guards again, before it is served or held."""
    journal = Journal()
    journal.list_(*addresses(2000))
    following = Following(journal, tmp_path, max_change_share=0.3)
    following.follower.follow()
    journal.delist(*addresses(1000))
    looked_at = journal.head()
    journal.list_("20.1.0.1/32")
    following.follower.follow()
    journal.delist(*addresses(1999)[1000:])
    following.follower.follow()
    journal.force(looked_at)
    following.follower.follow()
    half_way = (following.serial, following.gauge("rbl_zone_held"), following.ask("20.0.0.1"))
    journal.force()
    following.follower.follow()

    assert (looked_at, 1.0, Outcome.NXDOMAIN) == half_way
    assert (journal.head(), 0.0) == (following.serial, following.gauge("rbl_zone_held"))


def test_what_came_after_a_forced_change_is_served_with_it(tmp_path: Path) -> None:
    """Where the guards have nothing against the entries after the forced serial, nothing is held."""
    journal = Journal()
    journal.list_(*addresses(2000))
    following = Following(journal, tmp_path, max_change_share=0.3)
    following.follower.follow()
    journal.delist(*addresses(1500))
    journal.force()
    journal.list_("20.1.0.1/32")
    following.follower.follow()

    assert (journal.head(), 0.0) == (following.serial, following.gauge("rbl_zone_held"))
    assert Outcome.LISTED == following.ask("20.1.0.1")


def test_forced_entries_of_many_batches(tmp_path: Path) -> None:
    """A forced change is one generation, however many batches its entries are read in."""
    journal = Journal()
    journal.list_(*addresses(2000))
    following = Following(journal, tmp_path, max_change_share=0.3, pace=replace(QUICK, batch=700))
    following.follower.follow()
    journal.delist(*addresses(1900))
    journal.force(4000)
    with capture_logs() as logs:
        following.follower.follow()

    assert ["snapshot_refused", "snapshot_swapped"] == [line["event"] for line in logs]
    assert 4000 == following.serial


def test_a_list_made_anew_is_let_out_only_as_a_whole(tmp_path: Path) -> None:
    """After a restore the entries since what is served are not known: the newest serial must be forced."""
    journal = Journal()
    journal.list_(*addresses(2000))
    following = Following(journal, tmp_path, max_change_share=0.3)
    following.follower.follow()
    journal.lose(1500, head=5000)
    journal.list_("20.1.0.1/32", *addresses(1700, "20.2.0.0/16"))
    journal.force(5100)
    following.follower.follow()
    before = (following.serial, following.gauge("rbl_zone_held"))
    journal.force()
    following.follower.follow()

    assert (2100, 1.0) == before
    assert (journal.head(), 0.0) == (following.serial, following.gauge("rbl_zone_held"))


def test_forcing_what_is_not_held_changes_nothing(tmp_path: Path) -> None:
    """A serial that was forced before a change came does not let the change out."""
    journal = Journal()
    journal.list_(*addresses(2000))
    following = Following(journal, tmp_path, max_change_share=0.3)
    following.follower.follow()
    journal.force()
    following.follower.follow()
    journal.delist(*addresses(1500))
    following.follower.follow()

    assert 2100 == following.serial


def test_a_wide_network_that_was_forced_holds_nothing_back(tmp_path: Path) -> None:
    """Once it is served, what comes after it is served without force; another one is held."""
    journal = Journal()
    following = Following(journal, tmp_path)
    following.follower.follow()
    journal.list_("20.0.0.0/7")
    journal.force()
    following.follower.follow()
    journal.list_("30.0.0.1/32")
    following.follower.follow()
    after = (following.serial, following.gauge("rbl_zone_held"))
    journal.list_("40.0.0.0/7")
    following.follower.follow()

    assert (102, 0.0) == after
    assert (102, 1.0) == (following.serial, following.gauge("rbl_zone_held"))


@pytest.mark.parametrize(
    ("head", "goes_on", "level", "why"),
    [
        (None, False, "error", "the journal ends before the index: restored from a backup"),
        (5000, True, "warning", "it went on above every serial it gave out, after a restore"),
        (101, True, "warning", "it gave the same serial out again, for another entry"),
    ],
)
def test_a_restored_database_is_read_whole(
    tmp_path: Path, head: int | None, level: str, why: str, *, goes_on: bool
) -> None:
    """Where the journal tells another history than the index was made from, it is built anew from it."""
    journal = Journal()
    journal.list_("20.0.0.1/32", "20.0.0.2/32")
    following = Following(journal, tmp_path)
    following.follower.follow()
    journal.lose(1, head=head)
    if goes_on:
        journal.list_("20.0.0.3/32")
    with capture_logs() as logs:
        following.follower.follow()
        following.follower.follow()

    assert [("journal_diverged", level), ("snapshot_swapped", "info")] == [
        (line["event"], line["log_level"]) for line in logs
    ], why
    assert [Outcome.LISTED, Outcome.NXDOMAIN] == [following.ask("20.0.0.1"), following.ask("20.0.0.2")]
    assert (Outcome.LISTED if goes_on else Outcome.NXDOMAIN) == following.ask("20.0.0.3")
    assert journal.head() == following.serial
    assert 1.0 == following.gauge("rbl_journal_diverged_total")


def test_what_cannot_be_written_is_said_once(tmp_path: Path) -> None:
    """A full or read-only disk is one line in the log, and the next good write ends it."""
    journal = Journal()
    journal.list_("20.0.0.1/32")
    data_dir = tmp_path / "data"
    data_dir.write_text("a file where a folder should be")
    following = Following(journal, data_dir)
    following.follower.load()
    following.follower.follow()
    with capture_logs() as logs:
        following.follower.write()
        following.follower.write()
        data_dir.unlink()
        following.follower.write()
        following.follower.write()

    assert ["snapshot_unwritten"] == [line["event"] for line in logs]
    assert ["bl.test.index"] == [path.name for path in data_dir.iterdir()]


def test_nothing_is_written_before_there_is_a_list(tmp_path: Path) -> None:
    """A follower that never had an index leaves the disk alone."""
    following = Following(Journal(), tmp_path)
    following.follower.write()

    assert [] == list(tmp_path.iterdir())


def test_the_thread_follows_until_it_is_stopped(tmp_path: Path) -> None:
    """In its thread the follower serves each change soon, writes it to disk, and ends when told."""
    journal = Journal()
    journal.list_("20.0.0.1/32")
    following = Following(journal, tmp_path)
    following.follower.start()
    eventually(following.follower.ready)
    journal.list_("20.0.0.2/32")
    eventually(lambda: following.ask("20.0.0.2") is Outcome.LISTED)
    eventually((tmp_path / "bl.test.index").exists)
    following.follower.stop()
    journal.list_("20.0.0.3/32")
    again = Following(journal, tmp_path)
    again.follower.load()

    assert following.serial == again.serial == 102


def test_the_thread_survives_the_database(tmp_path: Path) -> None:
    """The thread goes on when the database goes away, and follows again when it is back."""
    journal = Journal()
    journal.list_("20.0.0.1/32")
    following = Following(journal, tmp_path)
    following.follower.start()
    eventually(following.follower.ready)
    with capture_logs() as logs:
        journal.fault = Unavailable("the database does not answer")
        eventually(lambda: "journal_lost" in [line["event"] for line in logs])
        journal.list_("20.0.0.2/32")
        journal.fault = None
        eventually(lambda: following.ask("20.0.0.2") is Outcome.LISTED)
    following.follower.stop()

    assert "journal_found" in [line["event"] for line in logs]


def test_a_lost_signal_does_not_stop_the_thread(tmp_path: Path) -> None:
    """Where a change cannot be waited for, the journal is read after a pause all the same."""
    journal = Journal()
    journal.signal_fault = Unavailable("waiting for changes failed")
    following = Following(journal, tmp_path)
    following.follower.start()
    eventually(following.follower.ready)
    journal.list_("20.0.0.2/32")
    eventually(lambda: following.ask("20.0.0.2") is Outcome.LISTED)
    following.follower.stop()

    assert 101 == following.serial


class Clumsy(Journal):
    """A journal whose ways to fail nobody has foreseen; each is met once, from the first wait on."""

    def __init__(self, *faults: BaseException) -> None:
        super().__init__()
        self.faults = list(faults)

    def wait_for_change(self, timeout: timedelta, /) -> bool:
        """Fail, as long as there is something left to fail with."""
        if self.faults:
            raise self.faults.pop()
        return super().wait_for_change(timeout)


def test_no_exception_ends_the_thread(tmp_path: Path) -> None:
    """Whatever comes out of the wait for a change, the next one is followed, and each is in the log."""
    journal = Clumsy(
        OSError("its sleep"), MemoryError(), RecursionError(), DBAPIError("", None, ValueError())
    )
    following = Following(journal, tmp_path)
    with capture_logs() as logs:
        following.follower.start()
        eventually(lambda: not journal.faults)
        journal.list_("20.0.0.2/32")
        eventually(lambda: following.ask("20.0.0.2") is Outcome.LISTED)
        following.follower.stop()

    assert 4 == [line["event"] for line in logs].count("follower_error")


def test_a_log_that_cannot_be_written_does_not_end_the_thread(tmp_path: Path) -> None:
    """Its disk may be full just when there is something to tell."""
    journal = Clumsy(OSError("its sleep"))
    journal.fault = Unavailable("the database does not answer")
    following = Following(journal, tmp_path)
    tried = threading.Event()

    def full(*_: object) -> NoReturn:
        tried.set()
        raise OSError(errno.ENOSPC, "No space left on device")

    before = structlog.get_config()
    structlog.configure(processors=[full])
    try:
        following.follower.start()
        eventually(tried.is_set)
        journal.fault = None
        eventually(lambda: not journal.faults)
        journal.list_("20.0.0.2/32")
        eventually(lambda: following.ask("20.0.0.2") is Outcome.LISTED)
    finally:
        structlog.configure(**before)
    following.follower.stop()


def test_an_index_that_cannot_be_written_for_another_reason(tmp_path: Path) -> None:
    """What nobody has foreseen when the copy is written ends neither the thread nor the program."""
    journal = Journal()
    journal.list_("20.0.0.1/32")
    following = Following(journal, tmp_path / "x\0")
    with capture_logs() as logs:
        following.follower.start()
        eventually(lambda: "snapshot_unwritten" in [line["event"] for line in logs])
        journal.list_("20.0.0.2/32")
        eventually(lambda: following.ask("20.0.0.2") is Outcome.LISTED)
        following.follower.stop()

    assert [True] == [line["exc_info"] for line in logs if line["event"] == "snapshot_unwritten"]


def test_an_index_on_disk_that_cannot_be_served(tmp_path: Path) -> None:
    """Whatever is wrong, the start goes on without it."""
    journal = Journal()
    journal.list_("20.0.0.1/32")
    before = Following(journal, tmp_path)
    before.follower.follow()
    before.follower.write()
    following = Following(journal, tmp_path)
    faults = [ValueError("a fault of ours")]

    def changed() -> None:
        if faults:
            raise faults.pop()

    following.catalogue.watch(changed)
    with capture_logs() as logs:
        following.follower.load()
    following.follower.follow()

    assert [("snapshot_unusable", "ValueError: a fault of ours", True)] == [
        (line["event"], line["fault"], line["exc_info"]) for line in logs
    ]
    assert (Outcome.LISTED, 101) == (following.ask("20.0.0.1"), following.serial)


def test_a_journal_that_was_not_read_for_long(tmp_path: Path) -> None:
    """It is said of which list, and why."""
    journal = Journal()
    following = Following(journal, tmp_path)
    following.follower.follow()
    soon = following.follower.behind(timedelta(hours=1))
    journal.fault = Unavailable("the database does not answer")
    following.follower.follow()

    assert soon is None
    assert re.fullmatch(
        r"the journal of bl\.test was last read \d+ s ago, longer than dns\.max_lag:"
        r" Unavailable: the database does not answer",
        following.follower.behind(timedelta(0)) or "",
    )


def test_a_stop_does_not_wait_for_a_million_entries(tmp_path: Path) -> None:
    """While a large commit, or a whole list, is being read, the end comes all the same."""
    reading = threading.Event()

    class Endless(Journal):
        def snapshot(self, zone: str, /) -> tuple[Mark, Iterator[Listed]]:
            mark, _ = super().snapshot(zone)

            def rows() -> Iterator[Listed]:
                while True:
                    reading.set()
                    yield Listed("20.0.0.1/32", "relay", None, exempt=False)

            return mark, rows()

    following = Following(Endless(), tmp_path)
    with capture_logs() as logs:
        following.follower.start()
        assert reading.wait(60)
        following.follower.stop()

    assert [] == logs
    assert "dns-follower" not in [thread.name for thread in threading.enumerate()]


def test_an_index_of_an_earlier_version_is_answered_from_and_made_anew(tmp_path: Path) -> None:
    """It does not say which history it follows: no restore is told of, and it costs one reading."""
    journal = Journal()
    journal.list_("20.0.0.1/32")
    path = index_path(tmp_path, APEX)
    old = compile_index(make_zone(APEX), 101, [Listed("20.0.0.9/32", "relay", None, exempt=False)])
    snapshot.write(old, path)
    following = Following(journal, tmp_path)
    with capture_logs() as logs:
        following.follower.load()
        before = following.ask("20.0.0.9")
        following.follower.follow()
        following.follower.follow()

    assert (Outcome.LISTED, Outcome.NXDOMAIN) == (before, following.ask("20.0.0.9"))
    assert ["snapshot_swapped", "snapshot_unmarked", "snapshot_swapped"] == [line["event"] for line in logs]
    assert 0.0 == following.gauge("rbl_journal_diverged_total")


def test_after_a_restore_the_copy_on_disk_is_replaced(tmp_path: Path) -> None:
    """Though its serial is the same: else the next start would answer what was lost."""
    journal = Journal()
    journal.list_("20.0.0.1/32")
    following = Following(journal, tmp_path)
    following.follower.follow()
    following.follower.write()
    journal.lose(1, head=100)
    journal.list_("20.0.0.2/32")
    following.follower.follow()
    following.follower.write()
    again = Following(journal, tmp_path)
    again.follower.load()

    assert 101 == again.serial
    assert [Outcome.NXDOMAIN, Outcome.LISTED] == [again.ask("20.0.0.1"), again.ask("20.0.0.2")]


def test_a_restore_while_a_forced_change_is_let_out(tmp_path: Path) -> None:
    """What is served is then of a history that is gone: the list is made anew, and held as a whole."""

    class RestoredMeanwhile(Journal):
        def forced_serial(self, zone: str, /) -> int:
            forced = super().forced_serial(zone)
            if self.version == 0 and forced:
                self.lose(1600, head=2000)
                self.list_(*addresses(1400, "20.2.0.0/16"))
            return forced

    journal = RestoredMeanwhile()
    journal.list_(*addresses(2000))
    following = Following(journal, tmp_path, max_change_share=0.3)
    following.follower.follow()
    journal.delist(*addresses(1500))
    following.follower.follow()
    journal.force(3000)
    following.follower.follow()
    held = (following.serial, following.gauge("rbl_zone_held"))
    journal.force()
    following.follower.follow()

    assert (2100, 1.0) == held
    assert (journal.head(), 0.0) == (following.serial, following.gauge("rbl_zone_held"))


def test_a_listing_in_the_database_is_soon_in_dns(store: Store, tmp_path: Path) -> None:
    """From the transaction that lists an address to the answer, and back, on both databases."""
    act = Act("test", "test", datetime(2026, 1, 1, tzinfo=UTC))
    address, network = "20.0.0.1", ip_network("20.0.0.1/32")
    with store.writing() as session:
        journal.open_zone(session, APEX, act.at)
    reader = journal.JournalReader(store)
    following = Following(reader, tmp_path)
    following.follower.start()
    try:
        eventually(following.follower.ready)
        before = following.ask(address)
        with store.writing() as session:
            listings.start(session, NewListing(APEX, network, "relay"), act)
        eventually(lambda: following.ask(address) is Outcome.LISTED)
        with store.writing() as session:
            listings.end(session, APEX, network, "relay", act)
        eventually(lambda: following.ask(address) is Outcome.NXDOMAIN)
    finally:
        following.follower.stop()
        reader.close()

    assert Outcome.NXDOMAIN == before
    with store.reading() as session:
        assert journal.head(session, APEX) == following.serial


def test_a_stop_writes_what_is_served(tmp_path: Path) -> None:
    """At the end the index is written, however short the time since the last copy."""
    journal = Journal()
    journal.list_("20.0.0.1/32")
    following = Following(journal, tmp_path, pace=Pace(longest_wait=timedelta(milliseconds=20)))
    following.follower.start()
    eventually(following.follower.ready)
    written = list(tmp_path.iterdir())
    following.follower.stop()

    assert [] == written
    assert ["bl.test.index"] == [path.name for path in tmp_path.iterdir()]
