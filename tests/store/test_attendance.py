"""What collectors report, and what it means for a test."""

from datetime import timedelta
from ipaddress import ip_address, ip_network

import pytest
from sqlalchemy import select

from rbl.attendance import Attendance, Refusal, Span
from rbl.store import attendance
from rbl.store.attendance import Refused, Report
from rbl.store.engine import Store
from rbl.store.probetables import CollectorRefusal, CollectorSpan
from rbl.terms import Network, Verdict
from tests.store import steps
from tests.store.steps import DAY, ELSEWHERE, HOUR, MINUTE, NOW, PEER, RELAY

BEAT = timedelta(seconds=5)
LATER = NOW + HOUR


def note(store: Store, *reports: Report) -> None:
    """Write reports down, each in a transaction of its own."""
    for report in reports:
        with store.writing() as session:
            attendance.note(session, report)


def report(
    began: timedelta, seen: timedelta, *refused: Refused, name: str = "a", ended: bool = False
) -> Report:
    """Return a report by the times after NOW."""
    silence = timedelta(0) if ended else 3 * BEAT
    return Report(name, NOW + began, NOW + seen, NOW + seen + silence, refused)


def refusal(began: timedelta, ended: timedelta, site: Network | None = None) -> Refused:
    """Return a refusal by the times after NOW."""
    return Refused(site, NOW + began, NOW + ended, Refusal.FULL, 1)


def heard(store: Store, address: str = RELAY) -> Attendance:
    """Return what is known an hour after NOW of a message that was sent at NOW."""
    with store.reading() as session:
        return attendance.heard(session, ip_address(address), NOW, LATER)


def test_where_no_collector_ever_ran_nobody_listened(store: Store) -> None:
    """Without a report everything is an absence."""
    assert Attendance(LATER, (Span(NOW, LATER),)) == heard(store)


def test_a_collector_that_lives_is_known_up_to_its_last_report(store: Store) -> None:
    """What comes after it may still be told otherwise."""
    note(store, report(-DAY, timedelta(0)), report(-DAY, HOUR - BEAT))

    assert Attendance(LATER - BEAT) == heard(store)


def test_a_message_that_was_just_sent_is_not_lost_yet(store: Store) -> None:
    """The last report is older than the message, and the next will come."""
    note(store, report(-DAY, HOUR - BEAT))
    with store.reading() as session:
        found = attendance.heard(session, PEER, LATER - BEAT / 2, LATER)

    assert Attendance(LATER - BEAT) == found


@pytest.mark.parametrize(("ended", "seen"), [(True, HOUR - BEAT), (False, HOUR - 4 * BEAT)])
def test_a_collector_that_is_gone_is_absent(store: Store, seen: timedelta, *, ended: bool) -> None:
    """Whether it said so, or is silent for longer than it said."""
    note(store, report(-DAY, seen, ended=ended))

    assert Attendance(LATER, (Span(NOW + seen, LATER),)) == heard(store)


def test_one_of_two_is_enough(store: Store) -> None:
    """Mail servers try each; what is known ends with the report of the one that lives and is behind."""
    note(store, report(-DAY, 2 * MINUTE, ended=True), report(MINUTE, HOUR - BEAT, name="b"))
    note(store, report(50 * MINUTE, HOUR - 2 * BEAT, name="c"))

    assert Attendance(LATER - 2 * BEAT) == heard(store)


def test_a_start_after_a_stop_leaves_a_gap(store: Store) -> None:
    """The time between is an absence."""
    note(store, report(-DAY, 2 * MINUTE, ended=True), report(3 * MINUTE, HOUR))

    assert (Span(NOW + 2 * MINUTE, NOW + 3 * MINUTE),) == heard(store).absences


def test_refusals_are_absences_of_those_they_concern(store: Store) -> None:
    """Of anybody: all tests; of a site: its tests. Longer ones are written over shorter ones."""
    site = ip_network("203.0.113.0/24")
    assert ip_address(RELAY) in site
    assert ip_address(ELSEWHERE) not in site
    note(
        store,
        report(-DAY, MINUTE, refusal(MINUTE / 2, MINUTE / 2)),
        report(-DAY, HOUR, refusal(MINUTE / 2, MINUTE), refusal(5 * MINUTE, 6 * MINUTE, site)),
    )
    of_all, of_site = Span(NOW + MINUTE / 2, NOW + MINUTE), Span(NOW + 5 * MINUTE, NOW + 6 * MINUTE)

    assert ((of_all, of_site), (of_all,)) == (heard(store).absences, heard(store, ELSEWHERE).absences)


def test_what_is_old_is_forgotten(store: Store) -> None:
    """Reports and refusals that no message under way can need are deleted, and no others."""
    note(store, report(-3 * DAY, -2 * DAY, refusal(-3 * DAY, -2 * DAY), name="old"))
    note(store, report(-3 * DAY, HOUR, refusal(-3 * DAY, -2 * DAY), refusal(-2 * DAY, -DAY / 2)))
    with store.writing() as session:
        attendance.forget(session, NOW - DAY)
    with store.reading() as session:
        spans = session.execute(select(CollectorSpan.collector)).scalars().all()
        refusals = session.execute(select(CollectorRefusal.ended_at)).scalars().all()

    assert (["a"], [NOW - DAY / 2]) == (spans, refusals)


@pytest.mark.parametrize(("window", "days"), [(HOUR, 30), (3 * DAY, 30), (10 * DAY, 100)])
def test_nothing_is_forgotten_too_soon(window: timedelta, days: int) -> None:
    """As long as a message may be waited for, however often it was sent again."""
    assert NOW - days * DAY == attendance.horizon(NOW, window)


def test_the_neighbourhoods_that_are_awaited(opened: Store) -> None:
    """From the first step of a test to its end its host's neighbourhood is awaited, and no other."""

    def awaited() -> frozenset[Network]:
        with opened.reading() as session:
            return attendance.awaited(session)

    steps.nominate(opened, steps.nominator(opened))
    found = [awaited()]
    claimed = steps.must_claim(opened)
    found.append(awaited())
    steps.conclude(opened, claimed, Verdict.UNPROVEN)
    found.append(awaited())
    steps.conclude(opened, steps.must_claim(opened, NOW + 3 * DAY), Verdict.CLOSED, NOW + 3 * DAY)
    found.append(awaited())
    site = ip_network("203.0.113.0/24")

    assert [frozenset(), {site}, {site}, frozenset()] == found
