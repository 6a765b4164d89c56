"""Range tables read back: runs of addresses that answer alike, and the networks a run consists of.

For writing a list out, and for taking one in from files in which entries lie inside one another.
"""

from collections.abc import Iterator

from rbl.zone.answers import NOT_LISTED
from rbl.zone.family import BLOCK_BITS, BLOCKS
from rbl.zone.ranges import Table

Run = tuple[int, int, int]  # first and last address, and the number of the answer
Piece = tuple[int, int]  # a network: first address and prefix length


def runs(table: Table) -> Iterator[Run]:
    """Yield what *table* lists, ascending; two runs that touch differ."""
    before: Run | None = None
    for first, last, answer in _ranges(table):
        if before is not None and before[1] + 1 == first and before[2] == answer:
            before = (before[0], last, answer)
            continue
        if before is not None:
            yield before
        before = (first, last, answer)
    if before is not None:
        yield before


def networks(first: int, last: int, bits: int, *, step: int = 1, widest: int = 0) -> Iterator[Piece]:
    """Yield the fewest networks that make up the range, in a family of *bits*.

    None is wider than the prefix length *widest*. With *step* 8 only those of whole octets, with 4 of
    whole nibbles: what names in DNS can say.
    """
    while first <= last:
        # As wide as the first address is aligned, and not beyond the last.
        aligned = (first & -first).bit_length() - 1 if first else bits
        host = min(aligned, (last - first + 1).bit_length() - 1, bits - widest)
        host -= host % step
        yield first, bits - host
        first += 1 << host


def _ranges(table: Table) -> Iterator[Run]:
    folded = table.folded()
    base, shift = folded.base, table.family.bits - BLOCK_BITS
    offsets, answers = base.range_offsets.tolist(), base.answer.tolist()
    keys = [key.tolist() for key in base.keys]
    whole = len(keys) > 1  # an IPv6 key is the whole address, an IPv4 key what follows the block
    starts = [high << 64 | low for high, low in zip(*keys, strict=True)] if whole else keys[0]
    for block in range(BLOCKS):
        low, high = offsets[block], offsets[block + 1]
        origin = block << shift
        end = origin + (1 << shift) - 1
        for at in range(low, high):
            if answers[at] != NOT_LISTED:
                first = starts[at] if whole else origin + starts[at]
                last = end if at + 1 == high else (0 if whole else origin) + starts[at + 1] - 1
                yield first, last, answers[at]
