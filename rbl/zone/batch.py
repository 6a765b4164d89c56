"""A batch of changes on its way into the index: text subjects become columns of numbers.

Made for millions of rows: no ``ipaddress`` object for each. Strict all the same; what is not a
network or a name in canonical form is set aside as unusable, not guessed at.
"""

import contextlib
from array import array
from socket import AF_INET, AF_INET6, inet_pton

import numpy as np

from rbl.errors import BadInput
from rbl.names import OwnerName, parse_owner_name
from rbl.zone.answers import EXEMPTION, Vocabulary
from rbl.zone.family import IPV4, IPV6, Family
from rbl.zone.flatten import Mask, Rows
from rbl.zone.zonefile import Kind

_MAPPED = bytes(10) + b"\xff\xff"  # ::ffff:0:0/96
_6TO4 = b"\x20\x02"  # 2002::/16
_LENGTHS = {str(length): length for length in range(129)}  # the canonical forms, and no other


class Columns:
    """The changes to one address family, in order."""

    __slots__ = ("_cause", "_family", "_first", "_length", "_stays")

    def __init__(self, family: Family) -> None:
        self._family = family
        self._first = bytearray()
        self._length = bytearray()
        self._cause = array("I")
        self._stays = bytearray()

    def add(self, packed: bytes, length: int, cause: int, *, stays: bool) -> None:
        """Add one change to the network of *packed* and prefix *length*."""
        self._first += packed
        self._length.append(length)
        self._cause.append(cause)
        self._stays.append(stays)

    def rows(self) -> tuple[Rows, Mask]:
        """Return the changes as columns, and which of them stay in the list."""
        return (
            Rows(
                self._family.from_packed(self._first),
                np.array(self._length, dtype=np.uint8),
                np.array(self._cause, dtype=np.uint32),
            ),
            np.array(self._stays, dtype=np.bool_),
        )


class Batch:
    """Changes in order, sorted by family; names only in a list of names, addresses only in the other."""

    __slots__ = ("_kind", "_unusable", "_vocabulary", "ipv4", "ipv6", "names")

    def __init__(self, kind: Kind, vocabulary: Vocabulary) -> None:
        self._kind = kind
        self._vocabulary = vocabulary
        self.ipv4 = Columns(IPV4)
        self.ipv6 = Columns(IPV6)
        self.names: list[tuple[OwnerName, int, bool]] = []
        self._unusable: dict[tuple[str, str | None], bool] = {}

    def add(self, subject: str, reason: str | None, text: str | None, *, stays: bool) -> None:
        """Add that *subject* is, or is no longer, listed for *reason*; None stands for exempt."""
        cause = EXEMPTION if reason is None else self._vocabulary.cause(reason, text)
        if self._kind is Kind.ADDRESSES:
            network = parse_network(subject)
            if network is not None:
                packed, length = network
                columns = self.ipv4 if len(packed) == 4 else self.ipv6
                columns.add(packed, length, cause, stays=stays)
                return
        else:
            with contextlib.suppress(BadInput):
                self.names.append((parse_owner_name(subject), cause, stays))
                return
        self._unusable[subject, reason] = stays

    def unusable(self, before: frozenset[tuple[str, str | None]]) -> frozenset[tuple[str, str | None]]:
        """Return the unusable subjects, with their reason, that there are after those of *before*."""
        if not self._unusable:
            return before
        gone = {key for key, stays in self._unusable.items() if not stays}
        return (before | self._unusable.keys()) - gone


def parse_network(subject: str) -> tuple[bytes, int] | None:
    """Return the first address, packed, and the prefix length that *subject* writes, or None.

    IPv4-mapped and 6to4 networks are none: they are answered as the IPv4 networks inside them, whose
    form is the canonical one. Were both taken, delisting one would delist the other.
    """
    host, slash, length_text = subject.partition("/")
    try:
        packed = inet_pton(AF_INET6 if ":" in host else AF_INET, host)
    except (OSError, ValueError):
        return None
    bits = 8 * len(packed)
    length = _LENGTHS.get(length_text, 129) if slash else bits
    if length > bits:
        return None
    if length < bits and int.from_bytes(packed, "big") & ((1 << (bits - length)) - 1):
        return None
    if bits == 128 and (
        (length >= 96 and packed.startswith(_MAPPED)) or (length >= 16 and packed.startswith(_6TO4))
    ):
        return None
    return packed, length
