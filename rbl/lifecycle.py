"""The life of a listing: which states follow which, and what a finished test means for its host.

A table and pure functions; ``store`` applies what they say in one transaction with the journal.
Sources: RFC 6471 §2.2 (removal), §3.6 (testing), and the practice of the lists of 1999 to 2013.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from rbl.errors import Conflict
from rbl.terms import State, Verdict

DAY = timedelta(days=1)


class Event(StrEnum):
    """What can happen to a host."""

    NOMINATE = "nominate"  # evidence accepted, an operator must look first
    QUEUE = "queue"  # evidence accepted or approved: test it
    REJECT = "reject"  # an operator declines
    CLAIM = "claim"  # a worker took the test
    AWAIT = "await"  # a message was taken, none is back yet
    DEFER = "defer"  # the test said nothing; the next try has a time
    BLOCK = "block"  # the host refuses our tester
    CLOSE = "close"  # the host does not relay
    PROVE = "prove"  # our message came back
    LIST = "list"  # policy or an operator says: into DNS
    ASK_RETEST = "ask-retest"  # a retest is asked for, or due
    STAY = "stay"  # a retest ended without leave to delist
    WITHDRAW = "withdraw"  # an operator takes the listing back


_UNLISTED_ENDS = (State.CLOSED, State.DELISTED, State.WITHDRAWN, State.REJECTED, State.DEFERRED)

_TABLE: dict[tuple[State | None, Event], State] = {
    # a new host, and one whose story ended and that is nominated again
    **{(state, Event.NOMINATE): State.NOMINATED for state in (None, *_UNLISTED_ENDS)},
    **{
        (state, Event.QUEUE): State.QUEUED
        for state in (None, *_UNLISTED_ENDS, State.NOMINATED, State.REVIEW)
    },
    **{
        (state, Event.REJECT): State.REJECTED
        for state in (State.NOMINATED, State.QUEUED, State.DEFERRED, State.REVIEW, State.PROVEN)
    },
    # the test. CLAIM from TESTING: the worker before died and its lease ran out
    **{(state, Event.CLAIM): State.TESTING for state in (State.QUEUED, State.DEFERRED, State.TESTING)},
    # a run that found takers goes on with the next envelopes while it waits
    (State.AWAITING_RETURN, Event.CLAIM): State.TESTING,
    (State.TESTING, Event.AWAIT): State.AWAITING_RETURN,
    (State.TESTING, Event.DEFER): State.DEFERRED,
    (State.TESTING, Event.BLOCK): State.REVIEW,
    (State.TESTING, Event.CLOSE): State.CLOSED,
    (State.AWAITING_RETURN, Event.DEFER): State.DEFERRED,
    (State.AWAITING_RETURN, Event.CLOSE): State.CLOSED,
    (State.REVIEW, Event.CLOSE): State.CLOSED,
    # proof may come at any time while the run's window is open, also after a first "closed", and
    # from the follow-up test of a delisted host
    **{
        (state, Event.PROVE): State.PROVEN
        for state in (
            State.QUEUED,
            State.TESTING,
            State.AWAITING_RETURN,
            State.DEFERRED,
            State.REVIEW,
            State.CLOSED,
            State.DELISTED,
        )
    },
    (State.PROVEN, Event.LIST): State.LISTED,
    # the retest: the host stays in DNS until the verdict
    (State.LISTED, Event.ASK_RETEST): State.RETEST_QUEUED,
    **{
        (state, Event.CLAIM): State.RETESTING
        for state in (State.RETEST_QUEUED, State.RETESTING, State.RETEST_AWAITING)
    },
    (State.RETESTING, Event.AWAIT): State.RETEST_AWAITING,
    (State.RETESTING, Event.DEFER): State.RETEST_QUEUED,
    **{
        (state, event): State.LISTED
        for state in (State.RETEST_QUEUED, State.RETESTING, State.RETEST_AWAITING)
        for event in (Event.PROVE, Event.BLOCK, Event.STAY)
    },
    # proof from an older run, or twice: listed it is already
    (State.LISTED, Event.PROVE): State.LISTED,
    **{(state, Event.CLOSE): State.DELISTED for state in (State.RETESTING, State.RETEST_AWAITING)},
    **{
        (state, Event.WITHDRAW): State.WITHDRAWN
        for state in (
            State.PROVEN,
            State.LISTED,
            State.RETEST_QUEUED,
            State.RETESTING,
            State.RETEST_AWAITING,
        )
    },
}


def next_state(state: State | None, event: Event) -> State:
    """Return the state that follows *state* (None: an unknown host) when *event* happens.

    Raises:
        Conflict: the table has no such transition.
    """
    try:
        return _TABLE[state, event]
    except KeyError:
        raise Conflict(
            f"a host that is {state.value if state else 'unknown'} cannot {event.value}", code="wrong-state"
        ) from None


def allows(state: State | None, event: Event) -> bool:
    """Whether the table has a transition from *state* for *event*."""
    return (state, event) in _TABLE


@dataclass(frozen=True, slots=True)
class Policy:
    """The times and choices of a list; all may be shown to the public (RFC 6471 §2.1)."""

    approve_listings: bool = False  # proof waits for an operator unless the nominator is trusted
    first_wait: timedelta = timedelta(minutes=5)  # for the first messages to come back
    return_window: timedelta = timedelta(hours=72)  # the queue lifetime of common mail servers
    look_again: timedelta = timedelta(seconds=5)  # whether the collector has reported meanwhile
    retries: tuple[timedelta, ...] = (  # greylisting: the same envelopes again
        timedelta(minutes=15),
        timedelta(hours=1),
        timedelta(hours=4),
        timedelta(hours=24),
    )
    pause: timedelta = timedelta(seconds=10)  # before a test goes on that a host answered in part
    slow_pause: timedelta = timedelta(seconds=65)  # the same where it answers so many a minute
    retest_interval: timedelta = timedelta(minutes=40)  # from one retest to the next, whoever asks
    retest_pause: timedelta = timedelta(minutes=5)  # the least between two, for those with an early one
    early_retests: int = 6  # for all networks together within a day
    early_retests_each: int = 2  # for each network
    periodic_retest: timedelta = timedelta(days=90)  # RFC 6471 §2.2.1: listings are temporary
    follow_up: timedelta = timedelta(hours=24)  # RFC 6471 §3.6.2: no robot sooner than a day
    unreachable_delists_after: timedelta = timedelta(hours=24)  # unreachable twice this far apart

    @property
    def retests_a_day(self) -> int:
        """How many retests of a listed host can begin within a day, however many ask for them."""
        return -(-DAY // self.retest_interval) + 1 + self.early_retests


@dataclass(frozen=True, slots=True)
class Asked:
    """What decides when a retest of a listed host may begin, beside the policy.

    *turn_at*: when everybody's next turn is, whoever asks; None: at once. *early* and *early_own*:
    how many were granted before their turn within the last day, to all and to the network that asks.
    """

    turn_at: datetime | None
    early: int
    early_own: int


@dataclass(frozen=True, slots=True)
class RetestTime:
    """When a retest begins that is asked for now; *early*: before everybody's turn, which is counted."""

    at: datetime
    early: bool


def retest_time(asked: Asked, policy: Policy, now: datetime) -> RetestTime:
    """Return when a retest begins that is asked for at *now*.

    Everybody's turn comes an interval after the last retest began, and never later for having been
    asked for: so whoever closed his host is tested within it, whatever strangers did, and the tester
    comes no more often, however many networks they have. A network that had none early gets one
    sooner, as long as the day's few are not used up: so one stranger costs nobody even that wait.
    RFC 6471 §2.2.3 (removal for whoever asks), §3.6.3 (no harm to the target).
    """
    if asked.turn_at is None or asked.turn_at <= now:
        return RetestTime(now, early=False)
    turn_at = min(asked.turn_at, now + policy.retest_interval)  # set under a longer interval, or clock
    early_at = max(now, turn_at - policy.retest_interval + policy.retest_pause)
    has_early = asked.early < policy.early_retests and asked.early_own < policy.early_retests_each
    if has_early and early_at < turn_at:
        return RetestTime(early_at, early=True)
    return RetestTime(turn_at, early=False)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a finished step of a probe run does to its host: an event, and when the next step is due.

    *next_due* None: this run is over. *goes_on*: the step got further, and uses up none of the tries.
    """

    event: Event
    next_due: datetime | None
    why: str
    goes_on: bool = False


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What ``after_step`` must know of a run beside its verdict."""

    listed: bool  # the host is in DNS: a retest
    retries_done: int  # how often this run was deferred before
    waited_until: datetime | None  # for the messages of this run that were taken
    more_envelopes: bool  # some forms of the plan have not been tried yet
    unreachable_since: datetime | None  # the first of the unreachable retests in a row
    went_on: bool = False  # the step got an answer to some form that had none before
    slowed: bool = False  # the host answers so many forms in a time


def after_step(verdict: Verdict, facts: RunFacts, policy: Policy, now: datetime) -> Outcome:
    """Return what *verdict*, reached at *now*, means for the host of a run with *facts*.

    Only OPEN proves and only CLOSED closes; everything else changes nothing but the time of the
    next test (RFC 6471 §2.1: no entry that does not meet the criteria).
    """
    match verdict:
        case Verdict.OPEN:
            return Outcome(Event.PROVE, None, "our test message came back: the host relays for strangers")
        case Verdict.CLOSED:
            return Outcome(Event.CLOSE, None, "the host relayed none of our test messages")
        case Verdict.UNPROVEN:
            return _await_return(facts, policy, now)
        case Verdict.TESTER_BLOCKED:
            return Outcome(Event.BLOCK, None, "the host refuses our tester: a person must decide")
        case Verdict.UNREACHABLE if facts.listed and _long_unreachable(facts, policy, now):
            return Outcome(
                Event.CLOSE, None, "the host has not answered for a day: the listing has expired"
            )
        case Verdict.MULTIHOP:
            return Outcome(
                Event.BLOCK,
                None,
                "our message came back from another host: a person must look at the chain",
            )
        case Verdict.UNCLEAR:
            return Outcome(
                Event.BLOCK,
                None,
                "something came back that may be our message or an answer to it: a person must look at it",
            )
        case Verdict.DEFERRED | Verdict.UNREACHABLE | Verdict.ERROR:
            return _try_again(verdict, facts, policy, now)


def _await_return(facts: RunFacts, policy: Policy, now: datetime) -> Outcome:
    """Wait for the messages taken: shortly while forms are left to try, then for the whole window."""
    until = facts.waited_until or now + policy.return_window
    due = now + policy.first_wait if facts.more_envelopes else until
    # Over, and the collector has not yet said that it was there until then: it is asked again soon.
    due = due if due > now else now + policy.look_again
    return Outcome(Event.AWAIT, due, "the host took our message: waiting for it to come back")


def _try_again(verdict: Verdict, facts: RunFacts, policy: Policy, now: datetime) -> Outcome:
    """Set the time of the next try, or end the run without a conclusion when all tries are used."""
    why = f"the test was inconclusive ({verdict.value})"
    if facts.went_on:
        due = now + _pause(facts, policy)
        return Outcome(Event.DEFER, due, "the host answered some forms: the others follow", goes_on=True)
    if facts.retries_done < len(policy.retries):
        due = now + policy.retries[facts.retries_done]
        return Outcome(Event.DEFER, due, f"{why}: it is tried again later")
    event = Event.STAY if facts.listed else Event.DEFER
    return Outcome(event, None, f"{why} {facts.retries_done + 1} times: given up until asked again")


def _pause(facts: RunFacts, policy: Policy) -> timedelta:
    """Return how long a test rests that got further; what was put off waits as for greylisting."""
    if facts.slowed:
        return policy.slow_pause
    first = policy.retries[0] if policy.retries else policy.pause
    return min(policy.pause, first) if facts.more_envelopes else first


def _long_unreachable(facts: RunFacts, policy: Policy, now: datetime) -> bool:
    since = facts.unreachable_since
    return since is not None and now - since >= policy.unreachable_delists_after
