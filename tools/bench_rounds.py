# ruff: noqa: INP001  # part of a program, not a package
"""The rounds of `make bench`: the same queries to each server in turn, and what each needed for them.

All servers of a group run, and are asked one at a time; what else the machine does falls on each alike,
and the median of the rounds counts. Two load generators: bench_udp.c sends every query as it is; dnsperf
sends the same names and types, and can neither vary OPT nor send cookies.
"""

import os
import random
import re
import socket
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench_list import Query
from bench_servers import PACKAGES, Running

# Small enough for the receive buffer that rbldnsd has.
_WINDOW = 128
_PATIENCE_MS = 200
_CHECKED = 500


@dataclass(frozen=True, slots=True)
class Load:
    """What is asked, from which core, for how long."""

    tool: Path
    packets: Path
    plain: Path
    names: Path
    core: int
    seconds: float
    rounds: int


@dataclass(slots=True)
class Asked:
    """What one server needed, by round, as one generator asks."""

    rates: list[float] = field(default_factory=list)  # queries a second
    costs: list[float] = field(default_factory=list)  # CPU seconds a query
    lost: int = 0


@dataclass(frozen=True, slots=True)
class Seen:
    """What one server needed for the mixed queries, for those of rbldnsd's own kind, and for dnsperf's."""

    mixed: Asked = field(default_factory=Asked)
    plain: Asked = field(default_factory=Asked)
    dnsperf: Asked = field(default_factory=Asked)


def ask(
    load: Load, packets: Path, running: Running, seconds: float, patience_ms: int = _PATIENCE_MS
) -> tuple[int, int]:
    """Ask *packets* as fast as they are answered, and return how many were and how many were not."""
    words = [str(load.tool), "ask", str(running.port), str(seconds), str(_WINDOW), str(patience_ms)]
    with packets.open("rb") as source:
        told = subprocess.run(  # noqa: S603  # our own program
            ["taskset", "-c", str(load.core), *words],  # noqa: S607
            stdin=source,
            capture_output=True,
            check=True,
        )
    _, answered, lost = map(int, told.stdout.split())
    return answered, lost


def take_turns(load: Load, servers: Sequence[Running]) -> list[Seen]:
    """Ask each of *servers* in each round, and return what each needed."""
    everything = [Seen() for _ in servers]
    for _ in range(load.rounds):
        for running, seen in zip(servers, everything, strict=True):
            _ask_for_cost(load, load.packets, running, seen.mixed)
        for running, seen in zip(servers, everything, strict=True):
            _ask_for_cost(load, load.plain, running, seen.plain)
        for running, seen in zip(servers, everything, strict=True):
            if _dnsperf().exists():  # to which an echo too is an answer
                before = running.cpu_seconds()
                answered, rate, lost = _ask_with_dnsperf(load, running)
                seen.dnsperf.costs.append((running.cpu_seconds() - before) / max(answered, 1))
                seen.dnsperf.rates.append(rate)
                seen.dnsperf.lost += lost
    return everything


def _ask_for_cost(load: Load, packets: Path, running: Running, asked: Asked) -> None:
    before = running.cpu_seconds()
    answered, lost = ask(load, packets, running, load.seconds)
    asked.costs.append((running.cpu_seconds() - before) / max(answered, 1))
    asked.rates.append(answered / load.seconds)
    asked.lost += lost


def ratio(one: Asked, other: Asked) -> float | None:
    """Return how often *other*'s cost is in *one*'s, as the median of the rounds; None: not asked."""
    if not one.costs:
        return None
    return statistics.median(a / b for a, b in zip(one.costs, other.costs, strict=True))


def count_wrong(running: Running, queries: Sequence[Query]) -> int:
    """Return how many of some queries are answered otherwise than by the list."""
    wrong = 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.settimeout(5)
        asking.connect(("127.0.0.1", running.port))
        for query in random.Random(1).sample(queries, _CHECKED):  # noqa: S311  # the same each time
            asking.send(query.packet)
            answer = asking.recv(4096)
            told = (answer[:2], answer[3] & 15, answer[7] > 0)
            expected = (query.packet[:2], 0 if query.listed else 3, query.listed)
            wrong += told != expected
    return wrong


def _dnsperf() -> Path:
    return PACKAGES / "dnsperf" / "usr" / "bin" / "dnsperf"


def _ask_with_dnsperf(load: Load, running: Running) -> tuple[int, float, int]:
    """Return how many were answered, how many a second, and how many were not."""
    libraries = ":".join(map(str, (PACKAGES / "dnsperf").glob("usr/lib/*-linux-*")))
    words = ["-s", "127.0.0.1", "-p", str(running.port), "-d", str(load.names), "-l", f"{load.seconds:g}"]
    words += ["-c", "8", "-q", str(_WINDOW), "-t", "1"]
    done = subprocess.run(  # noqa: S603  # a program of this list
        ["taskset", "-c", str(load.core), str(_dnsperf()), *words],  # noqa: S607  # of util-linux
        env={**os.environ, "LD_LIBRARY_PATH": libraries},
        capture_output=True,
        text=True,
        check=False,
    )
    found = {
        word: re.search(rf"{word}: +([\d.]+)", done.stdout)
        for word in ("Queries completed", "Queries per second", "Queries lost")
    }
    numbers = [float(match[1]) for match in found.values() if match]
    if len(numbers) != len(found):
        sys.exit(f"dnsperf: {done.stdout}{done.stderr}")
    completed, rate, lost = numbers
    return int(completed), rate, int(lost)
