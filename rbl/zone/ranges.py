"""The range table of one address family: one binary search whatever prefix lengths went in.

The space is cut in blocks by its top 16 bits. The *base* holds all blocks in a few large arrays,
which may lie in a mapped file; blocks changed since are small arrays of their own, over it. The next
generation copies the directory and rebuilds only the blocks that changed; when they have become
many, they are folded into a new base. Networks wider than a block are kept apart and flattened into
each block they cover.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from ipaddress import IPV4LENGTH, IPv4Network, IPv6Network
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rbl.terms import Network
from rbl.zone import flatten
from rbl.zone.answers import NOT_LISTED, Numbers, Vocabulary, narrowed
from rbl.zone.family import BLOCK_BITS, BLOCKS, Family, Keys
from rbl.zone.flatten import Counts, Mask, Ranges, Rows

Offsets = NDArray[np.uint64]

# Changed blocks before they are folded. A quarter of the directory: folding copies the whole table,
# and a look-up in a changed block costs the same as in the base.
_FOLD_BLOCKS = BLOCKS // 4


@dataclass(frozen=True, slots=True)
class Block:
    """One changed block: its rows, and its ranges as a look-up wants them."""

    rows: Rows
    keys: Keys
    answer: Numbers
    key_views: tuple[memoryview, ...]
    answer_view: memoryview


@dataclass(frozen=True, slots=True)
class Base:
    """All blocks in one piece; block n is [offsets[n], offsets[n + 1]) of the arrays."""

    rows: Rows
    row_offsets: Offsets
    keys: Keys
    answer: Numbers
    range_offsets: Offsets
    key_views: tuple[memoryview, ...]
    answer_view: memoryview
    range_offset_view: memoryview


@dataclass(frozen=True, slots=True)
class Table:
    """One generation of a range table. Never changes; ``changed`` makes the next one."""

    family: Family
    base: Base
    wide: Rows
    overlay: dict[int, Block]
    row_counts: NDArray[np.uint32]  # by block, networks wider than a block not counted
    range_counts: NDArray[np.uint32]  # by block
    counts: Counts

    def find(self, value: int) -> int:
        """Return the answer set of the address that is the number *value*."""
        number = value >> (self.family.bits - BLOCK_BITS)
        block = self.overlay.get(number)
        if block is not None:
            at = self.family.search(block.key_views, value, 0, len(block.answer_view))
            return block.answer_view[at] if at >= 0 else NOT_LISTED
        base = self.base
        low, high = base.range_offset_view[number], base.range_offset_view[number + 1]
        at = self.family.search(base.key_views, value, low, high)
        return base.answer_view[at] if at >= low else NOT_LISTED

    def any_within(self, first: int, length: int) -> bool:
        """Whether any address of the network is listed."""
        shift = self.family.bits - BLOCK_BITS
        number = first >> shift
        if length <= BLOCK_BITS:
            # A block without anything listed has no ranges.
            return bool(self.range_counts[number : number + (1 << (BLOCK_BITS - length))].any())
        block = self.overlay.get(number)
        if block is not None:
            keys, answers, low, high = block.key_views, block.answer_view, 0, len(block.answer_view)
        else:
            keys, answers = self.base.key_views, self.base.answer_view
            low, high = self.base.range_offset_view[number], self.base.range_offset_view[number + 1]
        last = first | ((1 << (self.family.bits - length)) - 1)
        begin = max(self.family.search(keys, first, low, high), low)
        end = self.family.search(keys, last, low, high)
        # Neighbouring ranges differ, so of any two at least one is listed.
        return any(answers[at] for at in range(begin, min(end, begin + 1) + 1))

    def changed(self, changes: Rows, keep: Mask, vocabulary: Vocabulary) -> "Table":
        """Return the table with *changes* carried out in their order; *keep* False removes."""
        family = self.family
        touched = _blocks_of(family, changes)
        blocks = np.flatnonzero(touched)
        if len(blocks) > _FOLD_BLOCKS:
            return _compiled(
                family, flatten.merge(family, self.all_rows(), changes, keep, vocabulary), vocabulary
            )
        is_wide = changes.length < BLOCK_BITS
        wide = flatten.merge(family, self.wide, changes.where(is_wide), keep[is_wide], vocabulary)
        old = self.rows_of(blocks)
        rows = flatten.merge(family, old, changes.where(~is_wide), keep[~is_wide], vocabulary)
        before = flatten.count(flatten.join(family, [self.wide, old]), vocabulary)
        reaching = flatten.join(family, [wide, rows])
        ranges = flatten.flatten(family, reaching, touched, vocabulary)
        counts = self.counts.changed(before, flatten.count(reaching, vocabulary))
        table = replace(self._overlaid(blocks, rows, ranges), wide=wide, counts=counts)
        return table.folded() if len(table.overlay) > _FOLD_BLOCKS else table

    def rows_of(self, blocks: NDArray[np.int64]) -> Rows:
        """Return the rows of *blocks*, which ascend; networks wider than a block are not among them."""
        parts: list[Rows] = []
        offsets = self.base.row_offsets
        for number in blocks[self.row_counts[blocks] > 0].tolist():
            block = self.overlay.get(number)
            parts.append(
                block.rows
                if block is not None
                else self.base.rows.where(slice(int(offsets[number]), int(offsets[number + 1])))
            )
        return flatten.join(self.family, parts)

    def all_rows(self) -> Rows:
        """Return every row, those of networks wider than a block first."""
        narrow = self.folded().base.rows
        return flatten.join(self.family, [self.wide, narrow])

    def differing_rows(self, other: "Table") -> tuple[Rows, Rows]:
        """Return the rows of this table and of *other* that the two do not share, and few they do."""
        if self is other:
            return flatten.no_rows(self.family), flatten.no_rows(self.family)
        blocks = np.arange(BLOCKS)
        if self.base is other.base:
            either = self.overlay.keys() | other.overlay.keys()
            changed = [n for n in either if self.overlay.get(n) is not other.overlay.get(n)]
            blocks = np.array(sorted(changed), dtype=np.int64)
        return (
            flatten.join(self.family, [self.wide, self.rows_of(blocks)]),
            flatten.join(self.family, [other.wide, other.rows_of(blocks)]),
        )

    def listed_networks(self, values: Sequence[int], vocabulary: Vocabulary) -> list[Network | None]:
        """Return the network that lists each of *values*: the most specific one of a known reason."""
        if not values:
            return []
        family = self.family
        points = family.from_numbers(values)
        rows = flatten.join(family, [self.wide, self.rows_of(np.unique(family.blocks(points)))])
        rows = rows.where(vocabulary.answers_by_cause()[rows.cause] != NOT_LISTED)
        numbers = np.arange(1, len(rows) + 1, dtype=np.uint32)  # 0: none
        found = flatten.most_specific(family, points, rows.first, rows.length, numbers)
        kind = IPv4Network if family.bits == IPV4LENGTH else IPv6Network
        return [
            kind((family.to_number(rows.first[at - 1]), int(rows.length[at - 1]))) if at else None
            for at in found.tolist()
        ]

    def overlapping(self, first: int, length: int) -> Rows:
        """Return the rows whose network shares addresses with this one."""
        begin = first >> (self.family.bits - BLOCK_BITS)
        blocks = np.arange(begin, begin + (1 << max(BLOCK_BITS - length, 0)))
        rows = flatten.join(self.family, [self.wide, self.rows_of(blocks)])
        asked = self.family.from_numbers([first])
        inside = (rows.length >= length) & (self.family.mask(rows.first, length) == asked)
        # No np.unique: it imports numpy.ma, and DNS answers only after this at a start.
        for shorter in set(rows.length[rows.length < length].tolist()):
            inside |= (rows.length == shorter) & (rows.first == self.family.mask(asked, shorter))
        return rows.where(inside)

    def wider_than(self, length: int) -> Rows:
        """Return the rows whose prefix is shorter than *length*."""
        rows = self.all_rows() if length > BLOCK_BITS else self.wide
        return rows.where(rows.length < length)

    def folded(self) -> "Table":
        """Return the same table with all blocks in its base."""
        if not self.overlay:
            return self
        pieces = self._pieces()
        rows = flatten.join(self.family, [rows for rows, _, _ in pieces])
        base = make_base(
            replace(rows, cause=narrowed(rows.cause)),
            _offsets(self.row_counts),
            tuple(np.concatenate(column) for column in zip(*(keys for _, keys, _ in pieces), strict=True)),
            narrowed(np.concatenate([answer for _, _, answer in pieces])),
            _offsets(self.range_counts),
        )
        return replace(self, base=base, overlay={})

    def _pieces(self) -> list[tuple[Rows, Keys, Numbers]]:
        """Return what all blocks hold, in order: runs of the base, and the changed blocks between them."""
        base, pieces, done = self.base, [], 0
        for number in [*sorted(self.overlay), BLOCKS]:
            rows = slice(int(base.row_offsets[done]), int(base.row_offsets[number]))
            ranges = slice(int(base.range_offsets[done]), int(base.range_offsets[number]))
            pieces.append((base.rows.where(rows), tuple(k[ranges] for k in base.keys), base.answer[ranges]))
            if number < BLOCKS:
                block = self.overlay[number]
                pieces.append((block.rows, block.keys, block.answer))
            done = number + 1
        return pieces

    def _overlaid(self, blocks: NDArray[np.int64], rows: Rows, ranges: Ranges) -> "Table":
        """Return the table with *blocks* holding *rows* and *ranges*, which are cut up here."""
        row_bounds = _bounds(self.family.blocks(rows.first), blocks)
        range_bounds = _bounds(self.family.blocks(ranges.start), blocks)
        keys, answers = self.family.keys(ranges.start), narrowed(ranges.answer)
        rows = replace(rows, cause=narrowed(rows.cause))
        overlay = dict(self.overlay)
        for at, number in enumerate(blocks.tolist()):
            own = slice(range_bounds[at], range_bounds[at + 1])
            own_keys, answer = tuple(key[own] for key in keys), answers[own]
            overlay[number] = Block(
                rows.where(slice(row_bounds[at], row_bounds[at + 1])),
                own_keys,
                answer,
                tuple(key.data for key in own_keys),
                answer.data,
            )
        row_counts, range_counts = self.row_counts.copy(), self.range_counts.copy()
        row_counts[blocks] = np.diff(row_bounds)
        range_counts[blocks] = np.diff(range_bounds)
        return replace(self, overlay=overlay, row_counts=row_counts, range_counts=range_counts)


def compile_table(family: Family, rows: Rows, vocabulary: Vocabulary) -> Table:
    """Return the table of *rows* in any order; of several for one network and reason the last counts."""
    keep = np.ones(len(rows), dtype=np.bool_)
    return _compiled(
        family, flatten.merge(family, flatten.no_rows(family), rows, keep, vocabulary), vocabulary
    )


def _compiled(family: Family, rows: Rows, vocabulary: Vocabulary) -> Table:
    touched = _blocks_of(family, rows)
    if family.bits == 32:
        touched[[point >> BLOCK_BITS for point in vocabulary.test_points]] = True
    is_wide = rows.length < BLOCK_BITS
    narrow = rows.where(~is_wide)
    ranges = flatten.flatten(family, rows, touched, vocabulary)
    base = make_base(
        replace(narrow, cause=narrowed(narrow.cause)),
        _offsets(np.bincount(family.blocks(narrow.first), minlength=BLOCKS)),
        family.keys(ranges.start),
        narrowed(ranges.answer),
        _offsets(np.bincount(family.blocks(ranges.start), minlength=BLOCKS)),
    )
    return table_of(family, base, rows.where(is_wide), flatten.count(rows, vocabulary))


def table_of(family: Family, base: Base, wide: Rows, counts: Counts) -> Table:
    """Return the table that consists of *base* and *wide* alone."""
    return Table(
        family,
        base,
        wide,
        {},
        np.diff(base.row_offsets).astype(np.uint32),
        np.diff(base.range_offsets).astype(np.uint32),
        counts,
    )


def make_base(
    rows: Rows, row_offsets: Offsets, keys: Keys, answer: Numbers, range_offsets: Offsets
) -> Base:
    """Return the base made of these arrays, none of which is copied."""
    return Base(
        rows,
        row_offsets,
        keys,
        answer,
        range_offsets,
        tuple(key.data for key in keys),
        answer.data,
        range_offsets.data,
    )


def _offsets(counts: NDArray[Any]) -> Offsets:
    """Return where each block begins when the blocks of *counts* follow each other."""
    offsets = np.zeros(BLOCKS + 1, dtype=np.uint64)
    np.cumsum(counts, out=offsets[1:])
    return offsets


def _bounds(of_elements: NDArray[np.int64], blocks: NDArray[np.int64]) -> list[int]:
    """Return where each of *blocks* begins in sorted *of_elements*, and their end."""
    begins: list[int] = np.searchsorted(of_elements, blocks).tolist()
    return [*begins, len(of_elements)]


def _blocks_of(family: Family, rows: Rows) -> Mask:
    """Mark the blocks that *rows* reach into."""
    touched = np.zeros(BLOCKS, dtype=np.bool_)
    is_wide = rows.length < BLOCK_BITS
    touched[family.blocks(rows.first[~is_wide])] = True
    wide = rows.where(is_wide)
    for number, length in zip(family.blocks(wide.first).tolist(), wide.length.tolist(), strict=True):
        touched[number : number + (1 << (BLOCK_BITS - length))] = True
    return touched
