"""The follower: a thread that keeps what DNS answers at the journal, and a copy of it on disk.

The one place that ties DNS to SQL, by way of a reader that is handed in. At the start each zone is
answered from its index on disk; then entries are read in order of serial, applied to make the next
generation, held against the guards, and one reference is swapped. When the database does not
answer, the last generation stays in service. What the guards refuse is kept ready and not served
until an operator forces it, up to a serial that is written beside the journal, or a later entry makes
it acceptable.

An index whose mark is not in the journal was made from another history (a database restored from a
backup): it is rebuilt whole.

No exception ends the thread: what is not foreseen is logged, and the next round tries again.

Log events: ``snapshot_swapped``, ``snapshot_refused`` (once for each hold), ``snapshot_unwritten``
and ``snapshot_unusable`` (the copy on disk), ``journal_lost`` and ``journal_found`` (once for each
change of state), ``journal_diverged``, ``snapshot_unmarked`` (of an earlier version), ``follower_error``.
"""

import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import timedelta
from itertools import chain, takewhile
from pathlib import Path
from typing import TypeVar

import structlog

from rbl import privatefiles
from rbl.errors import NotFound, RblError
from rbl.responder.catalogue import Catalogue
from rbl.responder.counters import Counters
from rbl.responder.following import Counted, Followed, Pace, Reader, Standing, Stopped
from rbl.terms import Entry, Mark
from rbl.zone import guards, snapshot
from rbl.zone.index import Index, compile_index
from rbl.zone.zonefile import ZoneFile

_log = structlog.get_logger()
_Row = TypeVar("_Row")
# A read of the database that does not come back may hold up the end for so long.
_STOP_SECONDS = 5.0


def index_path(data_dir: Path, apex: str) -> Path:
    """Return where in *data_dir* the index of *apex* is kept."""
    return data_dir / f"{apex}.index"


class Follower:
    """Follows the journal of every zone in *zones* and swaps its generations into *catalogue*."""

    def __init__(
        self,
        reader: Reader,
        catalogue: Catalogue,
        zones: Iterable[ZoneFile],
        data_dir: Path,
        counters: Counters,
        *,
        max_change_share: float,
        pace: Pace | None = None,
    ) -> None:
        self._reader = reader
        self._catalogue = catalogue
        self._zones = [Followed(zone, index_path(data_dir, zone.apex_text)) for zone in zones]
        self._counters = counters
        self._max_change_share = max_change_share
        self._pace = pace or Pace()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="dns-follower", daemon=True)
        for zone in self._zones:
            counters.watch_lag(zone.name, zone.lag_seconds)
            counters.diverged.labels(zone.name)  # 0 from the start: an alarm looks for the difference

    def start(self) -> None:
        """Serve what is on disk, then follow the journal in a thread."""
        self.load()
        self._thread.start()

    def stop(self) -> None:
        """Stop following and write what is served to disk."""
        self._stopping.set()
        self._thread.join(_STOP_SECONDS)
        self.write()

    def ready(self) -> bool:
        """Whether every zone has an index to answer from."""
        return self._catalogue.ready()

    def behind(self, max_lag: timedelta) -> str | None:
        """Return why what is answered may be old: the journal of a zone was not read for *max_lag*."""
        for zone in self._zones:
            lag_seconds, why = zone.lag_seconds(), zone.fault or "it is being read"
            if lag_seconds > max_lag.total_seconds():
                return (
                    f"the journal of {zone.name} was last read {lag_seconds:.0f} s ago, longer than"
                    f" dns.max_lag: {why}"
                )
        return None

    def has_caught_up(self) -> bool:
        """Whether every zone was at the head of its journal, at least once."""
        return all(zone.caught_up for zone in self._zones)

    def standings(self) -> dict[str, Standing]:
        """Return where each zone stands, by apex."""
        return {zone.name: self._standing(zone) for zone in self._zones}

    def load(self) -> None:
        """Serve the index on disk of each zone that has a usable one."""
        for zone in self._zones:
            started = time.monotonic()
            try:
                index = snapshot.read(zone.path, zone.file)
                # It was in service before, forced or not.
                self._offer(zone, index, 0, started, forced=True)
            except NotFound:
                continue
            except Exception as fault:  # noqa: BLE001  # the rim: the database has everything
                description = (
                    fault.message if isinstance(fault, RblError) else f"{type(fault).__name__}: {fault}"
                )
                _log.error(
                    "snapshot_unusable",
                    zone=zone.name,
                    fault=description,
                    exc_info=not isinstance(fault, RblError),
                )
                continue
            zone.written = index.mark

    def follow(self) -> bool:
        """Bring every zone to the head of its journal; False where that failed for one of them."""
        followed = [self._follow_safely(zone) for zone in self._zones]
        return all(followed)

    def write(self) -> None:
        """Write what is served to disk, for each zone where it is newer than what is there."""
        for zone in self._zones:
            index = self._catalogue.index(zone.file.apex)
            if index is not None and index.mark != zone.written:
                self._write(zone, index)

    def _run(self) -> None:
        pause = self._pace.first_pause
        written_at = time.monotonic()
        while not self._stopping.is_set():
            went_well = False
            try:
                went_well = self.follow() and self._wait()
                if time.monotonic() - written_at >= self._pace.write_every.total_seconds():
                    written_at = time.monotonic()
                    self.write()
            except Exception:  # noqa: BLE001  # the rim: without the thread DNS would stand still, unseen
                went_well = False
                with suppress(Exception):  # the log's disk may be full
                    _log.exception("follower_error")
            if went_well:
                pause = self._pace.first_pause
            else:
                self._stopping.wait(pause.total_seconds())
                pause = min(pause * 2, self._pace.longest_pause)

    def _wait(self) -> bool:
        """Wait for a change; False where that cannot be waited for now."""
        try:
            self._reader.wait_for_change(self._pace.longest_wait)
        except RblError:
            return False  # the next round says which zones that concerns
        return True

    def _follow_safely(self, zone: Followed) -> bool:
        """Bring *zone* to the head of its journal; a failure is logged once and leaves it as it is."""
        try:
            self._follow(zone)
        except Stopped:
            return False
        except Exception as fault:  # noqa: BLE001  # the rim: answering goes on, the next round tries again
            description = f"{type(fault).__name__}: {fault}"
            if zone.fault != description:
                zone.fault = description
                _log.error(
                    "journal_lost",
                    zone=zone.name,
                    fault=description,
                    exc_info=not isinstance(fault, RblError),
                )
            return False
        zone.read_at = time.monotonic()
        zone.caught_up = True
        if zone.fault is not None:
            zone.fault = None
            _log.info("journal_found", zone=zone.name)
        return True

    def _standing(self, zone: Followed) -> Standing:
        index, newest = self._catalogue.index(zone.file.apex), zone.newest
        return Standing(
            serial=None if index is None else index.serial,
            newest=None if newest is None else newest.serial,
            lag_seconds=round(zone.lag_seconds(), 3),
            held=zone.held,
        )

    def _follow(self, zone: Followed) -> None:
        if zone.newest is None:
            self._rebuild(zone)
        self._follow_entries(zone)
        if zone.held is not None:
            self._let_out(zone)

    def _follow_entries(self, zone: Followed) -> None:
        while zone.newest is not None and not self._stopping.is_set():
            started = time.monotonic()
            entries = self._entries_after(zone, zone.newest.mark)
            if entries is None:
                self._rebuild(zone)
                break
            first = next(entries, None)
            if first is None:
                break
            counted = Counted(chain([first], entries))
            self._offer(zone, zone.newest.apply(counted), counted.count, started)

    def _entries_after(self, zone: Followed, mark: Mark) -> Iterator[Entry] | None:
        entries = self._reader.entries_after(zone.name, mark, self._pace.batch)
        return None if entries is None else self._until_stopped(entries)

    def _until_stopped(self, rows: Iterable[_Row]) -> Iterator[_Row]:
        """Yield *rows*; a stop does not wait for millions of them."""
        for row in rows:
            if self._stopping.is_set():
                raise Stopped
            yield row

    def _let_out(self, zone: Followed) -> None:
        """Serve what is held back as far as an operator forces it; what came later is guarded again.

        What the guards never let out, forced or not, stays held and is logged once more.
        """
        newest, served = zone.newest, self._catalogue.index(zone.file.apex)
        assert newest is not None
        started = time.monotonic()
        forced = self._reader.forced_serial(zone.name)
        trying = (forced, min(forced, newest.serial))
        if trying == zone.tried:
            return
        zone.tried = trying
        if newest.serial <= forced:
            self._offer(zone, newest, 0, started, forced=True)
        elif zone.grown and served is not None and served.serial < forced:
            # Its entries are read anew: the generation at that serial is not kept.
            step, count = served, 0
            while (entries := self._entries_after(zone, step.mark)) is not None:
                counted = Counted(takewhile(lambda entry: entry.serial <= forced, entries))
                step, count = step.apply(counted), count + counted.count
                if not counted.count:
                    self._offer(zone, step, count, started, forced=True)
                    break
            self._follow_entries(zone)

    def _rebuild(self, zone: Followed) -> None:
        """Make the index of *zone* from everything in it."""
        started = time.monotonic()
        mark, listed = self._reader.snapshot(zone.name)
        index = compile_index(zone.file, mark.serial, self._until_stopped(listed), mark.chain)
        if zone.newest is not None:
            self._tell_of_other_history(zone, zone.newest.mark, mark)
        zone.grown = False
        zone.tried = (0, 0)
        self._offer(zone, index, 0, started)

    def _offer(
        self, zone: Followed, candidate: Index, entries: int, started: float, *, forced: bool = False
    ) -> None:
        """Serve *candidate*, or hold it back where the guards refuse it."""
        zone.newest = candidate
        served = self._catalogue.index(zone.file.apex)
        try:
            guards.check(served, candidate, self._max_change_share, forced=forced)
        except RblError as refusal:
            self._counters.refused_batches.labels(zone.name).inc()
            if forced or zone.held is None:
                _log.error(
                    "snapshot_refused",
                    zone=zone.name,
                    serial=candidate.serial,
                    served=None if served is None else served.serial,
                    why=refusal.message,
                    forced=forced,
                )
            zone.held = refusal.message
            self._counters.held.labels(zone.name).set(1)
        else:
            self._swap(zone, candidate, entries, started)

    def _swap(self, zone: Followed, index: Index, entries: int, started: float) -> None:
        self._catalogue.serve(index)
        zone.held = None
        zone.grown = True
        self._counters.held.labels(zone.name).set(0)
        self._counters.serial.labels(zone.name).set(index.serial)
        live = index.live()
        self._counters.listings.labels(zone.name).set(live)
        _log.info(
            "snapshot_swapped",
            zone=zone.name,
            serial=index.serial,
            entries=entries,
            live=live,
            ms=round((time.monotonic() - started) * 1000),
        )

    def _write(self, zone: Followed, index: Index) -> None:
        try:
            privatefiles.make_folder(zone.path.parent)
            snapshot.write(index, zone.path)
        except Exception as fault:  # noqa: BLE001  # the rim: the database has everything
            if not zone.unwritten:
                zone.unwritten = True
                _log.error(
                    "snapshot_unwritten",
                    zone=zone.name,
                    path=str(zone.path),
                    fault=str(fault),
                    exc_info=not isinstance(fault, OSError),
                )
        else:
            zone.unwritten = False
            zone.written = index.mark

    def _tell_of_other_history(self, zone: Followed, left: Mark, found: Mark) -> None:
        """Say that the list was made anew from the journal as it is now."""
        if not left.chain:
            _log.info("snapshot_unmarked", zone=zone.name, serial=left.serial, head=found.serial)
            return
        self._counters.diverged.labels(zone.name).inc()
        log = _log.error if found.serial < left.serial else _log.warning
        log(
            "journal_diverged",
            zone=zone.name,
            serial=left.serial,
            head=found.serial,
            why="the journal tells another history than the list followed: the database was restored",
            doing="rebuilt the index whole",
        )
