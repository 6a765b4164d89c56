"""What every form of a written-out list has in common: what is listed, and texts without fields.

The forms are in ``export_rbldnsd``, ``export_bind``, ``export_rpz`` and ``export_rows``: each yields lines.
What lies inside one another is flattened, so that whoever reads a file answers what the index answers.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address

from rbl.names import INVALID, TEST, Name, OwnerName
from rbl.zone.answers import EXEMPTION, AnswerSet
from rbl.zone.index import Index
from rbl.zone.ranges import Table
from rbl.zone.rbldnsd.nametext import key_of, text_of
from rbl.zone.runs import runs
from rbl.zone.zonefile import Kind, ZoneFile

_FIELD = re.compile(r"\{(address|url)\}")


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


def names(index: Index) -> Iterator[tuple[OwnerName, AnswerSet | None]]:
    """Yield every listed name and wildcard, TEST first; None: an exemption."""
    if index.zone.kind is not Kind.NAMES:
        return
    vocabulary = index.vocabulary
    test = vocabulary.answers[vocabulary.test_name]
    assert test is not None
    yield OwnerName(TEST, wildcard=False), test
    for rows, wildcard in ((index.names.exact, False), (index.names.wildcards, True)):
        for labels, causes in rows.items():
            if not wildcard and labels in {TEST, INVALID}:
                continue
            exempt = EXEMPTION in causes
            answer = None if exempt else vocabulary.answers[vocabulary.joint_answer(causes)]
            if exempt or answer is not None:
                yield OwnerName(labels, wildcard), answer


def pairs(answer: AnswerSet) -> list[tuple[IPv4Address, str]]:
    """Return values and texts side by side, each at least once: some forms know only pairs."""
    texts = answer.texts or ("",)
    count = max(len(answer.values), len(texts))
    return [(answer.values[at % len(answer.values)], texts[at % len(texts)]) for at in range(count)]


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
    for first, last, number in runs(table):
        answer = answers[number]
        assert answer is not None
        yield Listed(first, last, bits, answer)
