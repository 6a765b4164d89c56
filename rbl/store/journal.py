"""The journal: every change of what DNS shows, in the order in which it was committed.

The serial is taken from the zone's head row, locked until commit; so a later number is never
visible before an earlier one, and a reader that asks for what came after the last it saw misses
nothing. It is the SOA serial (RFC 1982), one for each commit and never less than the time in seconds.
Which history it belongs to is told by ``history``.
"""

from collections.abc import Generator, Iterable, Iterator
from datetime import datetime, timedelta

from sqlalchemy import CompoundSelect, Select, String, Text, cast, func, literal, null, select, union_all
from sqlalchemy.orm import Session

from rbl.errors import BadInput
from rbl.store import audit, history, signal
from rbl.store.engine import Store, make_once
from rbl.store.keytables import CustomerKey
from rbl.store.tables import Exemption, JournalEntry, Listing, Zone
from rbl.terms import Act, Change, Entry, Listed, Mark

CHANNEL = "rbl_journal"  # of PostgreSQL's LISTEN and NOTIFY
_ROWS_AT_ONCE = 10_000
_EntryColumns = tuple[int, Change, str, str, str | None, str, str, datetime, str]
# In the order of Entry, but for the zone.
_ENTRY = (
    JournalEntry.serial,
    JournalEntry.change,
    JournalEntry.subject,
    JournalEntry.reason,
    JournalEntry.text,
    JournalEntry.actor,
    JournalEntry.why,
    JournalEntry.at,
    func.coalesce(JournalEntry.chain, ""),
)


def open_zone(session: Session, zone: str, now: datetime) -> None:
    """Make the head row of *zone* where there is none yet; it begins with the exemptions that hold."""
    known = session.get(Zone, zone)
    if known is not None and not known.epoch:  # an earlier version made it
        known.epoch = history.draw_epoch()
    head_row = Zone(apex=zone, serial=int(now.timestamp()), created_at=now, epoch=history.draw_epoch())
    if known is not None or not make_once(session, head_row):
        return
    exempt = select(Exemption).where(Exemption.never_list, Exemption.ended_at.is_(None))
    for row in session.execute(exempt.order_by(Exemption.id)).scalars().all():
        append(session, zone, Change.EXEMPTED, str(row.network), Act(row.actor, row.why, now))


def has_zone(session: Session, zone: str) -> bool:
    """Whether there is a head row of *zone*."""
    return session.get(Zone, zone) is not None


def lock(session: Session, zone: str) -> None:
    """Keep every other writer of *zone* waiting until this transaction ends.

    Whoever looks whether something is listed and then writes takes this lock before the look.

    Raises:
        NotFound: there is no such zone.
    """
    query = select(Zone.apex).where(Zone.apex == zone).with_for_update(key_share=True)
    if session.execute(query).scalar_one_or_none() is None:
        raise history.no_such(zone)


def append(
    session: Session,
    zone: str,
    change: Change,
    subject: str,
    act: Act,
    *,
    reason: str = "",
    text: str | None = None,
) -> int:
    """Write one entry and return its serial, which is that of all entries of this transaction.

    The zone's head row is held until the commit.

    Raises:
        NotFound: there is no such zone.
    """
    place = history.take(session, zone, act.at)
    session.add(
        JournalEntry(
            zone=zone,
            serial=place.serial,
            position=place.position,
            change=change,
            subject=subject,
            reason=reason,
            text=text,
            actor=act.actor,
            why=act.why,
            at=act.at,
            chain=history.chained(place, change, subject, reason, text, act),
        )
    )
    signal.notify(session, CHANNEL)
    return place.serial


def head(session: Session, zone: str) -> int:
    """Return the last serial of *zone*.

    Raises:
        NotFound: there is no such zone.
    """
    row = session.get(Zone, zone)
    if row is None:
        raise history.no_such(zone)
    return row.serial


def entries_after(session: Session, zone: str, serial: int, limit: int) -> Iterable[Entry]:
    """Return the entries of *zone* after *serial*, in order: of whole commits, some *limit* of them.

    The first commit is there whole however large it is; then it is read as the iterator goes on.
    """
    entries = select(*_ENTRY).where(JournalEntry.zone == zone)
    in_order = (JournalEntry.serial, JournalEntry.position)
    query = entries.where(JournalEntry.serial > serial).order_by(*in_order).limit(limit + 1)
    found = [Entry(zone, *row) for row in session.execute(query)]
    if len(found) <= limit:
        return found
    cut = found[-1].serial
    if found[0].serial != cut:
        return [entry for entry in found if entry.serial != cut]
    whole = entries.where(JournalEntry.serial == cut).order_by(*in_order)
    return _streamed(session, zone, whole)


def _streamed(session: Session, zone: str, query: Select[*_EntryColumns]) -> Iterator[Entry]:
    with session.execute(query, execution_options={"yield_per": _ROWS_AT_ONCE}) as rows:
        for row in rows:
            yield Entry(zone, *row)


def force(session: Session, zone: str, act: Act, serial: int | None = None) -> int:
    """Let out, from this commit on, what a follower holds back up to *serial*, and return that serial.

    By default it is the last one. What was let out once stays so: a lower serial changes nothing.

    Raises:
        NotFound: there is no such zone.
        BadInput: the journal has not come to *serial* yet: nobody can have looked at what it holds.
    """
    lock(session, zone)
    row = session.get_one(Zone, zone, populate_existing=True)
    if serial is None:
        serial = row.serial
    if serial > row.serial:
        raise BadInput(
            f"the journal of {zone} ends with serial {row.serial}: {serial} is still to come",
            code="serial-to-come",
        )
    was, row.forced_serial = row.forced_serial, max(serial, row.forced_serial or 0)
    audit.write(
        session, "force", zone, act, was=None if was is None else str(was), became=str(row.forced_serial)
    )
    signal.notify(session, CHANNEL)
    return row.forced_serial


def forced_serial(session: Session, zone: str) -> int:
    """Return up to which serial an operator lets out what is held back; 0: nothing.

    Raises:
        NotFound: there is no such zone.
    """
    row = session.get(Zone, zone)
    if row is None:
        raise history.no_such(zone)
    return row.forced_serial or 0


class JournalReader:
    """What a follower reads from: whole snapshots, entries after a serial, and the change signal."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._signal = signal.ChangeSignal(store, CHANNEL)

    def snapshot(self, zone: str) -> tuple[Mark, Iterator[Listed]]:
        """Return the end of the journal of *zone* and everything that was in the list there.

        The transaction stays open until the iterator is used up or closed.

        Raises:
            Unavailable: the database does not answer.
            NotFound: there is no such zone.
        """
        rows = self._snapshot_rows(zone)
        mark = next(rows)
        assert isinstance(mark, Mark)
        return mark, rows  # type: ignore[return-value]  # all that follows the mark is Listed

    def _snapshot_rows(self, zone: str) -> Iterator[Mark | Listed]:
        with self._store.at_leisure.reading() as session:
            yield history.mark(session, zone)
            options = {"yield_per": _ROWS_AT_ONCE}
            for rows in session.execute(_live(zone), execution_options=options).partitions():
                for subject, reason, text, exempt, key in rows:
                    yield Listed(subject, reason, text, bool(exempt), bool(key))

    def entries_after(self, zone: str, mark: Mark, limit: int) -> Iterator[Entry] | None:
        """Return the entries after *mark*, in order; None: the journal tells another history.

        They are of whole commits, some *limit* of them, or one commit that is larger. The transaction
        stays open until the iterator is used up or closed.

        Raises:
            Unavailable: the database does not answer.
            NotFound: there is no such zone.
        """
        rows = self._entries_after(zone, mark, limit)
        is_of_this_history = next(rows)
        if is_of_this_history:
            return rows  # type: ignore[return-value]  # all that follows the first is Entry
        rows.close()
        return None

    def _entries_after(self, zone: str, mark: Mark, limit: int) -> Generator[bool | Entry]:
        with self._store.reading() as session:
            yield history.holds(session, zone, mark)
            yield from entries_after(session, zone, mark.serial, limit)

    def head(self, zone: str) -> int:
        """Return the last serial of *zone*.

        Raises:
            Unavailable: the database does not answer.
            NotFound: there is no such zone.
        """
        with self._store.reading() as session:
            return head(session, zone)

    def forced_serial(self, zone: str) -> int:
        """Return up to which serial an operator lets out what is held back; 0: nothing.

        Raises:
            Unavailable: the database does not answer.
            NotFound: there is no such zone.
        """
        with self._store.reading() as session:
            return forced_serial(session, zone)

    def wait_for_change(self, timeout: timedelta) -> bool:
        """Return True soon after a commit of anybody, or False after *timeout* at the latest."""
        return self._signal.wait(timeout)

    def give_up(self) -> None:
        """Let a snapshot that waits for the database fail soon."""
        self._store.give_up()

    def close(self) -> None:
        """Let the change signal's connection go."""
        self._signal.close()


def _live(zone: str) -> CompoundSelect[*tuple[str, str, str | None, bool, bool]]:
    """Everything that is in *zone* now: its listings and keys, and the exemptions of all zones."""
    no, yes = literal(value=False), literal(value=True)
    listings = select(
        Listing.subject, Listing.reason, Listing.text, no.label("exempt"), no.label("key")
    ).where(Listing.zone == zone, Listing.ended_at.is_(None))
    exemptions = select(cast(Exemption.network, String), literal(""), cast(null(), Text), yes, no).where(
        Exemption.never_list, Exemption.ended_at.is_(None)
    )
    keys = select(CustomerKey.digest, literal(""), cast(null(), Text), no, yes).where(
        CustomerKey.zone == zone, CustomerKey.revoked_at.is_(None)
    )
    return union_all(listings, exemptions, keys)
