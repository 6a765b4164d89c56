"""Letting go of what was kept long enough: round by round, a little at a time, by whichever worker comes.

A round is a few short transactions, so that nobody waits for it; what it did not come to is for the next.
A process that starts anew begins with the oldest again, and finds what is left. Log events: ``retired``,
one for each kind and round, and ``retention_error``.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

import structlog
from prometheus_client import CollectorRegistry, Counter

from rbl.configretention import Retention as Settings
from rbl.errors import RblError
from rbl.store import retention
from rbl.store.engine import Store
from rbl.store.retention import Kind, Position

_log = structlog.get_logger()

_ROWS = 100  # in one transaction: some ten milliseconds on SQLite, with whole messages
_ROUND_SECONDS = 2.0
_BETWEEN_ROUNDS_SECONDS = 60
# A kind that was gone through to its end is looked at again after so long.
_BETWEEN_PASSES = timedelta(hours=1)


class Retention:
    """One for each worker; its rounds follow each other."""

    def __init__(
        self,
        store: Store,
        settings: Settings,
        registry: CollectorRegistry,
        *,
        clock: Callable[[], datetime],
        rows: int = _ROWS,
        round_seconds: float = _ROUND_SECONDS,
    ) -> None:
        """*rows* are looked at in a transaction, and a round has *round_seconds* to begin another."""
        self._store = store
        self._clock = clock
        self._rows = rows
        self._round_seconds = round_seconds
        self._retired = Counter(
            "rbl_retired", "What was kept long enough and let go, by kind", ("kind",), registry=registry
        )
        self._lengths: Mapping[Kind, timedelta] = {
            kind: length for kind in Kind if (length := getattr(settings, kind.value))
        }
        self._positions: dict[Kind, Position | None] = {}
        self._passed_at: dict[Kind, datetime] = {}
        self._ending = False

    @asynccontextmanager
    async def going_on(self) -> AsyncIterator[None]:
        """Make a round every minute while the context lasts."""
        rounds = asyncio.create_task(self._round_by_round())
        try:
            yield
        finally:
            self._ending = True
            rounds.cancel()
            await asyncio.gather(rounds, return_exceptions=True)

    def round(self) -> None:
        """Go on a little with every kind.

        Raises:
            Unavailable: the database does not answer; the next round goes on where this one was.
        """
        ends = time.monotonic() + self._round_seconds
        for kind, length in self._lengths.items():
            retired = 0
            while self._is_due(kind):  # at least one step of each kind: none keeps another waiting
                retired += self._step(kind, length)
                if time.monotonic() >= ends:
                    break
            if retired:
                _log.info("retired", kind=kind.value, count=retired)

    async def _round_by_round(self) -> None:
        while True:
            try:
                await asyncio.to_thread(self.round)
            except RblError as fault:
                _log.warning("retention_error", why=fault.message)
            except Exception:  # noqa: BLE001 — the rim: it is tried again
                _log.exception("retention_error", why="unforeseen")
            await asyncio.sleep(_BETWEEN_ROUNDS_SECONDS)

    def _is_due(self, kind: Kind) -> bool:
        passed_at = self._passed_at.get(kind)
        return not self._ending and (passed_at is None or self._clock() - passed_at >= _BETWEEN_PASSES)

    def _step(self, kind: Kind, length: timedelta) -> int:
        now = self._clock()
        with self._store.writing() as session:
            step = retention.step(session, kind, now - length, now, self._positions.get(kind), self._rows)
        self._positions[kind] = step.position
        if step.position is None:
            self._passed_at[kind] = now
        else:
            self._passed_at.pop(kind, None)
        self._retired.labels(kind.value).inc(step.retired)
        return step.retired
