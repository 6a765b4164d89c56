"""Answers from data files as the compiled path reads them; test_hotfiles.py holds what it makes of them."""

import struct
from collections.abc import Iterator

import pytest

from rbl.responder.fileanswers import UP, answer_of, answer_of_records
from rbl.zone.rbldnsd.generic import Record
from rbl.zone.rbldnsd.part import Member
from rbl.zone.rbldnsd.values import Condition

_RECORDS, _TEXTS = 1, 2
_HEADER = struct.Struct("!BHHI")  # kind, type, count, octets
_RECORD = struct.Struct("!HHHIH")  # owner, type, class, TTL, octets
_OWNER, _IN, _A, _MX, _TXT = 0xC00C, 1, 1, 15, 16


def _sets(answer: bytes) -> Iterator[tuple[int, int, object]]:
    """Yield kind, type and content of each set: the TTL and data of records, octets of texts."""
    at = 1
    for _ in range(answer[0]):
        kind, rtype, count, octets = _HEADER.unpack_from(answer, at)
        at += _HEADER.size
        content = answer[at : at + octets]
        at += octets
        if kind == _RECORDS:
            records = []
            while content:
                owner, of_type, rclass, ttl_seconds, length = _RECORD.unpack_from(content)
                assert (_OWNER, rtype, _IN) == (owner, of_type, rclass)
                records.append((ttl_seconds, content[_RECORD.size : _RECORD.size + length]))
                content = content[_RECORD.size + length :]
            assert count == len(records)
            yield kind, rtype, records
        else:
            yield kind, rtype, (count, content)
    assert at == len(answer)


def _member(value: int, *text: bytes, ttl_seconds: int = 300) -> Member:
    return Member(bytes((127, 0, 0, value)), text, ttl_seconds, None)


_TWO, _THREE = b"\x7f\0\0\2", b"\x7f\0\0\3"
_PIECES = b"\0\0\1\x2c" + b"\1\2\0\3at \3" + b"\0"  # TTL; a text, three octets of it, the subject; the end


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ([_member(2, b"")], [(_RECORDS, _A, [(300, _TWO)])]),
        ([_member(2, b"x")], [(_RECORDS, _A, [(300, _TWO)]), (_RECORDS, _TXT, [(300, b"\1x")])]),
        ([_member(2, b"at ", b"")], [(_RECORDS, _A, [(300, _TWO)]), (_TEXTS, _TXT, (1, _PIECES))]),
        # Each value and each text once, and the smallest TTL for all.
        (
            [_member(2, b"x"), _member(3, b"x", ttl_seconds=60), _member(2, b"")],
            [(_RECORDS, _A, [(60, _TWO), (60, _THREE)]), (_RECORDS, _TXT, [(60, b"\1x")])],
        ),
    ],
    ids=["no text", "a text", "a text with the subject", "several"],
)
def test_answers_of_entries(members: list[Member], expected: list[object]) -> None:
    """Values and texts come as packed records, texts that tell the subject in pieces."""
    assert expected == list(_sets(answer_of(members)))


def test_what_is_left_to_the_reference_path() -> None:
    """An entry under a condition, and more texts with the subject than there is room for."""
    conditional = Member(_TWO, (b"",), 300, Condition())
    many = [_member(2, b"%d " % number, b"") for number in range(33)]

    assert [UP, UP] == [answer_of([conditional]), answer_of(many)]
    assert UP != answer_of(many[:32])


def test_answers_of_records() -> None:
    """Records of one owner are in a set for each type, with the smallest TTL of each."""
    mail = b"\0\12\2mx\0"
    records = [Record(_A, 300, _TWO), Record(_MX, 900, mail), Record(_A, 60, _THREE), Record(_A, 60, _TWO)]

    assert [
        (_RECORDS, _A, [(60, _TWO), (60, _THREE)]),
        (_RECORDS, _MX, [(900, mail)]),
    ] == list(_sets(answer_of_records(records)))
