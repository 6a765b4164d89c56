"""Which addresses tests can come from now: every worker tells of its own while it lives.

A run is tested from one vantage at a time, drawn at random among those that live, so that nobody knows
beforehand whom a host will see; the lottery is here, and ``runs`` asks it.
"""

import secrets
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, auto

from sqlalchemy import ColumnElement, delete, select
from sqlalchemy.orm import Session

from rbl import lifecycle
from rbl.lifecycle import Event
from rbl.store import hosts, signal
from rbl.store.hosts import ZonePolicy
from rbl.store.probetables import WORK_CHANNEL, ProbeRun, Vantage
from rbl.store.tables import Host
from rbl.terms import Act, Address, Purpose

# A worker that tells nothing for so many heartbeats is gone, and its tests are taken over.
_HEARTBEATS = 3
_LOTTERY = secrets.SystemRandom()
# Until it is seen again whether there is a vantage for a run that has none.
_ASKED_AGAIN_AFTER = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Prober:
    """A worker that asks for work: *own* are its vantages.

    *tell* hears of each host that the vantage of no worker can reach, and why, once.
    """

    own: frozenset[Address]
    tell: Callable[[Address, str], object]


def tell(
    session: Session, worker: str, addresses: Collection[Address], now: datetime, heartbeat: timedelta
) -> None:
    """Write down that *worker* lives and can test from *addresses*, and from no others any more."""
    known = session.execute(select(Vantage.address).where(Vantage.worker == worker)).scalars().all()
    gone = [address for address in known if address not in addresses]
    session.execute(delete(Vantage).where(Vantage.worker == worker, Vantage.address.in_(gone)))
    session.execute(delete(Vantage).where(Vantage.expected_at < now - lifecycle.DAY))  # of killed workers
    for address in addresses:
        session.merge(
            Vantage(address=address, worker=worker, seen_at=now, expected_at=now + _HEARTBEATS * heartbeat)
        )
    if set(addresses) - set(known):  # runs may have waited for just these
        signal.notify(session, WORK_CHANNEL)


def forget(session: Session, worker: str) -> None:
    """Take away the vantages of a worker that ends, so that others take its runs over at once."""
    session.execute(delete(Vantage).where(Vantage.worker == worker))
    signal.notify(session, WORK_CHANNEL)


def living(session: Session, now: datetime) -> Sequence[Address]:
    """Return every address that some worker can test from at *now*, each once."""
    return list(
        session.execute(
            select(Vantage.address).where(Vantage.expected_at >= now).distinct().order_by(Vantage.address)
        ).scalars()
    )


class Lot(Enum):
    """Where a run is tested from, as the worker that asked sees it."""

    HERE = auto()  # from an address of its own
    ELSEWHERE = auto()  # from one that another worker has
    NOWHERE = auto()  # no worker has an address that could reach the host


@dataclass(frozen=True, slots=True)
class Places:
    """The vantages of the worker that asks for work, and all that live; its own do, since it asks."""

    own: frozenset[Address]
    alive: Sequence[Address]

    def may_take(self) -> ColumnElement[bool]:
        """Whether a run is for one of its own vantages, or for none that lives."""
        lost = ProbeRun.vantage.not_in(self.alive)
        return ProbeRun.vantage.is_(None) | ProbeRun.vantage.in_(self.own) | lost

    def place(self, session: Session, host: Host, run: ProbeRun) -> Lot:
        """Draw the vantage of *run* where it has none that lives, and return whose it is."""
        candidates = others(self.alive, host.address, run.confirms)
        if run.vantage not in candidates:
            run.vantage = _draw(candidates, _met(session, host, run))
        if run.vantage is None:
            return Lot.NOWHERE
        return Lot.HERE if run.vantage in self.own else Lot.ELSEWHERE


def postpone(
    session: Session, host: Host, run: ProbeRun, prober: Prober, policy: ZonePolicy, now: datetime
) -> None:
    """Defer a test that no worker can make, and see that an operator hears of it, once."""
    why = _why_nowhere(host.address)
    run.due_at = now + _ASKED_AGAIN_AFTER
    if run.why == why:
        return
    run.why = why
    for event in (Event.CLAIM, Event.DEFER):
        if lifecycle.allows(host.state, event):  # not of a host that is out, at its follow-up
            hosts.happen(session, host, event, Act("worker", why, now), policy)
    host.review = why
    prober.tell(host.address, why)


def resume(host: Host) -> None:
    """Note that there is a vantage for *host* again."""
    if host.review == _why_nowhere(host.address):
        host.review = None


def _why_nowhere(target: Address) -> str:
    return (
        f"no tester has an IPv{target.version} address to test from: the test waits until one has"
        " (probe.source_addresses)"
    )


def places(session: Session, own: Collection[Address], now: datetime) -> Places:
    """Return what a worker with the vantages *own* can choose among at *now*."""
    return Places(frozenset(own), list({*living(session, now), *own}))


def others(alive: Collection[Address], target: Address, but: Address | None) -> Sequence[Address]:
    """Return those of *alive* that can reach *target*, being of its family, except *but*."""
    return sorted((each for each in alive if each.version == target.version and each != but), key=int)


def another(session: Session, target: Address, than: Address | None, now: datetime) -> Address | None:
    """Return a living vantage that can reach *target* and is not *than*, at random; None: there is none."""
    return None if than is None else _draw(others(living(session, now), target, than), ())


def _draw(among: Sequence[Address], unlike: Collection[Address]) -> Address | None:
    """Return one of *among* at random, none of *unlike* where there is another."""
    preferred = [address for address in among if address not in unlike]
    return _LOTTERY.choice(preferred or among) if among else None


def _met(session: Session, host: Host, run: ProbeRun) -> frozenset[Address]:
    """Return the vantages that a host which was listed once has met in its last test before *run*.

    Nominated again it is asked by another: it may have closed itself to those alone.
    """
    if run.purpose is not Purpose.NOMINATION or not host.offences:
        return frozenset()
    last = session.execute(
        select(ProbeRun)
        .where(ProbeRun.host_id == host.id, ProbeRun.id < run.id, ProbeRun.steps_done > 0)
        .order_by(ProbeRun.id.desc())
        .limit(1)
    ).scalar_one_or_none()
    met = () if last is None else (last.vantage, last.confirms)
    return frozenset(address for address in met if address is not None)
