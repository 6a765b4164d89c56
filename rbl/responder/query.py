"""Taking a query apart: a strict parser of header, one question and OPT, for bytes from anybody.

A query is read once, from front to back, in time proportional to its length; compression pointers
are never followed (a question has nothing to point at), and no input raises. What is declined is
answered from what was understood up to there. Choosing the answer is left to ``answer``, packing
to ``wire``.

RFC 1035 §4.1, RFC 6891 §6.1 (OPT), RFC 5001 (NSID), RFC 7873 §5.2 (COOKIE), RFC 8945 §5.2 (TSIG
comes last), RFC 9619 (exactly one question). Logs nothing.
"""

import struct
from dataclasses import dataclass, replace

from rbl.responder.codes import Option, Rcode, Rtype

HEADER_OCTETS = 12
QR = 0x8000
OPCODE_MASK = 0x7800

_NAME_OCTETS = 255  # RFC 1035 §2.3.4, with the root's zero octet
_LABEL_OCTETS = 63  # RFC 1035 §2.3.4; above it stand pointers and the label types of RFC 2673
_ADDITIONAL_RECORDS = 8  # OPT, TSIG or SIG(0), and room for what is not invented yet
_OPTIONS = 64  # about 15 are registered; those after so many are passed over
_POINTER = 0xC0
_DNSSEC_OK = 0x8000
_COOKIE_OCTETS = frozenset({8, *range(16, 41)})  # RFC 7873 §5.2.2: client 8, server 8 to 32

_HEADER = struct.Struct("!6H")
_TYPE_CLASS = struct.Struct("!HH")
_RECORD = struct.Struct("!HHIH")


@dataclass(frozen=True, slots=True)
class Edns:
    """The OPT record of a query. *cookie* is the COOKIE option's value, None without one."""

    udp_octets: int
    version: int = 0
    dnssec_ok: bool = False
    nsid: bool = False
    cookie: bytes | None = None


@dataclass(frozen=True, slots=True)
class Query:
    """A well-formed query. *qname* is lower case without the root; *question* is as it came (0x20).

    *question* is empty in a query for a cookie alone (RFC 7873 §5.4), and so are the three before it.
    """

    id: int
    flags: int
    qname: tuple[bytes, ...]
    qtype: int
    qclass: int
    question: bytes
    edns: Edns | None


@dataclass(frozen=True, slots=True)
class Declined:
    """A query that is answered *rcode* at once, with the question and OPT as far as they were read."""

    id: int
    flags: int
    rcode: Rcode
    question: bytes = b""
    edns: Edns | None = None


def parse(packet: bytes, *, lenient: bool = False) -> Query | Declined | None:
    """Return *packet* taken apart, why it is declined, or None where it must not be answered.

    *lenient*, as rbldnsd is: whatever comes after the question is passed over, but for OPT and its form.

    Not answered: less than a header, and responses, for two servers would answer each other for
    ever. NOTIMP: any opcode but QUERY, whatever follows the header, since that may have any form; its
    OPT is read where it has the form of a query.
    FORMERR: not exactly one question, records where a query has none, two OPTs, octets left over.
    A query without a question that asks for a cookie is well formed (RFC 7873 §5.4), and so is one of
    another EDNS version, which is told of that first (RFC 6891 §6.1.3).
    """
    if len(packet) < HEADER_OCTETS:
        return None
    identity, flags, questions, answers, authorities, additionals = _HEADER.unpack_from(packet)
    if flags & QR:
        return None
    if flags & OPCODE_MASK:
        edns = _edns_behind(packet, questions, additionals) if answers == authorities == 0 else None
        return Declined(identity, flags, Rcode.NOTIMP, edns=edns)
    if questions == answers == authorities == 0:
        return _parse_cookie_query(packet, identity, flags, additionals)
    name_end = _name_end(packet) if questions == 1 else None
    if name_end is None or name_end + _TYPE_CLASS.size > len(packet):
        return Declined(identity, flags, Rcode.FORMERR)
    end = name_end + _TYPE_CLASS.size
    question = packet[HEADER_OCTETS:end]
    qtype, qclass = _TYPE_CLASS.unpack_from(packet, name_end)
    edns = None
    if lenient:
        edns, well_formed = _pass_over_records(packet, end, answers + authorities, additionals)
        if not well_formed:
            return Declined(identity, flags, Rcode.FORMERR, question, edns)
        return Query(identity, flags, _labels(packet, name_end), qtype, qclass, question, edns)
    # IXFR brings the SOA it has in AUTHORITY (RFC 1995 §3); nothing else brings records there.
    well_formed = answers == 0 and authorities <= (qtype == Rtype.IXFR)
    if well_formed and (authorities or additionals or end != len(packet)):
        edns, well_formed = _read_records(packet, end, authorities, additionals)
    if not well_formed:
        return Declined(identity, flags, Rcode.FORMERR, question, edns)
    return Query(identity, flags, _labels(packet, name_end), qtype, qclass, question, edns)


def _edns_behind(packet: bytes, questions: int, additionals: int) -> Edns | None:
    """Return the OPT of a packet of an opcode that is not known, None where it is no form of ours."""
    end = HEADER_OCTETS
    if questions:
        name_end = _name_end(packet) if questions == 1 else None
        if name_end is None or name_end + _TYPE_CLASS.size > len(packet):
            return None
        end = name_end + _TYPE_CLASS.size
    edns, well_formed = _read_records(packet, end, 0, additionals)
    return edns if well_formed else None


def _parse_cookie_query(packet: bytes, identity: int, flags: int, additionals: int) -> Query | Declined:
    edns, well_formed = _read_records(packet, HEADER_OCTETS, 0, additionals)
    if well_formed and edns is not None and (edns.version or edns.cookie is not None):
        return Query(identity, flags, (), 0, 0, b"", edns)
    return Declined(identity, flags, Rcode.FORMERR, b"", edns)


def _name_end(packet: bytes) -> int | None:
    """Return the offset after the qname, or None: too long, cut short, compressed."""
    offset = HEADER_OCTETS
    while offset < len(packet) and offset < HEADER_OCTETS + _NAME_OCTETS:
        length = packet[offset]
        offset += 1 + length
        if length == 0:
            return offset
        if length > _LABEL_OCTETS:
            return None
    return None


def _labels(packet: bytes, name_end: int) -> tuple[bytes, ...]:
    """Return the labels of the well-formed qname in lower case (ASCII only, RFC 4343 §2.1)."""
    # A length octet is at most 63 and so no letter: lowering the whole leaves it as it is.
    name = packet[HEADER_OCTETS:name_end].lower()
    labels = []
    offset = 0
    while length := name[offset]:
        labels.append(name[offset + 1 : offset + 1 + length])
        offset += 1 + length
    return tuple(labels)


def _read_records(
    packet: bytes, offset: int, authorities: int, additionals: int
) -> tuple[Edns | None, bool]:
    """Return the OPT among the records from *offset* on, and whether all of them are well formed."""
    edns = None
    if additionals > _ADDITIONAL_RECORDS:
        return None, False
    for left in range(authorities + additionals - 1, -1, -1):
        fixed = _skip_name(packet, offset)
        if fixed is None or fixed + _RECORD.size > len(packet):
            return edns, False
        rtype, rclass, ttl, length = _RECORD.unpack_from(packet, fixed)
        start = fixed + _RECORD.size
        end = start + length
        in_authority = left >= additionals
        if end > len(packet) or (in_authority and rtype != Rtype.SOA) or (rtype == Rtype.TSIG and left):
            return edns, False
        if rtype == Rtype.OPT:
            # RFC 6891 §6.1.1: two of them are FORMERR; §6.1.2: its owner is the root.
            if edns is not None or fixed != offset + 1:
                return edns, False
            edns, well_formed = _read_opt(rclass, ttl, packet[start:end])
            if not well_formed:
                return edns, False
        offset = end
    return edns, offset == len(packet)


def _pass_over_records(
    packet: bytes, offset: int, others: int, additionals: int
) -> tuple[Edns | None, bool]:
    """Return the OPT among the *additionals* that come after *others*, and whether it is well formed.

    What is no record, and what comes after it, is passed over.
    """
    edns = None
    for number in range(min(others + additionals, _ADDITIONAL_RECORDS)):
        fixed = _skip_name(packet, offset)
        if fixed is None or fixed + _RECORD.size > len(packet):
            break
        rtype, rclass, ttl, length = _RECORD.unpack_from(packet, fixed)
        start = fixed + _RECORD.size
        is_opt = rtype == Rtype.OPT and number >= others
        if is_opt and (edns is not None or fixed != offset + 1 or start + length > len(packet)):
            return edns, False
        if is_opt:
            edns, well_formed = _read_opt(rclass, ttl, packet[start : start + length])
            if not well_formed:
                return edns, False
        offset = start + length
    return edns, True


def _read_opt(rclass: int, ttl: int, rdata: bytes) -> tuple[Edns, bool]:
    """Return the OPT whose class, TTL and rdata these are, and whether its options are well formed."""
    edns = Edns(rclass, ttl >> 16 & 0xFF, bool(ttl & _DNSSEC_OK))
    if edns.version or not rdata:
        return edns, True  # another version's options may have another form
    read = _read_options(rdata, edns)
    return (edns, False) if read is None else (read, True)


def _skip_name(packet: bytes, start: int) -> int | None:
    """Return the offset after the owner name at *start*; a pointer ends it and is not followed."""
    offset = start
    while offset < len(packet) and offset < start + _NAME_OCTETS:
        length = packet[offset]
        if length == 0:
            return offset + 1
        if length >= _POINTER:
            return offset + 2
        if length > _LABEL_OCTETS:
            return None
        offset += 1 + length
    return None


def _read_options(rdata: bytes, edns: Edns) -> Edns | None:
    """Return *edns* with the options in *rdata*, or None where they are malformed.

    Options that are not known here are passed over (RFC 6891 §6.1.2), and so is what a client
    writes into NSID (RFC 5001 §2.1).
    """
    offset = 0
    nsid = False
    cookie = None
    for _ in range(_OPTIONS):
        if offset == len(rdata):
            break
        if offset + _TYPE_CLASS.size > len(rdata):
            return None
        code, length = _TYPE_CLASS.unpack_from(rdata, offset)
        start = offset + _TYPE_CLASS.size
        offset = start + length
        if offset > len(rdata):
            return None
        if code == Option.NSID:
            nsid = True
        elif code == Option.COOKIE and cookie is None:
            if length not in _COOKIE_OCTETS:
                return None  # RFC 7873 §5.2.2: FORMERR
            cookie = rdata[start:offset]
    return replace(edns, nsid=nsid, cookie=cookie)
