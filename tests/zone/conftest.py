"""A small list of each kind, as a zone file would give it."""

from collections.abc import Callable
from ipaddress import IPv4Address

import pytest

from rbl.zone.zonefile import ApexRecords, Kind, Limits, Reason, Soa, ZoneFile


def make_zone(
    kind: Kind = Kind.ADDRESSES,
    reasons: tuple[Reason, ...] = (),
    limits: Limits | None = None,
) -> ZoneFile:
    """Return the list relays.example with the reasons given, or with two of its own."""
    return ZoneFile(
        apex=(b"relays", b"example"),
        soa=Soa((b"ns1", b"example"), (b"hostmaster", b"example"), 300, 3600, 600, 86400, 300),
        name_servers=((b"ns1", b"example"),),
        name_server_ttl_seconds=3600,
        apex_records=ApexRecords((), (), (), 300),
        reasons={
            reason.name: reason
            for reason in reasons
            or (
                Reason(
                    "open-relay", (IPv4Address("127.0.0.2"),), "Open relay, see {url}", 300, "Open relay"
                ),
                Reason("multihop", (IPv4Address("127.0.0.3"),), "Relay chain, see {url}", 200, "Chain"),
            )
        },
        kind=kind,
        url="http://127.0.0.1:8080/a/{address}",
        limits=limits or Limits(),
        ttl_seconds=300,
    )


@pytest.fixture(scope="session")
def zone() -> ZoneFile:
    """A list of addresses."""
    return make_zone()


@pytest.fixture(scope="session")
def name_zone() -> ZoneFile:
    """A list of names."""
    return make_zone(Kind.NAMES)


@pytest.fixture(scope="session")
def zone_with() -> Callable[..., ZoneFile]:
    """Make a list that differs in its kind, reasons or limits."""
    return make_zone
