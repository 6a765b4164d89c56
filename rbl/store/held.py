"""What the DNS servers of a list hold back, as they say themselves, and what the journal says it is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from rbl.errors import NotFound
from rbl.store import processes
from rbl.store.processes import ListStanding, ProcessView
from rbl.store.tables import JournalEntry, Zone
from rbl.terms import Change


@dataclass(frozen=True, slots=True)
class Held:
    """The changes after serial *after* up to *serial*, and the servers that hold some of them back."""

    after: int
    serial: int
    servers: Sequence[tuple[ProcessView, ListStanding]]
    changes: Mapping[Change, int]


def look(session: Session, zone: str, now: datetime) -> tuple[Held | None, int]:
    """Return what is held back of *zone*, None where nothing is, and how many servers answer for it.

    A server that has not told of itself lately counts for nothing.

    Raises:
        NotFound: there is no such zone.
    """
    if session.get(Zone, zone) is None:
        raise NotFound(f"there is no zone {zone}", code="no-such-zone")
    told = [
        (view, view.lists[zone])
        for view in processes.known(session)
        if zone in view.lists and not view.is_stale(now)
    ]
    holding = [(view, standing) for view, standing in told if standing.held is not None]
    serials = [standing.newest for _, standing in holding if standing.newest is not None]
    if not serials:
        return None, len(told)
    after = min(standing.serial or 0 for _, standing in holding)
    return Held(after, max(serials), holding, _changes(session, zone, after, max(serials))), len(told)


def _changes(session: Session, zone: str, after: int, last: int) -> Mapping[Change, int]:
    counted = (
        select(JournalEntry.change, func.count().label("entries"))
        .where(JournalEntry.zone == zone, JournalEntry.serial > after, JournalEntry.serial <= last)
        .group_by(JournalEntry.change)
    )
    return {row.change: row.entries for row in session.execute(counted)}
