"""Range tables read back."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rbl.zone.index import compile_index
from rbl.zone.runs import networks, runs
from rbl.zone.zonefile import ZoneFile
from tests.zone.lists import exemption, listing

_TABLE = [
    # why, first, last, bits, step, widest, networks
    ("one address", 7, 7, 32, 1, 0, [(7, 32)]),
    ("an aligned network", 256, 511, 32, 1, 0, [(256, 24)]),
    ("what is not aligned is several", 3, 8, 32, 1, 0, [(3, 32), (4, 30), (8, 32)]),
    ("the whole space", 0, 2**32 - 1, 32, 1, 0, [(0, 0)]),
    ("none wider than asked for", 0, 2**32 - 1, 32, 1, 1, [(0, 1), (2**31, 1)]),
    ("whole octets only", 0, 511, 32, 8, 0, [(0, 24), (256, 24)]),
    ("whole nibbles only", 0, 31, 128, 4, 0, [(0, 124), (16, 124)]),
    ("nothing", 5, 4, 32, 1, 0, []),
]


@pytest.mark.parametrize(
    ("why", "first", "last", "bits", "step", "widest", "expected"), _TABLE, ids=[row[0] for row in _TABLE]
)
def test_networks_of_a_range(
    why: str, first: int, last: int, bits: int, step: int, widest: int, expected: list[tuple[int, int]]
) -> None:
    """A range is cut into the fewest networks that its limits allow."""
    assert expected == list(networks(first, last, bits, step=step, widest=widest))


@given(first=st.integers(0, 2**32 - 1), size=st.integers(0, 5000), step=st.sampled_from([1, 8]))
def test_networks_cover_their_range_once(first: int, size: int, step: int) -> None:
    """The networks of a range follow each other from its first address to its last."""
    last = min(first + size, 2**32 - 1)
    at = first
    for start, length in networks(first, last, 32, step=step):
        assert (at, 0, 0) == (start, start % (1 << (32 - length)), length % step)
        at = start + (1 << (32 - length))

    assert last + 1 == at


def test_runs_join_what_touches_across_blocks(zone_with: Callable[..., ZoneFile]) -> None:
    """Listings that touch and answer alike are one run, wherever the table cuts them; holes end a run."""
    zone = zone_with()
    index = compile_index(
        zone,
        1,
        [
            listing("9.0.0.0/16"),
            listing("9.1.0.0/16"),
            exemption("9.1.255.255/32"),
            listing("9.2.0.0/32", "multihop"),
            listing("2a00::/32"),
            listing("2a00:1::/32"),
            listing("ffff::/16"),
        ],
    )
    loopback = 127 << 24

    ipv4 = [run[:2] for run in runs(index.ipv4) if run[0] >> 24 != 127]
    assert [(9 << 24, (9 << 24) + 0x1FFFE), ((9 << 24) + 0x20000, (9 << 24) + 0x20000)] == ipv4
    assert [(loopback + 2, loopback + 2), (loopback + 3, loopback + 3)] == [
        run[:2] for run in runs(index.ipv4) if run[0] >> 24 == 127
    ]
    assert [(0x2A00 << 112, (0x2A00 << 112) + (1 << 97) - 1), (0xFFFF << 112, 2**128 - 1)] == [
        run[:2] for run in runs(index.ipv6)
    ]
