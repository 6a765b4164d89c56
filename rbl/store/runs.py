"""Probe runs as durable work: due, claimed under a lease, parked while waiting, finished.

A run is one row with a due time. A worker claims it, and every write of that worker is fenced by
owner and attempt: one whose lease ran out cannot write any more, and another goes on from what was
recorded. What is inside a run (envelopes, dialogue) is in ``probes``, its end in ``conclusions``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select, true
from sqlalchemy.orm import Session

from rbl import lifecycle
from rbl.addresses import neighbourhood
from rbl.errors import Conflict
from rbl.lifecycle import Event
from rbl.store import due, hosts, limits, signal, switches, vantages
from rbl.store.hosts import ZonePolicy
from rbl.store.probetables import WORK_CHANNEL, ProbeRun
from rbl.store.tables import Host
from rbl.store.vantages import Lot, Places, Prober
from rbl.terms import Act, Address, Purpose, State

CHANNEL = WORK_CHANNEL


@dataclass(frozen=True, slots=True)
class Claim:
    """A run that *owner* holds; *attempt* fences its writes.

    *may_connect* False: no probe may go out, only what came back is to be judged. *look_again*: somebody
    asked for a look at the host while messages are waited for. It is tested from *vantage*; where
    *confirms* is set, to see whether the answers are those that were given there.
    """

    run_id: int
    host_id: int
    zone: str
    address: Address
    purpose: Purpose
    owner: str
    attempt: int
    retries_done: int
    steps_done: int
    hostname: str | None
    asked_by: str
    created_at: datetime
    may_connect: bool
    lease_until: datetime
    look_again: bool = False
    vantage: Address | None = None
    confirms: Address | None = None


def is_free(session: Session, host_id: int) -> bool:
    """Whether a host has no test under way, or only the follow-up of an old one."""
    run = hosts.unfinished_run(session, host_id)
    return run is None or run.purpose is Purpose.FOLLOW_UP


def queue(
    session: Session,
    host: Host,
    purpose: Purpose,
    asked_by: str,
    due_at: datetime,
    now: datetime,
    *,
    key_id: int | None = None,
) -> int:
    """Make a test of *host* due at *due_at* and return its run's id; a follow-up gives way to it.

    *key_id* is of the nominator whose nomination it is for.
    """
    if hosts.unfinished_run(session, host.id) is not None:
        hosts.end_run(session, host.id, Act(asked_by, "another test takes its place", now))
        session.flush()
    run = ProbeRun(
        host_id=host.id,
        neighbourhood=str(neighbourhood(host.address)),
        purpose=purpose,
        asked_by=asked_by,
        key_id=key_id,
        verdict=None,
        why=None,
        banner=None,
        hostname=None,
        platform=None,
        retries_done=0,
        steps_done=0,
        due_at=due_at,
        wanted_at=None,
        vantage=None,
        confirms=None,
        lease_owner=None,
        lease_until=None,
        attempt=0,
        woken=False,
        created_at=now,
        finished_at=None,
        dialogue_retired_at=None,
    )
    session.add(run)
    session.flush()
    signal.notify(session, CHANNEL)
    return run.id


def want(session: Session, host: Host, run: ProbeRun, at: datetime, now: datetime) -> tuple[datetime, bool]:
    """See to a look at *host* by its unfinished *run*, both locked by the caller, *at* the latest.

    Returns when it begins, and whether that is sooner for this call. A look that goes on right now was
    begun before it was asked for, and messages that are waited for say nothing of today.
    """
    is_talking = run.lease_until is not None and run.lease_until > now
    if not is_talking and host.state is State.RETEST_QUEUED:
        due_at = run.due_at
        run.due_at = min(due_at, at)
        if at < due_at:
            signal.notify(session, CHANNEL)
        return run.due_at, at < due_at
    wanted_at = run.wanted_at
    if wanted_at is not None and wanted_at <= at:
        return wanted_at, False
    run.wanted_at = at
    run.due_at = min(run.due_at, at)
    signal.notify(session, CHANNEL)
    return at, True


def take_over_suspended(session: Session, host_id: int, key_id: int) -> None:
    """Let a test that waits for a suspended key count for the key *key_id*, whose word is as good."""
    run = hosts.unfinished_run(session, host_id)
    if run is not None and run.attempt == 0 and run.key_id in limits.suspended(session):
        run.key_id = key_id
        signal.notify(session, CHANNEL)


def claim(  # noqa: PLR0913 — who asks, and for what
    session: Session,
    owner: str,
    now: datetime,
    lease: timedelta,
    policies: Mapping[str, ZonePolicy],
    *,
    outbound: bool,
    retests_only: bool = False,
    prober: Prober | None = None,
) -> Claim | None:
    """Return a due run for *owner* to work on until *lease* is over, or None where there is nothing to do.

    No run is given to two workers, and no two runs of one neighbourhood are held at once. Where no
    probe may go out (*outbound* False, or the ``probing`` switch is off) only runs that something
    came back for are given out, to be judged.

    Retests that somebody asked for go first. The nominations of a key that holds its share of tests
    already let all others go before them, and those of a suspended key wait. *retests_only*: for a
    worker that keeps a place for them.

    *prober* has the worker's vantages: it gets runs that were drawn for one of them. None: any run.
    """
    may_connect = switches.lock(session, switches.PROBING) and outbound  # the lock: claims take turns
    drawn = due.draw(
        session,
        now,
        policies,
        may_connect=may_connect,
        retests_only=retests_only,
        prober=prober if may_connect else None,
    )
    if drawn is None:
        return None
    run, lot = drawn
    host = session.get_one(Host, run.host_id)
    may_connect = may_connect and lot is Lot.HERE
    if may_connect:
        vantages.resume(host)
    wanted = may_connect and run.wanted_at is not None and run.wanted_at <= now
    if may_connect and (wanted or not run.woken):  # else it is only judged, as a rule
        hosts.look(host, policies[host.zone], now)
    if wanted:
        run.wanted_at = None
    run.lease_owner = owner
    run.lease_until = now + lease
    run.attempt += 1
    if lifecycle.allows(host.state, Event.CLAIM):
        act = Act(owner, f"{run.purpose.value} test, step {run.steps_done + 1}", now)
        hosts.happen(session, host, Event.CLAIM, act, policies[host.zone])
    return Claim(
        run_id=run.id,
        host_id=host.id,
        zone=host.zone,
        address=host.address,
        purpose=run.purpose,
        owner=owner,
        attempt=run.attempt,
        retries_done=run.retries_done,
        steps_done=run.steps_done,
        hostname=run.hostname,
        asked_by=run.asked_by,
        created_at=run.created_at,
        may_connect=may_connect,
        lease_until=now + lease,
        look_again=wanted,
        vantage=run.vantage if may_connect else None,
        confirms=run.confirms,
    )


def next_due(session: Session, *, outbound: bool = True, among: Places | None = None) -> datetime | None:
    """Return when ``claim`` may next give out a run; None where no run that is there will be.

    That is when a run is due, or the lease on it over; where no probe may go out (as in ``claim``)
    only runs that something came back for count, and of a worker with *among* those that it may take.
    """
    may_connect = outbound and switches.is_on(session, switches.PROBING)
    given_out = (
        ProbeRun.finished_at.is_(None)
        & (true() if may_connect else ProbeRun.woken)
        & due.may_go_on(limits.suspended(session))
        & (among.may_take() if may_connect and among is not None else true())
    )
    # The few that are held, and the first in order of an index: together they would all be read.
    over = session.execute(
        select(func.min(ProbeRun.lease_until)).where(given_out, ProbeRun.lease_until.is_not(None))
    ).scalar_one()
    free = session.execute(
        select(ProbeRun.due_at)
        .where(given_out, ProbeRun.lease_until.is_(None))
        .order_by(ProbeRun.due_at)
        .limit(1)
    ).scalar_one_or_none()
    return min((due for due in (over, free) if due is not None), default=None)


def count_unfinished(session: Session, zone: str, now: datetime) -> tuple[int, int]:
    """Return how many runs in *zone* are not over, and how many of them are due at *now*."""
    unfinished, due = session.execute(
        select(func.count(ProbeRun.id), func.count(ProbeRun.id).filter(ProbeRun.due_at <= now))
        .join(Host)
        .where(Host.zone == zone, ProbeRun.finished_at.is_(None))
    ).one()
    return unfinished, due


def renew(session: Session, claim: Claim, now: datetime, lease: timedelta) -> None:
    """Hold the run for another *lease*.

    Raises:
        Conflict: the lease ran out, or the run was ended.
    """
    run = held(session, claim)
    if run.lease_until is None or run.lease_until <= now:  # a neighbour may be under test since then
        raise lost(claim)
    run.lease_until = now + lease


def release(session: Session, claim: Claim) -> None:
    """Give a run back unfinished, for the next worker to take up at once instead of after the lease.

    Raises:
        Conflict: the run is not this worker's any more.
    """
    run = held(session, claim)
    run.lease_owner = None
    run.lease_until = None
    signal.notify(session, CHANNEL)


def held(session: Session, claim: Claim) -> ProbeRun:
    """Return the claimed run's row, locked until the commit together with its host.

    Raises:
        Conflict: the lease ran out and another worker has the run, or it was ended.
    """
    session.get_one(Host, claim.host_id, with_for_update=True)
    run = session.get_one(ProbeRun, claim.run_id, with_for_update=True)
    if (run.lease_owner, run.attempt) != (claim.owner, claim.attempt) or run.finished_at is not None:
        raise lost(claim)
    return run


def is_held(session: Session, claim: Claim, now: datetime) -> bool:
    """Whether the run is this worker's at *now*, by a look that locks nothing."""
    run = session.get_one(ProbeRun, claim.run_id)
    ours = (run.lease_owner, run.attempt) == (claim.owner, claim.attempt) and run.finished_at is None
    return ours and run.lease_until is not None and run.lease_until > now


def lost(claim: Claim) -> Conflict:
    """Return what a worker is told that holds its run no more."""
    return Conflict(f"run {claim.run_id} is not this worker's any more", code="lease-lost")
