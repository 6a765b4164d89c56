"""The operations on arrays of addresses, held against Python's numbers."""

from ipaddress import ip_address, ip_network

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rbl.zone.family import IPV4, IPV6, Family

FAMILIES = st.sampled_from([IPV4, IPV6])


@given(family=FAMILIES, data=st.data())
def test_points_keep_numbers(family: Family, data: st.DataObject) -> None:
    """Numbers become points and numbers again, in the same order when sorted."""
    numbers = data.draw(st.lists(st.integers(0, 2**family.bits - 1), max_size=20))
    points = family.from_numbers(numbers)

    assert sorted(numbers) == [family.to_number(point) for point in np.sort(points)]


@given(family=FAMILIES, data=st.data())
def test_blocks_masks_and_ends(family: Family, data: st.DataObject) -> None:
    """Block, first address and the address after a network are what arithmetic says."""
    bits = family.bits
    number, length = data.draw(st.integers(0, 2**bits - 1)), data.draw(st.integers(0, bits))
    size = 2 ** (bits - length)
    first = number // size * size
    points = family.from_numbers([number])
    lengths = np.array([length], dtype=np.uint8)
    after = family.after(family.mask(points, length), lengths)

    assert [number >> (bits - 16)] == family.blocks(points).tolist()
    assert [first] == [family.to_number(point) for point in family.mask(points, length)]
    assert [n for n in (first + size,) if n < 2**bits] == [family.to_number(point) for point in after]


@pytest.mark.parametrize(("family", "first"), [(IPV4, "203.0.0.0"), (IPV6, "cb00::")])
def test_block_starts(family: Family, first: str) -> None:
    """A block begins at its number followed by zeros."""
    starts = family.block_starts(np.array([0, 0xCB00], dtype=np.int64))

    assert [0, int(ip_address(first))] == [family.to_number(point) for point in starts]


@given(family=FAMILIES, data=st.data())
def test_search_finds_the_last_key_not_above(family: Family, data: st.DataObject) -> None:
    """In a block, the last key not above the address is found, or none."""
    low = int(next(iter(ip_network("203.0.0.0/16" if family.bits == 32 else "cb00::/16"))))
    inside = st.integers(low, low + min(2 ** (family.bits - 16) - 1, 2**70))
    numbers = sorted(data.draw(st.sets(inside, max_size=20)))
    asked = data.draw(inside | st.sampled_from(numbers or [low]))
    keys = [key.data for key in family.keys(family.from_numbers(numbers))]

    assert sum(number <= asked for number in numbers) - 1 == family.search(keys, asked, 0, len(numbers))
