"""A zone of rbldnsd's datasets as the text of a master file (RFC 1035 §5), as ``rbldnsd -d`` prints it.

An ip4set is written with its levels: where a name of its own stands below a wider entry, that entry's
wildcard is repeated, since a wildcard does not reach below names that exist (RFC 4592 §2.2.1), and an
exclusion is a CNAME to ``excluded``. The other datasets of addresses are written as what is left of them.
Entries that are hidden from clients without a key are left out.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from rbl.zone.family import IPV4, IPV6, Family
from rbl.zone.rbldnsd import steps
from rbl.zone.rbldnsd.dataset import Dataset, Leaf
from rbl.zone.rbldnsd.filezone import FileZone
from rbl.zone.rbldnsd.generic import MX, TXT, A, Generic, Record
from rbl.zone.rbldnsd.ipv4sets import Ip4set, Ip4trie, Ip4tset
from rbl.zone.rbldnsd.ipv6sets import Ip6trie, Ip6tset
from rbl.zone.rbldnsd.kinds import Kind
from rbl.zone.rbldnsd.namesets import Dnset
from rbl.zone.rbldnsd.nametext import Key, key_of, text_of
from rbl.zone.rbldnsd.part import members_of
from rbl.zone.rbldnsd.steps import Steps
from rbl.zone.rbldnsd.template import render
from rbl.zone.rbldnsd.values import EXCLUDED, NOTHING

_TYPES = {A: b"A", MX: b"MX", TXT: b"TXT"}
_LEVELS = 4  # of an ip4set: single addresses, /24, /16, /8


def lines(zone: FileZone, datasets: Sequence[Dataset], now: float) -> Iterator[bytes]:
    """Yield the lines of *zone*, which is made of *datasets*, each with its line end."""
    yield b"$ORIGIN\t%s\n" % _absolute(key_of(zone.apex))
    yield from _apex(zone)
    for dataset in datasets:
        if dataset.spec.kind.of_clients:
            continue
        if dataset.spec.kind is Kind.COMBINED:
            yield from _combined(zone, dataset, now)
        else:
            (leaf,) = dataset.leaves
            yield b"$TTL %d\n" % leaf.ttl_seconds
            yield from _entries(leaf, now)


def _apex(zone: FileZone) -> Iterator[bytes]:
    soa = zone.soa
    if soa is not None:
        yield b"@\t%d\tSOA\t%s\t%s\t(%s)\n" % (
            soa.ttl_seconds,
            _absolute(key_of(soa.mname)),
            _absolute(key_of(soa.rname)),
            " ".join(map(str, (zone.serial, *soa.times))).encode(),
        )
    if zone.name_servers is not None:
        for name in zone.name_servers.names:
            yield b"\t%d\tNS\t%s\n" % (zone.name_servers.ttl_seconds, _absolute(key_of(name)))


def _combined(zone: FileZone, dataset: Dataset, now: float) -> Iterator[bytes]:
    """Yield the sub-zones, the zone itself last, so that what follows is in it again."""
    apexes = dict.fromkeys(apex for leaf in dataset.leaves for apex in leaf.apexes if apex)
    ttl_seconds = None
    for apex in (*apexes, b""):
        origin = b"$ORIGIN %s\n" % _absolute(apex + key_of(zone.apex))
        for leaf in (leaf for leaf in dataset.leaves if apex in leaf.apexes):
            if leaf.ttl_seconds != ttl_seconds:
                ttl_seconds = leaf.ttl_seconds
                yield b"$TTL %d\n" % ttl_seconds
            yield origin
            origin = b""
            yield from _entries(leaf, now)
        yield origin


def _entries(leaf: Leaf, now: float) -> Iterator[bytes]:
    match leaf.builder:
        case Ip4set():
            return _Levels(leaf, leaf.builder, now).lines()
        case Ip4trie() | Ip4tset():
            return _addresses(leaf, IPV4, leaf.builder.steps(), now)
        case Ip6trie() | Ip6tset():
            return _addresses(leaf, IPV6, leaf.builder.steps(), now)
        case Dnset():
            return _names(leaf, leaf.builder, now)
        case builder:
            assert isinstance(builder, Generic)
            return _records(builder)


class _Levels:
    """The lines of one ip4set: a tree of whole octets, walked from the widest entries down."""

    def __init__(self, leaf: Leaf, builder: Ip4set, now: float) -> None:
        self._shown = _Shown(leaf, now)
        self._own: list[dict[int, int]] = []
        self._below: list[dict[int, list[int]]] = [{}]
        for level, arrays in enumerate(builder.levels):
            layer = steps.ipv4_ranges(*arrays, leaf.values.joined)
            shift = 8 * level
            own: dict[int, int] = {}
            ranges = zip(layer.first.tolist(), layer.last.tolist(), layer.outcome.tolist(), strict=True)
            for first, last, outcome in ranges:
                own.update(dict.fromkeys(range(first >> shift, (last >> shift) + 1), outcome))
            self._own.append(own)
            below: dict[int, list[int]] = {}
            for block in sorted(own.keys() | self._below[level].keys()):
                below.setdefault(block >> 8, []).append(block)
            self._below.append(below)

    def lines(self) -> Iterator[bytes]:
        """Yield the lines."""
        for block in self._below[_LEVELS].get(0, ()):
            yield from self._block(_LEVELS - 1, block, NOTHING)

    def _block(self, level: int, block: int, wider: int) -> Iterator[bytes]:
        """Yield the lines of *block*; *wider* is the outcome of the nearest entry that covers it."""
        subject = IPv4Address(block << 8 * level)
        owner = _owner(subject, 4 - level)
        own = self._own[level].get(block, NOTHING)
        if not own and wider not in {NOTHING, EXCLUDED}:
            yield from self._shown.lines(owner, wider, str(subject).encode())
        if level:
            for inner in self._below[level].get(block, ()):
                yield from self._block(level - 1, inner, own or wider)
        if own and (own != EXCLUDED or wider not in {NOTHING, EXCLUDED}):
            yield from self._shown.lines(owner, own, str(subject).encode())


def _addresses(leaf: Leaf, family: Family, found: Steps, now: float) -> Iterator[bytes]:
    """Yield what *found* holds, as whole octets of IPv4 or nibbles of IPv6."""
    shown = _Shown(leaf, now)
    unit = 8 if family is IPV4 else 4
    starts = steps.addresses(family, found.start)
    ends = [*starts[1:], 1 << family.bits]
    for first, end, outcome in zip(starts, ends, found.value.tolist(), strict=True):
        at = first if outcome else end
        while at < end:
            bits = unit
            while bits < family.bits and at % (1 << bits) == 0 and at + (1 << bits) <= end:
                bits += unit
            bits -= unit
            subject = IPv4Address(at) if family is IPV4 else IPv6Address(at)
            owner = _owner(subject, (family.bits - bits) // unit)
            yield from shown.lines(owner, outcome, str(subject).encode())
            at += 1 << bits


def _names(leaf: Leaf, builder: Dnset, now: float) -> Iterator[bytes]:
    shown = _Shown(leaf, now)
    for prefix, names in ((b"", builder.exact), (b"*.", builder.wildcards)):
        for key in sorted(names, key=_by_length):
            subject = text_of(key)
            yield from shown.lines(prefix + subject, names[key], subject)


def _records(builder: Generic) -> Iterator[bytes]:
    for key in sorted(builder.by_owner, key=_by_length):
        owner = text_of(key) or b"@"
        for record in sorted(builder.by_owner[key], key=lambda record: record.rtype):
            yield b"%s\t%d\t%s\t%s\n" % (owner, record.ttl_seconds, _TYPES[record.rtype], _rdata(record))
            owner = b""


def _rdata(record: Record) -> bytes:
    if record.rtype == A:
        return str(IPv4Address(record.rdata)).encode()
    if record.rtype == TXT:
        return _quoted(record.rdata[1:])
    return b"%d\t%s" % (int.from_bytes(record.rdata[:2], "big"), _absolute(record.rdata[2:-1]))


@dataclass(frozen=True, slots=True)
class _Shown:
    """Writes the outcomes of one dataset."""

    leaf: Leaf
    now: float

    def lines(self, owner: bytes, outcome: int, subject: bytes) -> Iterator[bytes]:
        """Yield the records of *outcome* at *owner*; their texts speak of *subject*."""
        if outcome == EXCLUDED:
            yield owner + b"\tCNAME\texcluded\n"
            return
        for member in members_of(self.leaf, outcome):
            if member.condition is not None and not member.condition.holds(keyed=False, now=self.now):
                continue
            yield b"%s\tA\t%s\n" % (owner, str(IPv4Address(member.address)).encode())
            text = render(member.text, subject)
            if text:
                yield b"\tTXT\t%s\n" % _quoted(text)


def _owner(subject: IPv4Address | IPv6Address, count: int) -> bytes:
    """Return the name of the network of the first *count* labels of *subject*."""
    if isinstance(subject, IPv4Address):
        labels: Iterable[str] = str(subject).split(".")
        most = 4
    else:
        labels = subject.exploded.replace(":", "")
        most = 32
    name = ".".join(reversed(list(labels)[:count]))
    return (name if count == most else f"*.{name}").encode()


def _by_length(key: Key) -> tuple[int, Key]:
    return len(key), key


def _absolute(key: Key) -> bytes:
    return text_of(key) + b"."


def _quoted(text: bytes) -> bytes:
    """Return *text* as a character-string (RFC 1035 §5.1)."""
    return b'"%s"' % text.replace(b"\\", b"\\\\").replace(b'"', b'\\"')
