# ruff: noqa: INP001  # a program, not a package
"""Measure the zone index: what a list of a given size costs in time and memory.

    python tools/bench_index.py [LISTINGS]      one million by default

Prints a table and judges nothing. Addresses are random with a fixed seed, so that two runs compare.
"""

import gc
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from ipaddress import IPv4Address
from pathlib import Path
from typing import TypeVar

from rbl.terms import Change, Entry, Listed
from rbl.zone import guards, snapshot, zonefile
from rbl.zone.index import Index, compile_index

_T = TypeVar("_T")
_ZONE = Path(__file__).resolve().parents[1] / "zones" / "relays.example.toml"
_SEED = 5782
_LOOKUPS = 200_000
_PUBLIC = range(1 << 24, 100 << 24)  # no reserved space but 10.0.0.0/8


def main() -> None:
    """Measure and print."""
    size = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    zone = zonefile.read(_ZONE)

    def rows() -> Iterator[Listed]:
        drawn = random.Random(_SEED)  # noqa: S311 - no secret depends on it
        for _ in range(size):
            yield Listed(f"{_address(drawn)}/32", zone.first_reason.name, None, exempt=False)

    _timed("draw the listings alone", lambda: sum(1 for _ in rows()))
    gc.collect()
    before = _resident_octets()
    index = _timed("draw and compile them", lambda: compile_index(zone, 1, rows()))
    gc.collect()
    _show("listings", f"{index.live():,}")
    _show("memory for each", f"{(_resident_octets() - before) / max(size, 1):.1f} octets")
    others = random.Random(_SEED + 1)  # noqa: S311 - no secret depends on it
    _measure_lookups(index, others)
    for count in (1, 1_000):
        entries = _entries(others, index.serial, count)
        changed = _timed(f"apply {count:,}", partial(index.apply, entries))
        _timed("  and guard it", partial(guards.check, index, changed, 1.0))
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "index"
        _timed("write it to disk", lambda: snapshot.write(index, path))
        _show("size on disk", f"{path.stat().st_size / 2**20:.1f} MiB")
        again = _timed("read it from disk", lambda: snapshot.read(path, zone))
        _timed("  and answer first", lambda: again.find_address(IPv4Address("127.0.0.2")))


def _measure_lookups(index: Index, addresses: random.Random) -> None:
    """Print what a look-up costs, apart for addresses that are listed and that are not."""
    again = random.Random(_SEED)  # noqa: S311 - the same addresses once more
    hits = [_address(again) for _ in range(min(_LOOKUPS, index.live()))]
    others = (_address(addresses) for _ in range(_LOOKUPS))
    misses = [address for address in others if index.find_address(address) is None]
    for what, asked in (("look-up, listed", hits), ("look-up, not listed", misses)):
        if asked:
            started = time.perf_counter()
            for address in asked:
                index.find_address(address)
            _show(what, f"{(time.perf_counter() - started) / len(asked) * 1e6:.2f} µs")


def _entries(addresses: random.Random, serial: int, count: int) -> list[Entry]:
    return [
        Entry(
            "relays.example",
            serial + number,
            Change.LISTED,
            f"{_address(addresses)}/32",
            "open-relay",
            None,
            "bench",
            "bench",
            datetime.now(UTC),
        )
        for number in range(1, count + 1)
    ]


def _address(addresses: random.Random) -> IPv4Address:
    value = addresses.choice(_PUBLIC)
    return IPv4Address(value if value >> 24 != 10 else value + (1 << 24))


def _timed(what: str, work: Callable[[], _T]) -> _T:
    started = time.perf_counter()
    result = work()
    _show(what, f"{(time.perf_counter() - started) * 1e3:,.2f} ms")
    return result


def _show(what: str, value: str) -> None:
    print(f"{what:<26}{value:>20}")  # noqa: T201 - a tool's output


def _resident_octets() -> int:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    main()
