"""Reports when this collector listened, and when it refused what may have been a return.

A beat every few seconds says "there until now" and tells the refusals up to now; when the program
stood still between two beats, the time between is left out. The database may be away meanwhile: what
was refused is told when it is back. Log events: ``returns_refused``, once a minute at most for all
tests or one site; ``attendance_unreported``, once for a time in which the database does not take it.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import structlog

from rbl.attendance import Refusal
from rbl.errors import RblError
from rbl.store.attendance import Refused, Report
from rbl.terms import Network

# Refusals that follow each other within it are one.
_ONE_SPAN = timedelta(minutes=1)
# A collector that has missed so many beats in a row was not there.
_MOST_MISSED = 3

_log = structlog.get_logger()


class Attendant:
    """Keeps the attendance of the collector *name*, from ``begin`` to ``end``."""

    def __init__(
        self,
        name: str,
        report: Callable[[Report], None],
        beat: timedelta,
        clock: Callable[[], datetime],
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        """*report* writes a report down, in a thread; *clock* and *seconds* give the time."""
        self._name = name
        self._report = report
        self._beat = beat
        self._clock = clock
        self._seconds = seconds
        self._began_at = self._seen_at = clock()
        self._seen_seconds = seconds()
        self._latest: dict[Network | None, Refused] = {}
        self._untold: list[Refused] = []
        self._is_silent = False  # the last report failed
        self._task: asyncio.Task[None] | None = None
        self._telling: asyncio.Task[None] | None = None

    def refused(self, why: Refusal, site: Network | None = None) -> None:
        """Note that something was refused just now: of the tests of *site*, or of any."""
        now = self._clock()
        last = self._latest.get(site)
        if last is not None and last.began_at <= now <= last.ended_at + _ONE_SPAN:
            longer = replace(last, ended_at=max(now, last.ended_at), times=last.times + 1)
            self._untold = [one for one in self._untold if one is not last]
        else:
            longer = Refused(site, now, now, why, 1)
            _log.warning("returns_refused", why=why.value, site=str(site) if site else None)
        self._latest[site] = longer
        self._untold.append(longer)

    async def begin(self) -> None:
        """Report for the first time, and from now on with every beat."""
        self._began_at = self._seen_at = self._clock()
        self._seen_seconds = self._seconds()
        await self._tell(self._beat * _MOST_MISSED)
        self._task = asyncio.create_task(self._run())

    async def end(self) -> None:
        """Report for the last time: from now on nobody listens."""
        if self._task is None:
            return
        self._task.cancel()
        self._look()
        if self._telling is not None:
            await asyncio.gather(self._telling, return_exceptions=True)
        await self._tell(timedelta(0))

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._beat.total_seconds())
            self._look()
            if self._telling is None or self._telling.done():
                self._telling = asyncio.create_task(self._tell(self._beat * _MOST_MISSED))

    def _look(self) -> None:
        """Move the time until which we listened on; after a stand-still it begins anew.

        By both clocks: one does not count while the machine sleeps, the other may be set.
        """
        now, seconds = self._clock(), self._seconds()
        passed = max((now - self._seen_at).total_seconds(), seconds - self._seen_seconds)
        if passed > (self._beat * _MOST_MISSED).total_seconds():
            self._began_at = now
        self._seen_at = max(now, self._began_at)
        self._seen_seconds = seconds
        old = [site for site, last in self._latest.items() if last.ended_at + _ONE_SPAN < now]
        for site in old:
            del self._latest[site]

    async def _tell(self, silence: timedelta) -> None:
        """Report; the next will come after *silence* at the latest."""
        told = list(self._untold)
        report = Report(self._name, self._began_at, self._seen_at, self._seen_at + silence, told)
        try:
            await asyncio.to_thread(self._report, report)
        except RblError as fault:
            if not self._is_silent:
                _log.warning("attendance_unreported", why=fault.message)
            self._is_silent = True
        except Exception:  # noqa: BLE001 — the rim: a collector that reports no more ends no test
            _log.exception("attendance_unreported", why="unforeseen")
            self._is_silent = True
        else:
            self._is_silent = False
            self._untold = [one for one in self._untold if not any(one is each for each in told)]
