"""API keys: made, shown once, found by digest, revoked.

A key is 32 random bytes, so its SHA-256 needs no salt and no slow hash: nothing can be guessed from
it. It is found by digest through an index, whose timing tells nothing about the key.
"""

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from ipaddress import ip_network

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from rbl.errors import BadInput, Conflict, NotFound, Refused
from rbl.store import audit
from rbl.store.tables import ApiKey
from rbl.terms import Act, Network, Nominator, Role, Trust

_PREFIX = "rbl_"  # lets secret scanners and people recognise a key
_LONGEST_KEY = 100  # ours have 47 characters; nothing longer is worth hashing


@dataclass(frozen=True, slots=True)
class KeyView:
    """A key as the API shows it: all but the key itself."""

    id: int
    name: str
    role: Role
    trust: Trust
    mx_names: tuple[str, ...]
    internal_networks: tuple[Network, ...]
    created_at: datetime
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True)
class NewKey:
    """What a key is to be; *mx_names* and *internal_networks* are for nominators, see Nominator."""

    name: str
    role: Role
    trust: Trust = Trust.NORMAL
    mx_names: tuple[str, ...] = ()
    internal_networks: tuple[Network, ...] = ()


def make(session: Session, new: NewKey, *, actor: str, now: datetime) -> tuple[str, KeyView]:
    """Return a new key, which is kept nowhere, and its description.

    Raises:
        BadInput: an empty or over-long name.
        Conflict: the name is taken.
    """
    name = new.name.strip()
    if not name or len(name) > 100 or not name.isprintable():
        raise BadInput("a key needs a name of 1 to 100 printable characters", code="bad-name")
    if session.execute(select(ApiKey.id).where(ApiKey.name == name)).scalar() is not None:
        raise Conflict(f"there is a key named {name!r} already", code="name-taken")
    secret = _PREFIX + secrets.token_urlsafe(32)
    row = ApiKey(
        name=name,
        role=new.role,
        trust=new.trust,
        digest=_digest(secret),
        mx_names=[mx.rstrip(".").lower() for mx in new.mx_names],
        internal_networks=[str(network) for network in new.internal_networks],
        created_at=now,
        revoked_at=None,
    )
    session.add(row)
    session.flush()
    act = Act(actor, f"trust {new.trust.value}", now)
    audit.write(session, "make-key", name, act, became=new.role.value)
    return secret, _view(row)


def authenticate(session: Session, secret: str) -> Nominator:
    """Return whose key *secret* is.

    Raises:
        Refused: it is none of ours, or was revoked.
    """
    row = None
    if len(secret) <= _LONGEST_KEY:
        row = session.execute(select(ApiKey).where(ApiKey.digest == _digest(secret))).scalar_one_or_none()
    if row is None or row.revoked_at is not None:
        raise Refused("this API key is unknown or was revoked", code="bad-key")
    return Nominator(
        key_id=row.id,
        name=row.name,
        role=row.role,
        trust=row.trust,
        mx_names=frozenset(row.mx_names),
        internal_networks=tuple(ip_network(network) for network in row.internal_networks),
    )


def revoke(session: Session, key_id: int, *, actor: str, now: datetime) -> KeyView:
    """Revoke a key from this commit on and return it; revoking twice changes nothing.

    Raises:
        NotFound: there is no such key.
        Conflict: it is the last admin key, without which nobody could make another.
    """
    admins = _lock_admins(session)
    row = session.get(ApiKey, key_id, with_for_update=True)
    if row is None:
        raise NotFound(f"there is no key {key_id}", code="no-such-key")
    if row.revoked_at is not None:
        return _view(row)
    if list(admins) == [key_id]:
        raise Conflict("this is the last admin key: make another one first", code="last-admin")
    row.revoked_at = now
    audit.write(session, "revoke-key", row.name, Act(actor, "revoked", now), was=row.role.value)
    return _view(row)


def all_keys(session: Session) -> Sequence[KeyView]:
    """Return every key, revoked ones too, in order of creation."""
    return [_view(row) for row in session.execute(select(ApiKey).order_by(ApiKey.id)).scalars()]


def make_first(session: Session, *, now: datetime) -> str | None:
    """Return a first admin key when there is no key at all yet, otherwise None."""
    if session.execute(select(func.count(ApiKey.id))).scalar_one():
        return None
    try:
        with session.begin_nested():
            secret, _ = make(
                session, NewKey("first-admin", Role.ADMIN, Trust.TRUSTED), actor="set-up", now=now
            )
    except (IntegrityError, Conflict):  # another process that starts at this moment made it, and shows it
        return None
    return secret


def _lock_admins(session: Session) -> Sequence[int]:
    """Return the ids of the live admin keys; of two revocations at once the second sees the first."""
    return (
        session.execute(
            select(ApiKey.id)
            .where(ApiKey.role == Role.ADMIN, ApiKey.revoked_at.is_(None))
            .order_by(ApiKey.id)
            .with_for_update()
        )
        .scalars()
        .all()
    )


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def _view(row: ApiKey) -> KeyView:
    return KeyView(
        id=row.id,
        name=row.name,
        role=row.role,
        trust=row.trust,
        mx_names=tuple(row.mx_names),
        internal_networks=tuple(ip_network(network) for network in row.internal_networks),
        created_at=row.created_at,
        revoked_at=row.revoked_at,
    )
