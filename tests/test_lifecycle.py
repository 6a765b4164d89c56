"""The life of a listing: the whole table, and what every verdict means in every place."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from rbl.errors import Conflict
from rbl.lifecycle import (
    Asked,
    Event,
    Outcome,
    Policy,
    RetestTime,
    RunFacts,
    after_step,
    allows,
    next_state,
    retest_time,
)
from rbl.terms import State, Verdict

# State, event, next state; whatever is not here does not happen. Reviewed by eye, line by line.
TABLE = """
unknown          nominate    nominated
unknown          queue       queued
nominated        queue       queued
nominated        reject      rejected
rejected         nominate    nominated
rejected         queue       queued
queued           reject      rejected
queued           claim       testing
queued           prove       proven
testing          claim       testing
testing          await       awaiting-return
testing          defer       deferred
testing          block       review
testing          close       closed
testing          prove       proven
deferred         nominate    nominated
deferred         queue       queued
deferred         reject      rejected
deferred         claim       testing
deferred         prove       proven
awaiting-return  claim       testing
awaiting-return  defer       deferred
awaiting-return  close       closed
awaiting-return  prove       proven
closed           nominate    nominated
closed           queue       queued
closed           prove       proven
review           queue       queued
review           reject      rejected
review           close       closed
review           prove       proven
proven           reject      rejected
proven           list        listed
proven           withdraw    withdrawn
listed           prove       listed
listed           ask-retest  retest-queued
listed           withdraw    withdrawn
retest-queued    claim       retesting
retest-queued    block       listed
retest-queued    prove       listed
retest-queued    stay        listed
retest-queued    withdraw    withdrawn
retesting        claim       retesting
retesting        await       retest-awaiting
retesting        defer       retest-queued
retesting        block       listed
retesting        close       delisted
retesting        prove       listed
retesting        stay        listed
retesting        withdraw    withdrawn
retest-awaiting  claim       retesting
retest-awaiting  block       listed
retest-awaiting  close       delisted
retest-awaiting  prove       listed
retest-awaiting  stay        listed
retest-awaiting  withdraw    withdrawn
delisted         nominate    nominated
delisted         queue       queued
delisted         prove       proven
withdrawn        nominate    nominated
withdrawn        queue       queued
"""
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
SECOND = timedelta(seconds=1)
POLICY = Policy()


def test_the_table_is_the_one_that_was_reviewed() -> None:
    """Each state lets exactly these events happen, with exactly these states after them."""
    found = [
        f"{state.value if state else 'unknown':<16} {event.value:<11} {next_state(state, event).value}"
        for state in (None, *State)
        for event in Event
        if allows(state, event)
    ]

    assert TABLE.strip().splitlines() == found


@pytest.mark.parametrize("state", [None, *State])
@pytest.mark.parametrize("event", Event)
def test_what_the_table_does_not_have_is_refused(state: State | None, event: Event) -> None:
    """An event in the wrong state is told in words, with both."""
    if allows(state, event):
        assert isinstance(next_state(state, event), State)
        return
    with pytest.raises(Conflict) as caught:
        next_state(state, event)

    words = f"a host that is {state.value if state else 'unknown'} cannot {event.value}"
    assert (words, "wrong-state") == (caught.value.message, caught.value.code)


def test_every_state_is_reached() -> None:
    """From an unknown host each state can be come to, and none is the end."""
    reached: set[State] = set()
    ahead: list[State | None] = [None]
    while ahead:
        state = ahead.pop()
        follow = {next_state(state, event) for event in Event if allows(state, event)}
        ahead += follow - reached
        reached |= follow

    assert set(State) == reached
    assert [] == [state for state in State if not any(allows(state, event) for event in Event)]


def test_a_host_enters_dns_by_list_alone() -> None:
    """No other event brings a host into DNS, and none but a closed test or a withdrawal takes it out."""
    moves = [(s, e, next_state(s, e)) for s in (None, *State) for e in Event if allows(s, e)]
    enter = {event for was, event, became in moves if became.in_dns and not (was and was.in_dns)}
    leave = {event for was, event, became in moves if was and was.in_dns and not became.in_dns}

    assert ({Event.LIST}, {Event.CLOSE, Event.WITHDRAW}) == (enter, leave)


def test_nothing_is_listed_without_proof() -> None:
    """Only what was proven can be listed."""
    assert [State.PROVEN] == [state for state in State if allows(state, Event.LIST)]


def facts(  # what is usual, and what a row changes
    *,
    listed: bool = False,
    retries_done: int = 0,
    until: timedelta | None = None,
    more: bool = False,
    gone: timedelta | None = None,
) -> RunFacts:
    """Return the facts of a run whose messages are waited for *until* then, of a host *gone* so long."""
    return RunFacts(
        listed=listed,
        retries_done=retries_done,
        waited_until=None if until is None else NOW + until,
        more_envelopes=more,
        unreachable_since=None if gone is None else NOW - gone,
    )


NEW, LISTED = facts(), facts(listed=True)


@pytest.mark.parametrize(
    ("verdict", "run", "event", "wait", "reason"),
    [
        (Verdict.OPEN, NEW, Event.PROVE, None, "our message came back"),
        (Verdict.OPEN, LISTED, Event.PROVE, None, "still open"),
        (Verdict.OPEN, facts(more=True, retries_done=4), Event.PROVE, None, "whatever else is known"),
        (Verdict.CLOSED, NEW, Event.CLOSE, None, "relayed nothing"),
        (Verdict.CLOSED, LISTED, Event.CLOSE, None, "relayed nothing: out of DNS"),
        (Verdict.MULTIHOP, NEW, Event.BLOCK, None, "another host delivered it: a person must look"),
        (Verdict.MULTIHOP, LISTED, Event.BLOCK, None, "stays listed until a person has looked"),
        (Verdict.TESTER_BLOCKED, NEW, Event.BLOCK, None, "refuses us, not the envelope"),
        (Verdict.TESTER_BLOCKED, LISTED, Event.BLOCK, None, "blocking the tester is no way out"),
        (
            Verdict.UNPROVEN,
            facts(until=72 * HOUR, more=True),
            Event.AWAIT,
            5 * MINUTE,
            "then the next forms",
        ),
        (Verdict.UNPROVEN, facts(until=71 * HOUR), Event.AWAIT, 71 * HOUR, "as long as one may come back"),
        (Verdict.UNPROVEN, facts(), Event.AWAIT, 72 * HOUR, "nothing known of the sending: from now"),
        (
            Verdict.UNPROVEN,
            facts(until=-HOUR),
            Event.AWAIT,
            5 * SECOND,
            "over: soon, when the collector was heard",
        ),
        (Verdict.UNPROVEN, facts(listed=True, until=HOUR), Event.AWAIT, HOUR, "listed as long"),
        (Verdict.DEFERRED, NEW, Event.DEFER, 15 * MINUTE, "greylisting: soon"),
        (Verdict.DEFERRED, facts(retries_done=1), Event.DEFER, HOUR, "then later"),
        (Verdict.DEFERRED, facts(retries_done=2), Event.DEFER, 4 * HOUR, "and later"),
        (Verdict.DEFERRED, facts(retries_done=3), Event.DEFER, 24 * HOUR, "a day for the last"),
        (Verdict.DEFERRED, facts(retries_done=4), Event.DEFER, None, "given up, listed nowhere"),
        (Verdict.DEFERRED, facts(retries_done=4, listed=True), Event.STAY, None, "given up, stays listed"),
        (Verdict.ERROR, NEW, Event.DEFER, 15 * MINUTE, "our fault: again"),
        (Verdict.ERROR, facts(retries_done=4, listed=True), Event.STAY, None, "our fault delists nobody"),
        (Verdict.UNREACHABLE, NEW, Event.DEFER, 15 * MINUTE, "down says nothing"),
        (Verdict.UNREACHABLE, facts(gone=DAY), Event.DEFER, 15 * MINUTE, "not listed: nothing to end"),
        (Verdict.UNREACHABLE, facts(gone=DAY, retries_done=4), Event.DEFER, None, "given up"),
        (Verdict.UNREACHABLE, LISTED, Event.DEFER, 15 * MINUTE, "down for the first time"),
        (
            Verdict.UNREACHABLE,
            facts(listed=True, gone=DAY - MINUTE),
            Event.DEFER,
            15 * MINUTE,
            "not a day yet",
        ),
        (Verdict.UNREACHABLE, facts(listed=True, gone=DAY), Event.CLOSE, None, "a day: no host, no relay"),
        (Verdict.DEFERRED, facts(listed=True, gone=DAY), Event.DEFER, 15 * MINUTE, "it answers again"),
    ],
)
def test_what_a_verdict_means(
    verdict: Verdict, run: RunFacts, event: Event, wait: timedelta | None, reason: str
) -> None:
    """Only proof lists; only refusal or a day of silence delists; all else sets the next test."""
    outcome = after_step(verdict, run, POLICY, NOW)

    assert (event, None if wait is None else NOW + wait) == (outcome.event, outcome.next_due), reason
    assert outcome.why


def test_every_verdict_has_a_meaning() -> None:
    """Whatever a probe says of a host, listed or not, there is an outcome that its state allows."""
    for verdict in Verdict:
        assert allows(State.TESTING, after_step(verdict, NEW, POLICY, NOW).event), verdict
        assert allows(State.RETESTING, after_step(verdict, LISTED, POLICY, NOW).event), verdict
        worn = facts(listed=True, retries_done=4)
        assert allows(State.RETESTING, after_step(verdict, worn, POLICY, NOW).event), verdict


def test_a_test_given_up_says_how_often_it_was_tried() -> None:
    """The operator reads why nothing is tested any more."""
    expected = Outcome(
        Event.DEFER, None, "the test was inconclusive (deferred) 5 times: given up until asked again"
    )

    assert expected == after_step(Verdict.DEFERRED, facts(retries_done=4), POLICY, NOW)


@pytest.mark.parametrize(
    ("asked", "wait", "early", "reason"),
    [
        (Asked(None, 0, 0), 0, False, "never looked at: at once"),
        (Asked(NOW, 0, 0), 0, False, "the turn has come"),
        (Asked(NOW - DAY, 6, 2), 0, False, "the turn came long ago, whatever was granted before"),
        (Asked(NOW + 40 * MINUTE, 0, 0), 5, True, "the last began just now: an early one"),
        (Asked(NOW + 20 * MINUTE, 0, 0), 0, True, "twenty minutes ago: an early one at once"),
        (Asked(NOW + 20 * MINUTE, 5, 1), 0, True, "the last early ones"),
        (Asked(NOW + 20 * MINUTE, 6, 0), 20, False, "the day's early ones are used up by others"),
        (Asked(NOW + 20 * MINUTE, 2, 2), 20, False, "this network's are used up"),
        (Asked(NOW + 7 * DAY, 6, 2), 40, False, "set when it doubled: never more than an interval"),
    ],
)
def test_when_a_retest_begins(asked: Asked, wait: int, early: bool, reason: str) -> None:  # noqa: FBT001
    """In everybody's turn, or before it for few; the wait is in minutes."""
    assert RetestTime(NOW + wait * MINUTE, early=early) == retest_time(asked, POLICY, NOW), reason


def test_without_early_retests_everybody_waits_for_the_turn() -> None:
    """An operator may turn them off, and a pause as long as the interval leaves none."""
    asked = Asked(NOW + 40 * MINUTE, 0, 0)
    for policy in (Policy(early_retests=0), Policy(early_retests_each=0), Policy(retest_pause=HOUR)):
        assert RetestTime(asked.turn_at or NOW, early=False) == retest_time(asked, policy, NOW)


@dataclass
class Siege:
    """A listed host that is still open, and whoever asks for its retests."""

    policy: Policy
    looks: list[datetime] = field(default_factory=list)
    early: list[tuple[datetime, str]] = field(default_factory=list)
    due_at: datetime | None = None

    def ask(self, network: str, now: datetime) -> datetime:
        """Ask as *network* at *now*, and return when the look begins."""
        turn_at = self.looks[-1] + self.policy.retest_interval if self.looks else None
        recent = [who for at, who in self.early if at > now - DAY]
        time = retest_time(Asked(turn_at, len(recent), recent.count(network)), self.policy, now)
        if self.due_at is None or time.at < self.due_at:
            self.due_at = time.at
            if time.early:
                self.early.append((now, network))
        return self.due_at

    def pass_by(self, now: datetime) -> None:
        """Let the tester look where it is due; the host is found open."""
        if self.due_at is not None and self.due_at <= now:
            self.looks.append(now)
            self.due_at = None


@pytest.mark.parametrize("networks", [1, 3, 100_000], ids=["one stranger", "three", "a botnet"])
@pytest.mark.parametrize("policy", [POLICY, Policy(retest_interval=45 * MINUTE, retest_pause=MINUTE)])
def test_no_siege_makes_an_owner_wait_or_the_tester_a_hammer(networks: int, policy: Policy) -> None:
    """Strangers press every minute for three days: whenever the owner closes, his turn is near."""
    siege = Siege(policy)
    longest = timedelta(0)
    for minute in range(3 * 24 * 60):
        now = NOW + minute * MINUTE
        siege.pass_by(now)
        begins_at = siege.ask(f"stranger {minute % networks}", now)
        longest = max(
            longest, min(begins_at, siege.ask("owner", now)) - now if minute % 7 == 0 else longest
        )
    counts = [sum(at <= look < at + DAY for look in siege.looks) for at in siege.looks]

    assert longest <= policy.retest_interval < HOUR - 10 * MINUTE
    assert max(counts) <= policy.retests_a_day
