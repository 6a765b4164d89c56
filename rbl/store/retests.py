"""Retests of listed hosts: asked for by anybody, or due because the listing is old."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from rbl.errors import Conflict, Refused
from rbl.lifecycle import Event
from rbl.store import exemptions, hosts, listings, runs
from rbl.store.hosts import ZonePolicy
from rbl.store.tables import Host
from rbl.terms import Act, Address, Purpose, State

_UNDER_WAY = frozenset({State.RETEST_QUEUED, State.RETESTING, State.RETEST_AWAITING})


@dataclass(frozen=True, slots=True)
class Retest:
    """A retest that is due or under way; *is_new* False: it was asked for before."""

    address: Address
    run_id: int
    state: State
    is_new: bool


def ask(session: Session, policy: ZonePolicy, address: Address, asked_by: str, now: datetime) -> Retest:
    """Make a retest of listed *address* due now, and return it; one that is under way is returned.

    Anybody may ask, and nothing else is demanded (RFC 6471 §2.2.3); after a failed one the next must
    wait, longer each time.

    Raises:
        NotFound: the address has no story here.
        Conflict: it is not listed, or listed by hand and so not for a test to decide.
        Refused: too soon after a failed retest, or its owner forbade tests.
    """
    if hosts.find(session, policy.apex, address) is None:
        _refuse_by_hand(session, policy, address)
    host = hosts.lock(session, policy.apex, address)
    if host.state in _UNDER_WAY:
        run = hosts.unfinished_run(session, host.id)
        assert run is not None, "a retest under way has a run"
        return Retest(address, run.id, host.state, is_new=False)
    if host.state is not State.LISTED:
        _refuse_by_hand(session, policy, address)
        raise Conflict(
            f"{address} is not listed (it is {host.state.value}): there is nothing to retest",
            code="not-listed",
        )
    exemptions.refuse_test_of(session, address)
    if host.retest_allowed_at is not None and host.retest_allowed_at > now:
        raise Refused(
            f"the last retest found {address} still open: the next may be asked for"
            f" at {host.retest_allowed_at:%Y-%m-%d %H:%M:%S} UTC",
            code="retest-too-soon",
            retry_after=host.retest_allowed_at - now,
        )
    act = Act(asked_by, "a retest was asked for", now)
    state = hosts.happen(session, host, Event.ASK_RETEST, act, policy)
    run_id = runs.queue(session, host, Purpose.RETEST, asked_by, now, now)
    return Retest(address, run_id, state, is_new=True)


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
