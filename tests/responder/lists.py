"""The lists that these tests ask: one of addresses, one of names, and one that never had an index."""

from ipaddress import IPv4Address, IPv6Address

from rbl.names import parse_name
from rbl.responder.catalogue import Catalogue
from rbl.responder.client import Client
from rbl.responder.codes import Transport
from rbl.terms import Listed
from rbl.zone.index import compile_index
from rbl.zone.zonefile import ApexRecords, Kind, Limits, Reason, Soa, ZoneFile

SERIAL = 2024010101
# Somebody whom no access list knows.
ANYBODY = Client(IPv4Address("192.0.2.53"), Transport.UDP)
NOW = 1_714_564_800 * 10**9


def make_zone(apex: str, kind: Kind = Kind.ADDRESSES) -> ZoneFile:
    """Return a zone file with every kind of record at its apex and two reasons."""
    return ZoneFile(
        apex=parse_name(apex),
        soa=Soa(
            mname=parse_name("ns1.example.org"),
            rname=(b"host.master", b"example", b"org"),
            ttl_seconds=3600,
            refresh_seconds=900,
            retry_seconds=600,
            expire_seconds=604800,
            minimum_seconds=300,
        ),
        name_servers=(parse_name("ns1.example.org"), parse_name("ns2.example.net")),
        name_server_ttl_seconds=86400,
        apex_records=ApexRecords(
            addresses=(IPv4Address("192.0.2.80"), IPv6Address("2001:db8::80")),
            texts=("An example list, see https://example.org/",),
            mail_exchangers=((10, parse_name("mx.example.org")),),
            ttl_seconds=1800,
        ),
        reasons={
            "relay": Reason(
                "relay", (IPv4Address("127.0.0.2"),), "{address} relays, see {url}", 900, "Open relay"
            ),
            "multihop": Reason(
                "multihop", (IPv4Address("127.0.0.3"),), "Multihop, see {url}", 600, "Multihop"
            ),
        },
        kind=kind,
        url="https://example.org/lookup/{address}",
        limits=Limits(),
        ttl_seconds=900,
    )


LISTED = [
    Listed("203.0.113.9/32", "relay", None, exempt=False),
    Listed("203.0.113.10/32", "relay", None, exempt=False),
    Listed("203.0.113.10/32", "multihop", None, exempt=False),
    Listed("203.0.113.11/32", "relay", "Wrote {braces} and {url}", exempt=False),
    Listed("198.51.100.0/24", "multihop", None, exempt=False),
    Listed("198.51.100.7/32", "", None, exempt=True),
    Listed("2001:db8:1::25/128", "relay", None, exempt=False),
    Listed("2001:db8:2::/48", "relay", None, exempt=False),
]
LISTED_NAMES = [
    Listed("spam.example.com", "relay", None, exempt=False),
    Listed("*.wild.example.com", "multihop", None, exempt=False),
]


def make_catalogue() -> Catalogue:
    """Return bl.test (addresses), names.test (names), deep.er.bl.test and new.test (no index yet)."""
    addresses = make_zone("bl.test")
    names = make_zone("names.test", Kind.NAMES)
    nested = make_zone("deep.er.bl.test")
    catalogue = Catalogue([addresses, names, nested, make_zone("new.test")])
    catalogue.serve(compile_index(addresses, SERIAL, LISTED))
    catalogue.serve(compile_index(names, SERIAL + 2**32, LISTED_NAMES))
    catalogue.serve(compile_index(nested, SERIAL, []))
    return catalogue
