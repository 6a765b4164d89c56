"""Made-up lists of both families, written out: BIND and rbldnsd say of every address what the program says.

The networks lie where names of both families meet: octets of one digit are nibbles too (RFC 5782 §2.4).
They lie inside one another, with exclusions. What a form cannot say stands in docs/rbldnsd.md and, case
by case, in ``test_exports``.
"""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import dns.flags
import dns.message
import dns.query
import dns.rcode
import pytest

from rbl.addresses import reversed_labels
from rbl.config import Dns
from rbl.names import parse_name
from rbl.responder.answer import answer
from rbl.responder.catalogue import Catalogue
from rbl.responder.rules import rules_of
from rbl.terms import Address, Listed, Network
from rbl.zone import export_bind, export_rbldnsd, export_rpz
from rbl.zone.index import Index, compile_index
from rbl.zone.zonefile import ApexRecords, Kind, Limits, Reason, Soa, ZoneFile
from tests.e2e import needs
from tests.e2e.hosts import Host, internet
from tests.e2e.nameservers import Named, Rbldnsd
from tests.responder.lists import ANYBODY, NOW

pytestmark = pytest.mark.xdist_group("exports")

PLAN = {
    "bind": ("198.51.100.30", "198.51.100.31"),  # at the second it follows the policy
    "rbldnsd": ("198.51.100.20",),
    "postmaster": ("203.0.113.90",),
}
LISTS = (*range(9), 26)  # in the last one 2.0.0.2 is asked for, and not listed
VISITED = "shop"
_REASONS = (("open-relay", "127.0.0.2", 300), ("chain", "127.0.0.3", 200))
_OCTETS = (0, 1, 2, 2, 9, 10, 20, 127, 200, 255)
_NIBBLES = "00122329af"

Said = tuple[str, list[str]]  # the RCODE, and what is answered with its TTL


def make_zone(number: int) -> ZoneFile:
    """Return a list whose texts are the same for every address."""
    reasons = (
        Reason(name, (IPv4Address(value),), f"{name}; of everybody", ttl, name)
        for name, value, ttl in _REASONS
    )
    return ZoneFile(
        apex=parse_name(f"r{number}.example"),
        soa=Soa((b"ns", b"example"), (b"hostmaster", b"example"), 300, 3600, 600, 86400, 300),
        name_servers=((b"ns", b"example"),),
        name_server_ttl_seconds=3600,
        apex_records=ApexRecords((), (), (), 300),
        reasons={reason.name: reason for reason in reasons},
        kind=Kind.ADDRESSES,
        url="http://www.example/a/{address}",
        limits=Limits(list_reserved=True),
        ttl_seconds=300,
    )


def networks(dice: random.Random) -> Iterator[Network]:
    """Yield networks of both families, in most of which all labels have one digit."""
    for _ in range(dice.randint(1, 6)):
        octets = [dice.choice(_OCTETS) for _ in range(4)]
        length = dice.choice((16, 16, 24, 24, 32, 15, 22, 27))
        yield ip_network((bytes(octets), length), strict=False)
    for _ in range(dice.randint(1, 6)):
        nibbles = "".join(dice.choice(_NIBBLES) for _ in range(32))
        length = dice.choice((4, 8, 12, 14, 16, 17, 20, 32, 64, 128))
        yield ip_network((bytes.fromhex(nibbles), length), strict=False)


def make_list(number: int) -> list[Listed]:
    """Return networks inside networks, some of them for two reasons, some excluded."""
    dice = random.Random(number)
    found = list(networks(dice))
    for outer in list(found):  # something inside each
        inside = int(outer.network_address) + dice.randrange(outer.num_addresses)
        longer = min(outer.max_prefixlen, outer.prefixlen + dice.choice((1, 4, 8, 16)))
        found.append(ip_network((inside.to_bytes(outer.max_prefixlen // 8, "big"), longer), strict=False))
    if number == 0:  # the widest that there are
        found += [ip_network("2.0.0.0/8"), ip_network("::/0")]
    rows = []
    for network in dict.fromkeys(found):
        if network.is_loopback:  # of the test points
            continue
        exempt = dice.random() < 0.25
        reasons = [""] if exempt else dice.sample(["open-relay", "chain"], dice.choice((1, 1, 2)))
        rows += [Listed(str(network), reason, None, exempt) for reason in reasons]
    return rows


def asked(number: int, listed: Sequence[Listed]) -> list[Address]:
    """Return the edges of every network and what is beside them, and addresses of small numbers."""
    dice = random.Random(-number - 1)
    found: list[Address] = []
    for row in listed:
        network = ip_network(row.subject)
        first, last = int(network.network_address), int(network.broadcast_address)
        kind = type(network.network_address)
        places = (first, last, first - 1, last + 1, dice.randint(first, last))
        found += [kind(place) for place in places if 0 <= place < 2**network.max_prefixlen]
    for _ in range(40):
        found.append(IPv4Address(bytes(dice.choice(_OCTETS) for _ in range(4))))
        found.append(IPv6Address(bytes.fromhex("".join(dice.choice(_NIBBLES) for _ in range(32)))))
    inside = [dice.randbytes(4) for _ in range(3)]
    found += [IPv6Address(b"\x20\x02" + each + bytes(10)) for each in inside]
    found += [IPv6Address(bytes(10) + b"\xff\xff" + each) for each in inside]
    return [*dict.fromkeys(found), *map(ip_address, ("127.0.0.1", "127.0.0.2", "::ffff:127.0.0.2"))]


def within(address: Address) -> IPv4Address | None:
    """Return the IPv4 address that answers for *address*: for each of them a file would need a name."""
    if isinstance(address, IPv4Address):
        return None
    return address.ipv4_mapped or address.sixtofour


def named(address: Address, zone: ZoneFile) -> str:
    """Return the name that *address* is asked for at."""
    return b".".join((*reversed_labels(address), *zone.apex)).decode()


def heard(octets: bytes) -> Said:
    """Return what an answer says, but for its authority."""
    message = dns.message.from_wire(octets)
    lines = [f"{rrset.ttl} {rdata.to_text()}" for rrset in message.answer for rdata in rrset]
    return dns.rcode.to_text(message.rcode()), sorted(lines)


@dataclass(frozen=True, slots=True)
class Stage:
    """The servers, the lists that they serve, and from where they are asked."""

    postmaster: Host
    lists: Mapping[int, tuple[Index, list[Address]]]

    def ask(self, server: str, questions: Sequence[tuple[str, str]], *, flags: int = 0) -> list[Said]:
        """Return what *server* answers."""

        def ask_all() -> list[Said]:
            queries = (dns.message.make_query(name, rtype, flags=flags) for name, rtype in questions)
            return [heard(dns.query.udp(query, server, 20).to_wire()) for query in queries]

        return self.postmaster.call(ask_all)


def ours(index: Index, questions: Sequence[tuple[str, str]]) -> list[Said]:
    """Return what the program answers."""
    catalogue, rules = Catalogue([index.zone]), rules_of(Dns())
    catalogue.serve(index)
    found = []
    for name, rtype in questions:
        packet = dns.message.make_query(name, rtype, flags=0).to_wire()
        octets = answer(packet, ANYBODY, catalogue, rules, NOW).packet
        assert octets is not None
        found.append(heard(octets))
    return found


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """BIND and rbldnsd with every list, and BIND with a policy of all of them together."""
    needs.decide(needs.missing())
    folder = tmp_path_factory.mktemp("random")
    lists = {}
    for number in LISTS:
        listed = make_list(number)
        lists[number] = (compile_index(make_zone(number), 7, listed), asked(number, listed))
    with internet(folder, PLAN, resolver=PLAN["bind"][0]) as here, ExitStack() as stack:
        indexes = {index.zone.apex_text: index for index, _ in lists.values()}
        files = {apex: _text(export_rbldnsd.lines, index) for apex, index in indexes.items()}
        stack.enter_context(Rbldnsd(here["rbldnsd"], files))
        masters = {apex: _text(export_bind.lines, index) for apex, index in indexes.items()}
        policies = {f"policy{number}": _text(export_rpz.lines, lists[number][0]) for number in (1, 2, 3)}
        visited = {VISITED: _visited([lists[number][1] for number in (1, 2, 3)])}
        stack.enter_context(Named(here["bind"], {**masters, **policies, **visited}, list(policies)))
        yield Stage(here["postmaster"], lists)


def _text(lines: Callable[[Index], Iterator[str]], index: Index) -> str:
    return "\n".join(lines(index)) + "\n"


def _visited(addresses: Sequence[Sequence[Address]]) -> str:
    """Return a zone with a name for each address."""
    lines = [
        "$TTL 60",
        f"@ SOA ns.{VISITED}. hostmaster.{VISITED}. 1 60 60 60 60",
        "@ NS ns",
        "ns A 198.18.0.1",
    ]
    lines += [
        f"{_host(address)} {'A' if address.version == 4 else 'AAAA'} {address}"
        for address in dict.fromkeys(address for each in addresses for address in each)
    ]
    return "\n".join(lines) + "\n"


def _host(address: Address) -> str:
    return f"h{address.version}-{address.packed.hex()}"


@pytest.mark.root
@pytest.mark.parametrize("number", LISTS)
def test_bind_serves_the_same_list(stage: Stage, number: int) -> None:
    """BIND answers for every address of both families what the program answers, its RCODE too."""
    index, addresses = stage.lists[number]
    questions = [(named(one, index.zone), rtype) for one in addresses for rtype in ("A", "TXT")]
    kinds = [within(one) for one in addresses for _ in ("A", "TXT")]
    pairs = zip(
        questions, kinds, ours(index, questions), stage.ask(PLAN["bind"][0], questions), strict=True
    )
    # 2.0.0.2 is above all 6to4 addresses: NODATA here, and NXDOMAIN where they are not in the file.
    above = f"2.0.0.2.{index.zone.apex_text}"
    rows = [row for row in pairs if row[0][0] != above or row[2][1]]

    assert [] == [
        (asked, our, their) for asked, inner, our, their in rows if inner is None and our != their
    ]
    # Of those within IPv6 it may know nothing, and never lists what is not listed.
    assert [] == [(asked, our, their) for asked, _, our, their in rows if their[1] not in ([], our[1])]


@pytest.mark.root
@pytest.mark.parametrize("number", LISTS)
def test_rbldnsd_serves_the_same_list(stage: Stage, number: int) -> None:
    """rbldnsd has for every address of both families the same records."""
    index, addresses = stage.lists[number]
    questions = [(named(one, index.zone), rtype) for one in addresses for rtype in ("A", "TXT")]

    rows = zip(questions, ours(index, questions), stage.ask(PLAN["rbldnsd"][0], questions), strict=True)

    assert [] == [(asked, our, their) for asked, (_, our), (_, their) in rows if our != their]


@pytest.mark.root
def test_bind_follows_the_same_policy(stage: Stage) -> None:
    """A name resolves if none of three lists has its address; what lists answer resolves in any case."""
    lists = [stage.lists[number] for number in (1, 2, 3)]
    addresses = list(dict.fromkeys(address for _, each in lists for address in each))
    expected = []
    for address in addresses:
        inner = within(address)
        listed = inner is None and any(index.find_address(address) for index, _ in lists)
        expected.append(listed and not address.is_loopback)
    questions = [(f"{_host(one)}.{VISITED}", "A" if one.version == 4 else "AAAA") for one in addresses]
    said = stage.ask(PLAN["bind"][1], questions, flags=dns.flags.RD)

    rows = zip(addresses, expected, said, strict=True)

    assert [] == [
        (str(one), listed, their) for one, listed, their in rows if listed != (their[0] == "NXDOMAIN")
    ]
