"""What a step of a probe run means: the host's event, the end of the run, and what follows from it.

One transaction, which begins with ``runs.held``: it looks at what came back, asks the pure functions
and writes state, listing, journal and audit together. A message that arrives meanwhile waits for the
lock and then finds the run parked, and wakes it; so none is overlooked.
"""

import secrets
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from rbl import closing, lifecycle
from rbl.errors import BadInput, Conflict, Refused
from rbl.lifecycle import Event, Outcome
from rbl.store import closings, hosts, runs, signal
from rbl.store.hosts import ZonePolicy
from rbl.store.runs import Claim
from rbl.store.tables import ApiKey, Host, Nomination
from rbl.terms import Act, Address, Purpose, State, Trust, Verdict

_CHANCE = secrets.SystemRandom()
_OUT = frozenset({State.DELISTED, State.CLOSED})


def facts(
    session: Session,
    claim: Claim,
    verdict: Verdict,
    now: datetime,
    *,
    more_envelopes: bool,
    waited_until: datetime | None = None,
) -> lifecycle.RunFacts:
    """Return what the lifecycle must know of a run to say what *verdict* means."""
    host = session.get_one(Host, claim.host_id, with_for_update=True)
    if verdict is not Verdict.UNREACHABLE:
        host.unreachable_since = None
    elif host.unreachable_since is None:
        host.unreachable_since = now
    return lifecycle.RunFacts(
        listed=host.state.in_dns,
        retries_done=claim.retries_done,
        waited_until=waited_until,
        more_envelopes=more_envelopes,
        unreachable_since=host.unreachable_since,
    )


def end_step(
    session: Session, claim: Claim, verdict: Verdict, outcome: Outcome, policy: ZonePolicy, now: datetime
) -> State:
    """Apply *outcome* to the run and its host, and return the host's new state.

    Raises:
        Conflict: the run is held by this worker no more; then nothing is changed.
    """
    run = runs.held(session, claim)
    host = session.get_one(Host, claim.host_id)
    act = Act(claim.owner, outcome.why, now)
    run.steps_done += 1
    run.verdict = verdict
    run.why = outcome.why
    run.lease_owner = None
    run.lease_until = None
    run.woken = False
    if outcome.event is Event.DEFER:  # each step that gets further answers a form for good: it ends
        run.retries_done = 0 if outcome.goes_on else run.retries_done + 1
    if outcome.next_due is None:
        run.finished_at = now
    else:
        run.due_at = outcome.next_due if run.wanted_at is None else min(outcome.next_due, run.wanted_at)
    session.flush()
    was = host.state
    if lifecycle.allows(was, outcome.event):
        hosts.happen(session, host, outcome.event, act, policy)
        _follow(session, host, was, outcome.event, act, policy)
    if host.state in _OUT and run.finished_at is not None and not was.in_dns:
        _look_again(session, host, now)
    if host.state is State.LISTED and run.finished_at is not None and run.wanted_at is not None:
        again = Act("public", "a retest was asked for while one was under way", now)
        hosts.happen(session, host, Event.ASK_RETEST, again, policy)
        runs.queue(session, host, Purpose.RETEST, again.actor, max(run.wanted_at, now), now)
    signal.notify(session, runs.CHANNEL)
    return host.state


def go_on(session: Session, claim: Claim, vantage: Address, why: str, now: datetime) -> None:
    """End a worker's step and let the test go on at once from *vantage*, to confirm what this one saw.

    Raises:
        Conflict: the run is held by this worker no more.
    """
    run = runs.held(session, claim)
    run.steps_done += 1
    run.confirms, run.vantage = run.vantage, vantage
    run.why = why
    run.lease_owner = None
    run.lease_until = None
    run.woken = False
    run.due_at = now
    signal.notify(session, runs.CHANNEL)


def _follow(session: Session, host: Host, was: State, event: Event, act: Act, policy: ZonePolicy) -> None:
    """Do what follows from *event* at the end of a step."""
    times = policy.times
    match event:
        case Event.PROVE if host.state is State.PROVEN:
            if not times.approve_listings or _nominated_by_trusted(session, host):
                _list(session, host, act, policy)
        case Event.PROVE if was is not State.LISTED:  # else one more message of an earlier test came back
            host.failed_retests += 1
            host.periodic_due_at = act.at + times.periodic_retest
        case Event.STAY:
            host.periodic_due_at = act.at + times.periodic_retest
        case Event.BLOCK:
            host.review = act.why
        case Event.CLOSE if was.in_dns:
            host.review = None
            host.unreachable_since = None
            session.flush()
            is_suspect = closings.is_suspect(session, host.id, act.at)
            due_at = act.at + times.follow_up
            if is_suspect:
                due_at += closing.some_hours(_CHANCE.random())
            runs.queue(session, host, Purpose.FOLLOW_UP, "timer", due_at, act.at)
        case _:
            pass


def _look_again(session: Session, host: Host, now: datetime) -> None:
    """Make another look due at a host that was listed and let out, where it deserves more than one."""
    left_at = closings.left_at(session, host.id)
    if left_at is None or not closings.is_suspect(session, host.id, left_at):
        return
    after = closing.next_look(closings.looks_since(session, host.id, left_at), _CHANCE.random())
    if after is not None:
        runs.queue(session, host, Purpose.FOLLOW_UP, "timer", now + after, now)


def _list(session: Session, host: Host, act: Act, policy: ZonePolicy) -> None:
    """Put a proven host into DNS, or tell the operator why that is forbidden."""
    try:
        hosts.happen(session, host, Event.LIST, act, policy)
    except (Refused, Conflict, BadInput) as refusal:  # exempt, listed by hand; before anything is written
        host.review = refusal.message


def _nominated_by_trusted(session: Session, host: Host) -> bool:
    found = session.execute(
        select(Nomination.id)
        .join(ApiKey)
        .where(Nomination.host_id == host.id, ApiKey.trust == Trust.TRUSTED)
        .limit(1)
    ).scalar()
    return found is not None
