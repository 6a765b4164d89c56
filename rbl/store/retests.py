"""Retests of listed hosts: asked for by anybody, or due because the listing is old."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from rbl import lifecycle
from rbl.errors import Conflict, Refused
from rbl.lifecycle import Asked, Event, RetestTime
from rbl.store import exemptions, hosts, listings, runs
from rbl.store.hosts import ZonePolicy
from rbl.store.probetables import EarlyRetest, ProbeConnection
from rbl.store.tables import Host
from rbl.terms import Act, Address, Purpose, State


@dataclass(frozen=True, slots=True)
class Retest:
    """A retest that is due or under way; *is_new* False: it was asked for before.

    *begins_at*: when a look at the host begins that was not begun when it was asked for.
    """

    address: Address
    run_id: int
    state: State
    is_new: bool
    begins_at: datetime


def ask(
    session: Session,
    policy: ZonePolicy,
    address: Address,
    asked_by: str,
    now: datetime,
    *,
    network: str = "",
) -> Retest:
    """Make a retest of listed *address* due as soon as it may be, and return it.

    Anybody may ask, and nothing else is demanded (RFC 6471 §2.2.3): ``lifecycle.retest_time`` says when
    it begins. Where one is queued, or waits for messages, it is made due then at the latest; where one is
    talking to the host, another look follows it unless it delists. *network* is the neighbourhood of
    whoever asks, by which early ones are counted.

    Raises:
        NotFound: the address has no story here.
        Conflict: it is not listed, or listed by hand and so not for a test to decide.
        Refused: its owner forbade tests.
    """
    if hosts.find(session, policy.apex, address) is None:
        _refuse_by_hand(session, policy, address)
    host = hosts.lock(session, policy.apex, address)
    if not host.state.in_dns:
        _refuse_by_hand(session, policy, address)
        raise Conflict(
            f"{address} is not listed (it is {host.state.value}): there is nothing to retest",
            code="not-listed",
        )
    exemptions.refuse_test_of(session, address)
    time = time_of(session, policy, host.id, host.retest_allowed_at, network, now)
    if host.state is State.LISTED:
        act = Act(asked_by, "a retest was asked for", now)
        hosts.happen(session, host, Event.ASK_RETEST, act, policy)
        run_id = runs.queue(session, host, Purpose.RETEST, asked_by, time.at, now)
        _count(session, host.id, network, time, now)
        return Retest(address, run_id, host.state, is_new=True, begins_at=time.at)
    run = hosts.unfinished_run(session, host.id)
    assert run is not None, "a retest under way has a run"
    begins_at, is_sooner = runs.want(session, host, run, time.at, now)
    if is_sooner:
        _count(session, host.id, network, time, now)
    return Retest(address, run.id, host.state, is_new=False, begins_at=begins_at)


def time_of(
    session: Session,
    policy: ZonePolicy,
    host_id: int,
    turn_at: datetime | None,
    network: str,
    now: datetime,
) -> RetestTime:
    """Return when a retest of a listed host would begin that *network* asked for at *now*."""
    since = now - lifecycle.DAY
    early, own = session.execute(
        select(
            func.count(EarlyRetest.id), func.count(EarlyRetest.id).filter(EarlyRetest.network == network)
        ).where(EarlyRetest.host_id == host_id, EarlyRetest.at > since)
    ).one()
    return lifecycle.retest_time(Asked(turn_at, early, own), policy.times, now)


def forget(session: Session, now: datetime) -> None:
    """Delete what is kept for a day to be counted: who was early, and connections to hosts."""
    since = now - lifecycle.DAY
    session.execute(delete(EarlyRetest).where(EarlyRetest.at <= since))
    session.execute(delete(ProbeConnection).where(ProbeConnection.at <= since))


def queue_periodic(session: Session, policy: ZonePolicy, now: datetime, limit: int = 100) -> int:
    """Make retests of listings that have grown old due, and return how many (RFC 6471 §2.2.1)."""
    old = session.execute(
        select(Host)
        .where(Host.zone == policy.apex, Host.state == State.LISTED, Host.periodic_due_at <= now)
        .order_by(Host.periodic_due_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    ).scalars()
    count = 0
    for host in old.all():
        host.periodic_due_at = now + policy.times.periodic_retest
        try:
            exemptions.refuse_test_of(session, host.address)
        except Refused as refusal:
            host.review = f"{refusal.message}; the listing is old, and no test can end it"
            continue
        act = Act("timer", "the listing is old: is the host still open?", now)
        hosts.happen(session, host, Event.ASK_RETEST, act, policy)
        runs.queue(session, host, Purpose.PERIODIC, "timer", now, now)
        count += 1
    return count


def _refuse_by_hand(session: Session, policy: ZonePolicy, address: Address) -> None:
    """Raise Conflict where *address*, which no test listed, is listed by hand."""
    if listings.covering(session, policy.apex, address):
        raise Conflict(
            f"{address} is listed by hand, which no test decides: write to the operator",
            code="listed-by-hand",
        )


def _count(session: Session, host_id: int, network: str, time: RetestTime, now: datetime) -> None:
    """Count a retest that is granted before everybody's turn."""
    if time.early:
        session.add(EarlyRetest(host_id=host_id, network=network, at=now))
