"""Hosts and their states: every change of state goes through ``happen``.

It asks the lifecycle's table, writes the audit, and where the host enters or leaves DNS it starts or
ends the listing, whose journal entry is part of the same transaction. So a host's state, its listing
and what DNS shows cannot differ.

Who locks a host and its run locks the host first, then the run, then the zone's head: always in this
order, so that no two transactions wait for each other.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from ipaddress import ip_network
from typing import TypeVar

from sqlalchemy import ColumnElement, Select, bindparam, func, select
from sqlalchemy.orm import Session

from rbl import lifecycle
from rbl.errors import NotFound
from rbl.lifecycle import Event
from rbl.store import audit, listings
from rbl.store.engine import make_once
from rbl.store.probetables import ProbeRun
from rbl.store.tables import Host
from rbl.terms import Act, Address, Network, Origin, State

_Row = TypeVar("_Row")
_OF_ADDRESS = select(Host).where(Host.zone == bindparam("zone"), Host.address == bindparam("address"))


@dataclass(frozen=True, slots=True)
class ZonePolicy:
    """What the store must know of a list: its apex, the reason that a proven relay is listed for, times.

    *allow_reserved* names reserved space that may be tested and listed all the same, for test networks.
    """

    apex: str
    relay_reason: str
    times: lifecycle.Policy
    allow_reserved: tuple[Network, ...] = ()

    def allows(self, address: Address) -> bool:
        """Whether reserved *address* is of a test network."""
        return any(address in network for network in self.allow_reserved)


@dataclass(frozen=True, slots=True)
class HostView:
    """How things stand with an address in a zone, for pages and the API."""

    id: int
    zone: str
    address: Address
    state: State
    offences: int
    failed_retests: int
    retest_allowed_at: datetime | None
    review: str | None
    created_at: datetime
    changed_at: datetime


def find(session: Session, zone: str, address: Address) -> HostView | None:
    """Return how things stand with *address* in *zone*, or None where it has no story."""
    row = _find(session, zone, address)
    return None if row is None else view(row)


def in_states(session: Session, zone: str, states: Iterable[State], limit: int = 200) -> Sequence[HostView]:
    """Return at most *limit* hosts of *zone* that are in one of *states*, longest there first."""
    return _longest_there(session, zone, [Host.state == state for state in dict.fromkeys(states)], limit)


def needing_review(session: Session, zone: str, limit: int = 200) -> Sequence[HostView]:
    """Return the hosts that wait for an operator: nominated, proven, in review, or flagged while listed."""
    waiting = (State.NOMINATED, State.PROVEN, State.REVIEW)
    kinds = [*(Host.state == state for state in waiting), Host.review.is_not(None)]
    return _longest_there(session, zone, kinds, limit)


def count_by_state(session: Session, zone: str) -> dict[State, int]:
    """Return how many hosts of *zone* are in each state."""
    rows = session.execute(
        select(Host.state, func.count(Host.id)).where(Host.zone == zone).group_by(Host.state)
    )
    return dict(rows.all())


def lock(session: Session, zone: str, address: Address) -> Host:
    """Return the host's row, locked until the commit.

    Raises:
        NotFound: the address has no story in this zone.
    """
    row = _find(session, zone, address, lock=True)
    if row is None:
        raise NotFound(f"{address} was never nominated to {zone}", code="unknown-host")
    return row


def lock_or_make(session: Session, zone: str, address: Address, event: Event, act: Act) -> Host:
    """Return the host's row, locked; a host without a story begins it with *event*."""
    row = _find(session, zone, address, lock=True)
    if row is not None:
        return row
    row = Host(
        zone=zone,
        address=address,
        state=lifecycle.next_state(None, event),
        offences=0,
        failed_retests=0,
        retest_allowed_at=None,
        periodic_due_at=None,
        unreachable_since=None,
        review=None,
        created_at=act.at,
        changed_at=act.at,
    )
    if not make_once(session, row):
        return lock(session, zone, address)
    audit.write(session, event.value, subject(row), act, became=row.state.value)
    return row


def happen(session: Session, host: Host, event: Event, act: Act, policy: ZonePolicy) -> State:
    """Let *event* happen to *host* (locked by the caller) and return its new state.

    Raises:
        Conflict: the lifecycle has no such transition.
        Refused: it would be listed, and an exemption forbids that.
    """
    was = host.state
    became = lifecycle.next_state(was, event)
    if became.in_dns and not was.in_dns:
        _enter_dns(session, host, act, policy)
    elif was.in_dns and not became.in_dns:
        listings.end_of_host(session, host.id, act)
        host.periodic_due_at = None
        host.retest_allowed_at = None
        host.failed_retests = 0
    if became is not was:
        host.state = became
        host.changed_at = act.at
    audit.write(session, event.value, subject(host), act, was=was.value, became=became.value)
    return became


def look(host: Host, policy: ZonePolicy, now: datetime) -> None:
    """Remember that the tester looks at *host* now, where it is listed: the next retest has its time."""
    if host.state.in_dns:
        host.retest_allowed_at = now + policy.times.retest_interval


def withdraw(session: Session, host: Host, act: Act, policy: ZonePolicy) -> None:
    """Take a host's listing back for good, and stop its test where one is under way.

    Raises:
        Conflict: it is not listed.
    """
    happen(session, host, Event.WITHDRAW, act, policy)
    host.review = None
    end_run(session, host.id, act)


def unfinished_run(session: Session, host_id: int) -> ProbeRun | None:
    """Return the host's run that is not over yet, locked; there is at most one."""
    query = select(ProbeRun).where(ProbeRun.host_id == host_id, ProbeRun.finished_at.is_(None))
    return session.execute(_locking(query)).scalar_one_or_none()


def end_run(session: Session, host_id: int, act: Act) -> None:
    """End the unfinished run of a host, if any, without a verdict; a worker that holds it is fenced off."""
    run = unfinished_run(session, host_id)
    if run is not None:
        run.finished_at = act.at
        run.why = act.why
        run.lease_owner = None
        run.lease_until = None
        run.attempt += 1


def subject(host: Host) -> str:
    """Return what the audit calls this host."""
    return subject_of(host.zone, host.address)


def subject_of(zone: str, address: Address) -> str:
    """Return what the audit calls *address* in *zone*."""
    return f"{zone} {address}"


def view(row: Host) -> HostView:
    """Return the facts of *row*, free of the session."""
    return HostView(
        id=row.id,
        zone=row.zone,
        address=row.address,
        state=row.state,
        offences=row.offences,
        failed_retests=row.failed_retests,
        retest_allowed_at=row.retest_allowed_at,
        review=row.review,
        created_at=row.created_at,
        changed_at=row.changed_at,
    )


def _longest_there(
    session: Session, zone: str, kinds: Iterable[ColumnElement[bool]], limit: int
) -> Sequence[HostView]:
    """Return at most *limit* hosts of *zone* that are of one of *kinds*, longest in their state first.

    Each kind has an index in that order, of which no more than *limit* rows are read: asked for
    together they would all be read and sorted.
    """
    found = {
        row.id: view(row)
        for kind in kinds
        for row in session.execute(
            select(Host).where(Host.zone == zone, kind).order_by(Host.changed_at, Host.id).limit(limit)
        ).scalars()
    }
    return sorted(found.values(), key=lambda each: (each.changed_at, each.id))[:limit]


def _enter_dns(session: Session, host: Host, act: Act, policy: ZonePolicy) -> None:
    new = listings.NewListing(
        zone=host.zone,
        subject=ip_network(host.address),
        reason=policy.relay_reason,
        origin=Origin.PROBE,
        host_id=host.id,
        allow_reserved=policy.allows(host.address),
    )
    listings.start(session, new, act)
    host.offences += 1
    host.failed_retests = 0
    host.periodic_due_at = act.at + policy.times.periodic_retest
    host.review = None


def _find(session: Session, zone: str, address: Address, *, lock: bool = False) -> Host | None:
    query = _locking(_OF_ADDRESS) if lock else _OF_ADDRESS
    return session.execute(query, {"zone": zone, "address": address}).scalar_one_or_none()


def _locking(query: Select[_Row]) -> Select[_Row]:
    """Return *query* with a lock on its rows, read anew where the session has read them before."""
    return query.with_for_update().execution_options(populate_existing=True)
