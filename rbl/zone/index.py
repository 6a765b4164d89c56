"""The zone index: one immutable generation of a list, ready to be asked.

It leaves to others: where the entries come from, when a generation is swapped in (``guards`` says
whether it may be), and the bytes of an answer. RFC 5782 §2 to §5; RFC 8020 for what exists below a
name. IPv4-mapped (RFC 4291 §2.5.5.2) and 6to4 (RFC 3056) addresses are answered as the IPv4 address
inside them. Entries whose reason the zone file no longer has, and those that are no network or name,
are kept and counted, and answer nothing.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Network

import numpy as np

from rbl.errors import Conflict
from rbl.names import Name
from rbl.terms import Address, Change, Entry, Listed, Network
from rbl.zone import listednames
from rbl.zone.answers import AnswerSet, Vocabulary
from rbl.zone.batch import Batch
from rbl.zone.family import IPV4, IPV6
from rbl.zone.flatten import Rows
from rbl.zone.listednames import NameTable
from rbl.zone.ranges import Table, compile_table
from rbl.zone.zonefile import ZoneFile

__all__ = ["AnswerSet", "Index", "compile_index"]

MAPPED = IPv6Network("::ffff:0:0/96")
SIX_TO_FOUR = IPv6Network("2002::/16")
_ANY_IPV4 = IPv4Network("0.0.0.0/0")
_SERIALS = 2**32  # RFC 1982 §2: SERIAL_BITS of an SOA is 32
# More numbers than this beyond twice what is listed, and the next generation is made afresh without
# those that nothing uses any more.
_SPARE_CAUSES = 4096


@dataclass(frozen=True, slots=True, eq=False)
class Index:
    """One generation of a list. Never changes; ``apply`` makes the next one.

    *unusable* are the subjects that are no network (or name, in a list of names), with their reason;
    *keys* the digests of the customers' keys that are valid (``customerkey``).
    """

    zone: ZoneFile
    serial: int
    vocabulary: Vocabulary
    ipv4: Table
    ipv6: Table
    names: NameTable
    unusable: frozenset[tuple[str, str | None]]
    keys: frozenset[str] = frozenset()

    def find_address(self, address: Address) -> AnswerSet | None:
        """Return what *address* answers, or None where it is not listed."""
        table, value = self._place_of(address)
        return self.vocabulary.answers[table.find(value)]

    def listed_networks(self, addresses: Iterable[Address]) -> dict[Address, Network]:
        """Return the network whose listing answers for each of *addresses* that is listed.

        A test point is in none, unless it lies in one that is listed.
        """
        places = [(address, *self._place_of(address)) for address in addresses]
        found: dict[Address, Network] = {}
        for table in (self.ipv4, self.ipv6):
            inside = [(address, value) for address, of, value in places if of is table]
            networks = table.listed_networks([value for _, value in inside], self.vocabulary)
            pairs = zip(inside, networks, strict=True)
            found.update({address: network for (address, _), network in pairs if network is not None})
        return found

    def has_below(self, network: Network) -> bool:
        """Whether any address of *network* is listed, test points included (RFC 8020: NODATA)."""
        if isinstance(network, IPv4Network):
            return self.ipv4.any_within(int(network.network_address), network.prefixlen)
        inside = _ipv4_inside(network)
        if inside is not None:
            return self.has_below(inside)
        if (MAPPED.subnet_of(network) or SIX_TO_FOUR.subnet_of(network)) and self.has_below(_ANY_IPV4):
            return True
        return self.ipv6.any_within(int(network.network_address), network.prefixlen)

    def find_name(self, labels: Name) -> AnswerSet | None:
        """Return what the name of lower-case *labels* under the apex answers, or None."""
        return self.vocabulary.answers[self.names.find(labels, self.vocabulary)]

    def has_name_below(self, labels: Name) -> bool:
        """Whether anything is listed below the name of lower-case *labels* under the apex."""
        return self.names.any_below(labels, self.vocabulary)

    def live(self) -> int:
        """Return how many listings are in force; test points and exemptions are not counted."""
        return self.ipv4.counts.live + self.ipv6.counts.live + self.names.counts.live

    def exempt(self) -> int:
        """Return how many exemptions there are."""
        return self.ipv4.counts.exempt + self.ipv6.counts.exempt + self.names.counts.exempt

    def ignored(self) -> int:
        """Return how many entries answer nothing: their reason is unknown or their subject unusable."""
        unknown = self.ipv4.counts.unknown + self.ipv6.counts.unknown + self.names.counts.unknown
        return unknown + len(self.unusable)

    def apply(self, entries: Iterable[Entry]) -> "Index":
        """Return the next generation: this one changed by journal *entries* in order of serial.

        Raises:
            Conflict: an entry's serial is before the one it follows (RFC 1982): entries were lost,
                repeated or mixed up.
        """
        batch = Batch(self.zone.kind, self.vocabulary)
        keys: dict[str, bool] = {}
        serial = self.serial
        for entry in entries:
            if (entry.serial - serial) % _SERIALS >= _SERIALS // 2:
                raise Conflict(
                    f"the journal entry with serial {entry.serial} comes after serial {serial}:"
                    " entries must be applied in order",
                    code="serial-order",
                )
            serial = entry.serial
            if entry.change in {Change.KEYED, Change.UNKEYED}:
                keys[entry.subject] = entry.change is Change.KEYED
                continue
            exempt = entry.change in {Change.EXEMPTED, Change.UNEXEMPTED}
            batch.add(
                entry.subject,
                None if exempt else entry.reason,
                entry.text,
                stays=entry.change in {Change.LISTED, Change.EXEMPTED},
            )
        changed = self._with(batch, serial, keys)
        if len(self.vocabulary.causes) > 2 * (changed.live() + changed.ignored()) + _SPARE_CAUSES:
            return changed.recompiled(self.zone)
        return changed

    def recompiled(self, zone: ZoneFile) -> "Index":
        """Return the index of the same entries as *zone*, a later state of the zone file, answers them."""
        vocabulary = Vocabulary(zone)
        old = self.vocabulary.causes
        numbers = np.zeros(len(old), dtype=np.uint32)
        ipv4, ipv6, names = self.ipv4.all_rows(), self.ipv6.all_rows(), list(self.names.rows())
        used = {*np.unique(ipv4.cause).tolist(), *np.unique(ipv6.cause).tolist(), *(c for _, c in names)}
        for cause in sorted(used - {0}):
            numbers[cause] = vocabulary.cause(*old[cause])
        return Index(
            zone,
            self.serial,
            vocabulary,
            compile_table(IPV4, Rows(ipv4.first, ipv4.length, numbers[ipv4.cause]), vocabulary),
            compile_table(IPV6, Rows(ipv6.first, ipv6.length, numbers[ipv6.cause]), vocabulary),
            listednames.NO_NAMES.changed(
                ((subject, int(numbers[cause]), True) for subject, cause in names), vocabulary
            ),
            self.unusable,
            self.keys,
        )

    def _place_of(self, address: Address) -> tuple[Table, int]:
        """Return the table that *address* is looked up in, and the number that it has there."""
        value = int(address)
        if isinstance(address, IPv4Address):
            return self.ipv4, value
        if value >> 32 == 0xFFFF:
            return self.ipv4, value & 0xFFFFFFFF
        if value >> 112 == 0x2002:
            return self.ipv4, value >> 80 & 0xFFFFFFFF
        return self.ipv6, value

    def _with(self, batch: Batch, serial: int, keys: dict[str, bool]) -> "Index":
        ipv4, keep4 = batch.ipv4.rows()
        ipv6, keep6 = batch.ipv6.rows()
        return Index(
            self.zone,
            serial,
            self.vocabulary,
            self.ipv4.changed(ipv4, keep4, self.vocabulary) if len(ipv4) else self.ipv4,
            self.ipv6.changed(ipv6, keep6, self.vocabulary) if len(ipv6) else self.ipv6,
            self.names.changed(batch.names, self.vocabulary) if batch.names else self.names,
            batch.unusable(self.unusable),
            (self.keys | keys.keys()) - {key for key, valid in keys.items() if not valid},
        )


def compile_index(zone: ZoneFile, serial: int, listed: Iterable[Listed]) -> Index:
    """Return the index of *zone* at *serial* with everything in *listed*."""
    vocabulary = Vocabulary(zone)
    batch = Batch(zone.kind, vocabulary)
    keys = set()
    for row in listed:
        if row.key:
            keys.add(row.subject)
            continue
        batch.add(row.subject, None if row.exempt else row.reason, row.text, stays=True)
    return Index(
        zone,
        serial,
        vocabulary,
        compile_table(IPV4, batch.ipv4.rows()[0], vocabulary),
        compile_table(IPV6, batch.ipv6.rows()[0], vocabulary),
        listednames.NO_NAMES.changed(batch.names, vocabulary),
        batch.unusable(frozenset()),
        frozenset(keys),
    )


def _ipv4_inside(network: IPv6Network) -> IPv4Network | None:
    """Return the IPv4 network that answers for *network*, where one does."""
    value = int(network.network_address)
    if network.subnet_of(MAPPED):
        return IPv4Network((value & 0xFFFFFFFF, network.prefixlen - 96))
    if network.subnet_of(SIX_TO_FOUR):
        return IPv4Network((value >> 80 & 0xFFFFFFFF, min(network.prefixlen - 16, 32)))
    return None
