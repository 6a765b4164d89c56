"""How often DNS answered for each listing: added up by every DNS server, shown to operators and public.

A row is of one subject of a list, for whatever reasons it was listed and however often; it stays when the
listing ends, as the listing's own row does, so that there are never more of them. Who asked is kept
nowhere.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import bindparam, select, tuple_
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from rbl.store import listings
from rbl.store.listings import ListingView
from rbl.store.tables import Listing, ListingHits, Zone


@dataclass(frozen=True, slots=True)
class HitsView:
    """How often DNS answered for a listing, and when it first and last did; to the minute."""

    hits: int
    first_hit_at: datetime | None
    last_hit_at: datetime | None


_OF_SUBJECTS = select(ListingHits).where(
    ListingHits.zone == bindparam("zone"), ListingHits.subject.in_(bindparam("subjects", expanding=True))
)
NO_HITS = HitsView(0, None, None)


def add(session: Session, counts: Mapping[tuple[str, str], int], now: datetime) -> None:
    """Add *counts*, by zone and subject. What is of no zone of this database is left out."""
    zones = set(session.execute(select(Zone.apex)).scalars())
    # In one order everywhere, so that two servers never wait for each other.
    rows = [
        {"zone": zone, "subject": subject, "hits": hits, "first_hit_at": now, "last_hit_at": now}
        for (zone, subject), hits in sorted(counts.items())
        if zone in zones
    ]
    if not rows:
        return
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    new = insert(ListingHits)
    added = new.on_conflict_do_update(
        index_elements=[ListingHits.zone, ListingHits.subject],
        set_={"hits": ListingHits.hits + new.excluded.hits, "last_hit_at": new.excluded.last_hit_at},
    )
    session.connection().execute(added, rows)


def of_subjects(session: Session, zone: str, subjects: Collection[str]) -> Mapping[str, HitsView]:
    """Return the hits of each of *subjects* of *zone*, none included."""
    if not subjects:
        return {}
    rows = session.execute(_OF_SUBJECTS, {"zone": zone, "subjects": list(subjects)}).scalars()
    return dict.fromkeys(subjects, NO_HITS) | {row.subject: _view(row) for row in rows}


def most_asked(session: Session, zone: str, limit: int) -> Sequence[tuple[ListingView, HitsView]]:
    """Return at most *limit* live listings of *zone* that DNS answered for, the most asked first."""
    found: list[tuple[ListingView, HitsView]] = []
    for asked in _by_hits(session, zone, limit):
        live = select(Listing).where(
            Listing.zone == zone, Listing.subject.in_(asked), Listing.ended_at.is_(None)
        )
        rows = session.execute(live).scalars().all()
        place = {subject: number for number, subject in enumerate(asked)}
        in_order = sorted(rows, key=lambda row: (place[row.subject], row.id))
        found += [(listings.view_of(row), asked[row.subject]) for row in in_order]
        if len(found) >= limit:
            break
    return found[:limit]


def _by_hits(session: Session, zone: str, size: int) -> Iterator[Mapping[str, HitsView]]:
    """Yield the hits of all subjects of *zone*, *size* at once, the most asked first.

    Each step begins where the last one ended, in an index: in one query SQLite would sort them all.
    """
    last: tuple[int, str] | None = None
    while True:
        query = select(ListingHits).where(ListingHits.zone == zone)
        if last is not None:
            query = query.where(tuple_(ListingHits.hits, ListingHits.subject) < last)
        in_order = query.order_by(ListingHits.hits.desc(), ListingHits.subject.desc()).limit(size)
        rows = session.execute(in_order).scalars().all()
        if not rows:
            return
        yield {row.subject: _view(row) for row in rows}
        last = rows[-1].hits, rows[-1].subject


def _view(row: ListingHits) -> HitsView:
    return HitsView(row.hits, row.first_hit_at, row.last_hit_at)
