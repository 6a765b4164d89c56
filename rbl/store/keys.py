"""API keys: made, shown once, found by digest, rotated, expired, revoked.

A key is who somebody is: its number and name stay for good, with all that was done with it. Its secret
may be replaced (``rotate``), and then the one before is taken for a while beside the new one. A secret is
32 random bytes, so its SHA-256 needs no salt and no slow hash: nothing can be guessed from it. It is
found by digest through an index, whose timing tells nothing about the secret.
"""

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_network

from sqlalchemy import ColumnElement, func, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from rbl.actors import reads_like_ours
from rbl.errors import BadInput, Conflict, NotFound, Refused
from rbl.store import audit
from rbl.store.tables import ApiKey
from rbl.terms import Act, Network, Nominator, Role, Trust

FIRST_ADMIN = "first-admin"
LONGEST_OVERLAP = timedelta(days=30)
_PREFIX = "rbl_"  # lets secret scanners and people recognise a key
_LONGEST_KEY = 100  # ours have 47 characters; nothing longer is worth hashing


@dataclass(frozen=True, slots=True)
class KeyView:
    """A key as the API shows it: all but the secrets.

    *used_at* and *previous_used_at* (of the secret before the last rotation, which is taken until
    *previous_until*) are a minute old at most.
    """

    id: int
    name: str
    role: Role
    trust: Trust
    mx_names: tuple[str, ...]
    internal_networks: tuple[Network, ...]
    created_at: datetime
    revoked_at: datetime | None
    expires_at: datetime | None = None
    used_at: datetime | None = None
    previous_until: datetime | None = None
    previous_used_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class NewKey:
    """What a key is to be; *mx_names* and *internal_networks* are for nominators, see Nominator."""

    name: str
    role: Role
    trust: Trust = Trust.NORMAL
    mx_names: tuple[str, ...] = ()
    internal_networks: tuple[Network, ...] = ()
    expires_at: datetime | None = None  # it is refused from then on; None: never


@dataclass(frozen=True, slots=True)
class Use:
    """Which secret of which key was shown: the present one, or the one before the last rotation."""

    key_id: int
    previous: bool


class RefusedKey(Refused):
    """A key that is not taken; *key_id* and *name* where it is one of ours, *why* in a word for the log."""

    def __init__(self, why: str, *, key_id: int | None = None, name: str | None = None) -> None:
        """Tell the caller no more than that: whoever tries keys learns nothing of them."""
        super().__init__("this API key is unknown, has expired or was revoked", code="bad-key")
        self.why = why
        self.key_id = key_id
        self.name = name


def make(session: Session, new: NewKey, act: Act) -> tuple[str, KeyView]:
    """Return a new secret, which is kept nowhere, and its key.

    Raises:
        BadInput: an empty or over-long name, one that reads like ours, or an expiry in the past.
        Conflict: the name is taken.
    """
    name = new.name.strip()
    if not name or len(name) > 100 or not name.isprintable():
        raise BadInput("a key needs a name of 1 to 100 printable characters", code="bad-name")
    if reads_like_ours(name):
        raise BadInput(
            f"{name!a} reads like what the program calls itself or a key's number: say whose key it is",
            code="bad-name",
        )
    _refuse_past(new.expires_at, act.at)
    if session.execute(select(ApiKey.id).where(ApiKey.name == name)).scalar() is not None:
        raise Conflict(f"there is a key named {name!r} already", code="name-taken")
    secret = _new_secret()
    row = ApiKey(
        name=name,
        role=new.role,
        trust=new.trust,
        digest=_digest(secret),
        mx_names=[mx.rstrip(".").lower() for mx in new.mx_names],
        internal_networks=[str(network) for network in new.internal_networks],
        created_at=act.at,
        revoked_at=None,
        expires_at=new.expires_at,
        used_at=None,
        previous_digest=None,
        previous_until=None,
        previous_used_at=None,
    )
    session.add(row)
    session.flush()
    audit.write(session, "make-key", name, act, became=f"{new.role.value} {new.trust.value}")
    return secret, view_of(row)


def authenticate(session: Session, secret: str, now: datetime) -> tuple[Nominator, Use]:
    """Return whose key *secret* belongs to, and which of its secrets it is.

    Raises:
        RefusedKey: it is none of ours, has expired, was revoked, or was replaced too long ago.
    """
    if len(secret) > _LONGEST_KEY:
        raise RefusedKey("unknown")
    digest = _digest(secret)
    row = session.execute(
        select(ApiKey).where(or_(ApiKey.digest == digest, ApiKey.previous_digest == digest))
    ).scalar_one_or_none()
    if row is None:
        raise RefusedKey("unknown")
    previous = row.digest != digest
    why = None
    if row.revoked_at is not None:
        why = "revoked"
    elif row.expires_at is not None and row.expires_at <= now:
        why = "expired"
    elif previous and (row.previous_until is None or row.previous_until <= now):
        why = "replaced"
    if why is not None:
        raise RefusedKey(why, key_id=row.id, name=row.name)
    nominator = Nominator(
        key_id=row.id,
        name=row.name,
        role=row.role,
        trust=row.trust,
        mx_names=frozenset(row.mx_names),
        internal_networks=tuple(ip_network(network) for network in row.internal_networks),
    )
    return nominator, Use(row.id, previous)


def mark_used(session: Session, uses: Mapping[Use, datetime]) -> None:
    """Note when keys were last used; an earlier time than the one that is there changes nothing."""
    # In one order everywhere, so that two web processes never wait for each other.
    for use, at in sorted(uses.items(), key=lambda one: (one[0].key_id, one[0].previous)):
        columns = [ApiKey.used_at, *([ApiKey.previous_used_at] if use.previous else [])]
        for column in columns:
            session.execute(
                update(ApiKey)
                .where(ApiKey.id == use.key_id, or_(column.is_(None), column < at))
                .values({column: at})
            )


def rotate(
    session: Session, key_id: int, act: Act, *, overlap: timedelta, expires_at: datetime | None = None
) -> tuple[str, KeyView]:
    """Return a new secret for a key, and the key; the present secret is taken for *overlap* more.

    Of three secrets the oldest is refused at once. The key's expiry stays, unless *expires_at* sets
    another: a key that has expired needs one, and does not bring its old secret back.

    Raises:
        NotFound: there is no such key.
        Conflict: it was revoked, or has expired and gets no new expiry.
        BadInput: an expiry in the past, or an overlap of less than nothing or more than 30 days.
    """
    if not timedelta(0) <= overlap <= LONGEST_OVERLAP:
        raise BadInput(
            f"an old key can be taken for 0 to {LONGEST_OVERLAP.days} days beside the new one",
            code="bad-overlap",
        )
    _refuse_past(expires_at, act.at)
    row = _locked(session, key_id)
    if row.revoked_at is not None:
        raise Conflict(f"the key {row.name!r} was revoked: make another", code="key-over")
    if expires_at is None and row.expires_at is not None and row.expires_at <= act.at:
        raise Conflict(
            f"the key {row.name!r} has expired: say until when the new one holds", code="key-over"
        )
    until = act.at + overlap
    row.previous_digest = row.digest if overlap else None
    row.previous_until = (
        (until if row.expires_at is None else min(until, row.expires_at)) if overlap else None
    )
    row.previous_used_at = None
    row.expires_at = expires_at or row.expires_at
    secret = _new_secret()
    row.digest = _digest(secret)
    audit.write(session, "rotate-key", row.name, act)
    return secret, view_of(row)


def revoke(session: Session, key_id: int, act: Act) -> KeyView:
    """Revoke a key from this commit on and return it; revoking twice changes nothing.

    Raises:
        NotFound: there is no such key.
        Conflict: it is the last admin key that is valid, without which nobody could make another.
    """
    admins = _lock_admins(session, act.at)
    row = _locked(session, key_id)
    if row.revoked_at is not None:
        return view_of(row)
    if list(admins) == [key_id]:
        raise Conflict("this is the last admin key: make another one first", code="last-admin")
    row.revoked_at = act.at
    audit.write(session, "revoke-key", row.name, act, was=row.role.value)
    return view_of(row)


def all_keys(session: Session) -> Sequence[KeyView]:
    """Return every key, revoked ones too, in order of creation."""
    return [view_of(row) for row in session.execute(select(ApiKey).order_by(ApiKey.id)).scalars()]


def make_first(session: Session, *, now: datetime) -> str | None:
    """Return a first admin key when there is no key at all yet, otherwise None."""
    if session.execute(select(func.count(ApiKey.id))).scalar_one():
        return None
    try:
        with session.begin_nested():
            new = NewKey(FIRST_ADMIN, Role.ADMIN, Trust.TRUSTED)
            secret, _ = make(session, new, Act("set-up", "the first start", now))
    except (IntegrityError, Conflict):  # another process that starts at this moment made it, and shows it
        return None
    return secret


def view_of(row: ApiKey) -> KeyView:
    """Return *row* as it is shown."""
    return KeyView(
        id=row.id,
        name=row.name,
        role=row.role,
        trust=row.trust,
        mx_names=tuple(row.mx_names),
        internal_networks=tuple(ip_network(network) for network in row.internal_networks),
        created_at=row.created_at,
        revoked_at=row.revoked_at,
        expires_at=row.expires_at,
        used_at=row.used_at,
        previous_until=row.previous_until,
        previous_used_at=row.previous_used_at,
    )


def _locked(session: Session, key_id: int) -> ApiKey:
    row = session.get(ApiKey, key_id, with_for_update=True)
    if row is None:
        raise NotFound(f"there is no key {key_id}", code="no-such-key")
    return row


def _lock_admins(session: Session, now: datetime) -> Sequence[int]:
    """Return the ids of the valid admin keys; of two revocations at once the second sees the first."""
    return (
        session.execute(
            select(ApiKey.id)
            .where(ApiKey.role == Role.ADMIN, ApiKey.revoked_at.is_(None), _holds(now))
            .order_by(ApiKey.id)
            .with_for_update()
        )
        .scalars()
        .all()
    )


def _holds(now: datetime) -> ColumnElement[bool]:
    return or_(ApiKey.expires_at.is_(None), ApiKey.expires_at > now)


def _refuse_past(expires_at: datetime | None, now: datetime) -> None:
    if expires_at is not None and expires_at <= now:
        raise BadInput(
            f"the key would have expired before it begins, at {expires_at:%Y-%m-%d %H:%M} UTC",
            code="expiry-past",
        )


def _new_secret() -> str:
    return _PREFIX + secrets.token_urlsafe(32)


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
