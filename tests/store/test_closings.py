"""A host that was let out and of which more is heard: when it is tested next, and how often looked at."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from rbl.closing import FOLLOW_UPS
from rbl.store import retests, runs
from rbl.store.engine import Store
from rbl.store.probetables import ProbeRun
from rbl.terms import EnvelopeResult, Purpose, State, Verdict
from tests.store import steps
from tests.store.steps import DAY, HOUR, MINUTE, NOW, POLICY

HALF_A_DAY = timedelta(hours=12)


def next_due(store: Store) -> datetime | None:
    """Return when there is something to do."""
    with store.reading() as session:
        return runs.next_due(session)


def purposes(store: Store) -> list[Purpose]:
    """Return what each run was for."""
    with store.reading() as session:
        return [run.purpose for run in session.query(ProbeRun).order_by(ProbeRun.id)]


def delist(store: Store, at: datetime) -> None:
    """Let a retest find the host closed."""
    with store.writing() as session:
        retests.ask(session, POLICY, steps.PEER, "public", at)
    claimed = steps.must_claim(store, at)
    steps.plan(store, claimed)
    steps.take(store, claimed, at, EnvelopeResult.REFUSED)
    assert State.DELISTED is steps.conclude(store, claimed, Verdict.CLOSED, at)


def more_spam(store: Store, at: datetime, received_at: datetime) -> None:
    """Let another nominator hand in what was received at *received_at*."""
    new = steps.nomination(message_id=f"<{at}@spam>")
    new = replace(new, evidence=replace(new.evidence, received_at=received_at))
    steps.nominate(store, steps.nominator(store, name=f"at {at}"), new, at=at)


@pytest.mark.parametrize(
    ("received", "handed_in", "due", "why"),
    [
        (5 * HOUR, 6 * HOUR, 6 * HOUR, "received since it was closed: at once"),
        (2 * MINUTE, 5 * MINUTE, 40 * MINUTE, "but not more often than anybody can ask for"),
        (-HOUR, 6 * HOUR, 24 * HOUR, "received before: a day after the last test, as always"),
    ],
)
def test_spam_since_a_delisting_is_tested_at_once(
    opened: Store, received: timedelta, handed_in: timedelta, due: timedelta, why: str
) -> None:
    """What speaks against a test that found the host closed brings the next one."""
    steps.make_listed(opened)
    closed_at = NOW + HOUR
    delist(opened, closed_at)
    more_spam(opened, closed_at + handed_in, closed_at + received)

    assert closed_at + due == next_due(opened), why


def test_a_host_that_was_never_listed_waits_its_day(opened: Store) -> None:
    """Spam alone, however new, makes nobody a target of more than a test a day."""
    steps.nominate(opened, steps.nominator(opened))
    claimed = steps.must_claim(opened)
    steps.plan(opened, claimed)
    steps.conclude(opened, claimed, Verdict.CLOSED)
    more_spam(opened, NOW + 6 * HOUR, NOW + 5 * HOUR)

    assert NOW + DAY == next_due(opened)


def look(store: Store, at: datetime) -> None:
    """Let the look that is due find the host closed."""
    claimed = steps.must_claim(store, at)
    steps.plan(store, claimed)
    steps.take(store, claimed, at, EnvelopeResult.REFUSED)
    steps.conclude(store, claimed, Verdict.CLOSED, at)


@pytest.mark.parametrize("how", ["spam came since", "listed twice within a month"])
def test_a_suspect_host_is_looked_at_again_and_again(opened: Store, how: str) -> None:
    """Several looks at growing distances, at hours that nobody knows; then it is let be."""
    steps.make_listed(opened)
    delist(opened, NOW + HOUR)
    at = NOW + HOUR
    done = 0
    if how == "spam came since":
        more_spam(opened, at + 2 * HOUR, at + HOUR)
        at = next_due(opened) or NOW
        look(opened, at)
    else:
        due_at = next_due(opened)
        assert due_at is not None
        steps.relay_once(opened, due_at)
        at = due_at + HOUR
        delist(opened, at)
    waits = []
    while (due_at := next_due(opened)) is not None:
        waits.append(due_at - at)
        at = due_at
        look(opened, at)
        done += 1
        assert done <= len(FOLLOW_UPS)

    assert len(FOLLOW_UPS) == done
    assert all(least <= wait <= least + HALF_A_DAY for least, wait in zip(FOLLOW_UPS, waits, strict=True))
    assert any(wait != least for least, wait in zip(FOLLOW_UPS, waits, strict=True))
    assert not steps.host(opened).state.in_dns
    steps.check(opened)


def test_any_other_host_is_looked_at_once(opened: Store) -> None:
    """Delisted, closed at its follow-up, and that was all."""
    steps.make_listed(opened)
    delist(opened, NOW + HOUR)
    due_at = next_due(opened)
    assert NOW + HOUR + DAY == due_at
    look(opened, due_at)

    assert None is next_due(opened)
    assert [Purpose.NOMINATION, Purpose.RETEST, Purpose.FOLLOW_UP] == purposes(opened)
