"""How long a PostgreSQL is waited for that says nothing, and what is not hurried."""

import threading
import time
from datetime import timedelta

import pytest
from sqlalchemy import make_url, text

from rbl.errors import Unavailable
from rbl.store import patience as patiences
from rbl.store.engine import Store
from rbl.store.journal import JournalReader
from rbl.store.patience import AT_LEISURE, Patience
from tests import postgresql
from tests.store import steps

# Connecting takes two seconds at least before it is given up, and all of these share one server.
SHORT = Patience(
    connect=timedelta(seconds=2), statement=timedelta(seconds=0.5), lock=timedelta(seconds=0.5)
)
LONGEST_SECONDS = 3.0


def ask(store: Store, statement: str = "SELECT 1") -> object:
    """Return the one value that *statement* gives."""
    with store.reading() as session:
        return session.execute(text(statement)).scalar_one()


def timed(store: Store) -> tuple[str, float]:
    """Return in which words the database is told to be unavailable, and after how many seconds."""
    began = time.monotonic()
    with pytest.raises(Unavailable) as caught:
        ask(store)
    return caught.value.message, time.monotonic() - began


def test_a_server_that_stands_still_is_given_up_and_found_again() -> None:
    """The first is told in time, the next at once; and when the server goes on, so does the store."""
    with postgresql.own_server() as server:
        store = Store(server.url, patience=SHORT)
        ask(store)
        with server.standing_still():
            first, waited = timed(store)
            second, at_once = timed(store)
        deadline = time.monotonic() + LONGEST_SECONDS
        while True:
            try:
                found = ask(store)
                break
            except Unavailable:
                assert time.monotonic() < deadline, "it is not found again in time"
        store.close()

    assert ("the database does not answer: no answer in time", 1) == (first.partition("\n")[0], found)
    assert "the database does not answer: it is tried again" == second
    assert 0.5 <= waited < LONGEST_SECONDS
    assert at_once < 0.5


def test_what_waits_at_leisure_is_given_up_at_a_stop() -> None:
    """A snapshot waits for as long as it takes, but not for longer than the program runs."""
    with postgresql.own_server() as server:
        store = Store(server.url, patience=SHORT)
        ask(store.at_leisure)
        failed: list[Unavailable] = []

        def wait() -> None:
            try:
                ask(store.at_leisure)
            except Unavailable as fault:
                failed.append(fault)

        with server.standing_still():
            waiting = threading.Thread(target=wait)
            waiting.start()
            waiting.join(1.0)  # twice what a short patience allows
            still_waits = waiting.is_alive()
            JournalReader(store).give_up()
            waiting.join(LONGEST_SECONDS)
            ended = not waiting.is_alive()
        waiting.join()
        store.close()

    assert (True, True, ["database"]) == (still_waits, ended, [fault.code for fault in failed])


def test_a_statement_that_takes_too_long_is_ended_by_the_server(postgresql_url: str) -> None:
    """It is told as a database that does not answer; but the server does, and the next is asked as ever."""
    store = Store(postgresql_url, patience=SHORT)
    with pytest.raises(Unavailable, match="canceling statement due to statement timeout"):
        ask(store, "SELECT 1 FROM pg_sleep(30)")
    found = ask(store)
    slept = ask(store.at_leisure, "SELECT 1 FROM pg_sleep(0.7)")
    store.close()

    assert (1, 1) == (found, slept)


def test_a_lock_is_waited_for_only_so_long(postgresql_url: str) -> None:
    """Whoever comes second is told; nobody else is held up by that."""
    store = Store(postgresql_url, patience=SHORT)
    steps.set_up(store)
    with store.writing() as session:
        session.execute(text("LOCK TABLE zones"))
        with pytest.raises(Unavailable, match="canceling statement due to"):
            ask(store, "SELECT serial FROM zones")
        other = ask(store)
    store.close()

    assert 1 == other


def test_a_locked_sqlite_file_holds_up_one_writer_and_no_reader(sqlite_url: str) -> None:
    """The second who wants to write is told at once; readers read, and when it is free all may write."""
    store = Store(sqlite_url, patience=SHORT)
    steps.set_up(store)
    other = Store(sqlite_url)
    with other.writing() as session:
        session.execute(text("UPDATE zones SET serial = serial"))
        told = []
        for _ in range(2):
            with pytest.raises(Unavailable) as caught, store.writing() as refused:
                refused.connection()
            told.append(caught.value.message)
        read = ask(store)
    deadline = time.monotonic() + LONGEST_SECONDS
    while True:
        try:
            with store.writing() as session:
                session.execute(text("UPDATE zones SET serial = serial"))
            break
        except Unavailable:
            assert time.monotonic() < deadline, "it is not free again in time"
    other.close()
    store.close()

    assert 1 == read
    assert "the database does not answer: database is locked" == told[0]
    assert "the database does not answer: it is tried again" == told[1]


def test_what_the_operator_wrote_into_the_url_stays() -> None:
    """His options are kept beside ours, and his time-outs in place of ours."""
    own = "postgresql://rbl@db/rbl?connect_timeout=30&options=-c%20search_path%3Dlists"
    told = patiences.arguments(make_url(own), SHORT)
    plain = patiences.arguments(make_url("postgresql://rbl@db/rbl"), AT_LEISURE)

    assert "-c statement_timeout=500 -c lock_timeout=500 -c search_path=lists" == told["options"]
    assert "connect_timeout" not in told
    assert ("10", "30000") == (plain["connect_timeout"], plain["tcp_user_timeout"])
    assert "options" not in plain
