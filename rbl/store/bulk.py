"""Many listings at once: taken in from files, each with its journal entry, in one transaction.

Rows go into a temporary table the fastest way the database has (SQLite: one prepared statement,
PostgreSQL: COPY), and from there into listings and journal by two statements. They have one serial,
and the last of them the hash of all.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from sqlite3 import Connection as SqliteConnection
from typing import Any

import psycopg
from sqlalchemy import (
    Column,
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
)
from sqlalchemy.orm import Session

from rbl.store import audit, history, journal, signal
from rbl.store.columns import BigKey
from rbl.store.history import Place
from rbl.store.tables import JournalEntry, Listing
from rbl.terms import Act, Change, Origin

Row = tuple[str, str, str | None]  # subject, reason, and the listing's own text

_ROWS_AT_ONCE = 10_000


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
    # Not before: an import is read from its file for longer than other writers should wait.
    journal.lock(session, zone)
    there = exists().where(
        Listing.zone == zone,
        Listing.subject == incoming.c.subject,
        Listing.reason == incoming.c.reason,
        Listing.ended_at.is_(None),
    )
    known = session.connection().execute(delete(incoming).where(there)).rowcount
    listed = session.execute(select(func.count()).select_from(incoming)).scalar_one()
    if listed:
        _write(session, zone, incoming, history.take(session, zone, act.at), act)
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


def _write(session: Session, zone: str, incoming: Table, place: Place, act: Act) -> None:
    """Write the journal entries, all of one serial and from *place* on, and the listings."""
    number = incoming.c.n
    rows = session.execute(
        select(incoming.c.subject, incoming.c.reason, incoming.c.text).order_by(number),
        execution_options={"yield_per": _ROWS_AT_ONCE},
    )
    chain = history.chained_all(place, Change.LISTED, rows, act)
    last = select(func.max(number)).scalar_subquery()
    entry: dict[str, Any] = {
        "zone": literal(zone, JournalEntry.zone.type),
        "serial": literal(place.serial, BigKey),
        "position": func.row_number().over(order_by=number) + (place.position - 1),
        "change": literal(Change.LISTED, JournalEntry.change.type),
        "subject": incoming.c.subject,
        "reason": incoming.c.reason,
        "text": incoming.c.text,
        "actor": literal(act.actor, JournalEntry.actor.type),
        "why": literal(act.why, JournalEntry.why.type),
        "at": literal(act.at, JournalEntry.at.type),
        "chain": case((number == last, literal(chain, JournalEntry.chain.type)), else_=null()),
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
        query = select(*(value.label(name) for name, value in columns.items())).order_by(number)
        session.execute(insert(table).from_select(list(columns), query))
