"""The real program while its database hangs: it says so soon, is back soon, and ends when it is told to.

A database that is down refuses connections, which is known at once; one that hangs says nothing at all.
"""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Protocol

import httpx2
import pytest
from dns import message as dns_message
from dns import query as dns_query
from dns import rcode as dns_rcode
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from rbl.store.engine import Store
from rbl.store.patience import AT_LEISURE
from tests import postgresql
from tests.cli.process import Installation, Serving
from tests.e2e import needs
from tests.e2e.hosts import internet
from tests.story.gate import Gate

LONGEST_SECONDS = 3.0  # until somebody who asks is told, and until the program is back
LONGEST_END_SECONDS = 10.0
# Half a second less than by default: that is for a machine with much else to do.
_LIMITS = {"RBL_DATABASE__STATEMENT_TIMEOUT": "1.5", "RBL_DATABASE__LOCK_TIMEOUT": "1.5"}
_VISITORS = 60  # more than there are threads and connections
_PATIENCE_SECONDS = 60
_PAUSE_SECONDS = 0.02


class Play(Protocol):
    """What is done with a database at *url* that hangs for as long as *hanging* is entered."""

    def __call__(self, url: str, hanging: Callable[[], AbstractContextManager[None]]) -> None: ...


def stopped_server(folder: Path, play: Play) -> None:
    """A server on a Unix socket, all of whose processes are stopped by a signal."""
    with postgresql.own_server() as server:
        play(server.url, server.standing_still)


def silent_network(folder: Path, play: Play) -> None:
    """A server behind somebody who takes every packet, and passes nothing on."""
    with postgresql.own_server() as server, closing(Gate(server.socket)) as gate:

        @contextmanager
        def shut() -> Iterator[None]:
            gate.shut()
            try:
                yield
            finally:
                gate.lift()

        play(f"postgresql://rbl@127.0.0.1:{gate.port}/postgres", shut)


def lost_packets(folder: Path, play: Play) -> None:
    """A server on another machine, to which no packet gets any more: nothing is acknowledged, either."""
    needs.decide(needs.missing())
    plan = {"web": ["198.51.100.10"], "database": ["203.0.113.54"]}
    with internet(folder / "hosts", plan, resolver="203.0.113.54") as hosts:
        web, database = hosts["web"], hosts["database"]

        def serve() -> None:
            with postgresql.own_server(database.address):
                # Threads and processes that are started within are in that network, too.
                web.call(lambda: play(f"postgresql://rbl@{database.address}/postgres", database.cut_off))

        database.call(serve)


@dataclass(frozen=True, slots=True)
class Told:
    """An answer, and how long it took."""

    status: int
    kind: str
    seconds: float
    text: str


def ask(client: httpx2.Client, path: str, accept: str = "text/html", method: str = "GET") -> Told:
    """Ask the web, and time the answer."""
    began = time.monotonic()
    answer = client.request(method, path, headers={"Accept": accept})
    return Told(
        answer.status_code,
        answer.headers.get("Content-Type", "").partition(";")[0],
        time.monotonic() - began,
        answer.text,
    )


def resolve(process: Serving) -> str:
    """Return what DNS answers for a test point."""
    query = dns_message.make_query("2.0.0.127.relays.example", "A")
    reply = dns_query.udp(query, process.dns.host, 2, process.dns.port)
    return dns_rcode.to_text(reply.rcode())


def visitors(client: httpx2.Client) -> list[Told]:
    """Let many visitors ask at once for a page, the API and a retest."""
    asked = (
        ("/a/9.9.9.9", "text/html", "GET"),
        ("/v1/addresses/9.9.9.9", "application/json", "GET"),
        ("/a/9.9.9.9/retest", "text/html", "POST"),
        ("/readyz", "application/json", "GET"),
    )
    with ThreadPoolExecutor(_VISITORS) as pool:
        going = [pool.submit(ask, client, *asked[number % len(asked)]) for number in range(_VISITORS)]
        return [each.result() for each in going]


@pytest.mark.parametrize(
    "way", [stopped_server, silent_network, pytest.param(lost_packets, marks=pytest.mark.root)]
)
def test_a_database_that_hangs_holds_nobody_up(tmp_path: Path, way: Callable[[Path, Play], None]) -> None:
    """Each visitor is told within three seconds, however many there are; what needs no database is served.

    Then it is back within three seconds; and it ends within ten, told to while the database hangs.
    """

    def play(url: str, hanging: Callable[[], AbstractContextManager[None]]) -> None:
        installation = Installation(tmp_path, {"RBL_DATABASE__URL": url, **_LIMITS})
        with (
            installation.serving() as process,
            httpx2.Client(base_url=process.web, timeout=_PATIENCE_SECONDS) as client,
        ):
            before = ask(client, "/a/9.9.9.9")
            with hanging():
                with ThreadPoolExecutor(1) as pool:
                    going = pool.submit(visitors, client)
                    apart = [ask(client, path) for path in ("/", "/policy", "/healthz", "/v1/zones")]
                    resolved = resolve(process)
                    first = going.result()
                then = visitors(client)
            mended = time.monotonic()
            while ask(client, "/a/9.9.9.9").status != 200:
                assert time.monotonic() - mended < _PATIENCE_SECONDS, "it never comes back"
                time.sleep(_PAUSE_SECONDS)  # between two looks
            back_seconds = time.monotonic() - mended
            retest = ask(client, "/v1/addresses/9.9.9.9/retests", "application/json", "POST")
            with hanging():
                told = time.monotonic()
                status = process.end()
                end_seconds = time.monotonic() - told

        assert 200 == before.status
        assert {503} == {each.status for each in (*first, *then)}
        assert {"text/html", "application/problem+json"} == {each.kind for each in first}
        assert all("database" in each.text for each in first)
        assert [200, 200, 200, 200] == [each.status for each in apart]
        assert "NOERROR" == resolved
        assert [] == [each for each in (*first, *then, *apart) if each.seconds >= LONGEST_SECONDS]
        assert back_seconds < LONGEST_SECONDS
        assert 404 == retest.status  # written, and read: the address has no story
        assert (0, True) == (status, end_seconds < LONGEST_END_SECONDS)

    way(tmp_path, play)


@pytest.mark.root
def test_lost_packets_end_what_may_take_long(tmp_path: Path) -> None:
    """A statement without a limit fails once the network acknowledges nothing, and the next is answered."""

    def play(url: str, hanging: Callable[[], AbstractContextManager[None]]) -> None:
        store = Store(url, patience=replace(AT_LEISURE, network=timedelta(seconds=1)))
        statement = text("SELECT 1")
        with store.reading() as session:
            session.execute(statement)
            with hanging():
                began = time.monotonic()
                with pytest.raises(DBAPIError, match=r"[Cc]onnection timed out"):
                    session.execute(statement)
                seconds = time.monotonic() - began
            session.invalidate()
        with store.reading() as session:
            found = session.execute(statement).scalar_one()
        store.close()

        assert 1 == found
        assert seconds < LONGEST_SECONDS

    lost_packets(tmp_path, play)
