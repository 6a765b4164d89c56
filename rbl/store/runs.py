"""Probe runs as durable work: due, claimed under a lease, parked while waiting, finished.

A run is one row with a due time. A worker claims it, and every write of that worker is fenced by
owner and attempt: one whose lease ran out cannot write any more, and another goes on from what was
recorded. What is inside a run (envelopes, dialogue) is in ``probes``, its end in ``conclusions``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, exists, func, select, true
from sqlalchemy.orm import Session, aliased

from rbl import lifecycle
from rbl.addresses import neighbourhood
from rbl.errors import Conflict
from rbl.lifecycle import Event
from rbl.store import hosts, signal, switches
from rbl.store.hosts import ZonePolicy
from rbl.store.probetables import ProbeRun
from rbl.store.tables import Host
from rbl.terms import Act, Address, Purpose

CHANNEL = "rbl_work"  # of PostgreSQL's LISTEN and NOTIFY


@dataclass(frozen=True, slots=True)
class Claim:
    """A run that *owner* holds; *attempt* fences its writes.

    *may_connect* False: no probe may go out, only what came back is to be judged.
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


def is_free(session: Session, host_id: int) -> bool:
    """Whether a host has no test under way, or only the follow-up of an old one."""
    run = hosts.unfinished_run(session, host_id)
    return run is None or run.purpose is Purpose.FOLLOW_UP


def queue(
    session: Session, host: Host, purpose: Purpose, asked_by: str, due_at: datetime, now: datetime
) -> int:
    """Make a test of *host* due at *due_at* and return its run's id; a follow-up gives way to it."""
    if hosts.unfinished_run(session, host.id) is not None:
        hosts.end_run(session, host.id, Act(asked_by, "another test takes its place", now))
        session.flush()
    run = ProbeRun(
        host_id=host.id,
        neighbourhood=str(neighbourhood(host.address)),
        purpose=purpose,
        asked_by=asked_by,
        verdict=None,
        why=None,
        banner=None,
        hostname=None,
        platform=None,
        retries_done=0,
        steps_done=0,
        due_at=due_at,
        lease_owner=None,
        lease_until=None,
        attempt=0,
        woken=False,
        created_at=now,
        finished_at=None,
    )
    session.add(run)
    session.flush()
    signal.notify(session, CHANNEL)
    return run.id


def claim(
    session: Session,
    owner: str,
    now: datetime,
    lease: timedelta,
    policies: Mapping[str, ZonePolicy],
    *,
    outbound: bool,
) -> Claim | None:
    """Return a due run for *owner* to work on until *lease* is over, or None where there is nothing to do.

    No run is given to two workers, and no two runs of one neighbourhood are held at once. Where no
    probe may go out (*outbound* False, or the ``probing`` switch is off) only runs that something
    came back for are given out, to be judged.
    """
    may_connect = switches.lock(session, switches.PROBING) and outbound  # the lock: claims take turns
    run = session.execute(
        select(ProbeRun)
        .join(Host)
        .where(_is_due(now), Host.zone.in_(policies), true() if may_connect else ProbeRun.woken)
        .order_by(ProbeRun.due_at, ProbeRun.id)
        .limit(1)
        .with_for_update(skip_locked=True, of=[ProbeRun, Host])  # waits for nobody while it holds one
    ).scalar_one_or_none()
    if run is None:
        return None
    host = session.get_one(Host, run.host_id)
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
    )


def next_due(session: Session, *, outbound: bool = True) -> datetime | None:
    """Return when ``claim`` may next give out a run; None where no run that is there will be.

    That is when a run is due, or the lease on it over; where no probe may go out (as in ``claim``)
    only runs that something came back for count.
    """
    may_connect = outbound and switches.is_on(session, switches.PROBING)
    given_out = ProbeRun.finished_at.is_(None) & (true() if may_connect else ProbeRun.woken)
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
        raise _lost(claim)
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
        raise _lost(claim)
    return run


def _lost(claim: Claim) -> Conflict:
    return Conflict(f"run {claim.run_id} is not this worker's any more", code="lease-lost")


def _is_due(now: datetime) -> ColumnElement[bool]:
    other = aliased(ProbeRun)
    neighbour_is_tested = exists().where(
        other.neighbourhood == ProbeRun.neighbourhood, other.id != ProbeRun.id, other.lease_until > now
    )
    return (
        ProbeRun.finished_at.is_(None)
        & (ProbeRun.due_at <= now)
        & (ProbeRun.lease_until.is_(None) | (ProbeRun.lease_until <= now))
        & ~neighbour_is_tested
    )
