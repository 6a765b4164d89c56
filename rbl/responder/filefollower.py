"""Follows rbldnsd's data files: reads those that changed, and swaps what is served.

What could not be read leaves the dataset that was read before in service; only a zone that never could
be read whole is not served. Reading goes on beside answering. ``filechanges`` says which changes wait.

Log events: ``dataset_loaded``, ``dataset_refused`` (once for each reason), ``dataset_held`` (once for each
change), ``line_refused`` (the first few of each load), ``zone_not_served``.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog
from prometheus_client import CollectorRegistry, Gauge

from rbl.errors import BadInput, ConfigError
from rbl.names import Name
from rbl.responder import filechanges, filezones
from rbl.responder.filechanges import Caution, Stamps, Waiting
from rbl.responder.filezones import FileCatalogue
from rbl.zone.rbldnsd import dataset, filezone
from rbl.zone.rbldnsd.dataset import Dataset, Leaf, Spec
from rbl.zone.rbldnsd.filezone import FileZone
from rbl.zone.rbldnsd.kinds import Kind
from rbl.zone.rbldnsd.nametext import key_of, parse_name, text_of
from rbl.zone.rbldnsd.reading import Options, stamp_of

_SHOWN_FAULTS = 5  # of one load; a file of another kind has as many as lines

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Assignment:
    """One argument of the command line: a dataset for the zone *apex*; the empty one is for acls of all."""

    apex: Name
    spec: Spec


class FileMetrics:
    """What is counted of data files, in *registry*."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.failed = Gauge(
            "rbl_dataset_failed",
            "1 while the files of a dataset cannot be read and an older state of them is served, or none",
            ("dataset",),
            registry=registry,
        )
        self.held = Gauge(
            "rbl_dataset_held",
            "1 while changed files are held back because too much is gone, and their old state is served",
            ("dataset",),
            registry=registry,
        )
        self.faults = Gauge(
            "rbl_dataset_faults", "Lines that were not taken as they are", ("dataset",), registry=registry
        )
        self.entries = Gauge("rbl_dataset_entries", "Entries served", ("dataset",), registry=registry)
        self.loaded_at = Gauge(
            "rbl_dataset_loaded_timestamp_seconds", "When it was read", ("dataset",), registry=registry
        )


class FileFollower:
    """Keeps ``catalogue`` at the files of *assignments*, whose names are relative to *folder*.

    *caution* None: whatever is found is served at once, as rbldnsd does.
    """

    def __init__(
        self,
        assignments: Sequence[Assignment],
        options: Options,
        folder: Path,
        metrics: FileMetrics,
        caution: Caution | None,
    ) -> None:
        self._caution = caution
        self._waiting: dict[Spec, Waiting] = {}
        self._assignments = tuple(assignments)
        self._options = options
        self._folder = folder
        self._metrics = metrics
        self._datasets: dict[Spec, Dataset] = {}
        self._refused: dict[Spec, str] = {}
        self._zones: dict[Name, tuple[list[Dataset], FileZone]] = {}
        self._unserved: set[Name] = set()
        self._watchers: list[Callable[[FileCatalogue], None]] = []
        self.catalogue = FileCatalogue({})
        self._swap()

    def watch(self, swapped: Callable[[FileCatalogue], None]) -> None:
        """Call *swapped* with what is served now, and again with whatever takes its place."""
        self._watchers.append(swapped)
        swapped(self.catalogue)

    @property
    def zone_names(self) -> tuple[str, ...]:
        """The zones, each once, as text."""
        return tuple(dict.fromkeys(_shown(each.apex) for each in self._assignments if each.apex))

    def by_zone(self) -> list[tuple[FileZone, list[Dataset]]]:
        """Return each zone that is served, and what it is made of."""
        return [(zone, loaded) for loaded, zone in self._zones.values()]

    @property
    def specs(self) -> tuple[Spec, ...]:
        """The datasets, each once."""
        return tuple(dict.fromkeys(each.spec for each in self._assignments))

    @property
    def loaded(self) -> tuple[Dataset, ...]:
        """The datasets that are served, as they were read."""
        return tuple(self._datasets[spec] for spec in self.specs if spec in self._datasets)

    @property
    def failed(self) -> tuple[str, ...]:
        """Why each dataset that cannot be read now cannot."""
        return tuple(self._refused.values())

    @property
    def is_settling(self) -> bool:
        """Whether files are being written: a look soon will tell whether they are whole."""
        return any(waiting.held is None for waiting in self._waiting.values())

    def follow(self, *, told: bool = False) -> bool:
        """Read every dataset whose files changed and serve what came of it; False where one failed.

        *told*: somebody says that the files are as they should be. They are read at once, and what was
        held back and looks as it did then is served.
        """
        changed = [spec for spec in self.specs if self._is_due(spec, told=told)]
        for spec in changed:
            self._load(spec, told=told)
        if changed:
            self._swap()
        return not self._refused

    def _is_due(self, spec: Spec, *, told: bool) -> bool:
        """Whether the files of *spec* changed and are to be read now."""
        loaded = self._datasets.get(spec)
        if loaded is None:
            return True
        seen = self._stamps(spec)
        if seen == loaded.stamps:
            self._forget(spec)  # what waited was undone
            return False
        if self._caution is None or told:
            return True
        waiting, now = self._waiting.get(spec), time.monotonic()
        if waiting is not None and waiting.held is not None and waiting.stamps == seen:
            return spec in self._refused  # perhaps it can be read by now
        if filechanges.is_settled(waiting, seen, loaded.stamps, now, self._options.clock(), self._caution):
            return True
        if waiting is None or waiting.stamps != seen:
            self._waiting[spec] = Waiting(seen, now)
        return False

    def _stamps(self, spec: Spec) -> Stamps:
        return tuple(stamp_of(self._folder / name) for name in spec.files)

    def _forget(self, spec: Spec) -> None:
        """Wait for *spec* no longer."""
        if self._waiting.pop(spec, None) is not None:
            self._metrics.held.labels(str(spec)).set(0)

    def _is_held(self, spec: Spec, found: Dataset, *, told: bool) -> bool:
        """Whether *found* is not to be served, since too much is gone; that is told once."""
        before, waiting = self._datasets.get(spec), self._waiting.get(spec)
        if before is None or self._caution is None:
            return False
        octets = sum(stamp.octets for stamp in found.stamps)
        why = filechanges.refusal(before.count(), found.count(), octets, self._caution)
        was_told_of = waiting is not None and waiting.held is not None and waiting.stamps == found.stamps
        if why is None or (told and was_told_of):
            return False
        if not was_told_of:
            _log.error(
                "dataset_held", dataset=str(spec), why=why, doing="send HUP to serve it all the same"
            )
        self._waiting[spec] = Waiting(found.stamps, time.monotonic(), why)
        self._metrics.held.labels(str(spec)).set(1)
        return True

    def _load(self, spec: Spec, *, told: bool) -> None:
        """Read *spec*; where that fails, or too much is gone, what was read before stays."""
        started = time.monotonic()
        name = str(spec)
        try:
            found = dataset.read(spec, self._options, self._folder)
        except BadInput as fault:
            self._metrics.failed.labels(name).set(1)
            if self._refused.get(spec) != fault.message:
                _log.error(
                    "dataset_refused", dataset=name, why=fault.message, serving=spec in self._datasets
                )
            self._refused[spec] = fault.message
            self._waiting[spec] = Waiting(self._stamps(spec), started, fault.message)
            return
        self._refused.pop(spec, None)
        if self._is_held(spec, found, told=told):
            return
        self._forget(spec)
        self._datasets[spec] = found
        for each in found.faults[:_SHOWN_FAULTS]:
            _log.warning("line_refused", file=each.file, line=each.line, why=each.reason)
        self._metrics.failed.labels(name).set(0)
        self._metrics.faults.labels(name).set(found.fault_count)
        self._metrics.entries.labels(name).set(found.count())
        self._metrics.loaded_at.labels(name).set_to_current_time()
        _log.info(
            "dataset_loaded",
            dataset=name,
            entries=found.count(),
            lines=found.lines,
            faults=found.fault_count,
            ms=round((time.monotonic() - started) * 1000),
        )

    def _swap(self) -> None:
        """Serve what is loaded now."""
        apexes = dict.fromkeys(each.apex for each in self._assignments if each.apex)
        zones = [(apex, _shown(apex), self._built(apex)) for apex in apexes]
        self.catalogue = FileCatalogue(
            filezones.serve(zones, self._options.clock()), self._global(Kind.ACL), self._global(Kind.ACLKEY)
        )
        for swapped in self._watchers:
            swapped(self.catalogue)

    def _built(self, apex: Name) -> FileZone | None:
        """Return the zone *apex* made of what is loaded now, or None where something of it never was."""
        specs = [each.spec for each in self._assignments if each.apex == apex]
        loaded = [self._datasets[spec] for spec in specs if spec in self._datasets]
        if len(loaded) < len(specs):
            if apex not in self._unserved and self._refused:
                _log.error("zone_not_served", zone=_shown(apex), why="not all of its datasets are loaded")
                self._unserved.add(apex)
            return None
        before = self._zones.get(apex)
        if before is None or before[0] != loaded:
            before = self._zones[apex] = (loaded, filezone.build(apex, loaded))
        return before[1]

    def _global(self, kind: Kind) -> Leaf | None:
        specs = [each.spec for each in self._assignments if not each.apex and each.spec.kind is kind]
        loaded = [self._datasets[spec] for spec in specs if spec in self._datasets]
        return loaded[0].leaves[0] if loaded else None


def parse_assignments(texts: Sequence[str]) -> tuple[Assignment, ...]:
    """Return what the arguments ``zone:type:file,file`` name.

    Raises:
        ConfigError: names every fault.
    """
    found: list[Assignment] = []
    faults: list[str] = []
    for text in texts:
        try:
            found.append(_assignment(text))
        except BadInput as fault:
            faults.append(fault.message)
    for kind in (Kind.ACL, Kind.ACLKEY):
        apexes = [each.apex for each in found if each.spec.kind is kind]
        repeated = dict.fromkeys(apex for apex in apexes if apexes.count(apex) > 1)
        faults += [f"repeated {kind} definition for {_shown(apex) or 'all zones'}" for apex in repeated]
    served = {each.apex for each in found if not each.spec.kind.of_clients}
    without = dict.fromkeys(each.apex for each in found if each.apex and each.apex not in served)
    faults += [f"missing data for zone {_shown(apex)}" for apex in without]
    if faults:
        raise ConfigError(faults)
    return tuple(found)


def _assignment(text: str) -> Assignment:
    zone, colon, rest = text.partition(":")
    kind_text, second, files_text = rest.partition(":")
    if not colon or not second:
        raise BadInput(f"invalid zone spec {text[:60]!a}: write zone:type:file,file")
    labels = parse_name(zone.lower().encode("utf-8", "surrogateescape"))
    if labels is None:
        raise BadInput(f"invalid domain name {zone[:80]!a}")
    try:
        kind = Kind(kind_text)
    except ValueError:
        raise BadInput(f"unknown dataset type {kind_text[:60]!a}: known are {', '.join(Kind)}") from None
    files = tuple(name for name in files_text.replace(":", ",").split(",") if name)
    if not files:
        raise BadInput(f"missing filenames for {kind.value} in {text[:60]!a}")
    if not labels and not kind.of_clients:
        raise BadInput(f"missing domain name in {text[:60]!a}")
    return Assignment(labels, Spec(kind, files))


def _shown(apex: Name) -> str:
    return text_of(key_of(apex)).decode("ascii")
