"""A part of a zone: the datasets that are asked for one and the same name, joined into one.

All their IPv4 entries are one range table and all their IPv6 entries another; what an address answers is
the union over the datasets. Names and ordinary records stay as they are. Pure data: no clock, no socket.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import IntFlag
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from rbl.addresses import networks_of_labels
from rbl.names import Name
from rbl.terms import Address, Network
from rbl.zone.family import IPV4, IPV6, Family
from rbl.zone.ranges import Table
from rbl.zone.rbldnsd import steps, template
from rbl.zone.rbldnsd.dataset import Leaf
from rbl.zone.rbldnsd.generic import TXT, A, Generic, Records
from rbl.zone.rbldnsd.ipv4sets import Ip4set, Ip4trie, Ip4tset
from rbl.zone.rbldnsd.ipv6sets import Ip6trie, Ip6tset
from rbl.zone.rbldnsd.namesets import Dnset, NameSet
from rbl.zone.rbldnsd.nametext import Key, text_of
from rbl.zone.rbldnsd.template import Template
from rbl.zone.rbldnsd.values import Condition

ANY = 255  # the type of a question for every type (RFC 1035 §3.2.3)

_MAPPED = IPv6Network("::ffff:0:0/96")
_6TO4 = IPv6Network("2002::/16")
_ANY_IPV4 = IPv4Network("0.0.0.0/0")
_NIBBLES = frozenset(b"0123456789abcdef")
_ADDRESS_LABELS = {4: 32, 32: 128}


class Found(IntFlag):
    """What a part says to a question beside its records."""

    NOTHING = 0
    NAME = 1  # the name exists
    CLIENT = 2  # everything is listed for this client


@dataclass(slots=True)
class Rrsets:
    """The records of an answer: rdata by type, each once, in order, with the smallest TTL of the type."""

    ttl_seconds: dict[int, int] = field(default_factory=dict)
    rdatas: dict[int, dict[bytes, None]] = field(default_factory=dict)

    def add(self, rtype: int, rdata: bytes, ttl_seconds: int) -> None:
        """Add one record."""
        self.ttl_seconds[rtype] = min(ttl_seconds, self.ttl_seconds.get(rtype, ttl_seconds))
        self.rdatas.setdefault(rtype, {})[rdata] = None


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of a part: *key* is the name under its apex, *labels* the same in labels.

    *everything* and *nothing* are what an acl may make of it: all is listed, or none.
    """

    labels: Name
    key: Key
    rtype: int
    now: float
    keyed: bool = False
    everything: bool = False
    nothing: bool = False

    def wants(self, rtype: int) -> bool:
        """Whether records of *rtype* are asked for."""
        return self.rtype in {rtype, ANY}


@dataclass(frozen=True, slots=True)
class Member:
    """One value of an answer, ready to be rendered."""

    address: bytes
    text: Template
    ttl_seconds: int
    condition: Condition | None


class Addresses:
    """The entries of one address family over all datasets of a part."""

    def __init__(self, family: Family, leaves: Sequence[Leaf]) -> None:
        self._leaves = leaves
        found, self._combinations = steps.union(family, [_steps_of(leaf) for leaf in leaves])
        self.table: Table = steps.table(family, found, sum(leaf.builder.count() for leaf in leaves))
        self.members = lru_cache(maxsize=65536)(self._members)

    def answers(self) -> Iterator[tuple[Member, ...]]:
        """Yield what the answer of each number consists of, from 0, which is nothing, on."""
        return map(self._members, range(len(self._combinations)))

    def _members(self, number: int) -> tuple[Member, ...]:
        """Return what the answer of *number* consists of."""
        pairs = zip(self._leaves, self._combinations[number], strict=True)
        return tuple(member for leaf, outcome in pairs for member in members_of(leaf, outcome))


def members_of(leaf: Leaf, outcome: int) -> Iterable[Member]:
    """Yield the values of *outcome* in *leaf*."""
    for value in leaf.values.of(outcome):
        yield Member(
            value.address.to_bytes(4, "big"),
            template.expand(value.text, leaf.variables),
            leaf.ttl_seconds,
            value.condition,
        )


class Part:
    """Datasets joined; see the module."""

    def __init__(self, leaves: Sequence[Leaf]) -> None:
        ipv4 = [leaf for leaf in leaves if isinstance(leaf.builder, Ip4set | Ip4trie | Ip4tset)]
        ipv6 = [leaf for leaf in leaves if isinstance(leaf.builder, Ip6trie | Ip6tset)]
        self.ipv4 = Addresses(IPV4, ipv4) if ipv4 else None
        self.ipv6 = Addresses(IPV6, ipv6) if ipv6 else None
        self.names: list[tuple[Leaf, NameSet]] = []
        self.records: list[Records] = []
        for leaf in leaves:
            if isinstance(leaf.builder, Dnset):
                self.names.append((leaf, leaf.builder.names()))
            elif isinstance(leaf.builder, Generic):
                self.records.append(leaf.builder.records())

    def find(self, question: Question, rrsets: Rrsets) -> Found:
        """Add to *rrsets* what answers *question*, and return what else there is to say."""
        found = Found.NOTHING
        if self.ipv4 is not None or self.ipv6 is not None:
            found |= self._find_address(question, rrsets)
        if self.names and question.labels:
            found |= self._find_name(question, rrsets)
        for records in self.records:
            owned = records.by_owner.get(question.key)
            if owned is None:
                continue
            found |= Found.NAME
            # As rbldnsd does: what an acl says leaves the name and hides its records.
            if not (question.everything or question.nothing):
                for record in owned:
                    if question.wants(record.rtype):
                        rrsets.add(record.rtype, record.rdata, record.ttl_seconds)
        return found

    def has_below(self, labels: Name, key: Key) -> bool:
        """Whether anything is listed below the name of *labels* (RFC 8020)."""
        if any(names.has_below(key) for _, names in self.names):
            return True
        if any(key in records.below for records in self.records):
            return True
        if self.ipv4 is None and self.ipv6 is None:
            return False
        if not labels:
            return self._has_addresses(_ANY_IPV4) or self._has_addresses(IPv6Network("::/0"))
        return any(
            self._has_addresses(network)
            for network in networks_of_labels(labels)
            if network.prefixlen < network.max_prefixlen
        )

    def _find_address(self, question: Question, rrsets: Rrsets) -> Found:
        address = address_of(question.labels)
        if address is None:
            return Found.NOTHING
        found = Found.NOTHING
        ipv4, ipv6 = self._families(address)
        for table, asked in ((self.ipv4, ipv4), (self.ipv6, ipv6)):
            if table is None or asked is None:
                continue
            if question.everything:
                return Found.CLIENT
            if question.nothing:
                continue
            number = table.table.find(int(asked))
            if number:
                found |= _answer(table.members(number), str(asked).encode(), question, rrsets)
        return found

    def _families(self, address: Address) -> tuple[IPv4Address | None, IPv6Address | None]:
        """Return which address each of the two tables is asked for.

        Mapped addresses (RFC 4291 §2.5.5.2) and 6to4 ones (RFC 3056) are IPv4 where there is any IPv4
        dataset, the mapped ones nothing else then.
        """
        if isinstance(address, IPv4Address):
            return address, None
        if self.ipv4 is not None:
            if address.ipv4_mapped is not None:
                return address.ipv4_mapped, None
            if address.sixtofour is not None:
                return address.sixtofour, address
        return None, address

    def _find_name(self, question: Question, rrsets: Rrsets) -> Found:
        found = Found.NOTHING
        for leaf, names in self.names:
            if question.nothing:
                continue
            if question.everything:
                return Found.CLIENT
            outcome, entry = names.find(question.key)
            if outcome:
                found |= _answer(tuple(members_of(leaf, outcome)), text_of(entry), question, rrsets)
        return found

    def _has_addresses(self, network: Network) -> bool:
        if isinstance(network, IPv4Network):
            return self.ipv4 is not None and self.ipv4.table.any_within(
                int(network.network_address), network.prefixlen
            )
        if self.ipv4 is not None:
            inside = _ipv4_inside(network)
            if inside is not None and self._has_addresses(inside):
                return True
            if (_MAPPED.subnet_of(network) or _6TO4.subnet_of(network)) and self._has_addresses(_ANY_IPV4):
                return True
        return self.ipv6 is not None and self.ipv6.table.any_within(
            int(network.network_address), network.prefixlen
        )


def address_of(labels: Name) -> Address | None:
    """Return the address that lower-case *labels* are, if they are one; leading zeros are allowed."""
    if len(labels) == 4:
        if not all(1 <= len(label) <= 3 and label.isdigit() and int(label) <= 255 for label in labels):
            return None
        return IPv4Address(bytes(int(label) for label in reversed(labels)))
    if len(labels) != 32 or not all(len(label) == 1 and label[0] in _NIBBLES for label in labels):
        return None
    return IPv6Address(int(b"".join(reversed(labels)), 16))


def _answer(members: Sequence[Member], subject: bytes, question: Question, rrsets: Rrsets) -> Found:
    """Add what *members* answer for *subject*, those that the client sees now."""
    found = Found.NOTHING
    for member in members:
        condition = member.condition
        if condition is not None and not condition.holds(keyed=question.keyed, now=question.now):
            continue
        found = Found.NAME
        add_member(member, subject, question, rrsets)
    return found


def add_member(member: Member, subject: bytes, question: Question, rrsets: Rrsets) -> None:
    """Add the A and TXT records of *member* for *subject*."""
    if question.wants(A):
        rrsets.add(A, member.address, member.ttl_seconds)
    if question.wants(TXT):
        text = template.render(member.text, subject)
        if text:
            rrsets.add(TXT, bytes((len(text),)) + text, member.ttl_seconds)


def _steps_of(leaf: Leaf) -> steps.Steps:
    assert isinstance(leaf.builder, Ip4set | Ip4trie | Ip4tset | Ip6trie | Ip6tset)
    return leaf.builder.steps()


def _ipv4_inside(network: IPv6Network) -> IPv4Network | None:
    """Return the IPv4 network that answers for *network*, where one does."""
    value = int(network.network_address)
    if network.subnet_of(_MAPPED):
        return IPv4Network((value & 0xFFFFFFFF, network.prefixlen - 96))
    if network.subnet_of(_6TO4):
        return IPv4Network((value >> 80 & 0xFFFFFFFF, min(network.prefixlen - 16, 32)))
    return None


__all__ = [
    "Found",
    "Member",
    "Part",
    "Question",
    "Rrsets",
    "add_member",
    "address_of",
    "members_of",
]
