"""What a step means: each verdict in each place, the listing it brings about, and what follows."""

import threading
from datetime import datetime, timedelta
from ipaddress import ip_address, ip_network

import pytest

from rbl.lifecycle import Policy
from rbl.store import decisions, exemptions, listings, retests, runs
from rbl.store.engine import Store
from rbl.store.listings import NewListing
from rbl.store.runs import Claim
from rbl.terms import Change, EnvelopeResult, Purpose, State, Trust, Verdict
from tests.store import steps
from tests.store.steps import APPROVING, DAY, HOUR, MINUTE, NOW, PEER, POLICY, RELAY, ZONE, act

LISTED = (Change.LISTED, f"{RELAY}/32")
DELISTED = (Change.DELISTED, f"{RELAY}/32")
LATER = NOW + DAY


def claim_retest(store: Store, at: datetime = LATER) -> Claim:
    """Ask for a retest of the listed relay and let a worker take it."""
    with store.writing() as session:
        retests.ask(session, POLICY, PEER, "public", at)
    return steps.must_claim(store, at)


def next_due(store: Store) -> datetime | None:
    """Return when the next run is due."""
    with store.reading() as session:
        return runs.next_due(session)


@pytest.mark.parametrize(
    ("verdict", "state", "wait", "reason"),
    [
        (Verdict.OPEN, State.LISTED, None, "proof lists"),
        (Verdict.CLOSED, State.CLOSED, None, "all refused: no listing"),
        (Verdict.UNPROVEN, State.AWAITING_RETURN, timedelta(hours=72), "the message may be in a queue"),
        (Verdict.DEFERRED, State.DEFERRED, timedelta(minutes=15), "greylisting: again soon"),
        (Verdict.UNREACHABLE, State.DEFERRED, timedelta(minutes=15), "down says nothing of relaying"),
        (Verdict.ERROR, State.DEFERRED, timedelta(minutes=15), "our fault is not the host's"),
        (Verdict.TESTER_BLOCKED, State.REVIEW, None, "a person must decide"),
        (Verdict.MULTIHOP, State.REVIEW, None, "a person must look at the chain"),
        (Verdict.UNCLEAR, State.REVIEW, None, "a person must look at what came"),
    ],
)
def test_a_verdict_on_a_nominated_host(
    opened: Store, verdict: Verdict, state: State, wait: timedelta | None, reason: str
) -> None:
    """Only proof lists, only refusal closes; everything else waits, for a time or a person."""
    steps.nominate(opened, steps.nominator(opened))
    claimed = steps.must_claim(opened)
    if verdict is Verdict.OPEN:
        steps.plan(opened, claimed)
        steps.come_back(opened, claimed.run_id, NOW)
    became = steps.conclude(opened, claimed, verdict)

    assert (state, state) == (became, steps.host(opened).state), reason
    assert (None if wait is None else NOW + wait) == next_due(opened), reason
    assert ([LISTED] if state.in_dns else []) == steps.changes(opened), reason
    steps.check(opened)


@pytest.mark.parametrize(
    ("verdict", "state", "wait", "reason"),
    [
        (Verdict.OPEN, State.LISTED, None, "still open"),
        (
            Verdict.CLOSED,
            State.DELISTED,
            timedelta(hours=24),
            "closed: out of DNS, and followed up",
        ),
        (Verdict.UNPROVEN, State.RETEST_AWAITING, timedelta(hours=72), "listed until it is known"),
        (Verdict.DEFERRED, State.RETEST_QUEUED, timedelta(minutes=15), "listed, tried again"),
        (
            Verdict.UNREACHABLE,
            State.RETEST_QUEUED,
            timedelta(minutes=15),
            "down is not closed",
        ),
        (Verdict.ERROR, State.RETEST_QUEUED, timedelta(minutes=15), "our fault delists nobody"),
        (Verdict.TESTER_BLOCKED, State.LISTED, None, "blocking us is no way out"),
        (Verdict.MULTIHOP, State.LISTED, None, "listed, and a person looks"),
        (Verdict.UNCLEAR, State.LISTED, None, "listed, and a person looks at this, too"),
    ],
)
def test_a_verdict_on_a_listed_host(
    opened: Store, verdict: Verdict, state: State, wait: timedelta | None, reason: str
) -> None:
    """A listed host leaves DNS only when it was found closed."""
    steps.make_listed(opened)
    became = steps.conclude(opened, claim_retest(opened), verdict, LATER)

    assert state is became, reason
    assert (None if wait is None else LATER + wait) == next_due(opened), reason
    assert [LISTED, *([] if state.in_dns else [DELISTED])] == steps.changes(opened), reason
    steps.check(opened)


@pytest.mark.parametrize("verdict", [Verdict.TESTER_BLOCKED, Verdict.MULTIHOP])
def test_a_listed_host_that_needs_a_person_is_flagged(opened: Store, verdict: Verdict) -> None:
    """It stays listed, and the operator sees why to look."""
    steps.make_listed(opened)
    steps.conclude(opened, claim_retest(opened), verdict, LATER)

    assert "a person must" in str(steps.host(opened).review)


def test_failed_retests_do_not_add_up(opened: Store) -> None:
    """However many retests found the host open, the next turn comes after the same time."""
    steps.make_listed(opened)
    waits = []
    at = LATER
    for _ in range(3):
        steps.conclude(opened, claim_retest(opened, at), Verdict.OPEN, at)
        allowed_at = steps.host(opened).retest_allowed_at
        assert allowed_at is not None
        waits.append(allowed_at - at)
        at = allowed_at

    assert [40 * MINUTE] * 3 == waits
    assert 3 == steps.host(opened).failed_retests


def test_more_messages_of_the_test_that_listed_it_are_no_failed_retests(opened: Store) -> None:
    """When the other messages of a test come back too, the owner's first retest is still free at once."""
    claimed = steps.make_listed(opened)
    for minute in range(1, 4):
        steps.come_back(opened, claimed.run_id, NOW + minute * MINUTE)
        again = steps.must_claim(opened, NOW + minute * MINUTE)
        assert State.LISTED is steps.conclude(opened, again, Verdict.OPEN, NOW + minute * MINUTE)
    host = steps.host(opened)

    assert (0, None, 1) == (host.failed_retests, host.retest_allowed_at, host.offences)
    assert [LISTED] == steps.changes(opened)


def test_greylisting_is_tried_four_times_more_and_then_given_up(opened: Store) -> None:
    """A host that only ever defers is not listed, and not tested again until it is nominated anew."""
    steps.nominate(opened, steps.nominator(opened))
    at = NOW
    waits = []
    for _ in range(5):
        steps.conclude(opened, steps.must_claim(opened, at), Verdict.DEFERRED, at)
        due = next_due(opened)
        if due is not None:
            waits.append(due - at)
            at = due

    assert list(Policy().retries) == waits
    assert (State.DEFERRED, None) == (steps.host(opened).state, next_due(opened))
    steps.check(opened)


def test_a_listed_host_that_cannot_be_tested_stays_listed(opened: Store) -> None:
    """A retest that was only ever deferred ends with the listing as it was."""
    steps.make_listed(opened)
    at = LATER
    claimed = claim_retest(opened)
    while steps.conclude(opened, claimed, Verdict.DEFERRED, at) is State.RETEST_QUEUED:
        due = next_due(opened)
        assert due is not None
        at = due
        claimed = steps.must_claim(opened, at)

    assert (State.LISTED, None) == (steps.host(opened).state, next_due(opened))
    assert [LISTED] == steps.changes(opened)
    steps.check(opened)


def test_a_listed_host_that_is_gone_for_a_day_is_delisted(opened: Store) -> None:
    """Unreachable twice a day apart: the listing has expired (no host, no relay)."""
    steps.make_listed(opened)
    steps.conclude(opened, claim_retest(opened), Verdict.UNREACHABLE, LATER)
    early = steps.conclude(
        opened, steps.must_claim(opened, LATER + 23 * HOUR), Verdict.UNREACHABLE, LATER + 23 * HOUR
    )
    late = steps.conclude(
        opened, steps.must_claim(opened, LATER + 24 * HOUR), Verdict.UNREACHABLE, LATER + 24 * HOUR
    )

    assert (State.RETEST_QUEUED, State.DELISTED) == (early, late)
    steps.check(opened)


def test_a_host_that_answered_in_between_was_not_gone(opened: Store) -> None:
    """Only unreachable tests in a row count: any other answer starts the day anew."""
    steps.make_listed(opened)
    steps.conclude(opened, claim_retest(opened), Verdict.UNREACHABLE, LATER)
    for hours, verdict in ((1, Verdict.DEFERRED), (25, Verdict.UNREACHABLE)):
        at = LATER + hours * HOUR
        steps.conclude(opened, steps.must_claim(opened, at), verdict, at)

    assert State.RETEST_QUEUED is steps.host(opened).state


def test_a_delisted_host_is_looked_at_once_more(opened: Store) -> None:
    """A day after a delisting its follow-up is due; closed again, the story ends."""
    steps.make_listed(opened)
    steps.conclude(opened, claim_retest(opened), Verdict.CLOSED, LATER)
    follow_up = steps.must_claim(opened, LATER + DAY)
    became = steps.conclude(opened, follow_up, Verdict.CLOSED, LATER + DAY)

    assert (Purpose.FOLLOW_UP, State.DELISTED, None) == (follow_up.purpose, became, next_due(opened))


def test_a_host_opened_again_after_delisting_is_listed_again(opened: Store) -> None:
    """What the follow-up finds open is listed a second time, and the second time is counted."""
    steps.make_listed(opened)
    steps.conclude(opened, claim_retest(opened), Verdict.CLOSED, LATER)
    steps.relay_once(opened, LATER + DAY)

    assert [LISTED, DELISTED, LISTED] == steps.changes(opened)
    assert 2 == steps.host(opened).offences
    steps.check(opened)


@pytest.mark.parametrize(
    ("trust", "state", "reason"),
    [
        (Trust.NORMAL, State.PROVEN, "the policy asks for an operator's word"),
        (Trust.TRUSTED, State.LISTED, "the nominator's word is enough"),
    ],
)
def test_proof_waits_for_approval_where_the_policy_says_so(
    opened: Store, trust: Trust, state: State, reason: str
) -> None:
    """With approve_listings only a trusted nominator's host is listed without an operator."""
    steps.nominate(opened, steps.nominator(opened, trust), policy=APPROVING)
    claimed = steps.must_claim(opened)
    steps.plan(opened, claimed)
    steps.come_back(opened, claimed.run_id, NOW)

    assert state is steps.conclude(opened, claimed, Verdict.OPEN, policy=APPROVING), reason
    steps.check(opened)


def test_proof_of_an_exempt_host_waits_for_the_operator(opened: Store) -> None:
    """A host that was exempted while under test is not listed; the operator reads why."""
    steps.nominate(opened, steps.nominator(opened))
    claimed = steps.must_claim(opened)
    steps.plan(opened, claimed)
    with opened.writing() as session:
        exemptions.add(
            session, ip_network("203.0.113.0/24"), never_list=True, never_test=False, act=act("our users")
        )
    steps.come_back(opened, claimed.run_id, NOW)
    became = steps.conclude(opened, claimed, Verdict.OPEN)

    assert State.PROVEN is became
    assert "203.0.113.0/24 is exempt (our users)" in str(steps.host(opened).review)
    steps.check(opened)


def test_proof_of_a_host_listed_by_hand_waits_for_the_operator(opened: Store) -> None:
    """A listing of the same address for the same reason stands in the way: the test ends all the same."""
    steps.nominate(opened, steps.nominator(opened))
    claimed = steps.must_claim(opened)
    steps.plan(opened, claimed)
    with opened.writing() as session:
        listings.start(session, NewListing(ZONE, ip_network(RELAY), "relay", allow_reserved=True), act())
    steps.come_back(opened, claimed.run_id, NOW)
    became = steps.conclude(opened, claimed, Verdict.OPEN)
    waiting = steps.host(opened).review
    with opened.writing() as session:
        listings.end(session, ZONE, ip_network(RELAY), "relay", act())
        approved = decisions.approve(session, POLICY, PEER, act())

    assert (State.PROVEN, State.LISTED) == (became, approved.state)
    assert "listed already for relay" in str(waiting)
    assert [LISTED, DELISTED, LISTED] == steps.changes(opened)
    steps.check(opened)


def test_a_return_between_judging_and_parking_is_not_lost(postgresql_url: str) -> None:
    """A message that arrives while the worker judges waits, then finds the run parked, and wakes it."""
    store = Store(postgresql_url)
    steps.set_up(store)
    steps.nominate(store, steps.nominator(store))
    claimed = steps.must_claim(store)
    steps.plan(store, claimed)
    steps.take(store, claimed, NOW)
    collector = threading.Thread(target=steps.come_back, args=(store, claimed.run_id, NOW + MINUTE))
    with store.writing() as session:
        runs.held(session, claimed)
        collector.start()
        steps.until_one_waits(store)
        steps.end_step(session, claimed, Verdict.UNPROVEN, NOW)
    collector.join()
    woken = steps.must_claim(store, NOW + MINUTE, "worker 2")
    became = steps.conclude(store, woken, Verdict.OPEN, NOW + MINUTE)
    store.close()

    assert (claimed.run_id, State.LISTED) == (woken.run_id, became)


def test_a_return_while_the_test_goes_on_is_judged_by_its_worker(opened: Store) -> None:
    """A message that came back before the worker judges ends the run with it: nothing is left to wake."""
    steps.nominate(opened, steps.nominator(opened))
    claimed = steps.must_claim(opened)
    steps.plan(opened, claimed)
    steps.take(opened, claimed, NOW)
    steps.come_back(opened, claimed.run_id, NOW + MINUTE)
    held = steps.claim(opened, NOW + MINUTE, "worker 2")
    became = steps.conclude(opened, claimed, Verdict.OPEN, NOW + MINUTE)

    assert (None, State.LISTED, None) == (held, became, next_due(opened))


def test_while_forms_are_left_the_next_step_comes_soon(opened: Store) -> None:
    """After the first messages were taken the test goes on in five minutes, not in three days."""
    steps.nominate(opened, steps.nominator(opened))
    claimed = steps.must_claim(opened)
    steps.plan(opened, claimed)
    steps.take(opened, claimed, NOW)
    steps.conclude(opened, claimed, Verdict.UNPROVEN, more=True)
    first_due = next_due(opened)
    again = steps.must_claim(opened, NOW + 5 * MINUTE)
    steps.conclude(opened, again, Verdict.UNPROVEN, NOW + 5 * MINUTE)

    assert (NOW + 5 * MINUTE, NOW + timedelta(hours=72)) == (first_due, next_due(opened))
    assert 1 == again.steps_done


def test_a_return_after_the_window_opens_the_case_again(opened: Store) -> None:
    """A message that comes back after "closed" proves all the same."""
    steps.nominate(opened, steps.nominator(opened))
    claimed = steps.must_claim(opened)
    steps.plan(opened, claimed)
    steps.take(opened, claimed, NOW)
    steps.conclude(opened, claimed, Verdict.CLOSED, LATER)
    steps.come_back(opened, claimed.run_id, LATER + HOUR)
    again = steps.must_claim(opened, LATER + HOUR)
    became = steps.conclude(opened, again, Verdict.OPEN, LATER + HOUR)

    assert (claimed.run_id, State.LISTED, [LISTED]) == (again.run_id, became, steps.changes(opened))
    steps.check(opened)


def test_a_decided_host_is_left_as_it_was_decided(opened: Store) -> None:
    """Proof that arrives after an operator's withdrawal is kept, and changes nothing."""
    claimed = steps.make_listed(opened)
    with opened.writing() as session:
        decisions.withdraw(session, POLICY, PEER, act())
    steps.come_back(opened, claimed.run_id, LATER)
    again = steps.must_claim(opened, LATER)
    became = steps.conclude(opened, again, Verdict.OPEN, LATER)

    assert (State.WITHDRAWN, [LISTED, DELISTED]) == (became, steps.changes(opened))
    steps.check(opened)


def test_every_step_is_audited(opened: Store) -> None:
    """Each change of state is told with what it was and what it became."""
    steps.make_listed(opened)
    steps.conclude(opened, claim_retest(opened), Verdict.CLOSED, LATER)

    assert [
        ("queue", None, "queued"),
        ("claim", "queued", "testing"),
        ("prove", "testing", "proven"),
        ("list", "proven", "listed"),
        ("ask-retest", "listed", "retest-queued"),
        ("claim", "retest-queued", "retesting"),
        ("close", "retesting", "delisted"),
    ] == steps.actions(opened, f"{ZONE} {RELAY}")


def test_an_ipv6_host_is_listed_as_one_address(opened: Store) -> None:
    """The subject of an IPv6 host is its /128."""
    address = "2001:db8::25"
    steps.nominate(opened, steps.nominator(opened), steps.nomination(address))
    steps.relay_once(opened)

    assert [(Change.LISTED, f"{address}/128")] == steps.changes(opened)
    assert ip_address(address) == steps.host(opened, address).address
    assert EnvelopeResult.RELAYED is steps.results(opened, 1)[0]
