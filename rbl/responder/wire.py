"""Packing: what an answer says, as bytes. dnslib's record types define the form of every record.

RRsets are packed once, when a zone or its serial changes, and their octets are joined for each
answer: dnslib's own packer costs more than everything else together. Owner names are always
pointers into the question, so that they come back in the case they were asked in (RFC 4343 §4.1,
"0x20"); names within rdata are not compressed. dnslib never sees what came from the net: ``query``
takes packets apart.

RFC 1035 §4.1, RFC 2181 §9 (truncation), RFC 5001 (NSID), RFC 6891 (OPT), RFC 8914 (EDE).
Logs nothing.
"""

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address

from dnslib import AAAA, EDNS0, MX, NS, RD, RR, SOA, TXT, A, EDNSOption
from dnslib.label import DNSBuffer, DNSLabel

from rbl.config import Dns
from rbl.names import Name
from rbl.responder.codes import ExtendedError, Option, Outcome, Rclass, Rcode, Rtype, Transport
from rbl.responder.lookup import Hit
from rbl.responder.query import HEADER_OCTETS, OPCODE_MASK, QR, Declined, Edns, Query
from rbl.terms import Address

_AA = 0x0400
_TC = 0x0200
# Copied from the query: RD (RFC 1035 §4.1.1) and CD (RFC 4035 §3.1.6: "MUST be copied", also by a
# server that signs nothing). RA and AD stay 0: no recursion is offered and no data is validated.
_COPIED = 0x0110
_POINTER = 0xC000
_QNAME = struct.pack("!H", _POINTER | HEADER_OCTETS)

EdnsOption = tuple[int, bytes]  # its code and its value

_HEADER = struct.Struct("!6H")
_NO_EDNS_OCTETS = 512  # RFC 1035 §4.2.1; RFC 6891 §6.2.3: a smaller size counts as this
_TCP_OCTETS = 65535  # what its two octets of length can say
_STRING_OCTETS = 255  # RFC 1035 §3.3: a character-string
_TEXT_OCTETS = 4096  # of one TXT record; far above what a mail server shows, far below an RDLENGTH
_OPT_FIXED_OCTETS = 11  # RFC 6891 §6.1.2: root, type, class, TTL and, last, the length of the options
_NSID_OCTETS = 128  # an answer with it and the longest question still fits 512 octets


class _PlainBuffer(DNSBuffer):  # type: ignore[misc]  # dnslib has no types
    """A buffer in which names are not compressed: its offsets are not those of the message."""

    def encode_name(self, name: DNSLabel) -> None:
        self.encode_name_nocompress(name)


@dataclass(frozen=True, slots=True)
class RRset:
    """Packed records of one owner, which is the qname until ``below`` says otherwise."""

    count: int
    octets: bytes

    def below(self, labels_octets: int) -> "RRset":
        """Return this set of one record, owned by the qname without its first *labels_octets*."""
        pointer = struct.pack("!H", _POINTER | (HEADER_OCTETS + labels_octets))
        return RRset(self.count, pointer + self.octets[2:])


@dataclass(frozen=True, slots=True)
class Response:
    """What is answered to a query, before it is packed; *zone* and *outcome* are for the counters."""

    rcode: Rcode
    outcome: Outcome
    zone: str = ""
    authoritative: bool = False
    answer: RRset | None = None
    authority: RRset | None = None
    extended_error: ExtendedError | None = None
    extra_text: str = ""  # for people, beside extended_error
    truncated: bool = False  # TC, whatever the size
    additional: RRset | None = None  # addresses of name servers; the OPT comes after them
    key: str = ""  # the digest of the customer's key that was asked with
    hit: Hit | None = None  # what was found in the list


@lru_cache(maxsize=1024)
def pack_addresses(values: tuple[Address, ...], ttl_seconds: int) -> RRset | None:
    """Return the A or AAAA set of *values*, which are of one family; None for no values."""
    if not values:
        return None
    if isinstance(values[0], IPv4Address):
        return _rrset(Rtype.A, ttl_seconds, (A(tuple(value.packed)) for value in values))
    return _rrset(Rtype.AAAA, ttl_seconds, (AAAA(tuple(value.packed)) for value in values))


def pack_texts(texts: Iterable[str], ttl_seconds: int, rclass: Rclass = Rclass.IN) -> RRset | None:
    """Return the TXT set of *texts*, each cut to 4,096 octets and split in strings of 255."""
    return _rrset(Rtype.TXT, ttl_seconds, (TXT(_strings(text)) for text in texts), rclass)


def pack_name_servers(names: Iterable[Name], ttl_seconds: int) -> RRset | None:
    """Return the NS set of *names*."""
    return _rrset(Rtype.NS, ttl_seconds, (NS(DNSLabel(name)) for name in names))


def pack_mail_exchangers(exchangers: Iterable[tuple[int, Name]], ttl_seconds: int) -> RRset | None:
    """Return the MX set of preferences and names."""
    rdatas = (MX(DNSLabel(name), preference) for preference, name in exchangers)
    return _rrset(Rtype.MX, ttl_seconds, rdatas)


def pack_soa(mname: Name, rname: Name, times: tuple[int, int, int, int, int], ttl_seconds: int) -> RRset:
    """Return the SOA; *times* are serial, refresh, retry, expire and minimum (RFC 1035 §3.3.13)."""
    rrset = _rrset(Rtype.SOA, ttl_seconds, [SOA(DNSLabel(mname), DNSLabel(rname), times)])
    assert rrset is not None
    return rrset


def pack(query: Query, response: Response, transport: Transport, dns: Dns, cookie: bytes = b"") -> bytes:
    """Return the packet that answers *query* with *response*, and with the COOKIE option *cookie*.

    Where the whole does not fit: TC, the question and the OPT, never part of an RRset (RFC 2181 §9,
    RFC 6891 §7).
    """
    opt = b"" if query.edns is None else _opt_for(query.edns, response, dns)
    if cookie:
        opt = _with_option(opt, Option.COOKIE, cookie)
    answer, authority, additional = response.answer, response.authority, response.additional
    flags = QR | query.flags & _COPIED | response.rcode & 0xF
    if response.authoritative:
        flags |= _AA
    octets = HEADER_OCTETS + len(query.question) + len(opt)
    octets += len(answer.octets) if answer else 0
    octets += len(authority.octets) if authority else 0
    octets += len(additional.octets) if additional else 0
    if response.truncated or octets > _size_limit(query.edns, transport, dns):
        flags |= _TC
        answer = authority = additional = None
    return b"".join(
        (
            _HEADER.pack(
                query.id,
                flags,
                1 if query.question else 0,
                answer.count if answer else 0,
                authority.count if authority else 0,
                (additional.count if additional else 0) + (1 if opt else 0),
            ),
            query.question,
            answer.octets if answer else b"",
            authority.octets if authority else b"",
            additional.octets if additional else b"",
            opt,
        )
    )


def pack_declined(declined: Declined, dns: Dns, cookie: bytes = b"") -> bytes:
    """Return the packet that says *declined*, with the question and the OPT where they were read.

    *cookie* is the value of the COOKIE option for that OPT, empty for none.
    """
    opt = b""
    if declined.edns is not None:
        opt = _opt(dns.max_udp_octets, 0, declined.edns.dnssec_ok, ())
    if cookie:
        opt = _with_option(opt, Option.COOKIE, cookie)
    flags = QR | _copied(declined.flags) | declined.rcode
    counts = (1 if declined.question else 0, 0, 0, 1 if opt else 0)
    return _HEADER.pack(declined.id, flags, *counts) + declined.question + opt


def pack_servfail(packet: bytes) -> bytes | None:
    """Return SERVFAIL for *packet* from its header alone: for when answering itself failed."""
    if len(packet) < HEADER_OCTETS:
        return None
    identity, flags = struct.unpack_from("!HH", packet)
    return _HEADER.pack(identity, QR | _copied(flags) | Rcode.SERVFAIL, 0, 0, 0, 0)


def error_options(response: Response) -> tuple[EdnsOption, ...]:
    """Return the EDNS option that says why *response* is not what was wanted, where it says so."""
    if response.extended_error is None:
        return ()
    value = struct.pack("!H", response.extended_error) + response.extra_text.encode()
    return ((Option.EDE, value),)


def nsid_options(dns: Dns) -> tuple[EdnsOption, ...]:
    """Return the EDNS option that says which server answers, where that is told."""
    return ((Option.NSID, dns.server_id.encode()[:_NSID_OCTETS]),) if dns.server_id else ()


def _copied(flags: int) -> int:
    """Return what comes back of a query's *flags*.

    Of an opcode that is not known the opcode alone: nobody knows what its other flags would mean.
    """
    return flags & (OPCODE_MASK if flags & OPCODE_MASK else _COPIED)


def _rrset(
    rtype: Rtype, ttl_seconds: int, rdatas: Iterable[RD], rclass: Rclass = Rclass.IN
) -> RRset | None:
    """Return *rdatas* as records owned by the qname, or None where there are none."""
    packed = []
    for rdata in rdatas:
        buffer = _PlainBuffer()
        RR((), rtype, rclass, ttl_seconds, rdata).pack(buffer)
        packed.append(_QNAME + bytes(buffer.data[1:]))  # in place of the root's zero octet
    return RRset(len(packed), b"".join(packed)) if packed else None


def _strings(text: str) -> list[bytes]:
    """Return *text* as character-strings; most clients show only the first (RFC 1035 §3.3.14)."""
    octets = text.encode("utf-8", "replace")[:_TEXT_OCTETS]
    return [octets[at : at + _STRING_OCTETS] for at in range(0, len(octets), _STRING_OCTETS)] or [b""]


def _size_limit(edns: Edns | None, transport: Transport, dns: Dns) -> int:
    """Return the octets that an answer to a query with *edns* may have."""
    if transport is Transport.TCP:
        return _TCP_OCTETS
    asked = _NO_EDNS_OCTETS if edns is None else max(_NO_EDNS_OCTETS, edns.udp_octets)
    return min(asked, dns.max_udp_octets)


def _opt_for(edns: Edns, response: Response, dns: Dns) -> bytes:
    """Return the OPT of an answer to a query that had *edns*."""
    options = error_options(response)
    if edns.nsid:
        options += nsid_options(dns)
    return _opt(dns.max_udp_octets, response.rcode >> 4, edns.dnssec_ok, options)


def _with_option(opt: bytes, code: Option, value: bytes) -> bytes:
    """Return the OPT record *opt* with one more option at its end: for values that never come twice."""
    length = int.from_bytes(opt[_OPT_FIXED_OCTETS - 2 : _OPT_FIXED_OCTETS]) + 4 + len(value)
    return b"".join(
        (
            opt[: _OPT_FIXED_OCTETS - 2],
            length.to_bytes(2),
            opt[_OPT_FIXED_OCTETS:],
            struct.pack("!HH", code, len(value)),
            value,
        )
    )


@lru_cache(maxsize=1024)
def _opt(
    udp_octets: int,
    extended_rcode: int,
    dnssec_ok: bool,  # noqa: FBT001  # lru_cache hashes positional arguments fastest
    options: tuple[EdnsOption, ...],
) -> bytes:
    """Return an OPT record; DO comes back as it was asked (RFC 3225 §3)."""
    opt = EDNS0(
        (),
        ext_rcode=extended_rcode,
        flags="do" if dnssec_ok else "",
        udp_len=udp_octets,
        opts=[EDNSOption(code, value) for code, value in options],
    )
    buffer = _PlainBuffer()
    opt.pack(buffer)
    return bytes(buffer.data)
