"""The program under test, as the corpus drives it: ``rbl serve``, and a nomination for each host.

Its time is shortened, and nothing else: as many retries as an operator's, as many messages a step. What
it did is read where it keeps it, in its database.
"""

import email.utils
import json
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from tests.e2e import blocklist, world
from tests.e2e.blocklist import URL, Blocklist
from tests.e2e.corpus.configuration import Standing
from tests.e2e.corpus.network import COLLECTOR_DOMAINS, TESTED_NETWORKS, VANTAGES, Place
from tests.e2e.hosts import Host
from tests.e2e.servers import eventually
from tests.e2e.visitor import Visitor

SHORTENED = {
    "RBL_LISTS__FIRST_WAIT": "2",  # for five minutes
    "RBL_LISTS__RETURN_WINDOW": "10",  # for three days
    "RBL_LISTS__RETRIES": "2,4,6,10",  # for 15 minutes, 1, 4 and 24 hours
    "RBL_LISTS__RETEST_INTERVAL": "1",
    "RBL_LISTS__RETEST_PAUSE": "1",
    "RBL_LISTS__EARLY_RETESTS": "100",
    "RBL_LISTS__EARLY_RETESTS_EACH": "100",
    "RBL_COLLECTOR__HEARTBEAT": "0.5",
    "RBL_PROBE__LEASE": "10",
    "RBL_PROBE__CONNECT_TIMEOUT": "5",
    "RBL_PROBE__BANNER_TIMEOUT": "20",
    "RBL_PROBE__COMMAND_TIMEOUT": "20",
    "RBL_PROBE__DATA_TIMEOUT": "30",
    "RBL_PROBE__RUN_TIMEOUT": "60",
    "RBL_PROBE__CONNECTIONS_PER_DAY": "1000",
}
_LISTED = frozenset({"listed", "retest-queued", "retesting", "retest-awaiting"})
_CLOSED = frozenset({"closed", "delisted"})


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a test of a host came to, and what it cost the host."""

    standing: Standing
    why: str
    seconds: float
    connections: int
    commands: int


@dataclass(frozen=True, slots=True)
class _Run:
    """The last test of a host, and in what state the host is."""

    state: str
    why: str
    is_over: bool


class Tester:
    """The running program with the key of a postmaster who nominates."""

    def __init__(self, rbl: Blocklist, visitor: Visitor, database: Path) -> None:
        self._rbl = rbl
        self._visitor = visitor
        self._database = database
        self._key = ""
        self._began: dict[str, float] = {}
        self._before: dict[str, tuple[int, int]] = {}

    def nominate(self, place: Place) -> None:
        """Hand in a spam that came through the host at *place*, which begins its test."""
        self._key = self._key or self._make_key()
        self._begin(place.address)
        headers = {"Authorization": f"Bearer {self._key}", "Content-Type": "message/rfc822"}
        self._post("/v1/nominations", _spam(place), headers)

    def ask_retest(self, place: Place) -> None:
        """Press the button of the listed host at *place*."""
        self._begin(place.address)
        self._post(f"/v1/addresses/{place.address}/retests", b"", {})

    def outcomes(self, places: Sequence[Place]) -> dict[str, Outcome]:
        """Return what the last tests of the hosts at *places* came to, by key, but for those under way."""
        runs = self._runs()
        return {
            place.key: self._outcome(place.address, runs[place.address])
            for place in places
            if runs[place.address].is_over
        }

    def undecided(self, place: Place) -> Outcome:
        """Return how it stands with the host at *place*, whose test is not over."""
        return self._outcome(place.address, self._runs()[place.address])

    def dialogue(self, place: Place) -> str:
        """Return all that was said with the host at *place*, oldest first."""
        query = (
            "SELECT side, text FROM transcript JOIN probe_runs ON probe_runs.id = run_id"
            " JOIN hosts ON hosts.id = probe_runs.host_id WHERE hosts.address = ? ORDER BY run_id, seq"
        )
        signs = {"us": ">", "them": "<"}
        return "\n".join(
            f"{signs.get(side, '#')} {text}" for side, text in self._rows(query, place.address)
        )

    def _begin(self, address: str) -> None:
        self._began[address] = time.monotonic()
        self._before[address] = self._cost(address)

    def _outcome(self, address: str, run: _Run) -> Outcome:
        connections, commands = self._cost(address)
        before = self._before[address]
        seconds = time.monotonic() - self._began[address]
        return Outcome(
            _standing(run.state), run.why, seconds, connections - before[0], commands - before[1]
        )

    def _runs(self) -> dict[str, _Run]:
        """Return the last run of every host by its address, but for the look a day after a delisting."""
        query = (
            "SELECT address, state, coalesce(why, ''), finished_at IS NOT NULL FROM hosts JOIN probe_runs"
            " ON probe_runs.id = (SELECT max(id) FROM probe_runs"
            " WHERE host_id = hosts.id AND purpose <> 'follow-up')"
        )
        return {
            address: _Run(state, why, bool(is_over)) for address, state, why, is_over in self._rows(query)
        }

    def _cost(self, address: str) -> tuple[int, int]:
        """Return how many connections and commands the host saw so far."""
        connected = (
            "SELECT count(*) FROM probe_connections JOIN hosts ON hosts.id = host_id WHERE address = ?"
        )
        said = (
            "SELECT count(*) FROM transcript JOIN probe_runs ON probe_runs.id = run_id"
            " JOIN hosts ON hosts.id = probe_runs.host_id WHERE hosts.address = ? AND side = 'us'"
        )
        ((connections,),), ((commands,),) = self._rows(connected, address), self._rows(said, address)
        return connections, commands

    def _rows(self, query: str, *parameters: str) -> list[tuple[Any, ...]]:
        """Return the rows of *query*, beside the program, whose time it does not take."""
        with closing(sqlite3.connect(f"file:{self._database}?mode=ro", uri=True, timeout=30)) as database:
            return database.execute(query, parameters).fetchall()

    def _post(self, path: str, content: bytes, headers: Mapping[str, str]) -> httpx2.Response:
        """Return the answer to a POST; who is told that the database has no time now asks again."""

        def post() -> httpx2.Response | None:
            answer = self._visitor.post(f"{URL}{path}", content, headers)
            return answer if answer.status_code != 503 else None

        answer = eventually(post, lambda: f"never has time for {path}:\n{self._rbl.log()}")
        assert answer.is_success, answer.text
        return answer

    def _make_key(self) -> str:
        key = {"name": "a postmaster", "role": "nominator", "mx_names": ["mx.isp.example"]}
        headers = {"Authorization": f"Bearer {self._rbl.admin_key}", "Content-Type": "application/json"}
        return str(self._post("/v1/keys", json.dumps(key).encode(), headers).json()["key"])


@contextmanager
def driven(
    host: Host, visitor: Host, database: Path, vantages: Sequence[str] = VANTAGES
) -> Iterator[Tester]:
    """Run the program on *host* with SQLite at *database*, which has the newest schema.

    It tests from *vantages*, or from as many of them as it knows how to; *visitor* is who talks to it.
    """
    settings = {**SHORTENED, **_identity(vantages)}
    with blocklist.serving(host, f"sqlite:///{database}", settings) as rbl:
        yield Tester(rbl, Visitor(visitor), database)


def _identity(vantages: Sequence[str]) -> dict[str, str]:
    """Return the settings that say where it tests from, and where its messages come back to."""
    settings = {"RBL_PROBE__ALLOW_RESERVED": ",".join(TESTED_NETWORKS)}
    settings["RBL_PROBE__SOURCE_ADDRESSES"] = ",".join(vantages)
    # Of the names of an earlier version, which the stage of the stories still sets.
    settings["RBL_PROBE__SOURCE_ADDRESS"] = vantages[0]
    settings["RBL_PROBE__SECOND_SOURCE_ADDRESS"] = vantages[-1]
    settings["RBL_COLLECTOR__DOMAINS"] = ",".join(COLLECTOR_DOMAINS)
    settings["RBL_COLLECTOR__LISTEN"] = f"{VANTAGES[0]}:25,[{VANTAGES[3]}]:25"
    return settings


def _standing(state: str) -> Standing:
    if state in _LISTED:
        return Standing.LISTED
    if state in _CLOSED:
        return Standing.CLOSED
    return Standing.REVIEW if state == "review" else Standing.NOTHING


def _spam(place: Place) -> bytes:
    """Return a spam as the ISP's mail exchanger kept it that took it from the host at *place*."""
    literal = f"IPv6:{place.address}" if ":" in place.address else place.address
    now = email.utils.formatdate()
    return (
        f"Received: from {place.name} ({place.name} [{literal}])\r\n"
        f"\tby mx.isp.example (Postfix) with ESMTP id 4A1B2C{place.key}\r\n"
        f"\tfor <{world.CUSTOMER}@{world.ISP_DOMAIN}>; {now}\r\n"
        "From: offers@spammer.example\r\nTo: undisclosed-recipients:;\r\n"
        f"Subject: made up\r\nDate: {now}\r\nMessage-ID: <{place.key}@spammer.example>\r\n\r\n"
        f"Buy made-up things of {place.key}.\r\n"
    ).encode()
