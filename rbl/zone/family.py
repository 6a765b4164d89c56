"""IPv4 and IPv6 addresses as arrays of numbers: the few operations that differ between the two.

A *point* is an address in an array: an unsigned 32-bit number, or 16 octets, which NumPy compares
like one number, most significant first. The *block* of a point is its top 16 bits. *Keys* are
points in the form in which a look-up searches them.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

BLOCKS = 1 << 16
BLOCK_BITS = 16

# numpy has no name for "uint32 or 16 octets"; each family holds to its own dtype.
Points = NDArray[Any]
Keys = tuple[NDArray[Any], ...]
_Lengths = NDArray[np.uint8]
_LOW_64 = 2**64 - 1


class Family(Protocol):
    """What the range table needs to know of an address family."""

    bits: int
    dtype: np.dtype[Any]
    key_dtypes: tuple[np.dtype[Any], ...]

    def from_packed(self, packed: bytes | bytearray) -> Points:
        """Return the points of addresses in network order, one after the other."""

    def from_numbers(self, numbers: Sequence[int]) -> Points:
        """Return the points of addresses given as numbers."""

    def to_number(self, point: Any) -> int:  # noqa: ANN401 - a NumPy scalar of this family's dtype
        """Return one element of an array of points as a number."""

    def blocks(self, points: Points) -> NDArray[np.int64]:
        """Return the block of each point."""

    def block_starts(self, blocks: NDArray[np.int64]) -> Points:
        """Return the first address of each block."""

    def mask(self, points: Points, length: int) -> Points:
        """Return the first address of the network of prefix *length* around each point."""

    def after(self, firsts: Points, lengths: _Lengths) -> Points:
        """Return the address after each network, leaving out networks at the end of the space."""

    def keys(self, points: Points) -> Keys:
        """Return *points* as a look-up wants them: one or two arrays of numbers."""

    def search(self, keys: Sequence[memoryview], value: int, low: int, high: int) -> int:
        """Return the place of the last key in [*low*, *high*) of *value*'s block not above it.

        One less than *low* where there is none.
        """


class _Ipv4:
    bits = 32
    dtype: np.dtype[Any] = np.dtype(np.uint32)
    key_dtypes: tuple[np.dtype[Any], ...] = (np.dtype(np.uint16),)

    def from_packed(self, packed: bytes | bytearray) -> Points:
        return np.frombuffer(packed, dtype=">u4").astype(np.uint32)

    def from_numbers(self, numbers: Sequence[int]) -> Points:
        return np.array(numbers, dtype=np.uint32)

    def to_number(self, point: Any) -> int:  # noqa: ANN401 - see Family
        return int(point)

    def blocks(self, points: Points) -> NDArray[np.int64]:
        return (points >> np.uint32(16)).astype(np.int64)

    def block_starts(self, blocks: NDArray[np.int64]) -> Points:
        return (blocks << 16).astype(np.uint32)

    def mask(self, points: Points, length: int) -> Points:
        masked: Points = points & np.uint32((0xFFFFFFFF << (32 - length)) & 0xFFFFFFFF)
        return masked

    def after(self, firsts: Points, lengths: _Lengths) -> Points:
        sizes = np.uint64(1) << (np.uint64(32) - lengths.astype(np.uint64))
        ends = firsts.astype(np.uint64) + sizes
        return ends[ends < 2**32].astype(np.uint32)

    def keys(self, points: Points) -> Keys:
        return ((points & np.uint32(0xFFFF)).astype(np.uint16),)

    def search(self, keys: Sequence[memoryview], value: int, low: int, high: int) -> int:
        return bisect_right(keys[0], value & 0xFFFF, low, high) - 1


class _Ipv6:
    bits = 128
    dtype: np.dtype[Any] = np.dtype("S16")
    key_dtypes: tuple[np.dtype[Any], ...] = (np.dtype(np.uint64), np.dtype(np.uint64))

    def from_packed(self, packed: bytes | bytearray) -> Points:
        return np.frombuffer(bytes(packed), dtype="S16")

    def from_numbers(self, numbers: Sequence[int]) -> Points:
        return self.from_packed(b"".join(number.to_bytes(16, "big") for number in numbers))

    def to_number(self, point: Any) -> int:  # noqa: ANN401 - see Family
        return int.from_bytes(bytes(point).ljust(16, b"\0"), "big")  # NumPy cuts zeros at the end

    def blocks(self, points: Points) -> NDArray[np.int64]:
        return points.view(">u2").reshape(-1, 8)[:, 0].astype(np.int64)

    def block_starts(self, blocks: NDArray[np.int64]) -> Points:
        groups = np.zeros((len(blocks), 8), dtype=">u2")
        groups[:, 0] = blocks
        return groups.reshape(-1).view("S16")

    def mask(self, points: Points, length: int) -> Points:
        mask = ((1 << 128) - (1 << (128 - length))).to_bytes(16, "big")
        octets = points.view(np.uint8).reshape(-1, 16) & np.frombuffer(mask, dtype=np.uint8)
        return octets.reshape(-1).view("S16")

    def after(self, firsts: Points, lengths: _Lengths) -> Points:
        high, low = self.keys(firsts)
        low = (low | _HOST_LOW[lengths]) + np.uint64(1)  # wraps to 0 where it carries
        high = (high | _HOST_HIGH[lengths]) + (low == 0)
        inside = (high != 0) | (low != 0)
        halves = np.stack((high[inside], low[inside]), axis=1).astype(">u8")
        return halves.reshape(-1).view("S16")

    def keys(self, points: Points) -> Keys:
        halves = points.view(">u8").reshape(-1, 2)
        return halves[:, 0].astype(np.uint64), halves[:, 1].astype(np.uint64)

    def search(self, keys: Sequence[memoryview], value: int, low: int, high: int) -> int:
        top = value >> 64
        left = bisect_left(keys[0], top, low, high)
        right = bisect_right(keys[0], top, left, high)
        return bisect_right(keys[1], value & _LOW_64, left, right) - 1


# By prefix length: the bits to the right of the prefix, in each half of an IPv6 address.
_HOST_HIGH = np.array([((1 << (128 - n)) - 1) >> 64 for n in range(129)], dtype=np.uint64)
_HOST_LOW = np.array([((1 << (128 - n)) - 1) & _LOW_64 for n in range(129)], dtype=np.uint64)

IPV4: Family = _Ipv4()
IPV6: Family = _Ipv6()
