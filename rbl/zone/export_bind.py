"""A list as a master file (RFC 1035 §5), for BIND and whatever else reads one.

Networks of whole octets, or nibbles, are wildcards, others the wildcards they consist of. The text of a
wildcard names the first address of its network, or the name it stands below. IPv4-mapped addresses are
not among it but for the test points (RFC 5782 §5): a file would need a name for each.
"""

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv6Address

from rbl.zone import export
from rbl.zone.answers import AnswerSet
from rbl.zone.export import Listed
from rbl.zone.index import Index
from rbl.zone.runs import networks
from rbl.zone.zonefile import ZoneFile

_OCTET, _NIBBLE = 8, 4
_STRING_OCTETS = 255  # RFC 1035 §3.3: a character-string
# What has no A and no TXT, and is no name that a wildcard stands for: a record of a type for private
# use (RFC 6895 §3.1), empty (RFC 3597 §5).
_EXCEPTED = r"TYPE65280 \# 0"
_MAPPED = 0xFFFF << 32  # RFC 4291 §2.5.5.2


def lines(index: Index) -> Iterator[str]:
    """Yield the lines of the file."""
    zone = index.zone
    yield f"; {zone.apex_text}: {index.live()} listings"
    yield f"$ORIGIN {export.dotted(zone.apex)}."
    yield f"$TTL {zone.ttl_seconds}"
    yield from apex(zone, index.serial)
    own = zone.apex_records
    for address in own.addresses:
        yield f"@ {own.ttl_seconds} IN {'A' if address.version == 4 else 'AAAA'} {address}"
    yield from (f"@ {own.ttl_seconds} IN TXT {_quoted(text)}" for text in own.texts)
    for preference, name in own.mail_exchangers:
        yield f"@ {own.ttl_seconds} IN MX {preference} {export.dotted(name)}."
    for listed in export.addresses(index):
        yield from _addresses(zone, listed)
    for point, number in index.vocabulary.test_points.items():
        answer = index.vocabulary.answers[number]
        if answer is not None:
            mapped = _MAPPED | point
            yield from _records(zone, _name(mapped, 128, 128), str(IPv4Address(point)), answer)
    for named, answer in export.names_and_above(index):
        if answer is not None:
            yield from _records(zone, str(named), export.dotted(named.labels), answer)
        elif not named.wildcard:
            yield f"{named} {zone.ttl_seconds} IN {_EXCEPTED}"


def apex(zone: ZoneFile, serial: int) -> Iterator[str]:
    """Yield SOA and NS of *zone* at *serial*."""
    soa = zone.soa
    times = (
        serial % 2**32,
        soa.refresh_seconds,
        soa.retry_seconds,
        soa.expire_seconds,
        soa.minimum_seconds,
    )
    names = f"{export.dotted(soa.mname)}. {export.dotted(soa.rname)}."
    yield f"@ {soa.ttl_seconds} IN SOA {names} {' '.join(map(str, times))}"
    for name in zone.name_servers:
        yield f"@ {zone.name_server_ttl_seconds} IN NS {export.dotted(name)}."


def _addresses(zone: ZoneFile, listed: Listed) -> Iterator[str]:
    ipv4 = listed.bits == 32
    for first, length in networks(listed.first, listed.last, listed.bits, step=_OCTET if ipv4 else _NIBBLE):
        subject = str(IPv4Address(first) if ipv4 else IPv6Address(first))
        yield from _records(zone, _name(first, length, listed.bits), subject, listed.answer)


def _name(first: int, length: int, bits: int) -> str:
    """Return the name of a network of whole labels, relative to the apex."""
    size = _OCTET if bits == 32 else _NIBBLE
    parts = [first >> (bits - size * (at + 1)) & ((1 << size) - 1) for at in range(length // size)]
    labels = [f"{part:d}" if size == _OCTET else f"{part:x}" for part in reversed(parts)]
    return ".".join(labels if length == bits else ["*", *labels])


def _records(zone: ZoneFile, owner: str, subject: str, answer: AnswerSet) -> Iterator[str]:
    ttl = answer.ttl_seconds
    yield from (f"{owner} {ttl} IN A {value}" for value in answer.values)
    for template in answer.texts:
        yield f"{owner} {ttl} IN TXT {_quoted(zone.render(template, subject))}"


def _quoted(text: str) -> str:
    octets = text.encode("utf-8", "replace")
    strings = [octets[at : at + _STRING_OCTETS] for at in range(0, len(octets), _STRING_OCTETS)] or [b""]
    return " ".join(f'"{"".join(_escaped(string))}"' for string in strings)


def _escaped(octets: Iterable[int]) -> Iterator[str]:
    for octet in octets:
        if octet in b'"\\':
            yield f"\\{octet:c}"
        else:
            yield chr(octet) if 0x20 <= octet < 0x7F else f"\\{octet:03d}"
