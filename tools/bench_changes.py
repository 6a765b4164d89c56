# ruff: noqa: INP001  # part of a program, not a package
"""The database under the list that `make bench` measures: filled, made an index of, changed under load."""

import gc
import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_network
from pathlib import Path

from bench_list import APEX, REASON, Drawn
from bench_rounds import Load, ask
from bench_servers import ZONE_FILE, Running

from rbl.cli.opening import prepare
from rbl.store import bulk, listings
from rbl.store.engine import Store
from rbl.store.journal import JournalReader
from rbl.store.listings import NewListing
from rbl.terms import Act
from rbl.zone import snapshot, zonefile
from rbl.zone.index import compile_index
from rbl.zone.zonefile import ZoneFile

_CHANGES = 20
_CHANGE_SECONDS = 30.0  # after so long no further change is made
_PATIENCE_SECONDS = 900.0
_MOMENT_SECONDS = 5.0
_GENERATIONS_A_MINUTE = 100
# Long enough that only what is lost is given up, and not what waits while others have the machine.
_LOSS_PATIENCE_MS = 2000


@dataclass(frozen=True, slots=True)
class Compiled:
    """What it took to make the index from SQL."""

    seconds: float
    memory_octets: int  # what the process had more afterwards
    file_octets: int
    single_octets: float  # of the file, for each entry of an index of single IPv4 addresses alone
    load_seconds: float  # from disk again


@dataclass(frozen=True, slots=True)
class Swapped:
    """What became of queries while generations were swapped."""

    seconds: float
    generations: int
    answered: int
    lost: int


def act() -> Act:
    """Return who changes the list, and why."""
    return Act("bench", "to be measured", datetime.now(UTC))


def fill(url: str, drawn: Drawn) -> float:
    """Import *drawn* into a new database, and return how long that took."""
    store = Store(url)
    prepare(store, [APEX])

    def rows() -> Iterator[bulk.Row]:
        for subject in drawn.subjects():
            yield subject, REASON, None

    began = time.perf_counter()
    with store.writing() as session:
        bulk.add(session, APEX, rows(), act())
    seconds = time.perf_counter() - began
    store.close()
    return seconds


def build(url: str, path: Path) -> Compiled:
    """Make the index from the database and write it to *path*; in a process of its own, for its memory."""
    zone = zonefile.read(ZONE_FILE)
    store = Store(url)
    reader = JournalReader(store)
    gc.collect()
    before = _resident_octets()
    began = time.perf_counter()
    mark, listed = reader.snapshot(APEX)
    index = compile_index(zone, mark.serial, listed, mark.chain)
    seconds = time.perf_counter() - began
    gc.collect()
    memory = _resident_octets() - before
    path.parent.mkdir(parents=True, exist_ok=True)
    snapshot.write(index, path)
    began = time.perf_counter()
    snapshot.read(path, zone)
    load_seconds = time.perf_counter() - began
    single = _single_octets(zone, reader, path.with_suffix(".single"))
    reader.close()
    store.close()
    return Compiled(seconds, memory, path.stat().st_size, single, load_seconds)


def _single_octets(zone: ZoneFile, reader: JournalReader, path: Path) -> float:
    """Return what an entry takes in an index that has nothing but single IPv4 addresses."""
    mark, listed = reader.snapshot(APEX)
    singles = [each for each in listed if each.subject.endswith("/32")]
    snapshot.write(compile_index(zone, mark.serial, singles), path)
    octets = path.stat().st_size
    path.unlink()
    return octets / len(singles)


def measure_changes(
    running: Running, addresses: Sequence[str], tell: Callable[[Running, str], None]
) -> float:
    """List *addresses* one by one by *tell*, and return the median of the seconds until each answered."""
    seen: list[float] = []
    began = time.perf_counter()
    for address in addresses[:_CHANGES]:
        if seen and time.perf_counter() - began > _CHANGE_SECONDS:
            break
        at = time.perf_counter()
        tell(running, address)
        told = time.perf_counter() - at
        waited = running.until_listed(address, _PATIENCE_SECONDS)
        seen.append(float("nan") if waited is None else told + waited)
    return statistics.median(seen)


def commit_to(store: Store) -> Callable[[Running, str], None]:
    """Return what lists an address in *store* in a transaction of its own."""
    return lambda _, address: list_in(store, address)


def list_in(store: Store, address: str) -> None:
    """List *address*."""
    with store.writing() as session:
        listings.start(session, NewListing(APEX, ip_network(address), REASON), act())


def measure_many(running: Running, store: Store, addresses: Sequence[str]) -> float:
    """List *addresses* in one transaction; return the seconds from the start of its commit to the answer.

    Not from its end: others see what is committed before the call returns, which takes SQLite a while
    yet. One transaction of so few is one generation, in which all of them are or none.
    """
    with ThreadPoolExecutor(1) as beside:
        seen = beside.submit(_seen_at, running, addresses[-1])
        with store.writing() as session:
            bulk.add(session, APEX, ((f"{each}/32", REASON, None) for each in addresses), act())
            committing = time.perf_counter()
        seconds = seen.result() - committing
    missing = [each for each in addresses if running.until_listed(each, _MOMENT_SECONDS) is None]
    return float("nan") if missing else seconds


def _seen_at(running: Running, address: str) -> float:
    waited = running.until_listed(address, _PATIENCE_SECONDS)
    return float("nan") if waited is None else time.perf_counter()


def swap_under_load(
    load: Load, running: Running, store: Store, addresses: Iterator[str], seconds: float
) -> Swapped:
    """Commit _GENERATIONS_A_MINUTE changes a minute while *running* is asked as fast as it answers."""
    before = _generations(running)
    pause = 60 / _GENERATIONS_A_MINUTE
    with ThreadPoolExecutor(1) as beside:
        asking = beside.submit(ask, load, load.packets, running, seconds, _LOSS_PATIENCE_MS)
        following = time.perf_counter()
        while not asking.done():
            list_in(store, next(addresses))
            following += pause
            time.sleep(max(0.0, following - time.perf_counter()))
        answered, lost = asking.result()
    return Swapped(seconds, _generations(running) - before, answered, lost)


def _generations(running: Running) -> int:
    """Return how many generations it says that it has swapped in."""
    return running.log.read_text(encoding="utf-8").count("snapshot_swapped")


def _resident_octets() -> int:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
