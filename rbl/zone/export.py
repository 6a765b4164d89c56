"""What every form of a written-out list has in common: what is listed, and texts without fields.

The forms are in ``export_rbldnsd``, ``export_bind``, ``export_rpz`` and ``export_rows``: each yields lines.
What lies inside one another is flattened, so that whoever reads a file answers what the index answers.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address

from rbl.names import INVALID, TEST, Name, OwnerName
from rbl.zone.answers import AnswerSet
from rbl.zone.index import MAPPED, SIX_TO_FOUR, Index
from rbl.zone.ranges import Table
from rbl.zone.rbldnsd.nametext import key_of, text_of
from rbl.zone.runs import runs
from rbl.zone.zonefile import Kind, ZoneFile

_FIELD = re.compile(r"\{(address|url)\}")
_ANY = b"*"  # a label that no listed name has

# Mapped and 6to4 addresses, which are answered as the IPv4 address inside them, whatever lists the IPv6
# networks around them: first and last, ascending.
_IPV4_WITHIN = tuple(
    (int(network.network_address), int(network.broadcast_address)) for network in (MAPPED, SIX_TO_FOUR)
)

Pair = tuple[IPv4Address, str]
Named = tuple[OwnerName, AnswerSet | None]


@dataclass(frozen=True, slots=True)
class Listed:
    """A range of addresses that answers alike, in a family of *bits*."""

    first: int
    last: int
    bits: int
    answer: AnswerSet


def addresses(index: Index) -> Iterator[Listed]:
    """Yield every address that is listed, test points among them, IPv4 first; no two ranges overlap."""
    for table in (index.ipv4, index.ipv6):
        yield from _addresses(index, table)


def names(index: Index) -> Iterator[Named]:
    """Yield every listed name and wildcard, TEST first; None: it is excepted from a wildcard above it.

    For readers to whom a name decides before any wildcard, and of those the nearest.
    """
    if index.zone.kind is not Kind.NAMES:
        return
    yield OwnerName(TEST, wildcard=False), index.find_name(TEST)
    for rows, wildcard in ((index.names.exact, False), (index.names.wildcards, True)):
        for labels in rows:
            if wildcard or labels not in {TEST, INVALID}:
                yield from _named(index, OwnerName(labels, wildcard))


def names_and_above(index: Index) -> Iterator[Named]:
    """Yield what ``names`` does, and what the names that stand between are, with those below them.

    For master files, where a wildcard says nothing of names that exist nor of those below them
    (RFC 4592 §2.2.1, §3.3.1).
    """
    if index.zone.kind is not Kind.NAMES:
        return
    known = (TEST, INVALID, *index.names.exact, *index.names.wildcards)
    for labels in dict.fromkeys(name[at:] for name in known for at in range(len(name) + 1)):
        if labels:
            yield from _named(index, OwnerName(labels, wildcard=False))
        yield from _named(index, OwnerName(labels, wildcard=True))


def _named(index: Index, subject: OwnerName) -> Iterator[Named]:
    labels = subject.labels
    answer = index.find_name((_ANY, *labels) if subject.wildcard else labels)
    above = (index.names.wildcards.get(labels[at:], ()) for at in range(1, len(labels) + 1))
    if answer is not None or any(map(index.vocabulary.joint_answer, above)):
        yield subject, answer


def pairs(index: Index) -> dict[AnswerSet, list[Pair]]:
    """Return values and texts of every answer side by side, for the forms that know only pairs.

    A reason's values stand with its text, so that whoever takes a list in again finds the reasons.
    """
    vocabulary, reasons = index.vocabulary, index.zone.reasons
    found = {}
    # Test points are no combination of causes: they have one value, or one text.
    for answer in vocabulary.answers:
        if answer is not None:
            found[answer] = [(value, text) for value in answer.values for text in answer.texts]
    for causes in vocabulary.combinations:
        answer = vocabulary.answers[vocabulary.answer(causes)]
        assert answer is not None
        named = [vocabulary.causes[cause] for cause in causes]
        told = [(reasons[name], reasons[name].text if text is None else text) for name, text in named]
        each = ((value, text) for reason, text in told for value in reason.addresses)
        found[answer] = list(dict.fromkeys(each))
    return found


def pieces(zone: ZoneFile, template: str) -> list[str]:
    """Return *template* in pieces, between two of which stands what was asked for."""
    found = [""]
    done = 0
    for field in _FIELD.finditer(template):
        found[-1] += template[done : field.start()]
        done = field.end()
        filling = zone.url.split("{address}") if field[1] == "url" else ["", ""]
        found[-1] += filling[0]
        found += filling[1:]
    found[-1] += template[done:]
    return found


def dotted(labels: Name) -> str:
    """Return a name as text with every odd octet escaped (RFC 1035 §5.1), without the final dot."""
    return text_of(key_of(labels)).decode("ascii")


def _addresses(index: Index, table: Table) -> Iterator[Listed]:
    bits, answers = table.family.bits, index.vocabulary.answers
    elsewhere = _IPV4_WITHIN if bits == 128 else ()
    for first, last, number in runs(table):
        answer = answers[number]
        assert answer is not None
        for hole_first, hole_last in elsewhere:
            if first < hole_first <= last:
                yield Listed(first, hole_first - 1, bits, answer)
            if first <= hole_last and last >= hole_first:
                first = hole_last + 1  # noqa: PLW2901 — what is left of the range
        if first <= last:
            yield Listed(first, last, bits, answer)
