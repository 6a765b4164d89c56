"""Many listings at once: taken in from files, each with its journal entry, in one transaction.

Rows go into a temporary table the fastest way the database has (SQLite: one prepared statement,
PostgreSQL: COPY), and from there into listings and journal by two statements. Their serials are one
range, taken at once from the zone's head row.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from sqlite3 import Connection as SqliteConnection
from typing import Any

import psycopg
from sqlalchemy import (
    Column,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    case,
    delete,
    exists,
    func,
    insert,
    literal,
    null,
    select,
    update,
)
from sqlalchemy.orm import Session

from rbl.errors import NotFound
from rbl.store import audit, journal, signal
from rbl.store.columns import BigKey
from rbl.store.tables import JournalEntry, Listing, Zone
from rbl.terms import Act, Change, Origin

Row = tuple[str, str, str | None]  # subject, reason, and the listing's own text

_COLUMNS = ("subject", "reason", "text")


@dataclass(frozen=True, slots=True)
class Added:
    """What came of it: how many listings began, and how many were there already."""

    listed: int
    known: int


def add(session: Session, zone: str, rows: Iterable[Row], act: Act) -> Added:
    """List every row of *rows* in *zone*, but for those that are listed for the same reason already.

    Rows are canonical, and no two have one subject and reason; whether they may be listed is checked by
    the caller. Other writers wait until this transaction ends.

    Raises:
        NotFound: there is no such zone.
    """
    incoming = _incoming()
    connection = session.connection()
    incoming.create(connection)
    driver = connection.connection.driver_connection
    if isinstance(driver, SqliteConnection):
        driver.executemany("INSERT INTO rbl_incoming (subject, reason, text) VALUES (?, ?, ?)", rows)
    else:
        assert isinstance(driver, psycopg.Connection)
        with (
            driver.cursor() as cursor,
            cursor.copy("COPY rbl_incoming (subject, reason, text) FROM STDIN") as copy,
        ):
            for row in rows:
                copy.write_row(row)
    there = exists().where(
        Listing.zone == zone,
        Listing.subject == incoming.c.subject,
        Listing.reason == incoming.c.reason,
        Listing.ended_at.is_(None),
    )
    known = session.connection().execute(delete(incoming).where(there)).rowcount
    listed = session.execute(select(func.count()).select_from(incoming)).scalar_one()
    if listed:
        last = _take_serials(session, zone, listed, act)
        _write(session, zone, incoming, last - listed, act)
        audit.write(session, "import", zone, act, became=f"{listed} listed")
        signal.notify(session, journal.CHANNEL)
    session.flush()
    incoming.drop(connection)
    return Added(listed, known)


def _incoming() -> Table:
    """Return the temporary table; it is of this connection alone."""
    return Table(
        "rbl_incoming",
        MetaData(),
        Column("n", BigKey, primary_key=True),
        Column("subject", String(255), nullable=False),
        Column("reason", String(63), nullable=False),
        Column("text", Text),
        prefixes=["TEMPORARY"],
    )


def _take_serials(session: Session, zone: str, count: int, act: Act) -> int:
    """Return the last of *count* serials that follow each other; the head row is held until the commit."""
    seconds = int(act.at.timestamp())
    first = case((Zone.serial >= seconds, Zone.serial + 1), else_=literal(seconds, Integer))
    last = session.execute(
        update(Zone).where(Zone.apex == zone).values(serial=first + (count - 1)).returning(Zone.serial)
    ).scalar_one_or_none()
    if last is None:
        raise NotFound(f"there is no zone {zone}", code="no-such-zone")
    return last


def _write(session: Session, zone: str, incoming: Table, before: int, act: Act) -> None:
    """Write the journal entries, whose serials follow *before*, and the listings."""
    serial = literal(before, BigKey) + func.row_number().over(order_by=incoming.c.n)
    entry: dict[str, Any] = {
        "zone": literal(zone, JournalEntry.zone.type),
        "serial": serial,
        "change": literal(Change.LISTED, JournalEntry.change.type),
        "subject": incoming.c.subject,
        "reason": incoming.c.reason,
        "text": incoming.c.text,
        "actor": literal(act.actor, JournalEntry.actor.type),
        "why": literal(act.why, JournalEntry.why.type),
        "at": literal(act.at, JournalEntry.at.type),
    }
    listing: dict[str, Any] = {
        "zone": entry["zone"],
        "subject": incoming.c.subject,
        "reason": incoming.c.reason,
        "text": incoming.c.text,
        "origin": literal(Origin.IMPORT, Listing.origin.type),
        "host_id": null(),
        "actor": entry["actor"],
        "why": entry["why"],
        "listed_at": entry["at"],
        "expires_at": null(),
        "ended_at": null(),
        "ended_why": null(),
    }
    for table, columns in ((JournalEntry, entry), (Listing, listing)):
        query = select(*(value.label(name) for name, value in columns.items())).order_by(incoming.c.n)
        session.execute(insert(table).from_select(list(columns), query))
