"""Retests: anybody may ask for one, once at a time, and an old listing gets one unasked."""

from datetime import timedelta
from ipaddress import ip_address, ip_network

import pytest

from rbl.errors import Conflict, NotFound, RblError, Refused
from rbl.store import decisions, exemptions, hosts, listings, retests
from rbl.store.engine import Store
from rbl.store.listings import NewListing
from rbl.store.retests import Retest
from rbl.terms import Purpose, State, Verdict
from tests.store import steps
from tests.store.steps import ELSEWHERE, MINUTE, NOW, PEER, POLICY, RELAY, ZONE, act

OLD = timedelta(days=90)


def ask(store: Store, at: timedelta = timedelta(0), address: str = RELAY) -> Retest:
    """Press the button *at* a time after the listing."""
    with store.writing() as session:
        return retests.ask(session, POLICY, ip_address(address), "public", NOW + at)


def queue_periodic(store: Store, at: timedelta, limit: int = 100) -> int:
    """Let the timer run *at* a time after the listing."""
    with store.writing() as session:
        return retests.queue_periodic(session, POLICY, NOW + at, limit)


def exempt(store: Store) -> None:
    """Put the relay on the do-not-test list."""
    with store.writing() as session:
        exemptions.add(session, ip_network(RELAY), never_list=False, never_test=True, act=act())


def test_a_listed_host_is_retested_when_asked(opened: Store) -> None:
    """The retest is due at once, and the host stays listed until its verdict."""
    steps.make_listed(opened)
    asked = ask(opened)
    claimed = steps.must_claim(opened)

    assert Retest(PEER, claimed.run_id, State.RETEST_QUEUED, is_new=True, begins_at=NOW) == asked
    assert (Purpose.RETEST, "public") == (claimed.purpose, claimed.asked_by)
    assert State.RETESTING is steps.host(opened).state
    steps.check(opened)


def test_a_retest_under_way_is_told_to_whoever_asks(opened: Store) -> None:
    """Asking again makes no second test, whatever step the first is at."""
    steps.make_listed(opened)
    first = ask(opened)
    again = [ask(opened)]
    claimed = steps.must_claim(opened)
    again.append(ask(opened))
    steps.plan(opened, claimed)
    steps.take(opened, claimed, NOW)
    steps.conclude(opened, claimed, Verdict.UNPROVEN)
    again.append(ask(opened))

    assert [State.RETEST_QUEUED, State.RETESTING, State.RETEST_AWAITING] == [one.state for one in again]
    assert {(first.run_id, False)} == {(one.run_id, one.is_new) for one in again}


def test_asked_for_by_many_at_once_it_is_made_once(opened: Store) -> None:
    """Many who press the button at the same moment are told of the same retest."""
    steps.make_listed(opened)
    outcomes = steps.at_once(8, lambda _: ask(opened))
    asked = [one for one in outcomes if not isinstance(one, RblError)]

    assert (8, 1, 1) == (len(asked), sum(one.is_new for one in asked), len({one.run_id for one in asked}))


def test_an_unknown_host_is_not_found(opened: Store) -> None:
    """There is no test without a nomination behind it."""
    with pytest.raises(NotFound, match=r"203\.0\.113\.9 was never nominated to relays\.example"):
        ask(opened)


def test_a_host_that_is_not_listed_is_not_retested(opened: Store) -> None:
    """A nominated, withdrawn or closed host has nothing to be retested for."""
    steps.nominate(opened, steps.nominator(opened))
    with pytest.raises(
        Conflict, match=r"is not listed \(it is queued\): there is nothing to retest"
    ) as caught:
        ask(opened)

    assert "not-listed" == caught.value.code


def test_a_host_listed_by_hand_is_for_the_operator(opened: Store) -> None:
    """No test ends what an operator listed: the owner is told whom to write to."""
    steps.nominate(opened, steps.nominator(opened))
    with opened.writing() as session:
        new = NewListing(ZONE, ip_network("203.0.113.0/24"), "spam", allow_reserved=True)
        listings.start(session, new, act())
    with pytest.raises(Conflict, match="is listed by hand, which no test decides") as caught:
        ask(opened)

    assert "listed-by-hand" == caught.value.code


def test_a_host_whose_owner_forbade_tests_is_not_tested(opened: Store) -> None:
    """The wish not to be tested holds for retests, too: the host stays listed."""
    steps.make_listed(opened)
    exempt(opened)
    with pytest.raises(Refused, match="is on the do-not-test list"):
        ask(opened)

    assert State.LISTED is steps.host(opened).state


def test_an_old_listing_is_retested_unasked(opened: Store) -> None:
    """After ninety days a listing is looked at again, once, with the timer as the one who asks."""
    steps.make_listed(opened)
    early = queue_periodic(opened, OLD - MINUTE)
    due = queue_periodic(opened, OLD)
    again = queue_periodic(opened, OLD)
    claimed = steps.must_claim(opened, NOW + OLD)

    assert (0, 1, 0) == (early, due, again)
    assert (Purpose.PERIODIC, "timer") == (claimed.purpose, claimed.asked_by)


@pytest.mark.parametrize("verdict", [Verdict.OPEN, Verdict.TESTER_BLOCKED, Verdict.MULTIHOP])
def test_a_listing_that_stays_is_old_again_after_as_long(opened: Store, verdict: Verdict) -> None:
    """Each periodic retest that did not delist is followed by another ninety days later."""
    steps.make_listed(opened)
    queue_periodic(opened, OLD)
    steps.conclude(opened, steps.must_claim(opened, NOW + OLD), verdict, NOW + OLD)

    assert (0, 1) == (queue_periodic(opened, 2 * OLD - MINUTE), queue_periodic(opened, 2 * OLD))


def test_a_withdrawn_host_is_not_retested(opened: Store) -> None:
    """What left DNS has no age."""
    steps.make_listed(opened)
    with opened.writing() as session:
        decisions.withdraw(session, POLICY, PEER, act())

    assert 0 == queue_periodic(opened, OLD)


def test_an_old_listing_that_must_not_be_tested_is_for_the_operator(opened: Store) -> None:
    """Its owner forbade tests, so nothing can end it: the operator is asked to look."""
    steps.make_listed(opened)
    exempt(opened)
    count = queue_periodic(opened, OLD)
    with opened.reading() as session:
        (waiting,) = hosts.needing_review(session, ZONE)

    assert (0, State.LISTED) == (count, waiting.state)
    assert "the listing is old, and no test can end it" in str(waiting.review)


def test_old_listings_are_queued_in_portions(opened: Store) -> None:
    """A limit keeps the transaction short."""
    who = steps.nominator(opened)
    for address in (RELAY, ELSEWHERE):
        steps.nominate(opened, who, steps.nomination(address))
        steps.relay_once(opened)

    assert [1, 1, 0] == [queue_periodic(opened, OLD, limit=1) for _ in range(3)]
