"""Journal and audit: the database itself refuses to change or delete a row, whoever asks."""

from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from rbl.errors import Conflict
from rbl.store import audit, journal
from rbl.store.engine import Store
from rbl.terms import Act, Change
from tests.store import steps
from tests.store.steps import NOW, ZONE

REFUSED = [
    "UPDATE journal SET text = 'another'",
    "UPDATE journal SET serial = serial + 1",
    "DELETE FROM journal",
    "DELETE FROM journal WHERE change = 'listed'",
    "UPDATE audit SET why = 'another'",
    "DELETE FROM audit",
    "DELETE FROM audit WHERE id = 1",
]
ON_POSTGRESQL = [
    "TRUNCATE journal",
    "TRUNCATE audit",
    "TRUNCATE zones CASCADE",
    "INSERT INTO audit SELECT * FROM audit ON CONFLICT (id) DO UPDATE SET why = 'another'",
]
ON_SQLITE = [
    "INSERT OR REPLACE INTO journal SELECT * FROM journal",
    "REPLACE INTO audit SELECT * FROM audit",
    "UPDATE OR REPLACE audit SET id = 1",
]
# What tells the job's retirement from an accident: the row that opens it, in the same transaction.
OPENED = "INSERT INTO audit_retirement (id, until, uncommittable) VALUES (1, '2100-01-01 00:00:00', 0)"


def fill(store: Store) -> None:
    """Write a few rows into both."""
    with store.writing() as session:
        for number in range(3):
            act = Act("shell", "why", NOW + timedelta(days=number))
            journal.append(session, ZONE, Change.LISTED, f"192.0.2.{number}/32", act, reason="relay")
            audit.write(session, "do", "subject", act)


def rows(session: Session) -> list[object]:
    """Return all that both say."""
    of_both: list[object] = []
    for table in ("journal", "audit"):
        of_both += session.execute(text(f"SELECT * FROM {table} ORDER BY 1, 2")).all()
    return of_both


def attempt(store: Store, *statements: str) -> str:
    """Return what the database says to *statements*, and see that nothing was changed."""
    with store.reading() as session:
        before = rows(session)
    said = "done"
    try:
        with store.writing() as session:
            for statement in statements:
                session.execute(text(statement))
    except Conflict as fault:
        said = str(fault.__cause__)
    with store.reading() as session:
        after = rows(session)
    assert before == after
    return said


@pytest.mark.parametrize("statement", REFUSED)
def test_no_row_is_changed_or_deleted(opened: Store, statement: str) -> None:
    """Neither by a fault of the program nor in a database shell; the database says why."""
    fill(opened)
    table = "journal" if "journal" in statement else "audit"

    assert f"what stands in the {table} is never changed or deleted" in attempt(opened, statement)


@pytest.mark.parametrize("statement", ON_POSTGRESQL)
def test_no_other_way_on_postgresql(postgresql_url: str, statement: str) -> None:
    """PostgreSQL's own ways of emptying and overwriting are refused as well."""
    store = Store(postgresql_url)
    steps.set_up(store)
    fill(store)
    said = attempt(store, statement)
    store.close()

    assert "is never changed or deleted" in said


@pytest.mark.parametrize("statement", ON_SQLITE)
def test_no_other_way_on_sqlite(sqlite_url: str, statement: str) -> None:
    """What replaces a row would delete it without a word."""
    store = Store(sqlite_url)
    steps.set_up(store)
    fill(store)
    said = attempt(store, statement)
    store.close()

    assert "is never changed or deleted" in said


def test_the_journal_has_no_job_that_may_delete(opened: Store) -> None:
    """What lets go of old audit rows opens the audit alone."""
    fill(opened)

    assert "what stands in the journal" in attempt(opened, OPENED, "DELETE FROM journal")


def test_an_opened_audit_lets_go_of_old_rows_only(opened: Store) -> None:
    """And only in the transaction that opened it."""
    fill(opened)
    until = OPENED.replace("2100-01-01 00:00:00", f"{NOW + timedelta(days=1):%Y-%m-%d %H:%M:%S.%f}")
    older = "DELETE FROM audit WHERE id = (SELECT min(id) FROM audit)"

    assert "what stands in the audit" in attempt(opened, until, "DELETE FROM audit")
    with opened.writing() as session:
        for statement in (until, older, "DELETE FROM audit_retirement"):
            session.execute(text(statement))
    with opened.reading() as session:
        left = [deed.at for deed in audit.deeds(session)]

    assert [NOW + timedelta(days=2), NOW + timedelta(days=1)] == left
    assert "what stands in the audit" in attempt(opened, "DELETE FROM audit")


def test_an_audit_that_was_left_open_is_not_committed(opened: Store) -> None:
    """A job that forgets to close it, or somebody who opens it for good, gets nothing."""
    with pytest.raises((Conflict, IntegrityError)), opened.writing() as session:
        session.execute(text(OPENED))
    with opened.reading() as session:
        found = session.execute(text("SELECT count(*) FROM audit_retirement")).scalar_one()

    assert 0 == found
    for number, uncommittable in ((0, 0), (2, 2), (-1, 0)):
        values = f"({number}, '2100-01-01', {uncommittable})"
        assert "done" != attempt(
            opened, f"INSERT INTO audit_retirement (id, until, uncommittable) VALUES {values}"
        )
