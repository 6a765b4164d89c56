"""The change signal: a commit wakes whoever waits, on both databases, also after a lost connection."""

import threading
from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import text

from rbl.errors import Unavailable
from rbl.store import journal, signal, switches
from rbl.store.engine import Store
from rbl.store.signal import ChangeSignal
from rbl.terms import Change
from tests.store import steps
from tests.store.steps import ZONE, act

AT_ONCE = timedelta(0)
LONG = timedelta(seconds=30)  # far longer than it takes; only a signal that is lost uses it up


@pytest.fixture
def waiting(opened: Store) -> Iterator[ChangeSignal]:
    """A signal of the journal that is connected."""
    waiting = ChangeSignal(opened, journal.CHANNEL)
    waiting.wait(AT_ONCE)
    yield waiting
    waiting.close()


def change(store: Store) -> None:
    """Commit an entry."""
    with store.writing() as session:
        journal.append(session, ZONE, Change.LISTED, "192.0.2.1/32", act(), reason="relay")


def test_the_first_call_says_that_anything_may_have_changed(opened: Store) -> None:
    """What came before the connection is unknown: read once without having been told."""
    waiting = ChangeSignal(opened, journal.CHANNEL)
    first = waiting.wait(AT_ONCE)
    second = waiting.wait(AT_ONCE)
    waiting.close()

    assert (True, False) == (first, second)


def test_a_commit_before_the_wait_is_not_lost(opened: Store, waiting: ChangeSignal) -> None:
    """A commit between two calls ends the second one at once, and is told once."""
    change(opened)

    assert (True, False) == (waiting.wait(LONG), waiting.wait(AT_ONCE))


def test_a_commit_during_the_wait_ends_it(opened: Store, waiting: ChangeSignal) -> None:
    """A waiting reader is woken by another thread's commit."""
    writer = threading.Thread(target=change, args=(opened,))
    writer.start()
    woken = waiting.wait(LONG)
    writer.join()

    assert woken


def test_many_commits_are_one_signal_at_least(opened: Store, waiting: ChangeSignal) -> None:
    """However many commits came, the reader is woken, and is quiet once it has read."""
    for _ in range(20):
        change(opened)

    assert waiting.wait(LONG)
    while waiting.wait(AT_ONCE):
        pass


def test_a_rollback_wakes_nobody(opened: Store, waiting: ChangeSignal) -> None:
    """What did not happen is not told."""
    with pytest.raises(RuntimeError), opened.writing() as session:  # noqa: PT012
        journal.append(session, ZONE, Change.LISTED, "192.0.2.1/32", act(), reason="relay")
        raise RuntimeError

    assert not waiting.wait(timedelta(milliseconds=30))


def test_channels_are_apart_on_postgresql(postgresql_url: str) -> None:
    """A worker is not woken by the journal."""
    store = Store(postgresql_url)
    steps.set_up(store)
    waiting = ChangeSignal(store, "rbl_work")
    waiting.wait(AT_ONCE)
    change(store)
    journal_seen = waiting.wait(AT_ONCE)
    with store.writing() as session:
        signal.notify(session, "rbl_work")
    work_seen = waiting.wait(LONG)
    waiting.close()
    store.close()

    assert (False, True) == (journal_seen, work_seen)


def test_any_commit_wakes_on_sqlite(sqlite_url: str) -> None:
    """SQLite tells only that something was committed: its reader may read for nothing."""
    store = Store(sqlite_url)
    steps.set_up(store)
    waiting = ChangeSignal(store, journal.CHANNEL)
    waiting.wait(AT_ONCE)
    with store.writing() as session:
        switches.turn(session, switches.PROBING, act(), on=False)
    woken = waiting.wait(LONG)
    waiting.close()
    store.close()

    assert woken


def test_a_lost_connection_is_told_and_made_again(postgresql_url: str) -> None:
    """The wait during which the connection is cut fails; the next connects, and commits wake it again."""
    store = Store(postgresql_url)
    steps.set_up(store)
    waiting = ChangeSignal(store, journal.CHANNEL)
    waiting.wait(AT_ONCE)
    with store.writing() as session:
        session.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid() AND query LIKE 'LISTEN%'"
            )
        )
    with pytest.raises(Unavailable, match="waiting for changes failed"):
        waiting.wait(LONG)
    again = waiting.wait(AT_ONCE)
    quiet = waiting.wait(AT_ONCE)
    change(store)
    woken = waiting.wait(LONG)
    waiting.close()
    store.close()

    assert (True, False, True) == (again, quiet, woken)


def test_closing_twice_is_harmless(opened: Store, waiting: ChangeSignal) -> None:
    """A signal that is closed opens again at the next wait."""
    waiting.close()
    waiting.close()

    assert waiting.wait(AT_ONCE)
