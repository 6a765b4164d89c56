"""Listings: what is or was in DNS. Each start and end writes its journal entry in the same transaction."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from rbl import addresses, names
from rbl.errors import BadInput, Conflict, NotFound
from rbl.names import OwnerName
from rbl.store import audit, exemptions, journal
from rbl.store.tables import Listing
from rbl.terms import Act, Address, Change, Network, Origin

# What every page asks, put together once: that costs more than the answer.
_COVERING = select(Listing).where(
    Listing.zone == bindparam("zone"),
    Listing.subject.in_(bindparam("around", expanding=True)),
    Listing.ended_at.is_(None),
)
_PAST = (
    select(Listing)
    .where(
        Listing.zone == bindparam("zone"),
        Listing.subject == bindparam("subject"),
        Listing.ended_at.is_not(None),
    )
    .order_by(Listing.ended_at.desc())
    .limit(bindparam("most"))
)

# What a listing is about: a network, or in a list of names a name or all below one (RFC 5782 §3).
Subject = Network | OwnerName


@dataclass(frozen=True, slots=True)
class ListingView:
    """A listing as pages and the API show it; *ended_at* None: live."""

    id: int
    zone: str
    subject: str
    reason: str
    text: str | None
    origin: Origin
    actor: str
    why: str
    listed_at: datetime
    expires_at: datetime | None
    ended_at: datetime | None
    ended_why: str | None


@dataclass(frozen=True, slots=True)
class NewListing:
    """What is to be listed, checked against the zone file by the caller: kind, reason, and width."""

    zone: str
    subject: Subject
    reason: str
    text: str | None = None
    expires_at: datetime | None = None
    origin: Origin = Origin.OPERATOR
    host_id: int | None = None
    allow_reserved: bool = False


def start(session: Session, new: NewListing, act: Act) -> ListingView:
    """List a network or name and return the listing; the journal entry is part of this transaction.

    Raises:
        BadInput: reserved space, a test point, or an expiry in the past.
        Refused: an exemption covers the network.
        Conflict: it is listed for this reason already.
        NotFound: there is no such zone.
    """
    _refuse_reserved(new)
    if new.expires_at is not None and new.expires_at <= act.at:
        raise BadInput(
            f"the listing would expire before it begins, at {new.expires_at:%Y-%m-%d %H:%M} UTC",
            code="expiry-past",
        )
    if not isinstance(new.subject, OwnerName):
        exemptions.refuse_listing_of(session, new.subject)
    subject = str(new.subject)
    journal.lock(session, new.zone)
    if _live(session, new.zone, subject, new.reason) is not None:
        raise Conflict(f"{subject} is listed already for {new.reason}", code="already-listed")
    journal.append(session, new.zone, Change.LISTED, subject, act, reason=new.reason, text=new.text)
    row = Listing(
        zone=new.zone,
        subject=subject,
        reason=new.reason,
        text=new.text,
        origin=new.origin,
        host_id=new.host_id,
        actor=act.actor,
        why=act.why,
        listed_at=act.at,
        expires_at=new.expires_at,
        ended_at=None,
        ended_why=None,
    )
    session.add(row)
    session.flush()
    if new.host_id is None:  # what a test brings about is audited as its host's story
        audit.write(session, f"list-{_word(new.subject)}", f"{new.zone} {subject}", act, became=new.reason)
    return view_of(row)


def end(session: Session, zone: str, subject: Subject, reason: str, act: Act) -> ListingView:
    """End the live listing of *subject* for *reason*, made by hand or imported, and return it.

    Raises:
        NotFound: it is not listed for this reason, or there is no such zone.
        Conflict: a test brought it about: it ends with its host's retest or withdrawal.
    """
    journal.lock(session, zone)
    row = _live(session, zone, str(subject), reason)
    if row is None:
        raise NotFound(f"{subject} is not listed for {reason}", code="not-listed")
    if row.host_id is not None:
        raise Conflict(
            f"{subject} is listed because of a test: withdraw the host instead", code="listed-by-test"
        )
    _end(session, row, act)
    audit.write(session, f"end-{_word(subject)}", f"{zone} {row.subject}", act, was=row.reason)
    return view_of(row)


def end_of_host(session: Session, host_id: int, act: Act) -> None:
    """End every live listing that a host's tests brought about."""
    rows = session.execute(
        select(Listing).where(Listing.host_id == host_id, Listing.ended_at.is_(None))
    ).scalars()
    for row in rows.all():
        _end(session, row, act)


def end_expired(session: Session, now: datetime, limit: int = 500) -> int:
    """End at most *limit* listings whose time is over, and return how many (RFC 6471 §2.2.1)."""
    is_over = Listing.ended_at.is_(None) & (Listing.expires_at <= now)
    act = Act("timer", "the listing expired", now)
    count = 0
    over = select(Listing).where(is_over).order_by(Listing.expires_at).limit(limit)
    # In order of apex, as everybody who writes to several zones: two such writers cannot deadlock.
    zones = sorted(set(session.execute(over.with_only_columns(Listing.zone)).scalars()))
    for zone in zones:
        journal.lock(session, zone)
    for row in session.execute(over).scalars().all():
        if row.zone in zones:  # else the next time: it was over only after the look
            _end(session, row, act)
            audit.write(session, "expire", f"{row.zone} {row.subject}", act, was=row.reason)
            count += 1
    return count


def covering(session: Session, zone: str, subject: Subject | Address) -> Sequence[ListingView]:
    """Return the live listings of *zone* that cover all of *subject*, the most specific first."""
    around = {text: place for place, text in enumerate(_around(subject))}
    rows = session.execute(_COVERING, {"zone": zone, "around": list(around)}).scalars()
    return sorted((view_of(row) for row in rows), key=lambda view: around[view.subject])


def past(session: Session, zone: str, subject: Subject, limit: int = 50) -> Sequence[ListingView]:
    """Return the listings of exactly *subject* that ended, newest first."""
    rows = session.execute(_PAST, {"zone": zone, "subject": str(subject), "most": limit}).scalars()
    return [view_of(row) for row in rows]


def _refuse_reserved(new: NewListing) -> None:
    if isinstance(new.subject, OwnerName):
        code, reserved = "test-point", names.reserved_reason(new.subject)
    else:
        code, reserved = "reserved-address", addresses.reserved_reason(new.subject)
        reserved = None if new.allow_reserved else reserved
    if reserved:
        raise BadInput(f"{new.subject} cannot be listed: {reserved}", code=code)


def _around(subject: Subject | Address) -> list[str]:
    """Return the subjects that cover all of *subject*, the most specific first."""
    if isinstance(subject, OwnerName):
        return [str(name) for name in subject.covering()]
    return addresses.networks_around(subject)


def _word(subject: Subject) -> str:
    return "name" if isinstance(subject, OwnerName) else "network"


def _live(session: Session, zone: str, subject: str, reason: str) -> Listing | None:
    return session.execute(
        select(Listing).where(
            Listing.zone == zone,
            Listing.subject == subject,
            Listing.reason == reason,
            Listing.ended_at.is_(None),
        )
    ).scalar_one_or_none()


def _end(session: Session, row: Listing, act: Act) -> None:
    journal.append(session, row.zone, Change.DELISTED, row.subject, act, reason=row.reason)
    row.ended_at = act.at
    row.ended_why = act.why


def view_of(row: Listing) -> ListingView:
    """Return *row* as it is shown."""
    return ListingView(
        id=row.id,
        zone=row.zone,
        subject=row.subject,
        reason=row.reason,
        text=row.text,
        origin=row.origin,
        actor=row.actor,
        why=row.why,
        listed_at=row.listed_at,
        expires_at=row.expires_at,
        ended_at=row.ended_at,
        ended_why=row.ended_why,
    )
