"""What processes tell of themselves."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from rbl.errors import NotFound
from rbl.store import held, processes
from rbl.store.engine import Store
from rbl.store.processes import ListStanding, ProcessView

NOW = datetime(2026, 11, 24, 3, 5, tzinfo=UTC)
STANDING = ListStanding(serial=7, newest=9, lag_seconds=0.25, held="too much at once")
DNS = ProcessView(
    "a", "ns1", 812, ("dns",), "0.1.0", NOW, NOW, {"dns": True}, {"relays.example.org": STANDING}
)
WORKER = ProcessView("b", "tester", 1, ("worker",), "0.1.0", NOW, NOW, {"worker": True}, {})


def tell(store: Store, *views: ProcessView) -> None:
    """Have processes tell of themselves, one after the other."""
    for view in views:
        with store.writing() as session:
            processes.tell(session, view)


def known(store: Store) -> list[ProcessView]:
    """Return what is known."""
    with store.reading() as session:
        return list(processes.known(session))


def test_the_last_word_counts(store: Store) -> None:
    """A process has one row, with what it said last; where and since when it runs stays."""
    later = replace(DNS, seen_at=NOW + timedelta(seconds=10), ready={"dns": False}, lists={})

    tell(store, DNS, WORKER)
    first = known(store)
    tell(store, later)

    assert ([DNS, WORKER], [later, WORKER]) == (first, known(store))


def test_a_process_that_ends_is_forgotten(store: Store) -> None:
    """At once; the others stay."""
    tell(store, DNS, WORKER)
    with store.writing() as session:
        processes.forget(session, "a")

    assert [WORKER] == known(store)


def test_a_process_that_says_nothing(store: Store) -> None:
    """It is stale after a minute and forgotten after a day."""
    tell(store, DNS)
    minute, day = NOW + timedelta(minutes=1), NOW + timedelta(days=1)

    assert (False, True) == (DNS.is_stale(minute), DNS.is_stale(minute + timedelta(seconds=1)))
    tell(store, replace(WORKER, seen_at=day))
    assert 2 == len(known(store))
    tell(store, replace(WORKER, seen_at=day + timedelta(seconds=1)))
    assert ["b"] == [view.name for view in known(store)]


def test_held_of_no_zone(store: Store) -> None:
    """There must be such a list."""
    with store.reading() as session, pytest.raises(NotFound, match=r"there is no zone other\.example"):
        held.look(session, "other.example", NOW)
