"""What each process says of itself every few seconds, so that any of them can tell of all.

A process that ends takes its row away. One that was killed, or cannot reach the database, is stale after
a while and forgotten after a day.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from rbl.store.tables import Process

# Six times as long as a process waits between two words: an import may hold SQLite up for some of them.
STALE_AFTER = timedelta(seconds=60)
_FORGOTTEN_AFTER = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class ListStanding:
    """Where one DNS server stands with one list; *held* says why *newest* is not answered from."""

    serial: int | None
    newest: int | None
    lag_seconds: float
    held: str | None


@dataclass(frozen=True, slots=True)
class ProcessView:
    """A process as it last told of itself, at *seen_at*."""

    name: str
    host: str
    pid: int
    parts: tuple[str, ...]
    version: str
    started_at: datetime
    seen_at: datetime
    ready: Mapping[str, bool]
    lists: Mapping[str, ListStanding]

    def is_stale(self, now: datetime) -> bool:
        """Whether it has not told of itself for so long that something must have happened to it."""
        return now - self.seen_at > STALE_AFTER


def tell(session: Session, view: ProcessView) -> None:
    """Write what a process says of itself, and forget those that said nothing for a day."""
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    values = {
        "name": view.name,
        "host": view.host,
        "pid": view.pid,
        "parts": ",".join(view.parts),
        "version": view.version,
        "started_at": view.started_at,
        "seen_at": view.seen_at,
        "ready": dict(view.ready),
        "lists": {apex: _told(standing) for apex, standing in view.lists.items()},
    }
    told = {name: values[name] for name in ("seen_at", "ready", "lists")}
    session.execute(
        insert(Process).values(values).on_conflict_do_update(index_elements=[Process.name], set_=told)
    )
    session.execute(delete(Process).where(Process.seen_at < view.seen_at - _FORGOTTEN_AFTER))


def forget(session: Session, name: str) -> None:
    """Take away the row of a process that ends."""
    session.execute(delete(Process).where(Process.name == name))


def known(session: Session) -> Sequence[ProcessView]:
    """Return every process that told of itself within a day, by host and start."""
    rows = session.execute(
        select(Process).order_by(Process.host, Process.started_at, Process.name)
    ).scalars()
    return [_view(row) for row in rows]


def _told(standing: ListStanding) -> dict[str, object]:
    return {
        "serial": standing.serial,
        "newest": standing.newest,
        "lag_seconds": standing.lag_seconds,
        "held": standing.held,
    }


def _view(row: Process) -> ProcessView:
    return ProcessView(
        name=row.name,
        host=row.host,
        pid=row.pid,
        parts=tuple(row.parts.split(",")),
        version=row.version,
        started_at=row.started_at,
        seen_at=row.seen_at,
        ready=row.ready,
        lists={apex: _standing(told) for apex, told in row.lists.items()},
    )


def _standing(told: Mapping[str, object]) -> ListStanding:
    serial, newest, lag, held = (told.get(name) for name in ("serial", "newest", "lag_seconds", "held"))
    return ListStanding(
        serial=serial if isinstance(serial, int) else None,
        newest=newest if isinstance(newest, int) else None,
        lag_seconds=float(lag) if isinstance(lag, int | float) else 0.0,
        held=None if held is None else str(held),
    )
