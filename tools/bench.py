# ruff: noqa: INP001  # a program, not a package
"""Measures what is promised about speed, beside rbldnsd, NSD, Knot and a server that does nothing.

Usage: python tools/bench.py [--rounds N] [--seconds N] [--page] [entries ...]

By default with 1,000 entries and 1 million.

Prints the figures and writes docs/benchmarks.md with its plot; sizes that are not measured keep there
what they had before. Needs the packages of tools/bench_packages.txt (`make bench` fetches them; what is
missing is left out), a C compiler, and for ten million entries 20 GiB of memory.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path

import bench_changes
import bench_kinds
import bench_list
import bench_report
import bench_rounds
import bench_servers
from bench_changes import Compiled
from bench_kinds import Rbl
from bench_report import Promises, Row, Sized
from bench_rounds import Load, Seen
from bench_servers import Kind, Running

from rbl.responder import compiled
from rbl.store.engine import Store

_SOURCE = Path(__file__).with_name("bench_udp.c")
_SIZES = (1_000, 1_000_000)
_TOGETHER = 2_000_000  # entries with which all servers fit into memory at once
_MANY, _MANY_TIMES = 1_000, 5
_SWAPPING_SECONDS = 30.0

_FLOOR = bench_kinds.Floor("floor (echo)")
_OURS = Rbl("rbl, one thread")
_FILES = bench_kinds.RblFiles()
_REFERENCE = Rbl("rbl, reference path", path="reference")
# On the generator's core an answer costs less, even the floor's: each placement has its own.
_FREE_FLOOR = bench_kinds.Floor("floor, not pinned", all_cores=True)
_ALL_CORES = Rbl("rbl, all cores", threads=0, all_cores=True)


def main() -> None:
    """Measure, print and write the page."""
    words = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    words.add_argument("sizes", nargs="*", type=int, metavar="entries", help="sizes of the list")
    words.add_argument("--rounds", type=int, default=5, help="how often each server is asked")
    words.add_argument("--seconds", type=float, default=1.0, help="how long each time")
    words.add_argument("--page", action="store_true", help="measure nothing, write the page again")
    given = words.parse_args()
    if not compiled.is_built():
        sys.exit(f"nothing to measure: {compiled.describe()}")
    for size in () if given.page else given.sizes or _SIZES:
        with tempfile.TemporaryDirectory(prefix="rbl-bench-") as folder:
            Path(folder).chmod(0o755)  # rbldnsd gives up being root before it reads
            for sized in _Bench(Path(folder), size, given.rounds, given.seconds).measure():
                # Each time: a long run that is broken off has not been for nothing.
                bench_report.keep(sized)
        _say("\n".join(bench_report.table(sized)))
    bench_report.write(bench_servers.available())
    _say("written: docs/benchmarks.md")


class _Bench:
    """The measurement with one size of the list."""

    def __init__(self, folder: Path, size: int, rounds: int, seconds: float) -> None:
        self._folder = folder
        self._size = size
        self._load_before = os.getloadavg()[0]
        self._rounds = rounds
        self._seconds = seconds
        self._drawn = bench_list.draw(size)
        self._queries = bench_list.make_queries(self._drawn)
        self._fresh = iter(bench_list.new_addresses(self._drawn, 20_000))
        self._listed = bench_list.dotted(int(self._drawn.ipv4[len(self._drawn.ipv4) // 2]))
        self._cores = sorted(os.sched_getaffinity(0))
        self._store = Store(bench_servers.database_url(folder))

    def measure(self) -> Iterator[Sized]:
        """Yield all figures of this size, after each group of servers those there are."""
        _say(f"{self._size:,} entries: making the list")
        filled, index = self._prepare()
        rows: list[Row] = []
        promises = Promises(filled, index)
        for kinds in self._groups():
            with ExitStack() as running:
                servers = [running.enter_context(self._started(kind)) for kind in kinds]
                everything = bench_rounds.take_turns(self._load(), servers)
                base = everything[kinds.index(_OURS)]
                for server, seen in zip(servers, everything, strict=True):
                    if all(server.kind.name != row.name for row in rows):
                        rows.append(self._row(server, seen, base))
            yield self._sized(rows, promises)
        with self._started(_OURS) as server:  # alone: the others would follow the same changes
            self._measure_promises(promises, server)
        yield self._sized(rows, promises)
        self._store.close()

    def _sized(self, rows: list[Row], promises: Promises) -> Sized:
        order = [
            kind.name
            for kind in (_FLOOR, _OURS, _FILES, _REFERENCE, *self._others(), _FREE_FLOOR, _ALL_CORES)
        ]
        rows.sort(key=lambda row: order.index(row.name))
        at = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
        return Sized(self._size, at, self._load_before, self._rounds, self._seconds, rows, promises)

    def _prepare(self) -> tuple[float, Compiled]:
        """Write the list in every form, and return what import and index took."""
        folder = self._folder
        bench_list.write_rbldnsd(self._drawn, folder / "rbldnsd4", folder / "rbldnsd6")
        bench_list.write_master(self._drawn, folder / "nsd.zone")
        shutil.copy(folder / "nsd.zone", folder / "knot.zone")
        bench_list.write_packets(self._queries, folder / "packets")
        bench_list.write_packets(bench_list.make_plain_queries(self._drawn), folder / "plain")
        bench_list.write_names(self._queries, folder / "names")
        compiler = os.environ.get("CC") or (sysconfig.get_config_var("CC") or "cc").split()[0]
        subprocess.run([compiler, "-O2", "-o", str(folder / "tool"), str(_SOURCE)], check=True)  # noqa: S603
        url = bench_servers.database_url(folder)
        filled = bench_changes.fill(url, self._drawn)
        path = folder / f"{bench_list.APEX}.index"
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as beside:
            index = beside.submit(bench_changes.build, url, path).result()
        for kind in (_OURS, _ALL_CORES, _REFERENCE):
            kind.data_folder(folder).mkdir()
            shutil.copy(path, kind.data_folder(folder) / path.name)
        return filled, index

    def _others(self) -> list[Kind]:
        kinds: list[tuple[str, Kind]] = [
            ("rbldnsd", bench_kinds.Rbldnsd()),
            ("nsd", bench_kinds.Nsd()),
            ("knot", bench_kinds.Knot()),
        ]
        return [kind for package, kind in kinds if package in bench_servers.available()]

    def _groups(self) -> list[list[Kind]]:
        """Return which servers run together: as many as fit into memory, and ours in every group."""
        own: list[Kind] = [_FLOOR, _OURS, _REFERENCE, _FREE_FLOOR, _ALL_CORES]
        others = self._others()
        if self._size <= _TOGETHER:
            return [[*own, _FILES, *others]]
        return [[*own, *others[:1]], *[[_FLOOR, _OURS, kind] for kind in others[1:]]]

    def _started(self, kind: Kind) -> AbstractContextManager[Running]:
        cores = self._cores if kind.all_cores else self._cores[:1]
        _say(f"  starting {kind.name}")
        return bench_servers.started(kind, self._folder, self._folder / "tool", self._listed, cores)

    def _load(self) -> Load:
        folder = self._folder
        return Load(
            folder / "tool",
            folder / "packets",
            folder / "plain",
            folder / "names",
            self._cores[-1],
            self._seconds,
            self._rounds,
        )

    def _row(self, server: Running, seen: Seen, base: Seen) -> Row:
        """Return one line of the table, with the time from change to answer measured for it."""
        wrong = bench_rounds.count_wrong(server, self._queries) if server.kind.answers else 0
        change = None
        if server.kind.answers and server.has_room_to_reload():
            commit = bench_changes.commit_to(self._store)
            tell = commit if isinstance(server.kind, Rbl) else server.kind.change
            change = bench_changes.measure_changes(server, [next(self._fresh) for _ in range(20)], tell)
        dnsperf, comparable = seen.dnsperf, not server.kind.all_cores
        return Row(
            name=server.kind.name,
            rate=statistics.median(seen.mixed.rates),
            cost_us=statistics.median(seen.mixed.costs) * 1e6,
            ratio=bench_rounds.ratio(seen.mixed, base.mixed) if comparable else None,
            plain_cost_us=statistics.median(seen.plain.costs) * 1e6,
            plain_ratio=bench_rounds.ratio(seen.plain, base.plain) if comparable else None,
            dnsperf_rate=statistics.median(dnsperf.rates) if dnsperf.rates else None,
            dnsperf_cost_us=statistics.median(dnsperf.costs) * 1e6 if dnsperf.costs else None,
            dnsperf_ratio=bench_rounds.ratio(dnsperf, base.dnsperf) if comparable else None,
            memory_octets=server.memory_octets if server.kind.answers else None,
            load_seconds=server.load_seconds if server.kind.answers else None,
            change_seconds=change,
            lost=seen.mixed.lost + seen.plain.lost,
            wrong=wrong,
        )

    def _measure_promises(self, promises: Promises, server: Running) -> None:
        """Measure what is promised of a server that runs: many changes at once, swaps under load."""
        if self._size < 10 * _MANY:
            return
        for _ in range(_MANY_TIMES):
            many = [next(self._fresh) for _ in range(_MANY)]
            promises.many_seconds.append(bench_changes.measure_many(server, self._store, many))
        promises.swapped = bench_changes.swap_under_load(
            self._load(), server, self._store, self._fresh, _SWAPPING_SECONDS
        )


def _say(words: str) -> None:
    print(words, flush=True)  # noqa: T201  # what this program is for


if __name__ == "__main__":
    main()
