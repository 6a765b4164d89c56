"""What is answered from rbldnsd's data files: the rules of rbldnsd, where they do not break the DNS.

Bytes in, bytes out, like ``answer``, whose rules these are not: ANY gets all there is, the name servers
come with every positive answer, and an acl is asked for each zone. As rbldnsd does not: a name above a
listed one exists (RFC 8020), EDNS is RFC 6891's, an answer that does not fit says so with TC, and what
cannot be taken apart is FORMERR. Logs nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from rbl.config import Dns
from rbl.names import Name, wire_octets
from rbl.responder import wire
from rbl.responder.answer import Reply
from rbl.responder.client import Client
from rbl.responder.codes import ExtendedError, Outcome, Rclass, Rcode, Rtype
from rbl.responder.filerecords import POINTER, RECORD, pack_name_servers, pack_record, pack_soa, rotated
from rbl.responder.query import HEADER_OCTETS, Declined, Query, parse
from rbl.responder.wire import Response, RRset
from rbl.terms import Address
from rbl.zone.rbldnsd import filezone
from rbl.zone.rbldnsd.dataset import Leaf
from rbl.zone.rbldnsd.filezone import FileZone, Rule, Treatment
from rbl.zone.rbldnsd.nametext import key_of
from rbl.zone.rbldnsd.part import Found, Question, Rrsets, add_member, members_of
from rbl.zone.rbldnsd.values import Value

_ANY_CLASS = 255  # RFC 1035 §3.2.5
_TRANSFERS = frozenset({Rtype.AXFR, Rtype.IXFR})
_VERSION_NAMES = frozenset({(b"version", b"bind"), (b"version", b"server")})
# The fork lets everybody ask for these, key or not.
_KEYLESS = frozenset({Rtype.NS, Rtype.SOA, Rtype.ANY})
_TC_OCTET, _TC = 2, 0x02  # where the header says "truncated"


@dataclass(frozen=True, slots=True)
class ServedFileZone:
    """One zone as it is answered now; *zone* None: it could never be loaded.

    *glue* are the addresses of its name servers that are in our own data, ready to be sent.
    """

    name: str
    apex: Name
    zone: FileZone | None
    glue: RRset | None = None


@dataclass(frozen=True, slots=True)
class FileCatalogue:
    """Everything that is served at one moment; the next one takes its place whole.

    *acl* and *acl_keys* are those for all zones.
    """

    zones: Mapping[Name, ServedFileZone]
    acl: Leaf | None = None
    acl_keys: Leaf | None = None

    def find(self, qname: Name) -> ServedFileZone | None:
        """Return the deepest zone that lower-case *qname* is in, or None."""
        apexes = (qname[at:] for at in range(len(qname) + 1))
        return next((self.zones[apex] for apex in apexes if apex in self.zones), None)

    def has_zone_below(self, qname: Name) -> bool:
        """Whether a zone lies below *qname*, which exists for that alone (RFC 8020)."""
        return any(
            len(apex) > len(qname) and apex[len(apex) - len(qname) :] == qname for apex in self.zones
        )


@dataclass(frozen=True, slots=True)
class Style:
    """How answers look: *minimal* leaves the name servers out (rbldnsd's ``-a``)."""

    dns: Dns
    minimal: bool = False


def serve(zones: Sequence[tuple[Name, str, FileZone | None]], now: float) -> dict[Name, ServedFileZone]:
    """Return *zones*, each an apex, its text and the zone, with the glue that one has for another."""
    served = {apex: ServedFileZone(name, apex, zone) for apex, name, zone in zones}
    catalogue = FileCatalogue(served)
    return {apex: replace(each, glue=_glue(each, catalogue, now)) for apex, each in served.items()}


def answer(packet: bytes, client: Client, catalogue: FileCatalogue, style: Style, now: float) -> Reply:
    """Return the reply to *packet* from *client*, whatever it holds; *now* in seconds since 1970."""
    rules = [filezone.client_rule(catalogue.acl, client.address)] if catalogue.acl is not None else []
    if any(rule.action is Treatment.IGNORE for rule in rules):
        return Reply(None, "", Outcome.IGNORED)
    query = parse(packet, lenient=True)
    # There are no cookies to ask for; another version of EDNS is told of before that.
    if isinstance(query, Query) and not query.question and not (query.edns and query.edns.version):
        query = Declined(query.id, query.flags, Rcode.FORMERR, edns=query.edns)
    if query is None:
        return Reply(None, "", Outcome.DROPPED)
    if isinstance(query, Declined):
        return Reply(wire.pack_declined(query, style.dns), "", Outcome.DECLINED)
    response = _respond(query, client, catalogue, style, rules, now)
    if response is None:
        return Reply(None, "", Outcome.IGNORED)
    packed = wire.pack(query, response, client.transport, style.dns)
    # What the client can do without goes first: it asked neither for glue nor for name servers.
    for smaller in (
        replace(response, additional=None),
        replace(response, additional=None, authority=None),
    ):
        if not packed[_TC_OCTET] & _TC or response.answer is None:
            break
        packed = wire.pack(query, smaller, client.transport, style.dns)
    return Reply(packed, response.zone, response.outcome, response.key)


def _respond(
    query: Query,
    client: Client,
    catalogue: FileCatalogue,
    style: Style,
    rules: list[Rule],
    now: float,
) -> Response | None:
    """Return what is answered to a well-formed *query*: the first rule that fits. None: nothing is."""
    if query.edns is not None and query.edns.version:
        return Response(Rcode.BADVERS, Outcome.DECLINED)
    if query.qclass == Rclass.CH:
        return _version(query, style)
    if query.qtype in _TRANSFERS:
        return Response(Rcode.NOTIMP, Outcome.DECLINED)
    served = catalogue.find(query.qname) if query.qclass in {Rclass.IN, _ANY_CLASS} else None
    if served is None:
        return refuse_foreign()
    labels = query.qname[: len(query.qname) - len(served.apex)]
    zone = served.zone
    if zone is not None and zone.acl is not None:
        rules = [*rules, filezone.client_rule(zone.acl, client.address)]
    key = _key_rule(query, labels, catalogue, zone)
    if key is not None:
        rules = [*rules, key]
    treatments = {rule.action for rule in rules}
    if Treatment.IGNORE in treatments:
        return None
    if zone is None or 0 < zone.expires < now:
        return _not_ready(served)
    if Treatment.REFUSE in treatments:
        return _refused("this client may not ask here", ExtendedError.PROHIBITED, served.name)
    return _asked(_Sections(query, served, zone, style), labels, key, rules, client, catalogue, now)


def _asked(
    sections: "_Sections",
    labels: Name,
    key: Rule | None,
    rules: list[Rule],
    client: Client,
    catalogue: FileCatalogue,
    now: float,
) -> Response:
    """Return what the zone answers to a client who may ask, with *labels* under its apex."""
    keyed = key is not None and bool(key.label)
    labels = labels[:-1] if keyed else labels
    everything = next((rule for rule in rules if isinstance(rule.action, Value)), None)
    question = Question(
        labels,
        key_of(labels),
        sections.query.qtype,
        now,
        keyed=keyed,
        everything=everything is not None,
        nothing=any(rule.action is Treatment.EMPTY for rule in rules),
    )
    response = _answered(sections, question, everything, client.address, catalogue)
    return replace(response, key=key.label.decode("ascii", "replace")) if keyed and key else response


def _not_ready(served: ServedFileZone) -> Response:
    return Response(
        Rcode.SERVFAIL,
        Outcome.NOT_READY,
        served.name,
        extended_error=ExtendedError.NOT_READY,
        extra_text="no list loaded yet" if served.zone is None else "the list has expired",
    )


def _answered(
    sections: "_Sections",
    question: Question,
    everything: Rule | None,
    client: Address,
    catalogue: FileCatalogue,
) -> Response:
    """Return what the zone has for *question*."""
    zone = sections.zone
    rrsets = Rrsets()
    apex: list[bytes] = []
    if not question.labels:
        if (question.wants(Rtype.SOA) and zone.soa is None) or (
            question.wants(Rtype.NS) and zone.name_servers is None
        ):
            return _refused("the zone has none", ExtendedError.NOT_AUTHORITATIVE, sections.served.name)
        apex = sections.apex_records(question)
    found = zone.find(question, rrsets)
    if found & Found.CLIENT and everything is not None:
        assert isinstance(everything.action, Value)
        number = everything.leaf.values.number(everything.action)
        for member in members_of(everything.leaf, number):
            add_member(member, str(client).encode(), question, rrsets)
    if apex or rrsets.rdatas:
        return sections.positive(apex, rrsets, question)
    if found or not question.labels or _exists(sections, question, catalogue):
        return sections.negative(Rcode.NOERROR, Outcome.NODATA)
    return sections.negative(Rcode.NXDOMAIN, Outcome.NXDOMAIN)


@dataclass(frozen=True, slots=True)
class _Sections:
    """Makes the sections of an answer to *query* from *zone*."""

    query: Query
    served: ServedFileZone
    zone: FileZone
    style: Style

    @property
    def _apex_pointer(self) -> int:
        """A compression pointer to the apex within the question."""
        return POINTER | HEADER_OCTETS + len(self.query.question) - 4 - wire_octets(self.served.apex)

    def apex_records(self, question: Question) -> list[bytes]:
        """Return the SOA and NS records that are asked for."""
        records = []
        if question.wants(Rtype.SOA) and self.zone.soa is not None:
            records.append(self._soa(self.zone.soa.ttl_seconds))
        if question.wants(Rtype.NS):
            records += self._name_servers()
        return records

    def positive(self, apex: list[bytes], rrsets: Rrsets, question: Question) -> Response:
        """Return the answer that consists of *apex*, records of SOA and NS, and of *rrsets*."""
        records = list(apex)
        for rtype, rdatas in rrsets.rdatas.items():
            ttl_seconds = rrsets.ttl_seconds[rtype]
            each = [pack_record(POINTER | HEADER_OCTETS, rtype, ttl_seconds, rdata) for rdata in rdatas]
            records += rotated(each, self.query.id)
        # Once is enough: no name servers beside an answer that has them.
        told = bool(apex) and question.wants(Rtype.NS)
        servers = [] if self.style.minimal or told else self._name_servers()
        return Response(
            Rcode.NOERROR,
            Outcome.LISTED if question.labels else Outcome.APEX,
            self.served.name,
            authoritative=self.query.qclass == Rclass.IN,
            answer=RRset(len(records), b"".join(records)),
            authority=RRset(len(servers), b"".join(servers)) if servers else None,
            additional=None if self.style.minimal else self.served.glue,
        )

    def negative(self, rcode: Rcode, outcome: Outcome) -> Response:
        """Return an answer without records; the SOA has its minimum as TTL (RFC 2308 §3)."""
        soa = self.zone.soa
        return Response(
            rcode,
            outcome,
            self.served.name,
            authoritative=self.query.qclass == Rclass.IN,
            authority=None if soa is None else RRset(1, self._soa(soa.times[3])),
        )

    def _soa(self, ttl_seconds: int) -> bytes:
        return pack_soa(self.zone, self._apex_pointer, ttl_seconds)

    def _name_servers(self) -> Sequence[bytes]:
        return rotated(pack_name_servers(self.zone, self._apex_pointer), self.query.id)


def refuse_foreign() -> Response:
    """REFUSED: no zone of this server."""
    return _refused("no zone of this server", ExtendedError.NOT_AUTHORITATIVE)


def _version(query: Query, style: Style) -> Response:
    """Tell the version where it is not hidden; nothing else is in class CHAOS."""
    if query.qtype != Rtype.TXT or query.qname not in _VERSION_NAMES or not style.dns.version:
        return _refused("not told", ExtendedError.NOT_AUTHORITATIVE)
    rrset = wire.pack_texts((style.dns.version,), 0, Rclass.CH)
    return Response(Rcode.NOERROR, Outcome.CHAOS, answer=rrset)


def _refused(why: str, error: ExtendedError, zone: str = "") -> Response:
    outcome = Outcome.DENIED if error is ExtendedError.PROHIBITED else Outcome.REFUSED
    return Response(Rcode.REFUSED, outcome, zone, extended_error=error, extra_text=why)


def _key_rule(query: Query, labels: Name, catalogue: FileCatalogue, zone: FileZone | None) -> Rule | None:
    """Return what the aclkey dataset of the zone, or else the one for all zones, says to the question."""
    leaf = zone.acl_keys if zone is not None and zone.acl_keys is not None else catalogue.acl_keys
    if leaf is None or query.qtype in _KEYLESS:
        return None
    return filezone.key_rule(leaf, labels)


def _exists(sections: _Sections, question: Question, catalogue: FileCatalogue) -> bool:
    """Whether anything that is not hidden from the client lies below the name."""
    if catalogue.has_zone_below(sections.query.qname):
        return True
    return not question.nothing and sections.zone.has_below(question.labels, question.key)


def _glue(served: ServedFileZone, catalogue: FileCatalogue, now: float) -> RRset | None:
    """Return the addresses of the name servers of *served* that our own zones hold."""
    zone = served.zone
    records = []
    for name in zone.name_servers.names if zone is not None and zone.name_servers is not None else ():
        lower = tuple(label.lower() for label in name)
        home = catalogue.find(lower)
        if home is None or home.zone is None:
            continue
        labels = lower[: len(lower) - len(home.apex)]
        for address, ttl_seconds in filezone.addresses_at(home.zone, labels, now):
            fixed = RECORD.pack(0, Rtype.A, Rclass.IN, ttl_seconds, 4)[2:]
            records.append(key_of(name) + b"\0" + fixed + address.packed)
    return RRset(len(records), b"".join(records)) if records else None
