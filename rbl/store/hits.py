"""How often DNS answered for each listing: added up by every DNS server, shown to operators and public.

A row is of one subject of a list, for whatever reasons it was listed and however often; it stays when the
listing ends, as the listing's own row does, so that there are never more of them. Who asked is kept
nowhere.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
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
    rows = session.execute(
        select(ListingHits).where(ListingHits.zone == zone, ListingHits.subject.in_(subjects))
    ).scalars()
    return dict.fromkeys(subjects, NO_HITS) | {row.subject: _view(row) for row in rows}


def most_asked(session: Session, zone: str, limit: int) -> Sequence[tuple[ListingView, HitsView]]:
    """Return at most *limit* live listings of *zone* that DNS answered for, the most asked first."""
    rows = session.execute(
        select(Listing, ListingHits)
        .join(ListingHits, (ListingHits.zone == Listing.zone) & (ListingHits.subject == Listing.subject))
        .where(Listing.zone == zone, Listing.ended_at.is_(None))
        .order_by(ListingHits.hits.desc(), Listing.subject, Listing.id)
        .limit(limit)
    )
    return [(listings.view_of(listing), _view(row)) for listing, row in rows]


def _view(row: ListingHits) -> HitsView:
    return HitsView(row.hits, row.first_hit_at, row.last_hit_at)
