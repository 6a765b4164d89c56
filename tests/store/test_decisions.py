"""What operators decide: yes, no, and taking back; each only where something waits for it."""

from collections.abc import Callable
from ipaddress import ip_network

import pytest

from rbl.errors import Conflict, NotFound, Refused
from rbl.store import decisions, exemptions, hosts, retests, runs
from rbl.store.engine import Store
from rbl.store.hosts import HostView, ZonePolicy
from rbl.terms import Change, State, Trust, Verdict
from tests.store import steps
from tests.store.steps import APPROVING, NOW, PEER, POLICY, RELAY, ZONE, act


def decide(store: Store, decision: Callable[..., HostView], policy: ZonePolicy = POLICY) -> HostView:
    """Let the operator decide about the relay."""
    with store.writing() as session:
        return decision(session, policy, PEER, act())


def waiting(store: Store) -> list[State]:
    """Return the states of the hosts that wait for an operator."""
    with store.reading() as session:
        return [view.state for view in hosts.needing_review(session, ZONE)]


def bring_to(store: Store, state: State) -> None:
    """Bring the relay into *state*."""
    trust = Trust.TRIAL if state is State.NOMINATED else Trust.NORMAL
    steps.nominate(store, steps.nominator(store, trust))
    if state in {State.NOMINATED, State.QUEUED}:
        return
    claimed = steps.must_claim(store)
    steps.plan(store, claimed)
    steps.take(store, claimed, NOW)
    match state:
        case State.REVIEW:
            steps.conclude(store, claimed, Verdict.TESTER_BLOCKED)
        case State.CLOSED:
            steps.conclude(store, claimed, Verdict.CLOSED)
        case State.DEFERRED:
            steps.conclude(store, claimed, Verdict.DEFERRED)
        case State.AWAITING_RETURN:
            steps.conclude(store, claimed, Verdict.UNPROVEN)
        case State.PROVEN | State.LISTED:
            steps.come_back(store, claimed.run_id, NOW)
            policy = APPROVING if state is State.PROVEN else POLICY
            steps.conclude(store, claimed, Verdict.OPEN, policy=policy)
    assert state is steps.host(store).state


@pytest.mark.parametrize(
    ("state", "became", "tested"),
    [
        (State.NOMINATED, State.QUEUED, True),
        (State.REVIEW, State.QUEUED, True),
        (State.PROVEN, State.LISTED, False),
    ],
)
def test_a_yes_to_what_waits(opened: Store, state: State, became: State, *, tested: bool) -> None:
    """A nominated or reviewed host is tested now, a proven one listed; nothing waits any more."""
    bring_to(opened, state)
    before = waiting(opened)
    view = decide(opened, decisions.approve)
    claimed = steps.claim(opened)

    assert ([state], became, None) == (before, view.state, view.review)
    assert ([], tested) == (waiting(opened), claimed is not None)
    steps.check(opened)


@pytest.mark.parametrize("state", [State.QUEUED, State.TESTING, State.CLOSED, State.DEFERRED, State.LISTED])
def test_a_yes_to_nothing(opened: Store, state: State) -> None:
    """Where nothing waits there is nothing to approve."""
    bring_to(opened, state)
    with pytest.raises(Conflict, match=f"{RELAY} is {state.value}: nothing waits for approval"):
        decide(opened, decisions.approve)


def test_a_yes_to_an_exempt_host_is_refused(opened: Store) -> None:
    """A proven host that is exempt by now is not listed, whoever says yes."""
    bring_to(opened, State.PROVEN)
    with opened.writing() as session:
        exemptions.add(session, ip_network(RELAY), never_list=True, never_test=False, act=act("ours"))
    with pytest.raises(Refused, match="is exempt"):
        decide(opened, decisions.approve)

    assert State.PROVEN is steps.host(opened).state
    steps.check(opened)


def test_a_flag_on_a_listed_host_is_cleared_by_a_yes(opened: Store) -> None:
    """The operator has looked: the host stays listed, and waits no more."""
    bring_to(opened, State.LISTED)
    with opened.writing() as session:
        retests.ask(session, POLICY, PEER, "public", NOW)
    steps.conclude(opened, steps.must_claim(opened), Verdict.TESTER_BLOCKED)
    before = waiting(opened)
    view = decide(opened, decisions.approve)

    assert ([State.LISTED], State.LISTED, []) == (before, view.state, waiting(opened))


@pytest.mark.parametrize(
    "state", [State.NOMINATED, State.QUEUED, State.DEFERRED, State.REVIEW, State.PROVEN]
)
def test_a_no_ends_the_test(opened: Store, state: State) -> None:
    """A rejected host is not tested and not listed."""
    bring_to(opened, state)
    view = decide(opened, decisions.reject)
    with opened.reading() as session:
        due = runs.next_due(session)

    assert (State.REJECTED, None, None, []) == (view.state, view.review, due, waiting(opened))
    steps.check(opened)


@pytest.mark.parametrize("state", [State.CLOSED, State.LISTED, State.AWAITING_RETURN, State.TESTING])
def test_a_no_that_comes_too_late(opened: Store, state: State) -> None:
    """What is closed or listed already is past rejecting, and a test is not stopped in the middle."""
    bring_to(opened, state)
    with pytest.raises(Conflict, match=f"a host that is {state.value} cannot reject"):
        decide(opened, decisions.reject)


@pytest.mark.parametrize("step", ["listed", "queued", "testing", "awaiting"])
def test_a_listing_is_taken_back_whatever_the_tests_say(opened: Store, step: str) -> None:
    """The host leaves DNS in the same moment, and a retest under way ends."""
    bring_to(opened, State.LISTED)
    if step != "listed":
        with opened.writing() as session:
            retests.ask(session, POLICY, PEER, "public", NOW)
    if step in {"testing", "awaiting"}:
        claimed = steps.must_claim(opened)
        if step == "awaiting":
            steps.conclude(opened, claimed, Verdict.UNPROVEN)
    view = decide(opened, decisions.withdraw)
    with opened.reading() as session:
        due = runs.next_due(session)

    assert (State.WITHDRAWN, None) == (view.state, due)
    assert [Change.LISTED, Change.DELISTED] == [change for change, _ in steps.changes(opened)]
    steps.check(opened)


@pytest.mark.parametrize("state", [State.QUEUED, State.CLOSED])
def test_what_is_not_listed_cannot_be_taken_back(opened: Store, state: State) -> None:
    """There is nothing to withdraw."""
    bring_to(opened, state)
    with pytest.raises(Conflict, match=f"a host that is {state.value} cannot withdraw"):
        decide(opened, decisions.withdraw)


@pytest.mark.parametrize("decision", [decisions.approve, decisions.reject, decisions.withdraw])
def test_nobody_decides_about_an_unknown_host(opened: Store, decision: Callable[..., HostView]) -> None:
    """An address without a story is told."""
    with pytest.raises(NotFound, match=f"{RELAY} was never nominated to {ZONE}"):
        decide(opened, decision)


def test_hosts_are_counted_and_found_by_state(opened: Store) -> None:
    """The console sees how many hosts are in each state, and who they are."""
    bring_to(opened, State.CLOSED)
    with opened.reading() as session:
        counts = hosts.count_by_state(session, ZONE)
        closed = hosts.in_states(session, ZONE, [State.CLOSED])
        none = hosts.in_states(session, ZONE, [State.LISTED])

    assert ({State.CLOSED: 1}, [PEER], []) == (counts, [view.address for view in closed], list(none))
