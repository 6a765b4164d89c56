"""What is kept for a time only: spam, dialogues, returned messages, audit rows; found and let go.

A host is *at rest* at a time when by then it was in no list and no test of it was due or under way: what
a live listing or a running test rests on is never let go, however old. Of what goes, the rows that others
refer to stay, without their content: a nomination, a spam's digest, a test with its verdict.

Each kind is gone through by ``Position``, the oldest first, a few rows in a transaction. Rows that another
transaction holds are left for the next time.
"""

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import ColumnElement, String, cast, delete, exists, insert, or_, select, tuple_, update
from sqlalchemy.orm import InstrumentedAttribute, Session

from rbl.store.probetables import ProbeEnvelope, ProbeRun, Receipt, TranscriptRow
from rbl.store.tables import (
    ApiKey,
    AuditRetirement,
    AuditRow,
    EvidenceItem,
    Exemption,
    Host,
    Listing,
    Nomination,
)
from rbl.terms import State

_ENDED = (State.CLOSED, State.DELISTED, State.WITHDRAWN, State.REJECTED, State.DEFERRED)
_NOTHING = zlib.compress(b"")


class Kind(StrEnum):
    """What is kept for a time only."""

    EVIDENCE = "evidence"  # the spam, whole and as published; its digest stays
    DIALOGUES = "dialogues"  # what was said in a test; the test and its verdict stay
    RECEIPTS = "receipts"  # the messages that reached the collector
    AUDIT = "audit"  # who did what


@dataclass(frozen=True, slots=True)
class Position:
    """How far a kind was gone through: up to and with the row *id*, which is of *at*."""

    at: datetime
    id: int


@dataclass(frozen=True, slots=True)
class Step:
    """What one step did: how many it let go, and where the next begins; *position* None: that was all."""

    retired: int
    position: Position | None


def step(
    session: Session, kind: Kind, until: datetime, now: datetime, position: Position | None, limit: int
) -> Step:
    """Look at *limit* rows from before *until* and let go of those that nothing rests on."""
    found = _CANDIDATES[kind](session, until, position, limit)
    ids = [row_id for row_id, _ in found]
    retired = _RETIRE[kind](session, ids, until, now) if ids else 0
    following = None if len(found) < limit else Position(found[-1][1], found[-1][0])
    return Step(retired, following)


def _at_rest(until: datetime) -> ColumnElement[bool]:
    """Whether ``Host`` is at rest at *until*, and has been since."""
    under_way = exists().where(ProbeRun.host_id == Host.id, ProbeRun.finished_at.is_(None)).correlate(Host)
    listed = (
        exists()
        .where(Listing.host_id == Host.id, or_(Listing.ended_at.is_(None), Listing.ended_at > until))
        .correlate(Host)
    )
    return Host.state.in_(_ENDED) & (Host.changed_at <= until) & ~under_way & ~listed


_Found = Sequence[tuple[int, datetime]]


def _oldest(
    session: Session,
    row_id: InstrumentedAttribute[int],
    at: InstrumentedAttribute[datetime] | InstrumentedAttribute[datetime | None],
    old: ColumnElement[bool],
    position: Position | None,
    limit: int,
) -> _Found:
    """Return the next *limit* rows that are *old*, oldest first; those that others hold are left out."""
    query = (
        select(row_id, at).where(old).order_by(at, row_id).limit(limit).with_for_update(skip_locked=True)
    )
    if position is not None:
        query = query.where(tuple_(at, row_id) > tuple_(position.at, position.id))
    return [(number, moment) for number, moment in session.execute(query) if moment is not None]


def _old_evidence(session: Session, until: datetime, position: Position | None, limit: int) -> _Found:
    old = EvidenceItem.retired_at.is_(None) & (EvidenceItem.created_at <= until)
    return _oldest(session, EvidenceItem.id, EvidenceItem.created_at, old, position, limit)


def _retire_evidence(session: Session, ids: Sequence[int], until: datetime, now: datetime) -> int:
    """Empty the spams that no nomination of a host that is not at rest points to."""
    needed = session.execute(
        select(Nomination.evidence_id)
        .join(Host)
        .where(Nomination.evidence_id.in_(ids), or_(Nomination.created_at > until, ~_at_rest(until)))
    ).scalars()
    free = set(ids) - set(needed)
    session.execute(
        update(EvidenceItem)
        .where(EvidenceItem.id.in_(free))
        .values(message=_NOTHING, published="", retired_at=now)
    )
    return len(free)


def _old_dialogues(session: Session, until: datetime, position: Position | None, limit: int) -> _Found:
    old = ProbeRun.dialogue_retired_at.is_(None) & (ProbeRun.finished_at <= until)
    return _oldest(session, ProbeRun.id, ProbeRun.finished_at, old, position, limit)


def _retire_dialogues(session: Session, ids: Sequence[int], until: datetime, now: datetime) -> int:
    free = (
        session.execute(select(ProbeRun.id).join(Host).where(ProbeRun.id.in_(ids), _at_rest(until)))
        .scalars()
        .all()
    )
    session.execute(delete(TranscriptRow).where(TranscriptRow.run_id.in_(free)))
    session.execute(update(ProbeEnvelope).where(ProbeEnvelope.run_id.in_(free)).values(reply=None))
    session.execute(
        update(ProbeRun).where(ProbeRun.id.in_(free)).values(banner=None, dialogue_retired_at=now)
    )
    return len(free)


def _old_receipts(session: Session, until: datetime, position: Position | None, limit: int) -> _Found:
    old = Receipt.received_at <= until
    return _oldest(session, Receipt.id, Receipt.received_at, old, position, limit)


def _retire_receipts(session: Session, ids: Sequence[int], until: datetime, now: datetime) -> int:
    """Delete the messages whose test's host is at rest, and those that belong to no test."""
    del now
    needed = session.execute(
        select(Receipt.id)
        .join(ProbeEnvelope, ProbeEnvelope.id == Receipt.envelope_id)
        .join(ProbeRun, ProbeRun.id == ProbeEnvelope.run_id)
        .join(Host, Host.id == ProbeRun.host_id)
        .where(Receipt.id.in_(ids), ~_at_rest(until))
    ).scalars()
    free = set(ids) - set(needed)
    session.execute(delete(Receipt).where(Receipt.id.in_(free)))
    return len(free)


def _old_audit(session: Session, until: datetime, position: Position | None, limit: int) -> _Found:
    """Return the next rows up to the first that is not old: they are written in order of time."""
    query = select(AuditRow.id, AuditRow.at).order_by(AuditRow.id).limit(limit)
    if position is not None:
        query = query.where(AuditRow.id > position.id)
    found = session.execute(query).all()
    young = next((place for place, (_, at) in enumerate(found) if at >= until), len(found))
    return found[:young]


def _retire_audit(session: Session, ids: Sequence[int], until: datetime, now: datetime) -> int:
    """Delete what is not the story of a host or network that is listed, or of a host not at rest."""
    del now
    rows = session.execute(select(AuditRow.id, AuditRow.subject).where(AuditRow.id.in_(ids))).all()
    told = _still_told(session, {subject for _, subject in rows}, until)
    free = [row_id for row_id, subject in rows if subject not in told]
    if not free:
        return 0
    session.execute(insert(AuditRetirement).values(id=1, until=until, uncommittable=0))
    # Counted by the database: another worker may have deleted some of them a moment ago.
    deleted = session.connection().execute(delete(AuditRow).where(AuditRow.id.in_(free))).rowcount
    session.execute(delete(AuditRetirement))
    return deleted


def _still_told(session: Session, subjects: set[str], until: datetime) -> set[str]:
    """Return those of *subjects* whose story is not over: listed, exempt, under test, or a valid key."""
    # A host, network or name is written after its list's apex; an exemption and a key stand alone.
    about = [(zone, rest) for zone, _, rest in (text.partition(" ") for text in subjects) if rest]
    listing = tuple_(Listing.zone, Listing.subject)
    pairs = [
        select(Host.zone, Host.address).where(tuple_(Host.zone, Host.address).in_(about), ~_at_rest(until)),
        select(Listing.zone, Listing.subject).where(listing.in_(about), Listing.ended_at.is_(None)),
        select(Listing.zone, Listing.subject).where(
            listing.in_(about), Listing.ended_at.is_not(None), Listing.ended_at > until
        ),
    ]
    told = {f"{zone} {thing}" for query in pairs for zone, thing in session.execute(query)}
    alone = [
        select(Exemption.network).where(
            cast(Exemption.network, String).in_(subjects), Exemption.ended_at.is_(None)
        ),
        select(ApiKey.name).where(ApiKey.name.in_(subjects), ApiKey.revoked_at.is_(None)),
    ]
    return told | {str(thing) for query in alone for (thing,) in session.execute(query)}


_CANDIDATES: Mapping[Kind, Callable[[Session, datetime, Position | None, int], _Found]] = {
    Kind.EVIDENCE: _old_evidence,
    Kind.DIALOGUES: _old_dialogues,
    Kind.RECEIPTS: _old_receipts,
    Kind.AUDIT: _old_audit,
}
_RETIRE: Mapping[Kind, Callable[[Session, Sequence[int], datetime, datetime], int]] = {
    Kind.EVIDENCE: _retire_evidence,
    Kind.DIALOGUES: _retire_dialogues,
    Kind.RECEIPTS: _retire_receipts,
    Kind.AUDIT: _retire_audit,
}
