"""The rounds in which a worker lets go: a little at a time, to the end, and again an hour later."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy import func, select
from structlog.testing import capture_logs

from rbl.configretention import Retention as Settings
from rbl.errors import Unavailable
from rbl.probe.retention import Retention
from rbl.store import audit
from rbl.store.engine import Store
from rbl.store.patience import Patience
from rbl.store.tables import AuditRow
from rbl.terms import Act

START = datetime(2026, 3, 1, tzinfo=UTC)
DAY = timedelta(days=1)


class Clock:
    """The program's time."""

    now = START + 10 * DAY

    def __call__(self) -> datetime:
        """Return it."""
        return self.now


@pytest.fixture
def old(sqlite_url: str) -> Iterator[Store]:
    """A database with ten acts, one a day."""
    store = Store(sqlite_url)
    with store.writing() as session:
        for number in range(10):
            audit.write(session, "do", "subject", Act("x", "x", START + number * DAY))
            session.flush()
    yield store
    store.close()


def left(store: Store) -> int:
    """Return how many acts there are."""
    with store.reading() as session:
        return session.execute(select(func.count(AuditRow.id))).scalar_one()


def settings(days: int) -> Settings:
    """Keep the audit for so many days, and all else for ever."""
    forever = timedelta(0)
    return Settings(audit=days * DAY, evidence=forever, dialogues=forever, receipts=forever)


def test_a_round_is_bounded_and_the_next_goes_on(old: Store) -> None:
    """A round without time does one transaction; what is gone is counted and logged."""
    registry = CollectorRegistry()
    rounds = Retention(old, settings(5), registry, clock=Clock(), rows=2, round_seconds=0)
    counts = []
    with capture_logs() as logs:
        for _ in range(5):
            rounds.round()
            counts.append(left(old))

    assert [8, 6, 5, 5, 5] == counts  # five days old is old; five remain
    assert [2, 2, 1] == [log["count"] for log in logs]
    assert {("retired", "audit")} == {(log["event"], log["kind"]) for log in logs}
    assert 5.0 == registry.get_sample_value("rbl_retired_total", {"kind": "audit"})


def test_a_process_that_starts_anew_goes_on(old: Store) -> None:
    """It begins with the oldest that is left."""
    for _ in range(4):
        Retention(old, settings(5), CollectorRegistry(), clock=Clock(), rows=2, round_seconds=0).round()

    assert 5 == left(old)


def test_it_is_gone_through_again_after_an_hour(old: Store) -> None:
    """Not in every round: a list at peace costs nothing."""
    clock = Clock()
    rounds = Retention(old, settings(5), CollectorRegistry(), clock=clock)
    rounds.round()
    clock.now += timedelta(minutes=59)
    rounds.round()
    within = left(old)
    clock.now += timedelta(minutes=1)
    rounds.round()

    assert (5, 4) == (within, left(old))


def test_nothing_is_let_go_of_where_it_is_kept_for_ever(old: Store) -> None:
    """0 is for ever."""
    clock = Clock()
    clock.now += 3650 * DAY
    Retention(old, settings(0), CollectorRegistry(), clock=clock).round()

    assert 10 == left(old)


def test_a_database_that_is_away_is_tried_again(old: Store, sqlite_url: str) -> None:
    """The round fails, and the next goes on where it was."""
    impatient = Store(sqlite_url, patience=Patience(lock=timedelta(0)))
    rounds = Retention(impatient, settings(5), CollectorRegistry(), clock=Clock())
    with old.writing() as session:
        session.connection()
        with pytest.raises(Unavailable):
            rounds.round()
    rounds.round()
    impatient.close()

    assert 5 == left(old)


def test_rounds_go_on_beside_the_worker(old: Store) -> None:
    """The first at once; they end with their context."""

    async def a_while() -> None:
        async with Retention(old, settings(5), CollectorRegistry(), clock=Clock()).going_on():
            while left(old) > 5:  # noqa: ASYNC110 — a thread does it
                await asyncio.sleep(0.01)

    asyncio.run(a_while())

    assert 5 == left(old)
