"""Answers from rbldnsd's data files in the form that the compiled path reads; see _hotpath_fileanswers.pxi.

Pure: values and records in, octets out. Logs nothing.
"""

import struct
from collections.abc import Iterable, Sequence

from rbl.responder.codes import Rclass
from rbl.responder.filerecords import POINTER, RECORD
from rbl.responder.query import HEADER_OCTETS
from rbl.zone.rbldnsd.generic import TXT, A, Record
from rbl.zone.rbldnsd.part import Member
from rbl.zone.rbldnsd.template import Template, render

# As in _hotpath_fileanswers.pxi.
_SET = struct.Struct("!BHHI")
_RECORDS, _TEXTS = 1, 2
_MOST_TEXTS = 32
UP = b"\0"  # an answer that ``filezones`` gives
# As in _hotpath_words.pxi.
_END, _TEXT, _LITERAL, _SUBJECT = b"\0", b"\1", b"\2", b"\3"

_MOST_RECORDS = 0xFFFF  # that a section can count
_OWNER = POINTER | HEADER_OCTETS  # a compression pointer to the question
# The most frequent set, of one address.
_ONE_ADDRESS = struct.Struct("!BHHI HHHIH 4s")
_LITERAL_OCTETS = 254  # nothing of a longer one would be told


def answer_of(members: Sequence[Member]) -> bytes:
    """Return what *members* answer, in the form that the hot path reads."""
    # Who sees it, and when, is not decided here.
    if len(members) > _MOST_RECORDS or any(member.condition is not None for member in members):
        return UP
    addresses = _addresses(members)
    told = members if len(members) == 1 else tuple({member.text: member for member in members}.values())
    told = [member for member in told if member.text != (b"",)]
    if not told:
        return b"\1" + addresses
    ttl_seconds = min(member.ttl_seconds for member in members if member.text != (b"",))
    if all(len(member.text) == 1 for member in told):
        texts = [render(member.text, b"") for member in told]
        return b"\2" + addresses + _packed(TXT, ttl_seconds, [bytes((len(text),)) + text for text in texts])
    if len(told) > _MOST_TEXTS:
        return UP
    pieces = ttl_seconds.to_bytes(4) + b"".join([_pieces(member.text) for member in told]) + _END
    return b"\2" + addresses + _SET.pack(_TEXTS, TXT, len(told), len(pieces)) + pieces


def _addresses(members: Sequence[Member]) -> bytes:
    """Return the set of the A records of *members*."""
    if len(members) == 1:  # nearly always
        ttl_seconds, address = members[0].ttl_seconds, members[0].address
        octets = RECORD.size + len(address)
        return _ONE_ADDRESS.pack(
            _RECORDS, A, 1, octets, _OWNER, A, Rclass.IN, ttl_seconds, len(address), address
        )
    ttl_seconds = min((member.ttl_seconds for member in members), default=0)
    return _packed(A, ttl_seconds, [member.address for member in members])


def _pieces(template: Template) -> bytes:
    literals = (text[:_LITERAL_OCTETS] for text in template)
    packed = (_LITERAL + len(text).to_bytes(2) + text if text else b"" for text in literals)
    return _TEXT + _SUBJECT.join(packed)


def answer_of_records(records: Sequence[Record]) -> bytes:
    """Return what one owner of ordinary records answers: a set for each type, in their order."""
    if len(records) > _MOST_RECORDS:
        return UP
    by_type: dict[int, list[Record]] = {}
    for record in records:
        by_type.setdefault(record.rtype, []).append(record)
    sets = [
        _packed(rtype, min(each.ttl_seconds for each in alike), [each.rdata for each in alike])
        for rtype, alike in by_type.items()
    ]
    return bytes((len(sets),)) + b"".join(sets)


def _packed(rtype: int, ttl_seconds: int, rdatas: Iterable[bytes]) -> bytes:
    """Return a set of packed records, in which each rdata is once."""
    distinct = dict.fromkeys(rdatas)
    records = [RECORD.pack(_OWNER, rtype, Rclass.IN, ttl_seconds, len(rdata)) + rdata for rdata in distinct]
    octets = b"".join(records)
    return _SET.pack(_RECORDS, rtype, len(records), len(octets)) + octets
