"""What is answered to a packet: one pure function, the order of its checks, and one function an outcome.

Bytes in, bytes out: no socket, no clock, no SQL. ``query`` takes the packet apart, ``catalogue`` has
the zones, ``wire`` packs. RFC 5782 §2 and §3 (what a name asks), RFC 1034 §4.3.2, RFC 2308 §2
(NXDOMAIN, NODATA), RFC 8020 (what exists), RFC 8482 (ANY), RFC 4892 and RFC 5001 (who answers).
Logs nothing.
"""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from rbl.addresses import networks_of_labels
from rbl.config import Dns
from rbl.responder import wire
from rbl.responder.catalogue import Catalogue, ServedIndex, ServedZone
from rbl.responder.codes import ExtendedError, Outcome, Rclass, Rcode, Rtype, Transport
from rbl.responder.query import Declined, Query, parse
from rbl.responder.wire import Response, RRset
from rbl.terms import Address
from rbl.zone.answers import AnswerSet
from rbl.zone.index import Index
from rbl.zone.names import Name
from rbl.zone.zonefile import Kind

_TRANSFERS = frozenset({Rtype.AXFR, Rtype.IXFR})
# RFC 4892 §2, and the older names that BIND and NSD answer too.
_CHAOS_VERSION = frozenset({(b"version", b"bind"), (b"version", b"server")})
_CHAOS_SERVER = frozenset({(b"id", b"server"), (b"hostname", b"bind")})
_PLAIN = frozenset(b"abcdefghijklmnopqrstuvwxyz0123456789-_")


@dataclass(frozen=True, slots=True)
class Reply:
    """The packet to send back, None for nothing; *zone* (or empty) and *outcome* are for the counters."""

    packet: bytes | None
    zone: str
    outcome: Outcome


def answer(packet: bytes, catalogue: Catalogue, transport: Transport, dns: Dns) -> Reply:
    """Return the reply to *packet*, whatever it holds."""
    query = parse(packet)
    if query is None:
        return Reply(None, "", Outcome.DROPPED)
    if isinstance(query, Declined):
        return Reply(wire.pack_declined(query, dns), "", Outcome.DECLINED)
    response = respond(query, catalogue, dns)
    return Reply(wire.pack(query, response, transport, dns), response.zone, response.outcome)


def respond(query: Query, catalogue: Catalogue, dns: Dns) -> Response:
    """Return what is answered to a well-formed *query*: the first rule that fits."""
    if query.edns is not None and query.edns.version:
        return refuse_version()
    if query.qclass == Rclass.CH:
        return answer_chaos(query, dns)
    zone = catalogue.find(query.qname) if query.qclass == Rclass.IN else None
    if zone is None:
        return refuse_foreign()
    if query.qtype in _TRANSFERS:
        return refuse_transfer(zone)
    served = zone.served
    if served is None:
        return answer_not_ready(zone)
    labels = query.qname[: len(query.qname) - len(zone.file.apex)]
    if not labels:
        return answer_apex(query, zone, served)
    listed, exists = _look_up(served.index, zone.file.kind, labels)
    if listed is not None:
        return answer_listed(query, zone, served, listed)
    if exists or catalogue.has_zone_below(query.qname):
        return answer_nodata(query, zone, served)
    return answer_nxdomain(query, zone, served)


def refuse_version() -> Response:
    """BADVERS: the OPT of the answer names version 0, the one known here (RFC 6891 §6.1.3)."""
    return Response(Rcode.BADVERS, Outcome.DECLINED)


def answer_chaos(query: Query, dns: Dns) -> Response:
    """Tell the server's version or name where they are configured; nothing else is in this class."""
    text = ""
    if query.qtype in (Rtype.TXT, Rtype.ANY):
        if query.qname in _CHAOS_VERSION:
            text = dns.version
        elif query.qname in _CHAOS_SERVER:
            text = dns.server_id
    if not text:
        return refuse_foreign()
    rrset = wire.pack_texts((text,), 0, Rclass.CH)
    return Response(Rcode.NOERROR, Outcome.CHAOS, authoritative=True, answer=rrset)


def refuse_foreign() -> Response:
    """REFUSED, never a referral: no zone of ours (RFC 8914 §4.21)."""
    return Response(
        Rcode.REFUSED,
        Outcome.REFUSED,
        extended_error=ExtendedError.NOT_AUTHORITATIVE,
        extra_text="no zone of this server",
    )


def refuse_transfer(zone: ServedZone) -> Response:
    """REFUSED: the zone is ours, and this server does not transfer it (RFC 5936 §2.2.1)."""
    return Response(
        Rcode.REFUSED,
        Outcome.REFUSED,
        zone.name,
        extended_error=ExtendedError.NOT_SUPPORTED,
        extra_text="no zone transfer here",
    )


def answer_not_ready(zone: ServedZone) -> Response:
    """SERVFAIL while there never was a list: NXDOMAIN would say "not listed" (RFC 8914 §4.15)."""
    return Response(
        Rcode.SERVFAIL,
        Outcome.NOT_READY,
        zone.name,
        extended_error=ExtendedError.NOT_READY,
        extra_text="no list loaded yet",
    )


def answer_apex(query: Query, zone: ServedZone, served: ServedIndex) -> Response:
    """The zone's own records; ANY gets the SOA, one RRset of those there are (RFC 8482 §4.1)."""
    rtype = Rtype.SOA if query.qtype == Rtype.ANY else query.qtype
    rrset = served.apex.get(rtype)
    if rrset is None:
        return answer_nodata(query, zone, served)
    return Response(Rcode.NOERROR, Outcome.APEX, zone.name, authoritative=True, answer=rrset)


def answer_listed(query: Query, zone: ServedZone, served: ServedIndex, listed: "_Listed") -> Response:
    """The A set, also for ANY (RFC 8482 §4.1: every list client can use it), or the TXT set."""
    rrset: RRset | None = None
    found = listed.answer_set
    if query.qtype in (Rtype.A, Rtype.ANY):
        rrset = wire.pack_addresses(found.values, found.ttl_seconds)
    elif query.qtype == Rtype.TXT:
        subject = _subject_text(listed.subject)
        texts = [zone.file.render(template, subject) for template in found.texts]
        rrset = wire.pack_texts(texts, found.ttl_seconds)
    if rrset is None:
        return answer_nodata(query, zone, served)
    return Response(Rcode.NOERROR, Outcome.LISTED, zone.name, authoritative=True, answer=rrset)


def answer_nodata(query: Query, zone: ServedZone, served: ServedIndex) -> Response:
    """The name exists, for itself or for what is listed below it, and has nothing of this type."""
    soa = _soa_of(query, zone, served)
    return Response(Rcode.NOERROR, Outcome.NODATA, zone.name, authoritative=True, authority=soa)


def answer_nxdomain(query: Query, zone: ServedZone, served: ServedIndex) -> Response:
    """Not listed, and nothing below it is."""
    soa = _soa_of(query, zone, served)
    return Response(Rcode.NXDOMAIN, Outcome.NXDOMAIN, zone.name, authoritative=True, authority=soa)


@dataclass(frozen=True, slots=True)
class _Listed:
    """What was asked for and is listed."""

    answer_set: AnswerSet
    subject: Address | Name


def _look_up(index: Index, kind: Kind, labels: Name) -> tuple[_Listed | None, bool]:
    """Return what is listed at *labels*, and else whether anything is listed below them."""
    if kind is Kind.NAMES:
        found = index.find_name(labels)
        if found is not None:
            return _Listed(found, labels), True
        return None, index.has_name_below(labels)
    exists = False
    # Four labels of one digit are an IPv4 address and an IPv6 prefix at once.
    for network in networks_of_labels(labels):
        if network.prefixlen < network.max_prefixlen:
            exists = exists or index.has_below(network)
            continue
        address = network.network_address
        found = index.find_address(address)
        if found is not None:
            return _Listed(found, address), True
    return None, exists


def _soa_of(query: Query, zone: ServedZone, served: ServedIndex) -> RRset:
    """Return the SOA for AUTHORITY, owned by the apex within the question (RFC 2308 §3)."""
    return served.negative_soa.below(len(query.question) - 4 - zone.apex_octets)  # 4: type and class


def _subject_text(subject: Address | Name) -> str:
    """Return an address in its usual form (RFC 5952), or a name with every odd octet escaped."""
    if isinstance(subject, IPv4Address):
        return str(subject)
    if isinstance(subject, IPv6Address):
        return str(subject.ipv4_mapped or subject)  # as parse_address reads it on the page named
    return ".".join(
        "".join(chr(octet) if octet in _PLAIN else f"\\{octet:03d}" for octet in label) for label in subject
    )
