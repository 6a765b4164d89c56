"""Retests: anybody may ask for one, once at a time, and an old listing gets one unasked."""

from dataclasses import replace
from datetime import timedelta
from ipaddress import ip_address, ip_network
from itertools import pairwise

import pytest

from rbl.errors import Conflict, NotFound, RblError, Refused
from rbl.store import decisions, exemptions, hosts, listings, retests
from rbl.store.engine import Store
from rbl.store.listings import NewListing
from rbl.store.retests import Retest
from rbl.terms import Purpose, State, Verdict
from tests.store import steps
from tests.store.steps import ELSEWHERE, HOUR, MINUTE, NOW, PEER, POLICY, RELAY, ZONE, act

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


def fail(store: Store, at: timedelta) -> None:
    """Let the retest that is due *at* a time after the listing find the host open."""
    steps.relay_once(store, NOW + at)


def begins(store: Store, at: timedelta, network: str) -> timedelta:
    """Ask *at* a time as *network*, and return how long after the listing the retest begins."""
    with store.writing() as session:
        return retests.ask(session, POLICY, PEER, "public", NOW + at, network=network).begins_at - NOW


def test_after_a_failed_retest_the_next_has_its_turn(opened: Store) -> None:
    """Each network has two early ones within a day; then everybody's turn is the same, and not later."""
    steps.make_listed(opened)
    found = [begins(opened, timedelta(0), "a")]
    for _ in range(3):
        fail(opened, found[-1])
        found.append(begins(opened, found[-1] + MINUTE, "a"))

    assert [0 * MINUTE, 5 * MINUTE, 10 * MINUTE, 50 * MINUTE] == found


def test_strangers_have_few_early_retests_together(opened: Store) -> None:
    """Six within a day, whatever their number; the seventh network waits for the turn, and is queued."""
    steps.make_listed(opened)
    found = [begins(opened, timedelta(0), "first")]
    for number in range(7):
        fail(opened, found[-1])
        found.append(begins(opened, found[-1] + MINUTE, f"stranger {number}"))

    assert [5 * MINUTE] * 6 + [40 * MINUTE] == [b - a for a, b in pairwise(found)]
    assert State.RETEST_QUEUED is steps.host(opened).state
    steps.check(opened)


def test_who_is_granted_an_early_one_brings_a_queued_one_forward(opened: Store) -> None:
    """A stranger's press in the common turn takes nothing from the owner's own."""
    steps.make_listed(opened)
    begins(opened, timedelta(0), "stranger")
    fail(opened, timedelta(0))
    for at in (5, 10):
        assert at * MINUTE == begins(opened, (at - 4) * MINUTE, "stranger")
        fail(opened, at * MINUTE)
    in_turn = begins(opened, 11 * MINUTE, "stranger")
    early = begins(opened, 12 * MINUTE, "owner")
    again = begins(opened, 13 * MINUTE, "stranger")

    assert (50 * MINUTE, 15 * MINUTE, 15 * MINUTE) == (in_turn, early, again)
    assert PEER == steps.must_claim(opened, NOW + 15 * MINUTE).address


def test_asked_while_one_talks_another_follows(opened: Store) -> None:
    """Its look began before: who closed the host meanwhile need not ask again."""
    steps.make_listed(opened)
    begins(opened, timedelta(0), "stranger")
    claimed = steps.must_claim(opened)
    begins_at = begins(opened, MINUTE, "owner")
    steps.conclude(opened, claimed, Verdict.TESTER_BLOCKED, NOW + 2 * MINUTE)
    state = steps.host(opened).state
    again = steps.must_claim(opened, NOW + 5 * MINUTE)

    assert (5 * MINUTE, State.RETEST_QUEUED, Purpose.RETEST) == (begins_at, state, again.purpose)
    assert State.DELISTED is steps.conclude(opened, again, Verdict.CLOSED, NOW + 6 * MINUTE)
    steps.check(opened)


def test_asked_while_messages_are_waited_for_the_host_is_looked_at(opened: Store) -> None:
    """The wait of three days goes on, and a look comes between, once; the next who asks gets another."""
    steps.make_listed(opened)
    begins(opened, timedelta(0), "stranger")
    claimed = steps.must_claim(opened)
    steps.plan(opened, claimed)
    steps.take(opened, claimed, NOW)
    steps.conclude(opened, claimed, Verdict.UNPROVEN)
    begins_at = begins(opened, HOUR, "owner")
    looking = steps.must_claim(opened, NOW + HOUR)
    steps.conclude(opened, looking, Verdict.UNPROVEN, NOW + HOUR)

    assert (HOUR, False, True) == (begins_at, claimed.look_again, looking.look_again)
    assert None is steps.claim(opened, NOW + 71 * HOUR)
    assert 72 * HOUR == begins(opened, 72 * HOUR, "owner")
    assert steps.must_claim(opened, NOW + 72 * HOUR).look_again


def test_a_deferred_retest_is_brought_forward(opened: Store) -> None:
    """The robot's next try may be a day away: whoever asks has it in the common turn at the latest."""
    steps.make_listed(opened)
    begins(opened, timedelta(0), "stranger")
    at = timedelta(0)
    for wait in POLICY.times.retries:
        steps.conclude(opened, steps.must_claim(opened, NOW + at), Verdict.DEFERRED, NOW + at)
        at += wait
    last = at - POLICY.times.retries[-1]
    for network in ("a", "b"):  # so that none is early any more
        begins(opened, last, network)

    assert last + 5 * MINUTE == begins(opened, last + MINUTE, "owner")
    assert steps.claim(opened, NOW + last + 5 * MINUTE) is not None


def test_a_wait_of_days_that_was_set_before_an_upgrade_ends(opened: Store) -> None:
    """Whoever waits since the times doubled waits no longer than an interval now."""
    steps.make_listed(opened)
    with opened.writing() as session:
        hosts.lock(session, ZONE, PEER).retest_allowed_at = NOW + timedelta(days=7)

    assert 40 * MINUTE == begins_in_turn(opened)


def begins_in_turn(store: Store) -> timedelta:
    """Return when a retest begins where no early one is granted any more."""
    none = replace(POLICY, times=replace(POLICY.times, early_retests=0))
    with store.writing() as session:
        return retests.ask(session, none, PEER, "public", NOW).begins_at - NOW
