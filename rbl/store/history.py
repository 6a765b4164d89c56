"""Which history a journal tells: the serial of each commit, and a chain of hashes over its entries.

All entries of one transaction have one serial, the SOA's (RFC 1982), and are told apart by their
position: so a list changes from one serial to the next, however much an import takes in. The serial
is taken from the zone's head row, which stays locked until the commit.

A serial alone does not say what was done up to it: a database that is restored from a backup gives
the same ones out again. So each entry carries a hash over itself and the entry before it, the first
one over the epoch, which was drawn for the zone's head. Whoever has followed to a serial and finds
another hash there, or no entry, has followed another history.

Within an import only the last entry carries its hash. One that an earlier version of the program
wrote has none: it stands for itself and the epoch.
"""

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from json.encoder import encode_basestring_ascii as quoted

from sqlalchemy import Select, case, literal, select, update
from sqlalchemy.orm import Session

from rbl.errors import NotFound
from rbl.store.columns import storable
from rbl.store.tables import JournalEntry, Zone
from rbl.terms import Act, Change, Mark

_OCTETS = 16  # nobody looks for two histories with one hash who could not change the index as well
_TAKEN = "rbl journal: serials of this transaction"  # in Session.info


@dataclass(frozen=True, slots=True)
class Place:
    """Where the next entry of a zone stands. *previous* is the chain up to the entry before it."""

    serial: int
    position: int
    previous: str


def draw_epoch() -> str:
    """Return what no other database begins a history with."""
    return secrets.token_hex(_OCTETS)


def take(session: Session, zone: str, at: datetime) -> Place:
    """Return the place of the next entry; holds the zone's head row until the commit.

    A transaction's first entry takes a serial: the time in seconds where that is ahead of the last one.

    Raises:
        NotFound: there is no such zone.
    """
    transaction, serials = session.info.get(_TAKEN, (None, {}))
    if transaction is None or transaction is not session.get_transaction():
        serials = {}
    seconds = int(at.timestamp())
    following = case(
        (Zone.serial == serials.get(zone, -1), Zone.serial),
        (Zone.serial >= seconds, Zone.serial + 1),
        else_=literal(seconds),
    )
    head = session.execute(
        update(Zone).where(Zone.apex == zone).values(serial=following).returning(Zone.serial, Zone.epoch)
    ).one_or_none()
    if head is None:
        raise no_such(zone)
    if session.get_nested_transaction() is None:  # a savepoint may be taken back, and its lock with it
        session.info[_TAKEN] = (session.get_transaction(), {**serials, zone: head.serial})
    last = session.execute(_last(zone)).scalar_one_or_none()
    position = last.position + 1 if last is not None and last.serial == head.serial else 0
    return Place(head.serial, position, _chain(last, head.epoch))


def chained(place: Place, change: Change, subject: str, reason: str, text: str | None, act: Act) -> str:
    """Return the chain up to and with the entry at *place*."""
    return chained_all(place, change, [(subject, reason, text)], act)


def chained_all(place: Place, change: Change, rows: Iterable[tuple[str, str, str | None]], act: Act) -> str:
    """Return the chain up to and with *rows*, which follow each other from *place* on.

    Each is subject, reason and text. What is hashed is the chain before it and a JSON array of serial,
    position, change, subject, reason, text, actor, why and the time in ISO 8601, UTC, all ASCII.
    """
    chain = place.previous
    before = f"[{place.serial}, "
    changed = f", {quoted(change.value)}, "
    after = (
        f", {quoted(storable(act.actor))}, {quoted(storable(act.why))},"
        f' "{act.at.astimezone(UTC).isoformat()}"]'
    )
    for position, (subject, reason, text) in enumerate(rows, place.position):
        own = "null" if text is None else quoted(storable(text))
        facts = f"{chain}{before}{position}{changed}{quoted(subject)}, {quoted(reason)}, {own}{after}"
        chain = blake2b(facts.encode("ascii"), digest_size=_OCTETS).hexdigest()
    return chain


def mark(session: Session, zone: str) -> Mark:
    """Return the end of the journal of *zone*.

    Raises:
        NotFound: there is no such zone.
    """
    head = session.execute(select(Zone.serial, Zone.epoch).where(Zone.apex == zone)).one_or_none()
    if head is None:
        raise no_such(zone)
    return Mark(head.serial, _chain(session.execute(_last(zone)).scalar_one_or_none(), head.epoch))


def holds(session: Session, zone: str, mark: Mark) -> bool:
    """Whether the journal of *zone* tells the history that *mark* was reached by.

    Raises:
        NotFound: there is no such zone.
    """
    epoch = session.execute(select(Zone.epoch).where(Zone.apex == zone)).scalar_one_or_none()
    if epoch is None:
        raise no_such(zone)
    up_to_it = _last(zone).where(JournalEntry.serial <= mark.serial)
    return mark.chain == _chain(session.execute(up_to_it).scalar_one_or_none(), epoch)


def no_such(zone: str) -> NotFound:
    """Return what is raised for a zone that there is not."""
    return NotFound(f"there is no zone {zone}", code="no-such-zone")


def _last(zone: str) -> Select[JournalEntry]:
    """Return the query for the last entry of *zone*."""
    in_order = (JournalEntry.serial.desc(), JournalEntry.position.desc())
    return select(JournalEntry).where(JournalEntry.zone == zone).order_by(*in_order).limit(1)


def _seed(epoch: str) -> str:
    return blake2b(epoch.encode("utf-8"), digest_size=_OCTETS).hexdigest()


def _chain(last: JournalEntry | None, epoch: str) -> str:
    """Return the chain up to and with *last*, which stands for itself where it carries none."""
    if last is None:
        return _seed(epoch)
    if last.chain is not None:
        return last.chain
    place = Place(last.serial, last.position, _seed(epoch))
    act = Act(last.actor, last.why, last.at)
    return chained(place, last.change, last.subject, last.reason, last.text, act)
