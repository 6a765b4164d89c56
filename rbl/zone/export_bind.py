"""A list as a master file (RFC 1035 §5), for BIND and whatever else reads one.

Networks of whole octets, or nibbles, are wildcards, others the wildcards they consist of. The text of a
wildcard names the first address of its network, or the name it stands below. IPv4-mapped addresses are
not among it but for the test points (RFC 5782 §5): a file would need a name for each.

Both families stand in one tree, in which an octet of one digit is a nibble too, and a wildcard stands for
names of any length (RFC 5782 §2.4): ``*.0.2`` would list 2.0.0.0/16 and 2000::/8. A name that hides a
wildcard may be of the other family as well (RFC 4592 §3.3.1). So nothing is said by a wildcard where both
families have names below it: there the networks inside are written out, at most ``MOST_FOR_AN_OCTET``
names for each first octet.
"""

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv6Address

from rbl.zone import export
from rbl.zone.answers import AnswerSet
from rbl.zone.export import Listed
from rbl.zone.index import Index
from rbl.zone.runs import Piece, networks
from rbl.zone.zonefile import ZoneFile

_OCTET, _NIBBLE = 8, 4
_IPV4_LABELS = 4
_FAMILIES_MEET = 10  # an octet below it is a nibble in the same letters
# 2.0.0.0/8: wildcards at 10.2 to 255.2, as many below each of 0.2 to 9.2, hosts below 0.0.2 to 9.9.2.
MOST_FOR_AN_OCTET = 246 + 10 * 246 + 100 * 256
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
    for whole in networks(listed.first, listed.last, listed.bits, step=_OCTET if ipv4 else _NIBBLE):
        for first, length in _unambiguous(*whole, listed.bits):
            subject = str(IPv4Address(first) if ipv4 else IPv6Address(first))
            yield from _records(zone, _name(first, length, listed.bits), subject, listed.answer)


def _unambiguous(first: int, length: int, bits: int) -> Iterator[Piece]:
    """Yield the network of whole labels, or those inside it: none at a name above both families."""
    size = _label_bits(bits)
    # An IPv4 name ends at its fourth label: what lies deeper is of IPv6 alone.
    deep = length >= _IPV4_LABELS * size
    if deep or any(label >= _FAMILIES_MEET for label in _labels(first, length, bits)):
        yield first, length
        return
    for label in range(1 << size):
        inside = length + size
        yield from _unambiguous(first | label << (bits - inside), inside, bits)


def _name(first: int, length: int, bits: int) -> str:
    """Return the name of a network of whole labels, relative to the apex."""
    written = [
        f"{label:d}" if bits == 32 else f"{label:x}" for label in reversed(_labels(first, length, bits))
    ]
    return ".".join(written if length == bits else ["*", *written])


def _labels(first: int, length: int, bits: int) -> list[int]:
    """Return the octets or nibbles of a network of whole labels, the first one first."""
    size = _label_bits(bits)
    return [first >> (bits - size * (at + 1)) & ((1 << size) - 1) for at in range(length // size)]


def _label_bits(bits: int) -> int:
    return _OCTET if bits == 32 else _NIBBLE


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
