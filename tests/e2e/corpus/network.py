"""The corpus's own piece of the made-up internet: a network for each host under test, and the others.

Each host has a network of its own, since of one network the tester looks at one host at a time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv6Address

from tests.e2e import world
from tests.e2e.corpus.configuration import Configuration

# RFC 2544's benchmark network, and of the documentation's (RFC 3849): nobody's, and room for thousands.
TESTED_NETWORKS = ("198.18.0.0/15", "2001:db8:1000::/36")
# Where the tester has its addresses: what an administrator who knows all of them would shut out.
TESTER_NETWORKS = ("198.51.100.0/24", "2001:db8:100::/48")
VANTAGES = ("198.51.100.10", "198.51.100.11", "198.51.100.12", "2001:db8:100::10", "2001:db8:100::11")

STRANGER = ("203.0.113.200", "2001:db8:200::1")
THIRD_PARTY = ("203.0.113.26", "2001:db8:200::26")  # takes what is sent on to strangers
STRANGER_DOMAIN = "writer.example"
STRANGER_NAME = "host200.writer.example"
THIRD_PARTY_DOMAIN = "third.example"
OTHER_DOMAIN = "third.test"  # the same under another top-level domain
COLLECTOR_DOMAINS = (world.COLLECTOR_DOMAIN, "returns.blocklist.test")
DNS_LIST = "rbl.example"
_TTL = 60


@dataclass(frozen=True, slots=True)
class Place:
    """Where a host under test is, and what it is called."""

    configuration: Configuration
    key: str  # of the host in the made-up internet
    addresses: tuple[str, ...]

    @property
    def address(self) -> str:
        """The address it is nominated by."""
        return self.addresses[0]

    @property
    def domain(self) -> str:
        """Its organisation's domain."""
        return f"{self.key}.example"

    @property
    def name(self) -> str:
        """What it calls itself."""
        return f"mail.{self.domain}"


def places(configurations: Sequence[Configuration]) -> list[Place]:
    """Return a place for each of *configurations*."""
    return [
        Place(each, f"c{number}", tuple(_address(number, family) for family in each.families))
        for number, each in enumerate(configurations, 1)
    ]


def plan(tested: Sequence[Place]) -> dict[str, Sequence[str]]:
    """Return the hosts of the made-up internet: name → addresses."""
    return {
        "blocklist": VANTAGES,
        "resolver": world.ADDRESSES["resolver"],
        "smarthost": world.ADDRESSES["smarthost"],
        "stranger": STRANGER,
        "third": THIRD_PARTY,
        **{place.key: place.addresses for place in tested},
    }


def names(tested: Sequence[Place]) -> list[str]:
    """Return the DNS of all of it as lines of a zone file."""
    third, collector = f"mx.{THIRD_PARTY_DOMAIN}", "mx.blocklist.example"
    lines = [
        *world.names(),
        *_host(collector, [VANTAGES[3]]),
        *_host("third.blocklist.example", [VANTAGES[2]]),
        *_host("fourth.blocklist.example", [VANTAGES[4]]),
        *(_exchanger(domain, collector) for domain in COLLECTOR_DOMAINS[1:]),
        *_host(STRANGER_NAME, STRANGER),
        *_host(third, THIRD_PARTY),
        *(_exchanger(domain, third) for domain in (THIRD_PARTY_DOMAIN, OTHER_DOMAIN)),
        # A DNS list that has the tester.
        *(f"{_reversed(each)}.{DNS_LIST}. {_TTL} IN A 127.0.0.2" for each in VANTAGES if ":" not in each),
        # Bounces to the stranger go where all of his mail goes.
        _exchanger(STRANGER_DOMAIN, third),
        _exchanger(STRANGER_NAME, third),
    ]
    for place in tested:
        lines += [*_host(place.name, place.addresses), _exchanger(place.domain, place.name)]
    return lines


def _address(number: int, family: int) -> str:
    if family == 4:
        return f"198.{18 + number // 250}.{number % 250}.25"
    return str(IPv6Address(f"2001:db8:1{number:03x}::25"))


def _exchanger(domain: str, host: str) -> str:
    return f"{domain}. {_TTL} IN MX 10 {host}."


def _host(name: str, addresses: Sequence[str]) -> list[str]:
    lines: list[str] = []
    for address in addresses:
        family = "AAAA" if ":" in address else "A"
        lines += [f"{name}. {_TTL} IN {family} {address}", f"{_pointer(address)}. {_TTL} IN PTR {name}."]
    return lines


def _pointer(address: str) -> str:
    if ":" in address:
        return ".".join((*reversed(IPv6Address(address).exploded.replace(":", "")), "ip6", "arpa"))
    return f"{_reversed(address)}.in-addr.arpa"


def _reversed(address: str) -> str:
    return ".".join(reversed(address.split(".")))
