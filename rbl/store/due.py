"""Whose turn it is: which of the runs that are due a worker gets, and from where it is tested.

Part of a claim (``runs``), in its transaction: what is returned here is locked.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, exists, func, select, true
from sqlalchemy.orm import Session, aliased

from rbl.store import limits, signal, vantages
from rbl.store.hosts import ZonePolicy
from rbl.store.probetables import WORK_CHANNEL, ProbeRun
from rbl.store.tables import Host
from rbl.store.vantages import Lot, Places, Prober
from rbl.terms import Purpose

# A key that holds so many tests lets those of all others go before its next.
_FAIR_SHARE = 4
# Lots that one claim draws for others at most, before it lets them go and look.
_MOST_LOTS = 20


def draw(
    session: Session,
    now: datetime,
    policies: Mapping[str, ZonePolicy],
    *,
    may_connect: bool,
    retests_only: bool,
    prober: Prober | None,
) -> tuple[ProbeRun, Lot] | None:
    """Return the run whose turn it is here, locked, and where it is tested from.

    Runs that are drawn for others on the way are left to those; what nobody can test is put off, unless
    there is something to judge.
    """
    among = None if prober is None else vantages.places(session, prober.own, now)
    for _ in range(_MOST_LOTS):
        run = _next_run(
            session, now, policies, may_connect=may_connect, retests_only=retests_only, among=among
        )
        if run is None or among is None or prober is None:
            return None if run is None else (run, Lot.HERE)
        host = session.get_one(Host, run.host_id)
        lot = among.place(session, host, run)
        if lot is Lot.HERE or (lot is Lot.NOWHERE and run.steps_done):
            return run, lot
        if lot is Lot.NOWHERE:
            vantages.postpone(session, host, run, prober, policies[host.zone], now)
        signal.notify(session, WORK_CHANNEL)
        session.flush()
    return None


def _next_run(
    session: Session,
    now: datetime,
    policies: Mapping[str, ZonePolicy],
    *,
    may_connect: bool,
    retests_only: bool,
    among: Places | None,
) -> ProbeRun | None:
    """Return the run whose turn it is, locked."""
    may_go = _is_due(now) & Host.zone.in_(policies) & (true() if may_connect else ProbeRun.woken)
    if among is not None:
        may_go &= among.may_take()
    turns = [ProbeRun.purpose == Purpose.RETEST]
    if not retests_only:
        others = may_go_on(limits.suspended(session))
        busy = _busy_keys(session, now)
        if busy:
            turns.append(others & (ProbeRun.key_id.is_(None) | ProbeRun.key_id.not_in(busy)))
        turns.append(others)
    for turn in turns:
        run = session.execute(
            select(ProbeRun)
            .join(Host)
            .where(may_go, turn)
            .order_by(ProbeRun.due_at, ProbeRun.id)
            .limit(1)
            .with_for_update(skip_locked=True, of=[ProbeRun, Host])  # waits for nobody while it holds one
        ).scalar_one_or_none()
        if run is not None:
            return run
    return None


def _busy_keys(session: Session, now: datetime) -> Sequence[int]:
    """Return the keys that hold their share of tests."""
    rows = session.execute(
        select(ProbeRun.key_id)
        .where(ProbeRun.lease_until > now, ProbeRun.key_id.is_not(None))
        .group_by(ProbeRun.key_id)
        .having(func.count(ProbeRun.id) >= _FAIR_SHARE)
    ).scalars()
    return [key_id for key_id in rows if key_id is not None]


def may_go_on(suspended: Sequence[int]) -> ColumnElement[bool]:
    """Whether a run is of no suspended key, or came so far that it is judged all the same."""
    if not suspended:
        return true()
    return ProbeRun.key_id.is_(None) | ProbeRun.key_id.not_in(suspended) | (ProbeRun.attempt > 0)


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
