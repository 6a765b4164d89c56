"""From entries to disjoint ranges: pure functions over arrays, for both address families.

A dataset's entries lie in *layers*, in each of which no two overlap: the networks of one prefix length,
or the octets of one level of an ip4set. The narrowest layer that covers an address decides. ``overlay``
flattens layers into *steps*, ``union`` joins the steps of several datasets, ``table`` makes of them what
a look-up searches.
"""

from array import array
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rbl.zone import flatten
from rbl.zone.answers import NOT_LISTED, Numbers, narrowed
from rbl.zone.family import BLOCKS, IPV4, IPV6, Family, Points
from rbl.zone.flatten import Counts
from rbl.zone.ranges import Table, make_base, table_of
from rbl.zone.rbldnsd.values import EXCLUDED

_Whole = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Layer:
    """Disjoint ranges, ascending: first and last address and the outcome of each.

    *after* are the addresses after the ranges, without those beyond the end of the space.
    """

    first: Points
    last: Points
    after: Points
    outcome: Numbers


@dataclass(frozen=True, slots=True)
class Steps:
    """A value for every address: each holds from its start to the next one's; 0 before the first."""

    start: Points
    value: Numbers


def ipv4_ranges(
    firsts: "array[int]", lasts: "array[int]", outcomes: "array[int]", join: Callable[[set[int]], int]
) -> Layer:
    """Return the layer of IPv4 ranges in any order; where some overlap, *join* says what holds there."""
    first, last = np.array(firsts, dtype=np.int64), np.array(lasts, dtype=np.int64)
    outcome = np.array(outcomes, dtype=np.uint32)
    order = np.argsort(first, kind="stable")
    first, last, outcome = first[order], last[order], outcome[order]
    if len(first) and bool((first[1:] <= last[:-1]).any()):
        first, last, outcome = _disjoint(first, last, outcome, join)
    after = last + 1
    return Layer(
        first.astype(np.uint32),
        last.astype(np.uint32),
        after[after < 2**32].astype(np.uint32),
        outcome,
    )


def networks(family: Family, length: int, outcomes: dict[int, int]) -> Layer:
    """Return the layer of the networks of one prefix *length*: outcome by first address."""
    numbers = sorted(outcomes)
    first = family.from_numbers(numbers)
    host = (1 << (family.bits - length)) - 1
    return Layer(
        first,
        family.from_numbers([number | host for number in numbers]),
        family.from_numbers([n + host + 1 for n in numbers if n + host + 1 < 1 << family.bits]),
        np.array([outcomes[number] for number in numbers], dtype=np.uint32),
    )


def overlay(family: Family, layers: Sequence[Layer]) -> Steps:
    """Return what holds where: of *layers*, narrowest first, the first that covers an address."""
    if not layers:
        return Steps(np.empty(0, dtype=family.dtype), np.empty(0, dtype=np.uint32))
    start = _distinct(np.concatenate([part for layer in layers for part in (layer.first, layer.after)]))
    value = np.zeros(len(start), dtype=np.uint32)
    open_places = np.arange(len(start))
    for layer in layers:
        if not len(layer.first):
            continue
        points = start[open_places]
        at = np.searchsorted(layer.first, points, side="right") - 1
        inside = (at >= 0) & (points <= layer.last[at])
        value[open_places[inside]] = layer.outcome[at[inside]]
        open_places = open_places[~inside]
    value[value == EXCLUDED] = NOT_LISTED
    return _compressed(start, value)


def union(family: Family, parts: Sequence[Steps]) -> tuple[Steps, list[tuple[int, ...]]]:
    """Return the steps of all *parts* together, and what each of their values stands for.

    The value n of the result stands for the n-th combination: one value of each part.
    """
    start = (
        _distinct(np.concatenate([part.start for part in parts])) if parts else overlay(family, ()).start
    )
    combined = np.zeros(len(start), dtype=np.int64)
    combinations: list[tuple[int, ...]] = [()]
    for part in parts:
        at = np.searchsorted(part.start, start, side="right") - 1
        here = np.where(at >= 0, part.value[at], NOT_LISTED) if len(part.start) else np.zeros(len(start))
        pairs = combined << 32 | here.astype(np.int64)
        known, combined = np.unique(np.append(0, pairs), return_inverse=True)  # 0: nothing, always first
        combined = combined[1:]
        combinations = [
            (*combinations[pair >> 32], pair & 0xFFFFFFFF) for pair in (int(each) for each in known)
        ]
    return _compressed(start, combined.astype(np.uint32)), combinations


def table(family: Family, steps: Steps, entries: int) -> Table:
    """Return the range table of *steps*; it holds no rows, since it is made anew with every reload."""
    start, value = steps.start, steps.value
    listed = value != NOT_LISTED
    # A range reaches into every block up to the next step: there it begins again.
    blocks = family.blocks(start)
    following = np.append(blocks[1:], BLOCKS)
    spans = np.maximum(following - blocks, 0) * listed
    repeated = np.repeat(np.arange(len(start)), spans)
    counted = np.arange(len(repeated)) - np.repeat(np.cumsum(spans) - spans, spans)
    again = blocks[repeated] + counted + 1
    kept = again < BLOCKS
    again, repeated = again[kept], repeated[kept]
    starts = np.concatenate((start, family.block_starts(again)))
    values = np.concatenate((value, value[repeated]))
    starts, places = np.unique(starts, return_index=True)  # a step at a block's start goes first
    values = values[places]
    ranges = _by_block(starts, family.blocks(starts), values)
    base = make_base(
        flatten.no_rows(family),
        np.zeros(BLOCKS + 1, dtype=np.uint64),
        family.keys(ranges.start),
        narrowed(ranges.value),
        _offsets(family.blocks(ranges.start)),
    )
    return table_of(family, base, flatten.no_rows(family), Counts(entries, 0, 0))


def addresses(family: Family, points: Points) -> list[int]:
    """Return *points* as numbers."""
    return [family.to_number(point) for point in points]


def _disjoint(
    first: _Whole, last: _Whole, outcome: Numbers, join: Callable[[set[int]], int]
) -> tuple[_Whole, _Whole, Numbers]:
    """Return sorted ranges cut where they overlap. Only those that do are looked at one by one."""
    reach = np.maximum.accumulate(last)
    begins = np.flatnonzero(np.concatenate(([True], first[1:] > reach[:-1])))
    sizes = np.diff(np.append(begins, len(first)))
    alone = begins[sizes == 1]
    pieces: list[tuple[int, int, int]] = []
    for begin, size in zip(begins[sizes > 1].tolist(), sizes[sizes > 1].tolist(), strict=True):
        group = slice(begin, begin + size)
        pieces += _cut(first[group].tolist(), last[group].tolist(), outcome[group].tolist(), join)
    cut = np.array(pieces, dtype=np.int64).reshape(-1, 3)
    firsts = np.concatenate((first[alone], cut[:, 0]))
    order = np.argsort(firsts, kind="stable")
    return (
        firsts[order],
        np.concatenate((last[alone], cut[:, 1]))[order],
        np.concatenate((outcome[alone], cut[:, 2].astype(np.uint32)))[order],
    )


def _cut(
    firsts: list[int], lasts: list[int], outcomes: list[int], join: Callable[[set[int]], int]
) -> list[tuple[int, int, int]]:
    """Return ranges that overlap as disjoint pieces, each with the joint outcome of what covers it."""
    events = sorted(
        [(first, 1, outcome) for first, outcome in zip(firsts, outcomes, strict=True)]
        + [(last + 1, -1, outcome) for last, outcome in zip(lasts, outcomes, strict=True)]
    )
    pieces = []
    covering: Counter[int] = Counter()
    at = events[0][0]
    for place, change, outcome in events:
        if place > at:
            if covering:
                pieces.append((at, place - 1, join(set(covering))))
            at = place
        covering[outcome] += change
        if not covering[outcome]:
            del covering[outcome]
    return pieces


def _distinct(points: Points) -> Points:
    ordered = np.sort(points)
    if not len(ordered):
        return ordered
    kept: Points = ordered[np.concatenate(([True], ordered[1:] != ordered[:-1]))]
    return kept


def _compressed(start: Points, value: Numbers) -> Steps:
    """Return the steps without those that say the same as the one before."""
    before = np.concatenate((np.zeros(min(1, len(value)), dtype=np.uint32), value[:-1]))
    changed = value != before
    return Steps(start[changed], value[changed])


def _by_block(start: Points, blocks: _Whole, value: Numbers) -> Steps:
    """Return the steps without those that say the same as the one before in their block."""
    before = np.concatenate((np.zeros(min(1, len(value)), dtype=np.uint32), value[:-1]))
    before[np.concatenate((np.ones(min(1, len(blocks)), dtype=np.bool_), blocks[1:] != blocks[:-1]))] = 0
    changed = value != before
    return Steps(start[changed], value[changed])


def _offsets(blocks: _Whole) -> NDArray[Any]:
    offsets = np.zeros(BLOCKS + 1, dtype=np.uint64)
    np.cumsum(np.bincount(blocks, minlength=BLOCKS), out=offsets[1:])
    return offsets


__all__ = [
    "IPV4",
    "IPV6",
    "Layer",
    "Steps",
    "addresses",
    "ipv4_ranges",
    "networks",
    "overlay",
    "table",
    "union",
]
