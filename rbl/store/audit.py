"""The audit: who did what, when and why. Append-only (RFC 6471 §2.1.2)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from rbl.store.tables import AuditRow
from rbl.terms import Act

_NEWEST = select(AuditRow).order_by(AuditRow.id.desc()).limit(bindparam("most"))
_NEWEST_OF_SUBJECT = _NEWEST.where(AuditRow.subject == bindparam("subject"))


@dataclass(frozen=True, slots=True)
class Deed:
    """One audited act; *was* and *became* are states where a state changed.

    *note* is for operators only; *key_id* is None where no key did it.
    """

    id: int
    at: datetime
    actor: str
    action: str
    subject: str
    was: str | None
    became: str | None
    why: str
    note: str | None = None
    key_id: int | None = None


def write(
    session: Session,
    action: str,
    subject: str,
    act: Act,
    *,
    was: str | None = None,
    became: str | None = None,
) -> None:
    """Add one act to the audit of this transaction."""
    session.add(
        AuditRow(
            at=act.at,
            actor=act.actor,
            action=action,
            subject=subject,
            was=was,
            became=became,
            why=act.why,
            note=act.note,
            key_id=act.key_id,
        )
    )


def deeds(
    session: Session, *, subject: str | None = None, before_id: int | None = None, limit: int = 100
) -> Sequence[Deed]:
    """Return at most *limit* acts, newest first, of one *subject* or of all, older than *before_id*."""
    query = _NEWEST if subject is None else _NEWEST_OF_SUBJECT
    if before_id is not None:
        query = query.where(AuditRow.id < before_id)
    return [
        Deed(
            id=row.id,
            at=row.at,
            actor=row.actor,
            action=row.action,
            subject=row.subject,
            was=row.was,
            became=row.became,
            why=row.why,
            note=row.note,
            key_id=row.key_id,
        )
        for row in session.execute(query, {"subject": subject, "most": limit}).scalars()
    ]
