"""From rbldnsd's datasets to listings: which entries a list of ours can take, and as what.

What lies inside one another in the files is flattened, so that the listings answer what the files did,
exclusions and all. A value becomes the reason of the zone file that has it, the text the listing's own.
Reserved space, networks that are too wide and test points are refused as everywhere else in the program.
"""

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from rbl.addresses import reserved_networks, reserved_reason
from rbl.errors import BadInput
from rbl.names import parse_name
from rbl.zone.answers import Vocabulary
from rbl.zone.batch import parse_network
from rbl.zone.family import IPV4, IPV6
from rbl.zone.rbldnsd.dataset import Dataset
from rbl.zone.rbldnsd.ipv4sets import Ip4set, Ip4trie, Ip4tset
from rbl.zone.rbldnsd.ipv6sets import Ip6trie, Ip6tset
from rbl.zone.rbldnsd.namesets import Dnset, NameSet
from rbl.zone.rbldnsd.nametext import Key, text_of
from rbl.zone.rbldnsd.part import Addresses, Member, members_of
from rbl.zone.rbldnsd.template import Template
from rbl.zone.rbldnsd.values import Value, refuse
from rbl.zone.runs import networks, runs
from rbl.zone.zonefile import Kind, Reason, ZoneFile

Row = tuple[str, str, str | None]  # subject, reason, and the listing's own text

_Find = Callable[[NameSet, Key], tuple[int, Key]]
_Pairs = list[tuple[str, str | None]]  # reason and own text
_FIELDS = re.compile(r"\{(address|url)\}")
_ADDRESS = b"{address}"
_NO_TEXT: Template = (b"",)


class ListGate:
    """Refuses the entries that the list *zone* cannot take; *reason* is for all, whatever their value."""

    def __init__(self, zone: ZoneFile, reason: str | None = None) -> None:
        self._zone = zone
        self._any_value = reason is not None
        self._values = {address for each in zone.reasons.values() for address in each.addresses}
        self._points = frozenset(Vocabulary(zone).test_points)
        reserved = [] if zone.limits.list_reserved else _reserved_ranges()
        self._starts = [first for first, _ in reserved]
        self._ends = [last for _, last in reserved]
        self._widest = 1 << (32 - zone.limits.widest_ipv4_prefix)
        self._good: Value | None = None  # the last value that passed

    def ipv4(self, first: int, last: int, value: Value | None) -> None:
        """Refuse a range of IPv4 addresses that may not be listed."""
        if self._zone.kind is not Kind.ADDRESSES:
            refuse("this is a list of names")
        if value is None:
            return
        if first == last and first in self._points:
            refuse("a test point: the list has its own (RFC 5782 §5)")
        at = bisect_right(self._starts, last) - 1
        if at >= 0 and self._ends[at] >= first:
            why = reserved_reason(IPv4Address(max(first, self._starts[at])))
            refuse(f"reserved: {why}")
        if last - first >= self._widest:
            refuse(f"wider than the /{self._zone.limits.widest_ipv4_prefix} that the zone file allows")
        self._check_value(value)

    def ipv6(self, first: int, length: int, value: Value | None) -> None:
        """Refuse an IPv6 network that may not be listed."""
        if self._zone.kind is not Kind.ADDRESSES:
            refuse("this is a list of names")
        if value is None:
            return
        if parse_network(f"{IPv6Address(first)}/{length}") is None:
            refuse("an alias of an IPv4 network: list that one, it answers for this")
        why = None if self._zone.limits.list_reserved else reserved_reason(IPv6Network((first, length)))
        if why is not None:
            refuse(f"reserved: {why}")
        widest = self._zone.limits.widest_ipv6_prefix
        if length < widest:
            refuse(f"wider than the /{widest} that the zone file allows")
        self._check_value(value)

    def name(self, key: Key, value: Value | None) -> None:
        """Refuse a name that a list of names cannot have."""
        if self._zone.kind is not Kind.NAMES:
            refuse("this is a list of addresses")
        if value is None:
            return
        try:
            parse_name(text_of(key).decode("ascii"))  # a star is none of its labels, which an escape may be
        except BadInput:
            refuse("a name has letters, digits, hyphens and underscores only")
        self._check_value(value)

    def record(self) -> None:
        """Refuse an ordinary record."""
        refuse("no listing: what the apex answers stands in the zone file")

    def _check_value(self, value: Value) -> None:
        if value is self._good:
            return
        if not self._any_value and IPv4Address(value.address) not in self._values:
            refuse(f"{IPv4Address(value.address)} is the value of no reason in the zone file")
        if value.condition is not None:
            refuse("parameters after an @: a listing has none")
        _check_text(value.text)
        self._good = value


class Listings:
    """The listings that *datasets* make together in the list *zone*; *reason* is for all of them.

    Read through a ``ListGate``. ``lost`` are the sentences about what could not be said, complete when
    all rows were taken.

    Raises:
        BadInput: a variable in the texts cannot be said by a listing; or there is no such reason.
    """

    def __init__(self, zone: ZoneFile, datasets: Sequence[Dataset], reason: str | None = None) -> None:
        if reason is not None and reason not in zone.reasons:
            known = ", ".join(zone.reasons)
            raise BadInput(f"{reason[:63]!a} is no reason of {zone.apex_text}: known are {known}")
        self._zone = zone
        self._reason = reason
        every = [leaf for dataset in datasets for leaf in dataset.leaves]
        leaves = [leaf for leaf in every if b"" in leaf.apexes]
        self.lost = [
            f"{leaf.kind} with {leaf.builder.count()} entries: it is for names below the apex"
            for leaf in every
            if b"" not in leaf.apexes
        ]
        for leaf in leaves:
            for text in leaf.variables.values():
                _check_text(text)
        self._ipv4 = [leaf for leaf in leaves if isinstance(leaf.builder, Ip4set | Ip4trie | Ip4tset)]
        self._ipv6 = [leaf for leaf in leaves if isinstance(leaf.builder, Ip6trie | Ip6tset)]
        self._names = [(leaf, leaf.builder.names()) for leaf in leaves if isinstance(leaf.builder, Dnset)]
        self._texts = {
            each.name: each.text.replace("{url}", zone.url).encode() for each in zone.reasons.values()
        }

    def rows(self) -> Iterator[Row]:
        """Yield every listing once: subject and reason are unlike those of any other."""
        if self._ipv4:
            yield from self._ipv4_rows(Addresses(IPV4, self._ipv4))
        if self._ipv6:
            yield from self._ipv6_rows(Addresses(IPV6, self._ipv6))
        yield from self._name_rows()

    def _ipv4_rows(self, addresses: Addresses) -> Iterator[Row]:
        widest = self._zone.limits.widest_ipv4_prefix  # what touches is not made wider than is allowed
        pairs: dict[int, _Pairs] = {}
        for first, last, number in runs(addresses.table):
            found = pairs.get(number)
            if found is None:
                found = pairs[number] = self._pairs(addresses.members(number))
            for start, length in networks(first, last, 32, widest=widest):
                octets = start.to_bytes(4, "big")
                subject = f"{octets[0]}.{octets[1]}.{octets[2]}.{octets[3]}/{length}"
                for reason, text in found:
                    yield subject, reason, text

    def _ipv6_rows(self, addresses: Addresses) -> Iterator[Row]:
        widest = self._zone.limits.widest_ipv6_prefix
        for first, last, number in runs(addresses.table):
            found = self._pairs(addresses.members(number))
            for start, length in networks(first, last, 128, widest=widest):
                for reason, text in found:
                    yield f"{IPv6Address(start)}/{length}", reason, text

    def _name_rows(self) -> Iterator[Row]:
        exact = {key: None for _, names in self._names for key in names.exact}
        wildcards = {key: None for _, names in self._names for key in names.wildcards}
        for keys, find, before in ((exact, NameSet.find, ""), (wildcards, NameSet.nearest_wildcard, "*.")):
            for key in keys:
                subject = before + text_of(key).decode("ascii")
                members = list(self._named(key, find))
                if not members:
                    self.lost.append(f"!{subject}: an exclusion of a name: a list of names has none")
                for reason, text in self._pairs(members):
                    yield subject, reason, text

    def _named(self, key: Key, find: _Find) -> Iterator[Member]:
        """Yield what all datasets answer at *key*; rbldnsd's texts speak of the entry, ours of the name."""
        for leaf, names in self._names:
            outcome, entry = find(names, key)
            for member in members_of(leaf, outcome):
                alike = entry == key and find is NameSet.find
                text = member.text if alike else (text_of(entry).join(member.text),)
                yield Member(member.address, text, member.ttl_seconds, member.condition)

    def _pairs(self, members: Iterable[Member]) -> _Pairs:
        """Return the reasons that answer as *members* do together, each with its own text or None."""
        left = _distinct(members)
        pairs: dict[str, str | None] = {}
        for reason in self._zone.reasons.values():
            if self._reason is None and len(reason.addresses) > 1:
                self._take_together(reason, left, pairs)
        for address, text in left:
            name = self._reason or self._reason_of(address, text, pairs)
            if name is None:
                self.lost.append(f"{address} without the other values of its reason: no reason is this one")
            elif name in pairs:
                self.lost.append(f"{address}: of several texts for {name} at one place one was kept")
            else:
                pairs[name] = self._own_text(name, text)
        return list(pairs.items())

    def _take_together(
        self, reason: Reason, left: list[tuple[IPv4Address, Template]], pairs: dict[str, str | None]
    ) -> None:
        """Move the values of *reason* from *left* to *pairs* where all of them are there with one text."""
        for text in dict.fromkeys(text for _, text in left):
            wanted = [(address, text) for address in dict.fromkeys(reason.addresses)]
            if reason.name not in pairs and all(each in left for each in wanted):
                pairs[reason.name] = self._own_text(reason.name, text)
                for each in wanted:
                    left.remove(each)

    def _reason_of(self, address: IPv4Address, text: Template, taken: dict[str, str | None]) -> str | None:
        """Return the reason of the value *address* alone: best a free one whose text it is."""
        having = [each for each in self._zone.reasons.values() if set(each.addresses) == {address}]
        best = min(
            having,
            key=lambda each: (each.name in taken, self._own_text(each.name, text) is not None),
            default=None,
        )
        return None if best is None else best.name

    def _own_text(self, reason: str, text: Template) -> str | None:
        """Return *text* as a listing has it; None: there is none, or it is that of the reason."""
        joined = _ADDRESS.join(text)
        return None if not joined or joined == self._texts[reason] else joined.decode()


def _distinct(members: Iterable[Member]) -> list[tuple[IPv4Address, Template]]:
    """Return values with their texts, each once; a value without a text only where it has none at all."""
    found = dict.fromkeys((IPv4Address(member.address), member.text) for member in members)
    told = {address for address, text in found if text != _NO_TEXT}
    return [each for each in found if each[1] != _NO_TEXT or each[0] not in told]


def _check_text(text: bytes) -> None:
    """Refuse a text that a listing would not answer as it stands."""
    try:
        decoded = text.decode()
    except UnicodeDecodeError:
        refuse("the text is not UTF-8")
    if not decoded.isprintable():
        refuse("the text has control characters")
    if _FIELDS.search(decoded):
        refuse("{address} or {url} in the text would be filled in")


def _reserved_ranges() -> list[tuple[int, int]]:
    """Return the reserved ranges of IPv4, ascending; none overlaps another."""
    return sorted(
        (int(network.network_address), int(network.broadcast_address))
        for network, _ in reserved_networks()
        if isinstance(network, IPv4Network)
    )
