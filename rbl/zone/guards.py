"""The guards: whether one generation of a list may be swapped in after another.

Pure functions. What they hold an index against: its test points (RFC 5782 §5), reserved space
(RFC 6471 §3.5), the widest network the zone file allows, and how much may change at once. The last
two an operator may force; a list without its test points or with 127.0.0.1 in it never gets out.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_network

import numpy as np
from numpy.typing import NDArray

from rbl.addresses import reserved_networks
from rbl.errors import BadInput, Conflict
from rbl.names import INVALID, TEST, OwnerName
from rbl.terms import Network
from rbl.zone.answers import EXEMPTION, Vocabulary
from rbl.zone.family import IPV4, IPV6, Family
from rbl.zone.flatten import Rows
from rbl.zone.index import Index
from rbl.zone.ranges import Table
from rbl.zone.zonefile import Kind

# Smaller changes are a day's work, not an accident, however short the list is.
SMALL_CHANGE = 100


@dataclass(frozen=True, slots=True)
class Change:
    """How much of a list changes at once.

    *count* networks or names become listed, exempt, or neither; *size* listings and exemptions there were.
    """

    count: int
    size: int

    def is_too_much(self, max_share: float) -> bool:
        """Whether it looks like an accident, *max_share* being what may change at once."""
        # The first filling of an empty list changes all of it, and takes nothing from anybody.
        return bool(self.size) and self.count >= SMALL_CHANGE and self.count > max_share * self.size

    def __str__(self) -> str:
        """Return it in words, with the share."""
        return f"{self.count} changes to a list of {self.size} ({self.count / max(self.size, 1):.0%})"


def check(
    previous: Index | None, candidate: Index, max_change_share: float, *, forced: bool = False
) -> None:
    """Return if *candidate* may take the place of *previous*, which is None for the first index.

    Raises:
        BadInput: *candidate* lists what may not be listed, or lacks a test point.
        Conflict: it changes more than *max_change_share* of *previous* at once.
    """
    _check_test_points(candidate)
    if not candidate.zone.limits.list_reserved:
        _check_reserved(candidate)
    if forced:
        return
    _check_widths(previous, candidate)
    if previous is not None:
        _check_change(previous, candidate, max_change_share)


def change(previous: Index, candidate: Index) -> Change:
    """Return how much of *previous* is another thing in *candidate*."""
    return Change(changes_between(previous, candidate), previous.live() + previous.exempt())


def changes_between(previous: Index, candidate: Index) -> int:
    """Return how many networks or names became listed, exempt, or neither, from one to the other."""
    old, new = previous.vocabulary, candidate.vocabulary
    changes = 0
    for before, after in ((previous.ipv4, candidate.ipv4), (previous.ipv6, candidate.ipv6)):
        rows, rows_after = before.differing_rows(after)
        changes += _only_in_one(_keys(before.family, rows, old), _keys(before.family, rows_after, new))
    if previous.names is not candidate.names:
        changes += len(_subjects(previous) ^ _subjects(candidate))
    return changes


def _check_test_points(index: Index) -> None:
    if index.zone.kind is Kind.NAMES:
        if index.find_name(TEST) is None:
            raise BadInput("TEST is not listed, as RFC 5782 §5 requires", code="test-point")
        if index.find_name(INVALID) is not None:
            raise BadInput("INVALID is listed, which RFC 5782 §5 forbids", code="test-point")
        return
    values = {value for reason in index.zone.reasons.values() for value in reason.addresses}
    for value in sorted(values | {IPv4Address("127.0.0.2")}):
        for address in (value, _mapped(value)):
            if index.find_address(address) is None:
                raise BadInput(f"{address} is not listed, as RFC 5782 §5 requires", code="test-point")
    never = IPv4Address("127.0.0.1")
    for address in (never, _mapped(never)):
        if index.find_address(address) is not None:
            raise BadInput(f"{address} is listed, which RFC 5782 §5 forbids", code="test-point")


def _check_reserved(index: Index) -> None:
    for network, why in reserved_networks():
        table = index.ipv4 if network.version == 4 else index.ipv6
        rows = table.overlapping(int(network.network_address), network.prefixlen)
        for listed in _networks(table, rows, index.vocabulary):
            if not _is_test_point(listed, index.vocabulary):
                raise BadInput(
                    f"{listed} is listed, but {network} is reserved: {why}. Delist it, or allow it with"
                    " limits.list_reserved in the zone file",
                    code="reserved",
                )


def _check_widths(previous: Index | None, index: Index) -> None:
    """Refuse what is too wide, but for what *previous* has already: that was let out."""
    limits = index.zone.limits
    for family, widest in ((IPV4, limits.widest_ipv4_prefix), (IPV6, limits.widest_ipv6_prefix)):
        known = frozenset() if previous is None else frozenset(_wider_than(previous, family, widest))
        for network in _wider_than(index, family, widest):
            if network in known:
                continue
            raise BadInput(
                f"{network} is listed, wider than the /{widest} that the zone file allows: list less,"
                " raise the limit, or force it",
                code="too-wide",
            )
    if _lists_every_name(index) and (previous is None or not _lists_every_name(previous)):
        raise BadInput("* is listed, which is every name there is: list less, or force it", code="too-wide")


def _wider_than(index: Index, family: Family, widest: int) -> Iterable[Network]:
    table = index.ipv4 if family is IPV4 else index.ipv6
    return _networks(table, table.wider_than(widest), index.vocabulary)


def _lists_every_name(index: Index) -> bool:
    return bool(index.vocabulary.joint_answer(index.names.wildcards.get((), ())))


def _check_change(previous: Index, candidate: Index, max_change_share: float) -> None:
    found = change(previous, candidate)
    if found.is_too_much(max_change_share):
        raise Conflict(
            f"{found.count} changes to a list of {found.size} from serial {previous.serial} to"
            f" {candidate.serial} are more than the {max_change_share:.0%} allowed at once: look at the"
            " journal, then force them",
            code="change-share",
        )


def _mapped(address: IPv4Address) -> IPv6Address:
    return IPv6Address(f"::ffff:{address}")


def _networks(table: Table, rows: Rows, vocabulary: Vocabulary) -> Iterable[Network]:
    """Yield the network of each of *rows* that lists something."""
    address = IPv4Address if table.family.bits == 32 else IPv6Address
    for at in np.flatnonzero(vocabulary.answers_by_cause()[rows.cause]):
        yield ip_network((address(table.family.to_number(rows.first[at])), int(rows.length[at])))


def _is_test_point(network: Network, vocabulary: Vocabulary) -> bool:
    """Whether listing *network* says nothing that its test point does not say already."""
    return (
        network.version == 4
        and network.prefixlen == 32
        and bool(vocabulary.test_points.get(int(network.network_address)))
    )


def _keys(family: Family, rows: Rows, vocabulary: Vocabulary) -> NDArray[np.generic]:
    """Return one sortable key for each network that is listed, and each that is exempt."""
    exempt = rows.cause == EXEMPTION
    counted = exempt | (vocabulary.answers_by_cause()[rows.cause] != 0)
    rows, exempt = rows.where(counted), exempt[counted]
    kinds = (rows.length.astype(np.uint16) << np.uint16(1)) | exempt
    if family.bits == 32:
        key: NDArray[np.generic] = (rows.first.astype(np.uint64) << np.uint64(16)) | kinds
    else:
        octets = np.empty((len(rows), 18), dtype=np.uint8)
        octets[:, :16] = rows.first.view(np.uint8).reshape(-1, 16)
        octets[:, 16:] = kinds.astype(">u2").view(np.uint8).reshape(-1, 2)
        key = octets.reshape(-1).view("S18")
    key = np.sort(key)
    first = np.ones(len(key), dtype=np.bool_)
    first[1:] = key[1:] != key[:-1]
    return key[first]


def _only_in_one(one: NDArray[np.generic], other: NDArray[np.generic]) -> int:
    """Return how many elements of two arrays, in each of which none repeats, are not in both."""
    both = np.sort(np.concatenate((one, other)))
    return len(both) - 2 * int(np.count_nonzero(both[1:] == both[:-1]))


def _subjects(index: Index) -> set[tuple[OwnerName, bool]]:
    return {
        (subject, cause == EXEMPTION)
        for subject, cause in index.names.rows()
        if cause == EXEMPTION or index.vocabulary.is_known(cause)
    }
