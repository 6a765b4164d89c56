"""What is answered to a packet: one pure function, the order of its checks, and one function an outcome.

Bytes in, bytes out: no socket, no clock, no SQL. ``query`` takes the packet apart, ``catalogue`` has
the zones, ``rules`` says what a client may, ``lookup`` what is listed, ``wire`` packs.

RFC 1034 §4.3.2, RFC 2308 §2 (NXDOMAIN, NODATA), RFC 8020 (what exists), RFC 8482 (ANY), RFC 4892
and RFC 5001 (who answers), RFC 7873 §5.2 (cookies), RFC 8914 (extended errors). Logs nothing.
"""

from dataclasses import dataclass, replace

from rbl.config import Dns
from rbl.customerkey import digest_of, is_key
from rbl.names import Name
from rbl.responder import cookies, wire
from rbl.responder.catalogue import Catalogue, ServedIndex, ServedZone
from rbl.responder.client import Client
from rbl.responder.codes import ExtendedError, Outcome, Rclass, Rcode, Rtype, Transport
from rbl.responder.cookies import Cookie
from rbl.responder.lookup import Found, Hit, look_up
from rbl.responder.query import Declined, Query, parse
from rbl.responder.ratelimit import Class, Decision, class_of
from rbl.responder.rules import Rules
from rbl.responder.wire import Response, RRset
from rbl.terms import Address
from rbl.zone.access import Action, Keys, Rule

_TRANSFERS = frozenset({Rtype.AXFR, Rtype.IXFR})
# RFC 4892 §2, and the older names that BIND and NSD answer too.
_CHAOS_VERSION = frozenset({(b"version", b"bind"), (b"version", b"server")})
_CHAOS_SERVER = frozenset({(b"id", b"server"), (b"hostname", b"bind")})
_UNANSWERED = frozenset({Action.IGNORE, Action.REFUSE})
_SECOND = 1_000_000_000  # in nanoseconds


@dataclass(frozen=True, slots=True)
class Reply:
    """The packet to send back, None for nothing.

    *zone* (or empty), *outcome*, *key*, the digest of the valid key that was asked with, and *hit*, what
    was found in the list, are for the counters.
    """

    packet: bytes | None
    zone: str
    outcome: Outcome
    key: str = ""
    hit: Hit | None = None


def answer(packet: bytes, client: Client, catalogue: Catalogue, rules: Rules, now: int) -> Reply:
    """Return the reply to *packet* from *client*, whatever it holds; *now* in nanoseconds since 1970.

    Nothing but the budgets of ``rules.limiter`` is changed.
    """
    query = parse(packet)
    if query is None:
        return Reply(None, "", Outcome.DROPPED)
    cookie = _check_cookie(query, client, rules, now)
    if isinstance(query, Declined):
        return _decline(query, client, cookie, rules, now)
    response = respond(query, client, cookie, catalogue, rules)
    if response is None:
        return Reply(None, "", Outcome.IGNORED)
    if cookie is None or not cookie.valid:
        decision = _decide(client, response.outcome, rules, now)
        if decision is Decision.DROP:
            return Reply(None, response.zone, Outcome.LIMITED, response.key)
        if decision is Decision.SLIP and class_of(response.outcome) is not Class.ERROR:
            response = slip(response, cookie)
    option = b"" if cookie is None else cookie.option
    packed = wire.pack(query, response, client.transport, rules.dns, option)
    return Reply(packed, response.zone, response.outcome, response.key, response.hit)


def _decline(query: Declined, client: Client, cookie: Cookie | None, rules: Rules, now: int) -> Reply:
    proved = cookie is not None and cookie.valid
    if not proved and _decide(client, Outcome.DECLINED, rules, now) is Decision.DROP:
        return Reply(None, "", Outcome.LIMITED)
    option = b"" if cookie is None else cookie.option
    return Reply(wire.pack_declined(query, rules.dns, option), "", Outcome.DECLINED)


def respond(
    query: Query, client: Client, cookie: Cookie | None, catalogue: Catalogue, rules: Rules
) -> Response | None:
    """Return what is answered to a well-formed *query*: the first rule that fits. None: nothing is."""
    if query.edns is not None and query.edns.version:
        return refuse_version()
    rule = rules.access.rule(client.address)
    if rule.action in _UNANSWERED:
        return refuse_client("", rule)
    if not query.question:
        return answer_cookie(cookie)
    if query.qclass == Rclass.CH:
        return answer_chaos(query, rules.dns)
    zone = catalogue.find(query.qname) if query.qclass == Rclass.IN else None
    if zone is None:
        return refuse_foreign()
    labels = query.qname[: len(query.qname) - len(zone.file.apex)]
    if labels and zone.file.keys is not Keys.UNUSED and is_key(labels[-1]):
        return _respond_to_key(zone, _Asked(query, labels, client.address, rule, catalogue))
    if rule.action is Action.ALLOW:
        rule = zone.access.rule(client.address)
    return _respond_without_key(zone, _Asked(query, labels, client.address, rule, catalogue))


@dataclass(frozen=True, slots=True)
class _Asked:
    """A query in one of our zones. *labels* are those under the apex, *rule* what its client may."""

    query: Query
    labels: Name
    client: Address
    rule: Rule
    catalogue: Catalogue


def _respond_to_key(zone: ServedZone, asked: _Asked) -> Response:
    """Return what is answered where a key stands before the apex: it allows what the zone may not."""
    if zone.served is None:
        return answer_not_ready(zone)
    digest = digest_of(asked.labels[-1])
    if digest not in zone.served.index.keys:
        return refuse_key(zone.name, "this key is unknown or was revoked")
    labels = asked.labels[:-1]
    if labels:
        response = _respond_below(zone, zone.served, replace(asked, labels=labels))
    else:
        # The key's own name exists: a resolver that minimises asks for it first (RFC 9156).
        response = answer_nodata(asked.query, zone, zone.served)
    return replace(response, key=digest)


def _respond_without_key(zone: ServedZone, asked: _Asked) -> Response | None:
    if asked.rule.action in _UNANSWERED:
        return refuse_client(zone.name, asked.rule)
    if asked.labels and zone.file.keys is Keys.REQUIRED:
        return refuse_keyless(zone.name)
    if asked.query.qtype in _TRANSFERS:
        return refuse_transfer(zone)
    if zone.served is None:
        return answer_not_ready(zone)
    if not asked.labels:
        return answer_apex(asked.query, zone, zone.served)
    return _respond_below(zone, zone.served, asked)


def _respond_below(zone: ServedZone, served: ServedIndex, asked: _Asked) -> Response:
    """Return what *zone* answers below its apex, or below a key."""
    query = asked.query
    found = look_up(served.index, zone.file.kind, asked.labels, asked.rule, asked.client)
    if found.answer_set is not None:
        return answer_listed(query, zone, served, found)
    if found.exists or asked.catalogue.has_zone_below(query.qname):
        return answer_nodata(query, zone, served)
    return answer_nxdomain(query, zone, served)


def refuse_version() -> Response:
    """BADVERS: the OPT of the answer names version 0, the one known here (RFC 6891 §6.1.3)."""
    return Response(Rcode.BADVERS, Outcome.DECLINED)


def refuse_client(zone: str, rule: Rule) -> Response | None:
    """REFUSED, or nothing at all: never a value, which would be read as a listing (RFC 5782 §6)."""
    if rule.action is Action.IGNORE:
        return None
    return Response(
        Rcode.REFUSED,
        Outcome.DENIED,
        zone,
        extended_error=ExtendedError.PROHIBITED,
        extra_text="this client may not ask here",
    )


def refuse_keyless(zone: str) -> Response:
    """REFUSED: the zone wants a key."""
    return refuse_key(zone, "a key is needed to ask here")


def refuse_key(zone: str, why: str) -> Response:
    """REFUSED: the zone wants a valid key."""
    return Response(
        Rcode.REFUSED,
        Outcome.DENIED,
        zone,
        extended_error=ExtendedError.PROHIBITED,
        extra_text=why,
    )


def answer_cookie(cookie: Cookie | None) -> Response:
    """Only a cookie was asked for; BADCOOKIE: the one that was sent is good no more (RFC 7873 §5.4)."""
    fresh = cookie is None or cookie.valid or cookie.first
    return Response(Rcode.NOERROR if fresh else Rcode.BADCOOKIE, Outcome.COOKIE)


def slip(response: Response, cookie: Cookie | None) -> Response:
    """Tell a client over its rate how to prove its address: over TCP, or with the cookie that comes back.

    BADCOOKIE is for whoever sent a cookie (RFC 7873 §5.2.3), and costs him no connection.
    """
    if cookie is not None:
        return Response(Rcode.BADCOOKIE, Outcome.SLIPPED, response.zone, key=response.key)
    return replace(response, truncated=True, outcome=Outcome.SLIPPED, hit=None)


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


def answer_listed(query: Query, zone: ServedZone, served: ServedIndex, listed: Found) -> Response:
    """The A set, also for ANY (RFC 8482 §4.1: every list client can use it), or the TXT set."""
    rrset: RRset | None = None
    found = listed.answer_set
    assert found is not None
    if query.qtype in (Rtype.A, Rtype.ANY):
        rrset = wire.pack_addresses(found.values, found.ttl_seconds)
    elif query.qtype == Rtype.TXT:
        texts = [zone.file.render(template, listed.subject) for template in found.texts]
        rrset = wire.pack_texts(texts, found.ttl_seconds)
    if rrset is None:
        return answer_nodata(query, zone, served)
    return Response(
        Rcode.NOERROR, Outcome.LISTED, zone.name, authoritative=True, answer=rrset, hit=listed.hit
    )


def answer_nodata(query: Query, zone: ServedZone, served: ServedIndex) -> Response:
    """The name exists, for itself or for what is listed below it, and has nothing of this type."""
    soa = _soa_of(query, zone, served)
    return Response(Rcode.NOERROR, Outcome.NODATA, zone.name, authoritative=True, authority=soa)


def answer_nxdomain(query: Query, zone: ServedZone, served: ServedIndex) -> Response:
    """Not listed, and nothing below it is."""
    soa = _soa_of(query, zone, served)
    return Response(Rcode.NXDOMAIN, Outcome.NXDOMAIN, zone.name, authoritative=True, authority=soa)


def _check_cookie(query: Query | Declined, client: Client, rules: Rules, now: int) -> Cookie | None:
    """Return what the query's cookie is worth, None where it has none."""
    if query.edns is None or query.edns.cookie is None:
        return None
    return cookies.check(query.edns.cookie, client.address, now // _SECOND, rules.cookie_secrets)


def _decide(client: Client, outcome: Outcome, rules: Rules, now: int) -> Decision:
    """Return whether a client without a valid cookie gets an answer; TCP has proved the address."""
    if rules.limiter is None or client.transport is Transport.TCP:
        return Decision.SEND
    return rules.limiter.decide(client.address, class_of(outcome), now)


def _soa_of(query: Query, zone: ServedZone, served: ServedIndex) -> RRset:
    """Return the SOA for AUTHORITY, owned by the apex within the question (RFC 2308 §3)."""
    return served.negative_soa.below(len(query.question) - 4 - zone.apex_octets)  # 4: type and class
