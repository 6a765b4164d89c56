"""Customers' keys: made, shown once, valid and revoked through the journal, their use counted.

``customerkey`` says what a key is. DNS learns of a key as of a listing: by an entry of the zone's
journal, whose subject is the key's digest, so that a revoked key is refused within a second
everywhere. Neither journal nor audit holds the key itself.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from rbl import customerkey
from rbl.errors import BadInput, NotFound
from rbl.store import audit, journal
from rbl.store.keytables import CustomerKey
from rbl.terms import Act, Change


@dataclass(frozen=True, slots=True)
class CustomerView:
    """A customer's key as it is shown: all but the key itself. *queries* are those of all servers."""

    id: int
    zone: str
    name: str
    queries: int
    used_at: datetime | None
    created_at: datetime
    revoked_at: datetime | None


def make(session: Session, zone: str, name: str, act: Act) -> tuple[str, CustomerView]:
    """Return a new key of *zone*, which is kept nowhere, and its description.

    A customer may have several: the next one is made before the last one is revoked.

    Raises:
        BadInput: an empty or over-long name.
        NotFound: there is no such zone.
    """
    name = name.strip()
    if not name or len(name) > 100 or not name.isprintable():
        raise BadInput("a customer needs a name of 1 to 100 printable characters", code="bad-name")
    label = customerkey.new_label()
    digest = customerkey.digest_of(label.encode())
    journal.append(session, zone, Change.KEYED, digest, act)
    row = CustomerKey(
        zone=zone, name=name, digest=digest, queries=0, used_at=None, created_at=act.at, revoked_at=None
    )
    session.add(row)
    session.flush()
    audit.write(session, "make-customer-key", f"{name} ({zone})", act)
    return label, _view(row)


def revoke(session: Session, key_id: int, act: Act) -> CustomerView:
    """Revoke a key from this commit on and return it; revoking twice changes nothing.

    Raises:
        NotFound: there is no such key.
    """
    row = session.get(CustomerKey, key_id, with_for_update=True)
    if row is None:
        raise NotFound(f"there is no customer's key {key_id}", code="no-such-key")
    if row.revoked_at is None:
        journal.append(session, row.zone, Change.UNKEYED, row.digest, act)
        row.revoked_at = act.at
        audit.write(session, "revoke-customer-key", f"{row.name} ({row.zone})", act)
    return _view(row)


def all_keys(session: Session) -> Sequence[CustomerView]:
    """Return every key, revoked ones too, in order of creation."""
    return [_view(row) for row in session.execute(select(CustomerKey).order_by(CustomerKey.id)).scalars()]


def add_usage(session: Session, counts: Mapping[tuple[str, str], int], now: datetime) -> None:
    """Add *counts* of queries, by zone and digest, to their keys. What is no key of ours is left out."""
    # In one order everywhere, so that two servers never wait for each other.
    for (zone, digest), queries in sorted(counts.items()):
        session.execute(
            update(CustomerKey)
            .where(CustomerKey.zone == zone, CustomerKey.digest == digest)
            .values(queries=CustomerKey.queries + queries, used_at=now)
        )


def _view(row: CustomerKey) -> CustomerView:
    return CustomerView(
        id=row.id,
        zone=row.zone,
        name=row.name,
        queries=row.queries,
        used_at=row.used_at,
        created_at=row.created_at,
        revoked_at=row.revoked_at,
    )
