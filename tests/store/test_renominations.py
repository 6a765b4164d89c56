"""Nominated again: what a spam says of itself never stops a test, and nobody hears of another nominator."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from sqlalchemy import func, select

from rbl.store import decisions, retests, runs
from rbl.store.engine import Store
from rbl.store.hosts import ZonePolicy
from rbl.store.nominations import NewNomination
from rbl.store.tables import EvidenceItem, Nomination
from rbl.terms import Purpose, State, Trust, Verdict
from tests.store import steps
from tests.store.steps import DAY, HOUR, MINUTE, NOW, PEER, POLICY, act

SAME_ID = "<constant@spammer>"


def spam(number: int) -> NewNomination:
    """Return one more spam of a spammer who writes the same Message-ID into each."""
    new = steps.nomination(message_id=SAME_ID)
    message = f"Message-ID: {SAME_ID}\r\n\r\nspam {number}\r\n".encode()
    return replace(new, evidence=replace(new.evidence, message=message), request_sha256=f"{number}")


def on_trial(store: Store) -> datetime:
    """A nominator on trial was the first."""
    steps.nominate(store, steps.nominator(store, Trust.TRIAL, "first"), spam(1))
    return NOW


def rejected(store: Store) -> datetime:
    """An operator declined the first nomination."""
    on_trial(store)
    with store.writing() as session:
        decisions.reject(session, POLICY, PEER, act())
    return NOW


def closed(store: Store) -> datetime:
    """It was tested and found closed."""
    steps.nominate(store, steps.nominator(store, name="first"), spam(1))
    steps.conclude(store, steps.must_claim(store), Verdict.CLOSED)
    return NOW


def delisted(store: Store) -> datetime:
    """It was listed, closed, delisted, and looked at once more."""
    steps.nominate(store, steps.nominator(store, name="first"), spam(1))
    steps.relay_once(store)
    with store.writing() as session:
        retests.ask(session, POLICY, PEER, "public", NOW)
    steps.conclude(store, steps.must_claim(store), Verdict.CLOSED)
    steps.conclude(store, steps.must_claim(store, NOW + DAY), Verdict.CLOSED, NOW + DAY)
    return NOW + DAY


def withdrawn(store: Store) -> datetime:
    """An operator took the listing back."""
    steps.nominate(store, steps.nominator(store, name="first"), spam(1))
    steps.relay_once(store)
    with store.writing() as session:
        decisions.withdraw(session, POLICY, PEER, act())
    return NOW


def given_up(store: Store) -> datetime:
    """All tries were inconclusive."""
    steps.nominate(store, steps.nominator(store, name="first"), spam(1))
    at = NOW
    while (due := next_due(store)) is not None:
        at = due
        steps.conclude(store, steps.must_claim(store, at), Verdict.DEFERRED, at)
    return at


def in_review(store: Store) -> datetime:
    """It refused the tester."""
    steps.nominate(store, steps.nominator(store, name="first"), spam(1))
    steps.conclude(store, steps.must_claim(store), Verdict.TESTER_BLOCKED)
    return NOW


ENDS = [on_trial, rejected, closed, delisted, withdrawn, given_up, in_review]


def next_due(store: Store) -> datetime | None:
    """Return when the next run is due."""
    with store.reading() as session:
        return runs.next_due(session)


@pytest.mark.parametrize("octets", ["the same", "other"])
@pytest.mark.parametrize("story", ENDS)
def test_spam_leads_to_a_test_wherever_the_life_cycle_allows(
    opened: Store, story: Callable[[Store], datetime], octets: str
) -> None:
    """Whatever a host's story was, and whoever has the very same spam: the test is due within a day."""
    last = story(opened)
    new = spam(1 if octets == "the same" else 2)
    view, is_new = steps.nominate(opened, steps.nominator(opened, Trust.TRUSTED, "second"), new, at=last)
    claimed = steps.must_claim(opened, last + DAY)

    assert (State.QUEUED, "second", True) == (view.state, view.nominator, is_new)
    assert Purpose.NOMINATION is claimed.purpose
    steps.check(opened)


def test_the_same_nominator_with_more_spam_of_one_message_id(opened: Store) -> None:
    """A constant Message-ID of a spammer makes no two spams one."""
    who = steps.nominator(opened)
    steps.nominate(opened, who, spam(1))
    steps.conclude(opened, steps.must_claim(opened), Verdict.CLOSED)
    _, is_new = steps.nominate(opened, who, spam(2), at=NOW + HOUR)

    assert (True, NOW + DAY) == (is_new, next_due(opened))


def test_his_own_spam_again_is_his_own_nomination(opened: Store) -> None:
    """Nothing changed meanwhile: a nominator who repeats himself is told what he made before."""
    who = steps.nominator(opened)
    first, _ = steps.nominate(opened, who, spam(1))
    again, is_new = steps.nominate(opened, who, spam(1), at=NOW + MINUTE)

    assert (first, False) == (again, is_new)


def test_his_own_spam_again_is_tested_again_where_it_may_be(opened: Store) -> None:
    """The nomination is kept once; the life cycle decides about the test, a day after the last one."""
    who = steps.nominator(opened)
    first, _ = steps.nominate(opened, who, spam(1))
    steps.conclude(opened, steps.must_claim(opened), Verdict.CLOSED)
    again, is_new = steps.nominate(opened, who, spam(1), at=NOW + HOUR)

    assert (first.id, State.QUEUED, False) == (again.id, again.state, is_new)
    assert NOW + DAY == next_due(opened)


@dataclass(frozen=True, slots=True)
class Heard:
    """What a nominator hears, apart from the number and the state that everybody may look up."""

    nominator: str
    created_at: datetime
    is_new: bool


@pytest.mark.parametrize("before", [True, False], ids=["somebody was first", "nobody was"])
def test_a_nominator_hears_nothing_of_another(opened: Store, before: bool) -> None:  # noqa: FBT001
    """Whether somebody handed in the same octets before makes no difference that he could see."""
    if before:
        steps.nominate(opened, steps.nominator(opened, name="first"), spam(1), at=NOW - HOUR)
    view, is_new = steps.nominate(opened, steps.nominator(opened, name="second"), spam(1))
    with opened.reading() as session:
        stored = session.execute(select(func.count(EvidenceItem.id))).scalar_one()
        kept = session.execute(select(func.count(Nomination.id))).scalar_one()

    assert Heard("second", NOW, is_new=True) == Heard(view.nominator, view.created_at, is_new)
    assert (1, 1 + before) == (stored, kept)


def test_a_trusted_nominator_after_one_on_trial_lists_on_proof(opened: Store) -> None:
    """Where proof waits for an operator, the word of the trusted one counts, though he came second."""
    approving = ZonePolicy(POLICY.apex, POLICY.relay_reason, steps.APPROVING.times, POLICY.allow_reserved)
    steps.nominate(opened, steps.nominator(opened, Trust.TRIAL, "first"), spam(1), policy=approving)
    trusted = steps.nominator(opened, Trust.TRUSTED, "second")
    steps.nominate(opened, trusted, spam(1), policy=approving)
    claimed = steps.must_claim(opened)
    steps.plan(opened, claimed)
    steps.take(opened, claimed, NOW)
    steps.come_back(opened, claimed.run_id, NOW)

    assert State.LISTED is steps.conclude(opened, claimed, Verdict.OPEN, policy=approving)


def test_no_robot_tests_more_often_than_once_a_day(opened: Store) -> None:
    """However many nominators hand in however many spams, tests are a day apart (RFC 6471 §3.6.2)."""
    tested: list[datetime] = []
    for number in range(60):
        at = NOW + number * timedelta(hours=2)
        who = steps.nominator(opened, name=f"nominator {number}")
        steps.nominate(opened, who, spam(number), at=at)
        if (claimed := steps.claim(opened, at)) is not None:
            tested.append(at)
            steps.conclude(opened, claimed, Verdict.CLOSED, at)

    assert len(tested) == 5
    assert all(later - sooner >= DAY for sooner, later in pairwise(tested))
