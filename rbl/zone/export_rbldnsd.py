"""A list as a data file of rbldnsd, to be served as ``zone:combined:file``; rbl reads it too.

Addresses are an ip4set and ip6tries in which nothing overlaps, names a dnset. rbldnsd cuts texts to 254
octets, has no AAAA at the apex, and fills a wildcard's text with the wildcard's own name.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from ipaddress import IPv4Address, IPv6Address

from rbl.zone import export
from rbl.zone.answers import AnswerSet
from rbl.zone.export import Listed, Pair
from rbl.zone.index import Index
from rbl.zone.runs import networks
from rbl.zone.zonefile import Kind, ZoneFile

_Lines = Iterator[str]
_Entry = tuple[str, AnswerSet]
_Told = tuple[str, Pair]


def lines(index: Index) -> _Lines:
    """Yield the lines of the file."""
    zone = index.zone
    yield f"# {zone.apex_text}: {index.live()} listings at serial {index.serial}"
    yield from _head(zone, index.serial)
    yield from _apex(zone)
    if zone.kind is Kind.NAMES:
        yield from _names(index)
        return
    pairs = export.pairs(index)
    for ttl in sorted({answer.ttl_seconds for answer in pairs}):
        of_ttl = (
            each for each in export.addresses(index) if each.answer.ttl_seconds == ttl and each.bits == 32
        )
        yield from _dataset(zone, "ip4set", ttl, _told(_ipv4(of_ttl), pairs))
        # An ip6trie has one value at a place: the second one stands in a second one, and so on.
        most = max(len(found) for answer, found in pairs.items() if answer.ttl_seconds == ttl)
        for rank in range(most):
            yield from _dataset(zone, "ip6trie", ttl, _told(_ipv6(index, ttl), pairs, rank))


def _head(zone: ZoneFile, serial: int) -> _Lines:
    soa = zone.soa
    times = (soa.refresh_seconds, soa.retry_seconds, soa.expire_seconds, soa.minimum_seconds)
    yield " ".join(
        (
            f"$SOA {soa.ttl_seconds or 1} {export.dotted(soa.mname)} {export.dotted(soa.rname)}",
            str(serial % 2**32),
            *map(str, times),
        )
    )
    servers = " ".join(map(export.dotted, zone.name_servers))
    yield f"$NS {zone.name_server_ttl_seconds or 1} {servers}"


def _apex(zone: ZoneFile) -> _Lines:
    own = zone.apex_records
    records = [f"A {address}" for address in own.addresses if isinstance(address, IPv4Address)]
    records += [f'TXT "{text}"' for text in own.texts]
    records += [f"MX {preference} {export.dotted(name)}" for preference, name in own.mail_exchangers]
    if records:
        yield "$DATASET generic:apex @"
        yield from (f"@ {own.ttl_seconds or 1} {record}" for record in records)


def _dataset(zone: ZoneFile, kind: str, ttl: int, told: Iterable[_Told]) -> _Lines:
    """Yield a dataset in which each subject of *told* has the value and the text beside it."""
    default = None
    for subject, pair in told:
        value = _value(zone, *pair)
        if default is None:
            yield f"$DATASET {kind}:{zone.apex_text[:20]} @"
            yield f"$TTL {ttl or 1}"
            yield (default := value)
        yield subject if value == default else f"{subject} {value}"


def _told(
    entries: Iterable[_Entry], pairs: Mapping[AnswerSet, Sequence[Pair]], rank: int | None = None
) -> Iterator[_Told]:
    """Yield *entries* with the pair of *rank* of each, or with all its pairs."""
    for subject, answer in entries:
        found = pairs[answer]
        for pair in found if rank is None else found[rank : rank + 1]:
            yield subject, pair


def _ipv4(listed: Iterable[Listed]) -> Iterator[_Entry]:
    for each in listed:
        # An ip4set knows no 0/0.
        for first, length in networks(each.first, each.last, 32, widest=1):
            address = str(IPv4Address(first))
            yield (address if length == 32 else f"{address}/{length}"), each.answer


def _ipv6(index: Index, ttl: int) -> Iterator[_Entry]:
    for each in export.addresses(index):
        if each.bits == 128 and each.answer.ttl_seconds == ttl:
            for first, length in networks(each.first, each.last, 128):
                yield f"{IPv6Address(first)}/{length}", each.answer


def _names(index: Index) -> _Lines:
    found, pairs = list(export.names(index)), export.pairs(index)
    for ttl in sorted({answer.ttl_seconds for _, answer in found if answer is not None}):
        listed = {name: answer for name, answer in found if answer and answer.ttl_seconds == ttl}
        entries = ((str(name), answer) for name, answer in listed.items())
        yield from _dataset(index.zone, "dnset", ttl, _told(entries, pairs))
        # A dataset knows nothing of what others have below its wildcards.
        wildcards = {name.labels for name in listed if name.wildcard}
        for name, _ in found:
            above = (name.labels[at:] for at in range(1, len(name.labels) + 1))
            if name not in listed and not wildcards.isdisjoint(above):
                yield f"!{name}"


def _value(zone: ZoneFile, address: IPv4Address, template: str) -> str:
    text = "$".join(piece.replace("$", "$$") for piece in export.pieces(zone, template))
    # A first = is not part of a text, and neither are blanks before it.
    if text.startswith(("=", " ")):
        text = "=" + text
    return f":{address}:{text}"
