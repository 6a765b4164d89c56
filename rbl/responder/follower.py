"""The follower: a thread that keeps what DNS answers at the journal, and a copy of it on disk.

The one place that ties DNS to SQL, by way of a reader that is handed in. At the start each zone is
answered from its index on disk; then entries are read in order of serial, applied to make the next
generation, held against the guards, and one reference is swapped. When the database does not
answer, the last generation stays in service. What the guards refuse is kept ready and not served
until an operator forces it, up to a serial that is written beside the journal, or a later entry makes
it acceptable.

An index whose last entry is not in the journal was made from another history (a database restored
from a backup): it is rebuilt whole.

Log events: ``snapshot_swapped``, ``snapshot_refused`` (once for each hold), ``snapshot_unwritten``
and ``snapshot_unusable`` (the copy on disk), ``journal_lost`` and ``journal_found`` (once for each
change of state), ``journal_diverged``.
"""

import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import structlog

from rbl import privatefiles
from rbl.errors import NotFound, RblError
from rbl.responder.catalogue import Catalogue
from rbl.responder.counters import Counters
from rbl.responder.following import Reader, Standing
from rbl.terms import Entry
from rbl.zone import guards, snapshot
from rbl.zone.index import Index, compile_index
from rbl.zone.zonefile import ZoneFile

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Pace:
    """How often and how much."""

    # A change that the signal missed, and a stop, are seen after this at the latest.
    longest_wait: timedelta = timedelta(seconds=1)
    # Between two tries while the database does not answer, doubling from the first to the longest.
    first_pause: timedelta = timedelta(milliseconds=100)
    longest_pause: timedelta = timedelta(seconds=5)
    # Between two copies to disk; after a crash what is younger comes from the journal.
    write_every: timedelta = timedelta(seconds=60)
    # Entries for one generation, so that a long way back is gone in steps that are seen.
    batch: int = 10_000


def index_path(data_dir: Path, apex: str) -> Path:
    """Return where in *data_dir* the index of *apex* is kept."""
    return data_dir / f"{apex}.index"


@dataclass(slots=True, eq=False)
class _Followed:
    """Where the follower is with one zone. *newest* is not what is served while it is held back."""

    file: ZoneFile
    path: Path
    newest: Index | None = None
    held: str | None = None  # why
    grown: bool = True  # newest is what is served and entries after it, not made from everything
    tried: tuple[int, int] = (0, 0)  # the serial forced last, and that of what was offered for it
    entryless: int | None = None  # the serial at which the journal was seen to have no entry yet
    fault: str | None = None
    read_at: float = field(default_factory=time.monotonic)
    caught_up: bool = False  # the journal was read to its head, once
    written_serial: int | None = None
    unwritten: bool = False

    @property
    def name(self) -> str:
        return self.file.apex_text

    def lag_seconds(self) -> float:
        """Return how long ago the journal was last read with success (or the follower made)."""
        return time.monotonic() - self.read_at


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
        self._zones = [_Followed(zone, index_path(data_dir, zone.apex_text)) for zone in zones]
        self._counters = counters
        self._max_change_share = max_change_share
        self._pace = pace or Pace()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="dns-follower", daemon=True)
        for zone in self._zones:
            counters.watch_lag(zone.name, zone.lag_seconds)

    def start(self) -> None:
        """Serve what is on disk, then follow the journal in a thread."""
        self.load()
        self._thread.start()

    def stop(self) -> None:
        """Stop following and write what is served to disk."""
        self._stopping.set()
        self._thread.join()
        self.write()

    def ready(self) -> bool:
        """Whether every zone has an index to answer from."""
        return self._catalogue.ready()

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
            except NotFound:
                continue
            except RblError as fault:
                _log.error("snapshot_unusable", zone=zone.name, fault=fault.message)
                continue
            zone.written_serial = index.serial
            # It was in service before, forced or not.
            self._offer(zone, index, 0, started, forced=True)

    def follow(self) -> bool:
        """Bring every zone to the head of its journal; False where that failed for one of them."""
        followed = [self._follow_safely(zone) for zone in self._zones]
        return all(followed)

    def write(self) -> None:
        """Write what is served to disk, for each zone where it is newer than what is there."""
        for zone in self._zones:
            index = self._catalogue.index(zone.file.apex)
            if index is not None and index.serial != zone.written_serial:
                self._write(zone, index)

    def _run(self) -> None:
        pause = self._pace.first_pause
        written_at = time.monotonic()
        while not self._stopping.is_set():
            if self.follow() and self._wait():
                pause = self._pace.first_pause
            else:
                self._stopping.wait(pause.total_seconds())
                pause = min(pause * 2, self._pace.longest_pause)
            if time.monotonic() - written_at >= self._pace.write_every.total_seconds():
                self.write()
                written_at = time.monotonic()

    def _wait(self) -> bool:
        """Wait for a change; False where that cannot be waited for now."""
        try:
            self._reader.wait_for_change(self._pace.longest_wait)
        except RblError:
            return False  # the next round says which zones that concerns
        return True

    def _follow_safely(self, zone: _Followed) -> bool:
        """Bring *zone* to the head of its journal; a failure is logged once and leaves it as it is."""
        try:
            self._follow(zone)
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

    def _standing(self, zone: _Followed) -> Standing:
        index, newest = self._catalogue.index(zone.file.apex), zone.newest
        return Standing(
            serial=None if index is None else index.serial,
            newest=None if newest is None else newest.serial,
            lag_seconds=round(zone.lag_seconds(), 3),
            held=zone.held,
        )

    def _follow(self, zone: _Followed) -> None:
        if zone.newest is None:
            self._rebuild(zone)
        self._follow_entries(zone)
        if zone.held is not None:
            self._let_out(zone)

    def _follow_entries(self, zone: _Followed) -> None:
        while zone.newest is not None and not self._stopping.is_set():
            started = time.monotonic()
            newest = zone.newest
            # One entry more than is needed: the index's own, as a proof of the same history.
            entries = self._reader.entries_after(zone.name, newest.serial - 1, self._pace.batch + 1)
            if entries and entries[0].serial == newest.serial:
                entries = entries[1:]
            elif newest.serial != zone.entryless:
                head = self._reader.head(zone.name)
                if entries or head != newest.serial:
                    _log_diverged(zone, newest.serial, head)
                    self._rebuild(zone)
                    break
                zone.entryless = head
            if not entries:
                break
            self._offer(zone, newest.apply(entries), len(entries), started)

    def _let_out(self, zone: _Followed) -> None:
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
            while entries := self._entries_between(zone, step.serial, forced):
                step, count = step.apply(entries), count + len(entries)
            self._offer(zone, step, count, started, forced=True)
            self._follow_entries(zone)

    def _entries_between(self, zone: _Followed, after: int, last: int) -> Sequence[Entry]:
        """Return a batch of the entries after serial *after*, up to and with *last*."""
        entries = self._reader.entries_after(zone.name, after, self._pace.batch)
        return [entry for entry in entries if entry.serial <= last]

    def _rebuild(self, zone: _Followed) -> None:
        """Make the index of *zone* from everything in it."""
        started = time.monotonic()
        serial, listed = self._reader.snapshot(zone.name)
        zone.grown = False
        self._offer(zone, compile_index(zone.file, serial, listed), 0, started)

    def _offer(
        self, zone: _Followed, candidate: Index, entries: int, started: float, *, forced: bool = False
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

    def _swap(self, zone: _Followed, index: Index, entries: int, started: float) -> None:
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

    def _write(self, zone: _Followed, index: Index) -> None:
        try:
            privatefiles.make_folder(zone.path.parent)
            snapshot.write(index, zone.path)
        except OSError as fault:
            if not zone.unwritten:
                zone.unwritten = True
                _log.error("snapshot_unwritten", zone=zone.name, path=str(zone.path), fault=str(fault))
        else:
            zone.unwritten = False
            zone.written_serial = index.serial


def _log_diverged(zone: _Followed, serial: int, head: int) -> None:
    """Say that the journal does not hold the index's last entry; below its head that is a restore."""
    log = _log.error if head < serial else _log.warning
    log("journal_diverged", zone=zone.name, serial=serial, head=head, doing="rebuilding the index whole")
