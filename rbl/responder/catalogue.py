"""The zones this server answers for: each zone file, its index of the moment, and its packed records.

A zone is replaced whole by swapping one reference, so that a reader never waits and never sees half
a change; only one thread (the follower's) swaps. Choosing what to answer is left to ``answer``.
Logs nothing.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv6Address

from rbl.names import Name, wire_octets
from rbl.responder import wire
from rbl.responder.access import AccessTable, compile_table
from rbl.responder.codes import Rtype
from rbl.responder.wire import RRset
from rbl.zone.index import Index
from rbl.zone.zonefile import ZoneFile


@dataclass(frozen=True, slots=True)
class ServedIndex:
    """One index, with the packed records that its serial is in, and those of the apex by type."""

    index: Index
    apex: Mapping[int, RRset]
    negative_soa: RRset  # TTL as RFC 2308 §3 wants it


@dataclass(frozen=True, slots=True)
class ServedZone:
    """One zone as it is answered now; *served* is None until there is a first index."""

    file: ZoneFile
    name: str
    apex_octets: int  # of the apex in a packet, with the root's
    access: AccessTable
    served: ServedIndex | None


class Catalogue:
    """All zones by apex. Reading needs no lock."""

    def __init__(self, zones: Iterable[ZoneFile]) -> None:
        self._zones = {
            zone.apex: ServedZone(
                zone, zone.apex_text, wire_octets(zone.apex), compile_table(zone.access), None
            )
            for zone in zones
        }
        # Longest first: the deepest zone that holds a name answers for it (RFC 1034 §4.3.2).
        self._depths = sorted({len(apex) for apex in self._zones}, reverse=True)
        self._above = frozenset(apex[at:] for apex in self._zones for at in range(1, len(apex)))
        self._watchers: list[Callable[[], None]] = []

    def serve(self, index: Index) -> None:
        """Answer from *index* from now on, for its zone."""
        old = self._zones[index.zone.apex]
        self._zones[index.zone.apex] = replace(old, file=index.zone, served=_packed(index))
        for changed in self._watchers:
            changed()

    def watch(self, changed: Callable[[], None]) -> None:
        """Call *changed* after each swap, in the thread that swaps, before ``serve`` returns."""
        self._watchers.append(changed)

    def zones(self) -> tuple[ServedZone, ...]:
        """Return every zone as it is answered now, always in the same order."""
        return tuple(self._zones.values())

    def find(self, qname: Name) -> ServedZone | None:
        """Return the deepest zone that lower-case *qname* is in, or None."""
        for depth in self._depths:
            zone = self._zones.get(qname[-depth:])
            if zone is not None:
                return zone
        return None

    def has_zone_below(self, qname: Name) -> bool:
        """Whether another zone of ours lies below *qname*, which exists for that alone (RFC 8020)."""
        return qname in self._above

    def index(self, apex: Name) -> Index | None:
        """Return the index that *apex* is answered from now."""
        served = self._zones[apex].served
        return None if served is None else served.index

    def ready(self) -> bool:
        """Whether every zone has an index."""
        return all(zone.served is not None for zone in self._zones.values())


def _packed(index: Index) -> ServedIndex:
    """Return *index* with the records of its apex packed."""
    zone = index.zone
    soa, own = zone.soa, zone.apex_records
    times = (
        index.serial % 2**32,  # RFC 1982: the journal's serial goes on, the SOA's goes round
        soa.refresh_seconds,
        soa.retry_seconds,
        soa.expire_seconds,
        soa.minimum_seconds,
    )
    ipv4 = tuple(address for address in own.addresses if isinstance(address, IPv4Address))
    ipv6 = tuple(address for address in own.addresses if isinstance(address, IPv6Address))
    sets = {
        Rtype.SOA: wire.pack_soa(soa.mname, soa.rname, times, soa.ttl_seconds),
        Rtype.NS: wire.pack_name_servers(zone.name_servers, zone.name_server_ttl_seconds),
        Rtype.A: wire.pack_addresses(ipv4, own.ttl_seconds),
        Rtype.AAAA: wire.pack_addresses(ipv6, own.ttl_seconds),
        Rtype.TXT: wire.pack_texts(own.texts, own.ttl_seconds),
        Rtype.MX: wire.pack_mail_exchangers(own.mail_exchangers, own.ttl_seconds),
    }
    return ServedIndex(
        index,
        {int(rtype): rrset for rtype, rrset in sets.items() if rrset is not None},
        wire.pack_soa(soa.mname, soa.rname, times, soa.negative_ttl_seconds),
    )
