# ruff: noqa: INP001  # part of a program, not a package
"""What `make bench` measured, on paper: docs/benchmarks.md and its plot, docs/benchmarks.svg.

The figures of each size are kept in .make/bench/results, so that a page can be written of sizes that
were measured at different times; each says when.
"""

import json
import os
import platform
import statistics
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from bench_changes import Compiled, Swapped
from bench_servers import PACKAGES, ROOT

_RESULTS = PACKAGES / "results"
_PAGE = ROOT / "docs" / "benchmarks.md"
_PLOT = ROOT / "docs" / "benchmarks.svg"
_MIB = 2**20
# Of the plot, in its own units.
_WIDTH, _LEFT, _RIGHT, _BAR, _GAP, _HEAD = 720, 150, 140, 16, 6, 34
_OURS, _THEIRS, _NOTHING = "#1f6f8b", "#b0855b", "#999999"


@dataclass(slots=True)
class Row:
    """One server: medians of the rounds. None: not measured, or it has no such thing."""

    name: str
    rate: float
    cost_us: float
    ratio: float | None
    plain_cost_us: float
    plain_ratio: float | None
    dnsperf_rate: float | None
    dnsperf_cost_us: float | None
    dnsperf_ratio: float | None
    memory_octets: int | None
    load_seconds: float | None
    change_seconds: float | None
    lost: int
    wrong: int


@dataclass(slots=True)
class Promises:
    """What else is promised: the way from SQL to the index, and changes under load."""

    import_seconds: float
    compiled: Compiled
    many_seconds: list[float] = field(default_factory=list)
    swapped: Swapped | None = None


@dataclass(slots=True)
class Sized:
    """Everything that was measured with a list of *size* entries."""

    size: int
    at: str
    load_before: float  # the machine's load average, of a minute
    rounds: int
    seconds: float
    rows: list[Row]
    promises: Promises


def keep(sized: Sized) -> None:
    """Keep the figures of one size in place of those it had."""
    _RESULTS.mkdir(parents=True, exist_ok=True)
    (_RESULTS / f"{sized.size}.json").write_text(json.dumps(asdict(sized), indent=1), encoding="utf-8")


def kept() -> list[Sized]:
    """Return the figures of all sizes, the smallest first."""
    found = [json.loads(file.read_text(encoding="utf-8")) for file in _RESULTS.glob("*.json")]
    return sorted(map(_read, found), key=lambda sized: sized.size)


def _read(values: dict[str, object]) -> Sized:
    promises = dict(values["promises"])  # type: ignore[call-overload]  # as `keep` wrote it
    swapped = promises.pop("swapped")
    compiled = Compiled(**promises.pop("compiled"))
    rows = [Row(**row) for row in values["rows"]]  # type: ignore[attr-defined]  # as `keep` wrote it
    return Sized(
        **{  # type: ignore[arg-type]  # as `keep` wrote it
            **values,
            "rows": rows,
            "promises": Promises(
                **promises, compiled=compiled, swapped=Swapped(**swapped) if swapped else None
            ),
        }
    )


def table(sized: Sized) -> Iterator[str]:
    """Yield the lines that tell of one size, in Markdown."""
    yield f"## {sized.size:,} entries"
    yield ""
    yield (
        f"{sized.at}; medians of {sized.rounds} rounds of {sized.seconds:g} seconds;"
        f" load average before it began: {sized.load_before:.1f}."
    )
    yield ""
    heads = [
        *("server", "CPU µs a query", "of ours", "queries/s", "plain: CPU µs", "of ours"),
        *("dnsperf: CPU µs", "of ours", "queries/s", "memory MiB", "load s", "change to answer ms", "lost"),
    ]
    yield f"| {' | '.join(heads)} |"
    yield f"|---{'|--:' * (len(heads) - 1)}|"
    for row in sized.rows:
        cells = [
            row.name,
            f"**{row.cost_us:.2f}**",
            _number(row.ratio, ".2f"),
            f"{row.rate:,.0f}",
            f"{row.plain_cost_us:.2f}",
            _number(row.plain_ratio, ".2f"),
            _number(row.dnsperf_cost_us, ".2f"),
            _number(row.dnsperf_ratio, ".2f"),
            _number(row.dnsperf_rate, ",.0f"),
            _number(row.memory_octets, ",.0f", 1 / _MIB),
            _number(row.load_seconds, ",.2f"),
            _number(row.change_seconds, ",.1f", 1000),
            f"{row.lost}",
        ]
        yield f"| {' | '.join(cells)} |"
    yield ""
    wrong = [f"{row.name} {row.wrong}" for row in sized.rows if row.wrong]
    yield f"Answered otherwise than by the list, of 500 queries to each: {', '.join(wrong) or 'none'}."
    yield ""
    yield from _promises(sized)


def write(versions: Mapping[str, str]) -> None:
    """Write the page and the plot of everything that is kept."""
    everything = kept()
    _PLOT.write_text("\n".join(plot(everything)) + "\n", encoding="utf-8")
    lines = [*_head(versions, [sized.size for sized in everything])]
    for sized in everything:
        lines += table(sized)
    _PAGE.write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")


def plot(everything: Sequence[Sized]) -> Iterator[str]:
    """Yield the lines of an SVG: CPU time of a query, a panel for each size, all in one scale.

    Without the reference path, beside which the others could not be told apart.
    """
    panels = [(sized, [row for row in sized.rows if "reference" not in row.name]) for sized in everything]
    height = sum(len(rows) * (_BAR + _GAP) + _HEAD for _, rows in panels) + 10
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}"'
        ' font-family="sans-serif" font-size="12" role="img">'
    )
    yield "<title>Server CPU time of a query, in microseconds: less is better</title>"
    yield f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>'
    most = max((row.cost_us for _, rows in panels for row in rows), default=1.0)
    top = 0
    for sized, rows in panels:
        yield (
            f'<text x="8" y="{top + 22}" font-weight="bold">{sized.size:,} entries:'
            " server CPU µs a query (less is better)</text>"
        )
        top += _HEAD
        for row in rows:
            length = row.cost_us / most * (_WIDTH - _LEFT - _RIGHT)
            colour = _OURS if row.name.startswith(("rbl,", "rbl ")) else _THEIRS
            colour = _NOTHING if row.name.startswith("floor") else colour
            middle = top + _BAR - 4
            yield f'<text x="{_LEFT - 8}" y="{middle}" text-anchor="end">{row.name}</text>'
            yield f'<rect x="{_LEFT}" y="{top}" width="{length:.1f}" height="{_BAR}" fill="{colour}"/>'
            theirs = "" if row.dnsperf_cost_us is None else f" (dnsperf: {row.dnsperf_cost_us:.2f})"
            yield f'<text x="{_LEFT + length + 6:.1f}" y="{middle}">{row.cost_us:.2f}{theirs}</text>'
            top += _BAR + _GAP
    yield "</svg>"


def _promises(sized: Sized) -> Iterator[str]:
    promises, size = sized.promises, sized.size
    reference = next(row for row in sized.rows if "reference" in row.name)
    made = promises.compiled
    yield "| also measured | |"
    yield "|---|--:|"
    yield f"| import into SQLite | {promises.import_seconds:,.2f} s |"
    yield f"| index from SQL | {made.seconds:,.2f} s |"
    if size >= 100_000:  # of fewer, what the process has anyway would be counted
        yield f"| memory for an entry, the index as it is mapped | {made.file_octets / size:.1f} octets |"
        yield f"| the same of IPv4 addresses alone | {made.single_octets:.1f} octets |"
        each = made.memory_octets / size
        yield f"| memory for an entry, the process after making it | {each:.1f} octets |"
    yield f"| index from disk | {made.load_seconds * 1000:,.1f} ms |"
    yield f"| reference path, queries/s a core | {1e6 / reference.cost_us:,.0f} |"
    if promises.many_seconds:
        median, most = statistics.median(promises.many_seconds), max(promises.many_seconds)
        yield f"| 1,000 listings at once, commit to answer, median | {median * 1000:,.0f} ms |"
        yield f"| the slowest of {len(promises.many_seconds)} such changes | {most * 1000:,.0f} ms |"
    if promises.swapped is not None:
        done = promises.swapped
        a_minute = done.generations / done.seconds * 60
        yield (
            f"| answers lost under full load, {a_minute:.0f} generations a minute"
            f" ({done.answered:,} queries, {done.generations} generations) | {done.lost} |"
        )
    yield ""


def _head(versions: Mapping[str, str], sizes: Sequence[int]) -> Iterator[str]:
    told = ", ".join(f"{name} {version}" for name, version in versions.items())
    cores = len(os.sched_getaffinity(0))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    yield "# Benchmarks"
    yield ""
    shown = " ".join(map(str, sizes))
    yield f"Written by `make bench`; `make bench SIZES='{shown}'` measures all that is shown here anew."
    yield ""
    yield "![Server CPU time of a query](benchmarks.svg)"
    yield ""
    yield "The reference path is not in the plot: it needs some twenty times as much, see the tables."
    yield ""
    yield f"The machine: {_processor()}, {cores} cores, {memory:.0f} GiB of memory,"
    yield f"Linux {platform.release()}, {_system()}, Python {platform.python_version()};"
    yield f"{told or 'no other server'}."
    yield ""
    yield from _NOTES.strip().splitlines()
    yield ""


_NOTES = """
Compare **CPU µs a query**: user and system time of the server's threads from `/proc`, by the queries it
answered. Wall-clock figures, queries a second above all, are what other work on the same cores leaves
over; each size says how much there was. The servers take turns within each round, so that what disturbs
one disturbs each alike; *of ours* is the median of the rounds' ratios to rbl with one thread.

- The server is pinned to the first core, the load generator to the last. The generator is the limit of
  queries a second for the cheaper servers.
- *all cores* has every core, the generator's too, and there any answer costs less CPU time, the floor's
  no less than ours: compare it with *floor, not pinned*, which may run there as well, and with nothing
  else. That it can stand below the pinned floor is the place, and not the program.
- The floor sends each packet back by `recvmmsg` and `sendmmsg` and does nothing else.
- The list: 95 % IPv4 addresses, 5 % IPv6 /64 networks, each with a text. rbldnsd has it as ip4set and
  ip6trie, NSD and Knot as a master file with an A and a TXT record for each entry, a /64 as a wildcard.
- The queries: 30 % listed, 10 % TXT, 20 % IPv6 names, half with OPT and 30 % of those with a client cookie,
  mixed case in 20 %; what is not listed lies among what is. Sent by `tools/bench_udp.c`, 128 under way.
- *plain*: queries of rbldnsd's own kind, sent alike: 30 % listed, all for A records of IPv4 addresses,
  without OPT and in lower case.
- dnsperf sends the names, case and types of the first kind; it cannot send OPT with half of them, nor
  cookies, and is the check of the other generator.
- The two generators do not agree on how far apart the servers are. Ours sends in batches (`sendmmsg`) and
  keeps every server busy. dnsperf sends one query at a time and is slower than the cheaper servers: they
  wait for it, and going to sleep, being woken and waking it is CPU time too, which the faster one needs
  more of. What the floor needs then shows how little is left to differ in: no server can be further ahead
  of rbldnsd than the floor is.
- *rbl rbldnsd* reads rbldnsd's own files, and each change of them whole, as rbldnsd does.
- One process or thread for each server but *all cores*. rbl and NSD answer cookies; rbldnsd
  knows none. Knot is measured without: its module answers BADCOOKIE to a client's first cookie, and so
  part of the queries would not be looked up. No rate limit applies.
- Memory: RSS, for NSD's several processes PSS, once the list is there. Load: from the start of the process
  to the first right answer, rbl from its index on disk.
- Change to answer: one more address listed, until it answers. rbl: a transaction in its database, the
  commit included; rbldnsd and NSD: a line appended to the file, and SIGHUP; Knot: `knotc zone-set`. IXFR
  into NSD and Knot, and dynamic updates of Knot, were not measured. –: there was no room for a second copy
  of the list, which a reload may need.
- Lost: not answered within 200 ms; under swaps within 2 s.
"""


def _number(value: float | None, form: str, factor: float = 1) -> str:
    return "–" if value is None else f"{value * factor:{form}}"


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _system() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return sys.platform
