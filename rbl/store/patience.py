"""How long a database is waited for: connections to PostgreSQL that give up.

A statement that takes too long is ended by PostgreSQL itself; then it answers, and all is well with it.
What else can keep a caller waiting is nothing that PostgreSQL can end: a server that was stopped or
swapped out, a network that drops packets. So the wait for an answer ends on this side, too, a moment
after PostgreSQL should have ended the statement; such a connection is closed, and the circuit tripped.
"""

import threading
import time
from collections.abc import Generator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import psycopg
from psycopg.abc import PQGen
from psycopg.waiting import Ready, Wait
from sqlalchemy import URL, Engine, event

from rbl.store.circuit import Circuit

# So much later than PostgreSQL the caller gives up: what PostgreSQL ends itself needs no new connection.
_GRACE = timedelta(seconds=0.3)
_LOOK_SECONDS = 0.1  # between two looks whether a wait is to end
_LOST_PROBES = 3  # unanswered keepalive probes, after which a connection is dead

_TOO_LATE = "no answer in time"
_STOPPING = "the program stops, and waits no longer"

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Patience:
    """How long is waited: for a connection, an answer (None: as long as it takes), a lock, the network.

    *network*: for an acknowledgement of what was sent, and for any sign of life on a quiet connection.
    """

    connect: timedelta = timedelta(seconds=10)
    statement: timedelta | None = None
    lock: timedelta = timedelta(seconds=30)  # longer than any transaction of ours
    network: timedelta = timedelta(seconds=30)

    @property
    def is_short(self) -> bool:
        """Whether an answer may take only so long."""
        return self.statement is not None


AT_LEISURE = Patience()  # for imports, exports and migrations


class NoAnswer(psycopg.OperationalError):
    """The server said nothing in the time that it had."""


class _Connection(psycopg.Connection[Any]):
    """A connection whose waits end: after *longest*, or soon after *given_up* is set."""

    longest: timedelta | None = None
    circuit: Circuit | None = None
    given_up: threading.Event | None = None

    def wait(self, gen: PQGen[_T], interval: float = _LOOK_SECONDS, timeout: float | None = None) -> _T:
        """Return what *gen* returns; a wait with a *timeout* of its own is for notifications, and ends."""
        if timeout is not None or (self.longest is None and self.given_up is None):
            return super().wait(gen, interval, timeout)
        try:
            return super().wait(self._watched(gen), interval)
        except NoAnswer:
            self.close()  # in the middle of an answer: nothing more can be asked over it
            if self.circuit is not None:
                self.circuit.trip()
            raise

    def _watched(self, gen: PQGen[_T]) -> Generator[Wait, Ready | int, _T]:
        """Do as *gen* does, but end where nothing came for too long."""
        heard_at = time.monotonic()
        try:
            wanted = next(gen)
            while True:
                ready = yield wanted
                if ready == Ready.NONE:
                    self._check(heard_at)
                else:
                    heard_at = time.monotonic()
                wanted = gen.send(ready)
        except StopIteration as end:
            found: _T = end.value
            return found

    def _check(self, heard_at: float) -> None:
        if self.longest is not None and time.monotonic() - heard_at >= self.longest.total_seconds():
            raise NoAnswer(_TOO_LATE)
        if self.given_up is not None and self.given_up.is_set():
            raise NoAnswer(_STOPPING)


def connect_with(engine: Engine, patience: Patience, circuit: Circuit, given_up: threading.Event) -> None:
    """Let *engine*, of PostgreSQL, connect with *patience*, trip *circuit*, and end waits on *given_up*."""

    @event.listens_for(engine, "do_connect")
    def connect(dialect: object, record: object, arguments: Any, named: Any) -> psycopg.Connection[Any]:  # noqa: ANN401 — the driver's own
        del dialect, record
        if circuit.is_hopeless():
            raise NoAnswer(_TOO_LATE)
        if given_up.is_set():
            raise NoAnswer(_STOPPING)
        try:
            connection = _Connection.connect(*arguments, **named)
        except psycopg.errors.ConnectionTimeout:
            if patience.is_short:
                circuit.trip()
            raise
        if patience.statement is None:
            connection.given_up = given_up
        else:
            connection.longest = patience.statement + _GRACE
            connection.circuit = circuit
        return connection


def arguments(url: URL, patience: Patience) -> dict[str, str]:
    """Return what libpq is told of *patience*; what the operator wrote into *url* stays as it is."""
    quiet = max(1, round(patience.network.total_seconds() / _LOST_PROBES))
    told = {
        "connect_timeout": str(max(1, round(patience.connect.total_seconds()))),
        "tcp_user_timeout": str(round(patience.network.total_seconds() * 1000)),
        "keepalives_idle": str(quiet),
        "keepalives_interval": str(quiet),
        "keepalives_count": str(_LOST_PROBES - 1),
    }
    if patience.statement is not None:
        limits = {"statement_timeout": patience.statement, "lock_timeout": patience.lock}
        options = [f"-c {name}={round(limit.total_seconds() * 1000)}" for name, limit in limits.items()]
        own = url.query.get("options", ())
        told["options"] = " ".join([*options, *((own,) if isinstance(own, str) else own)])
    return {name: value for name, value in told.items() if name == "options" or name not in url.query}
