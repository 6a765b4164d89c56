"""What the RFCs ask of an authoritative server, asked by real programs, over every transport.

dig, mdig and kdig ask the program itself, by the compiled and by the reference path; Unbound, which
minimises names and knows no way back, stands in front of it as in front of every mail server.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import IPv6Address, ip_network
from pathlib import Path

import pytest

from rbl.store import journal, listings, migrate
from rbl.store.engine import Store
from rbl.store.listings import NewListing
from rbl.terms import Act
from tests.dnspaths import DNS_PATHS
from tests.e2e import blocklist, needs, world
from tests.e2e.asking import Said, dig, kdig, mdig
from tests.e2e.hosts import Host, internet
from tests.e2e.unbound import Unbound
from tests.e2e.visitor import DnsAnswer, Visitor

ZONE, NAMES = world.ZONE, "names.example"
IPV4, IPV6 = world.ADDRESSES["blocklist"][0], "2001:db8:198::10"
PLAN = {
    "blocklist": (*world.ADDRESSES["blocklist"], IPV6),
    "resolver": world.ADDRESSES["resolver"],
    "postmaster": ("203.0.113.90", "2001:db8:203::90"),
    "stranger": ("203.0.113.91",),  # may not ask
}
WAYS = {
    "UDP over IPv4": (IPV4, "+notcp"),
    "TCP over IPv4": (IPV4, "+tcp"),
    "UDP over IPv6": (IPV6, "+notcp"),
    "TCP over IPv6": (IPV6, "+tcp"),
}
LISTED = {
    "192.0.2.66/32": "open-relay",
    "192.0.2.128/25": "open-relay",
    "192.0.2.99/32": "forty",
    "2001:db8:bad::1/128": "open-relay",
    "2001:db8:bad:1::/64": "open-relay",
}
FORTY = [f"127.0.1.{number}" for number in range(1, 41)]
URL = "http://www.blocklist.example/a"
NO_SUCH = DnsAnswer("NXDOMAIN", ())
RELAY = DnsAnswer("NOERROR", ("127.0.0.2",))

_ZONE = """\
apex = "{apex}"
kind = "{kind}"
url = "{url}/{{address}}"
ttl_seconds = 900

[soa]
mname = "ns.blocklist.example"
rname = "hostmaster@blocklist.example"
ttl_seconds = 3600
minimum_seconds = 300

[ns]
names = ["ns.blocklist.example"]

[apex_records]
addresses = ["198.51.100.10", "2001:db8:198::10"]

[reasons.open-relay]
title = "Open relay"
addresses = ["127.0.0.2"]
text = "Open relay, see {{url}}"
"""
_FORTY = f"""
[reasons.forty]
title = "Many values"
addresses = {FORTY}
text = "Many values, see {{url}}"

[limits]
list_reserved = true
"""


@dataclass(frozen=True, slots=True)
class Stage:
    """The running program, and from where it is asked."""

    hosts: Mapping[str, Host]

    @property
    def postmaster(self) -> Host:
        """The host that most is asked from."""
        return self.hosts["postmaster"]

    def ask_each_way(self, program: Callable[..., Said], *arguments: str) -> Said:
        """Return what *program* is answered, which is the same over every transport."""
        said = {
            way: program(self.postmaster, server, transport, *arguments)
            for way, (server, transport) in WAYS.items()
        }
        assert len(set(said.values())) == 1, said
        return next(iter(said.values()))


@pytest.fixture(
    scope="module",
    params=[pytest.param(path, marks=pytest.mark.xdist_group(f"conformance-{path}")) for path in DNS_PATHS],
)
def stage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """The program on the blocklist's host, with addresses of both families, and Unbound in front of it."""
    needs.decide(needs.missing())
    folder = tmp_path_factory.mktemp("conformance")
    with internet(folder, PLAN, resolver=PLAN["resolver"][0]) as hosts:
        zones = _zone_files(folder)
        url = f"sqlite:///{folder}/rbl.db"
        _fill(url)
        settings = {
            "RBL_ZONES": ",".join(map(str, zones)),
            "RBL_DNS__LISTEN": f"{IPV4}:53,[{IPV6}]:53",
            "RBL_DNS__PATH": request.param,
            "RBL_DNS__SERVER_ID": "ns1",
            "RBL_DNS__ACCESS__REFUSE": "203.0.113.91",
        }
        apexes = dict.fromkeys((ZONE, NAMES), IPV4)
        with (
            Unbound(hosts["resolver"], world.names(), apexes),
            blocklist.serving(hosts["blocklist"], url, settings) as rbl,
        ):
            assert f"{request.param} path" in rbl.log()
            yield Stage(hosts)


def _zone_files(folder: Path) -> list[Path]:
    addresses, names = folder / "addresses.toml", folder / "names.toml"
    addresses.write_text(_ZONE.format(apex=ZONE, kind="addresses", url=URL) + _FORTY)
    names.write_text(_ZONE.format(apex=NAMES, kind="names", url=URL))
    return [addresses, names]


def _fill(url: str) -> None:
    """List what is asked for."""
    act = Act("test", "test", datetime.now(UTC))
    store = Store(url)
    migrate.upgrade(store)
    with store.writing() as session:
        journal.open_zone(session, ZONE, act.at)
        for network, reason in LISTED.items():
            new = NewListing(ZONE, ip_network(network), reason, allow_reserved=True)
            listings.start(session, new, act)
    store.close()


def name_of(address: str) -> str:
    """Return the name at which *address* is looked up (RFC 5782 §2.1, §2.4)."""
    if ":" not in address:
        return f"{'.'.join(reversed(address.split('.')))}.{ZONE}"
    return f"{'.'.join(reversed(IPv6Address(address).exploded.replace(':', '')))}.{ZONE}"


PLAIN = "+noedns +noad +norec"
EDNS = "+nocookie +edns=0 +noad +norec"
VERSION_1 = "+nocookie +edns=1 +noednsneg +noad +norec"
ANSWERED, UNVERSED = "NOERROR qr aa SOA; EDNS 0 1232", "BADVERS qr; EDNS 0 1232"
SECURE = "NOERROR qr aa SOA; EDNS 0 do 1232"
ALL_FLAGS = "+noedns +tcflag +rdflag +raflag +cdflag +adflag +aaflag +zflag"

# RFC 8906 §8, in its order and its words to dig, then what ISC's tests of EDNS compliance ask besides.
# The answer is the same over TCP and UDP, also where the RFC asks for one of them.
COMPLIANCE = [
    ("§8.1.1", PLAIN, "SOA", "NOERROR qr aa SOA; "),
    ("§8.1.2", PLAIN, "TYPE1000", "NOERROR qr aa SOA; "),
    ("§8.1.3.1 CD", f"{PLAIN} +cd", "SOA", "NOERROR qr aa cd SOA; "),
    ("§8.1.3.2 AD", "+noedns +norec +ad", "SOA", "NOERROR qr aa SOA; "),
    ("§8.1.3.3 Z", f"{PLAIN} +zflag", "SOA", "NOERROR qr aa SOA; "),
    ("§8.1.3.4 RD", "+noedns +noad +rec", "SOA", "NOERROR qr aa rd SOA; "),
    ("§8.1.4", f"{PLAIN} +opcode=15 +header-only", "", "NOTIMP RESERVED15 qr; "),
    ("§8.2.1", EDNS, "SOA", ANSWERED),
    ("§8.2.2", VERSION_1, "SOA", UNVERSED),
    ("§8.2.3", f"{EDNS} +ednsopt=100", "SOA", ANSWERED),
    ("§8.2.4", f"{EDNS} +ednsflags=0x40", "SOA", ANSWERED),
    ("§8.2.5", f"{VERSION_1} +ednsflags=0x40", "SOA", UNVERSED),
    ("§8.2.6", f"{VERSION_1} +ednsopt=100", "SOA", UNVERSED),
    ("§8.2.7", f"{EDNS} +dnssec +bufsize=512 +ignore", "DNSKEY", SECURE),
    ("§8.2.8", f"{EDNS} +dnssec", "SOA", SECURE),
    ("§8.2.9", f"{VERSION_1} +dnssec", "SOA", "BADVERS qr; EDNS 0 do 1232"),
    (
        "§8.2.10",
        "+edns=0 +noad +norec +cookie +nsid +expire +subnet=0.0.0.0/0",
        "SOA",
        f"{ANSWERED}; NSID; COOKIE",
    ),
    ("every flag, an unknown opcode", f"{ALL_FLAGS} +opcode=15 +header-only", "", "NOTIMP RESERVED15 qr; "),
    ("every flag", ALL_FLAGS, "SOA", "NOERROR qr aa rd cd SOA; "),
    ("an unknown opcode with EDNS", f"{EDNS} +opcode=15", "SOA", "NOTIMP RESERVED15 qr; EDNS 0 1232"),
    (
        "an unknown opcode with a cookie",
        "+noad +norec +cookie +opcode=15",
        "SOA",
        "NOTIMP RESERVED15 qr; EDNS 0 1232; COOKIE",
    ),
    ("NOTIFY", f"{PLAIN} +opcode=notify", "SOA", "NOTIMP NOTIFY qr; "),
    ("UPDATE", f"{PLAIN} +opcode=update", "SOA", "NOTIMP UPDATE qr; "),
    ("STATUS", f"{PLAIN} +opcode=status", "SOA", "NOTIMP STATUS qr; "),
    ("no question", f"{PLAIN} +header-only", "", "FORMERR qr; "),
    (
        "no question but for a cookie",
        "+noad +norec +header-only +cookie",
        "",
        "NOERROR qr; EDNS 0 1232; COOKIE",
    ),
    ("type 666", EDNS, "TYPE666", ANSWERED),
    ("type 65535", EDNS, "TYPE65535", ANSWERED),
    ("version 255", "+nocookie +edns=255 +noednsneg +noad +norec", "SOA", UNVERSED),
    ("all EDNS flags", f"{EDNS} +dnssec +ednsflags=0x7fff", "SOA", SECURE),
    ("the smallest size", f"{EDNS} +bufsize=0", "SOA", ANSWERED),
    ("the largest size", f"{EDNS} +bufsize=65535", "SOA", ANSWERED),
    ("NSID", f"{EDNS} +nsid", "SOA", f"{ANSWERED}; NSID"),
    ("NSID with a value", f"{EDNS} +ednsopt=3:abcd", "SOA", f"{ANSWERED}; NSID"),
    ("padding", f"{EDNS} +padding=128", "SOA", ANSWERED),
    ("keepalive", f"{EDNS} +keepalive", "SOA", ANSWERED),
    ("a subnet", f"{EDNS} +subnet=192.0.2.0/24", "SOA", ANSWERED),
    ("an option of 1,000 octets", f"{EDNS} +ednsopt=65001:{'ab' * 1000}", "SOA", ANSWERED),
    ("a cookie of 40 octets", f"{EDNS} +ednsopt=10:{'ab' * 40}", "SOA", f"{ANSWERED}; COOKIE"),
    ("a cookie of 41 octets", f"{EDNS} +ednsopt=10:{'ab' * 41}", "SOA", "FORMERR qr; EDNS 0 1232"),
    ("a cookie of 9 octets", f"{EDNS} +ednsopt=10:{'ab' * 9}", "SOA", "FORMERR qr; EDNS 0 1232"),
    ("an empty cookie", f"{EDNS} +ednsopt=10", "SOA", "FORMERR qr; EDNS 0 1232"),
]


@pytest.mark.root
@pytest.mark.parametrize(
    ("why", "how", "rtype", "expected"), COMPLIANCE, ids=[row[0] for row in COMPLIANCE]
)
def test_compliance(stage: Stage, why: str, how: str, rtype: str, expected: str) -> None:
    """dig gets what RFC 8906 §8 expects over UDP and TCP, IPv4 and IPv6."""
    question = [ZONE, rtype] if rtype else []
    said = stage.ask_each_way(dig, *how.split(), *question)

    assert expected == said.brief, why


QUESTIONS = [
    ("a listed address", f"{name_of('192.0.2.66')} A", "NOERROR qr aa", "A 127.0.0.2"),
    ("why", f"{name_of('192.0.2.66')} TXT", "NOERROR qr aa", f'TXT "Open relay, see {URL}/192.0.2.66"'),
    ("ANY", f"{name_of('192.0.2.66')} ANY", "NOERROR qr aa", "A 127.0.0.2"),
    ("ANY at the apex", f"{ZONE} ANY", "NOERROR qr aa", "SOA"),
    ("another type", f"{name_of('192.0.2.66')} AAAA", "NOERROR qr aa", "SOA"),
    ("an unknown type", f"{name_of('192.0.2.66')} TYPE666", "NOERROR qr aa", "SOA"),
    ("the first of a range", f"{name_of('192.0.2.128')} A", "NOERROR qr aa", "A 127.0.0.2"),
    ("the last of a range", f"{name_of('192.0.2.255')} A", "NOERROR qr aa", "A 127.0.0.2"),
    ("before a range", f"{name_of('192.0.2.127')} A", "NXDOMAIN qr aa", "SOA"),
    ("an IPv6 address", f"{name_of('2001:db8:bad::1')} A", "NOERROR qr aa", "A 127.0.0.2"),
    ("in an IPv6 range", f"{name_of('2001:db8:bad:1:2:3:4:5')} A", "NOERROR qr aa", "A 127.0.0.2"),
    ("an IPv6 address beside it", f"{name_of('2001:db8:bad::2')} A", "NXDOMAIN qr aa", "SOA"),
    ("mapped", f"{name_of('::ffff:192.0.2.66')} A", "NOERROR qr aa", "A 127.0.0.2"),
    ("mapped, not listed", f"{name_of('::ffff:192.0.2.67')} A", "NXDOMAIN qr aa", "SOA"),
    ("6to4", f"{name_of('2002:c000:242::5')} A", "NOERROR qr aa", "A 127.0.0.2"),
    ("6to4, not listed", f"{name_of('2002:c000:243::5')} A", "NXDOMAIN qr aa", "SOA"),
    ("above a listed address", f"2.0.192.{ZONE} A", "NOERROR qr aa", "SOA"),
    ("far above one", f"192.{ZONE} A", "NOERROR qr aa", "SOA"),
    ("above an IPv6 address", f"8.b.d.0.1.0.0.2.{ZONE} A", "NOERROR qr aa", "SOA"),
    ("above nothing", f"10.{ZONE} A", "NXDOMAIN qr aa", "SOA"),
    ("below a listed address", f"x.{name_of('192.0.2.66')} A", "NXDOMAIN qr aa", "SOA"),
    ("no octet", f"256.2.0.192.{ZONE} A", "NXDOMAIN qr aa", "SOA"),
    ("an octet with a zero before it", f"066.2.0.192.{ZONE} A", "NXDOMAIN qr aa", "SOA"),
    ("random case", "66.2.0.192.ReLaYs.ExAmPlE A", "NOERROR qr aa", "A 127.0.0.2"),
    ("the test point", f"{name_of('127.0.0.2')} A", "NOERROR qr aa", "A 127.0.0.2"),
    ("its IPv6 form", f"{name_of('::ffff:127.0.0.2')} A", "NOERROR qr aa", "A 127.0.0.2"),
    ("what is never listed", f"{name_of('127.0.0.1')} A", "NXDOMAIN qr aa", "SOA"),
    ("its IPv6 form", f"{name_of('::ffff:127.0.0.1')} A", "NXDOMAIN qr aa", "SOA"),
    ("TEST", f"TEST.{NAMES} A", "NOERROR qr aa", "A 127.0.0.2"),
    ("why TEST", f"TEST.{NAMES} TXT", "NOERROR qr aa", f'TXT "Open relay, see {URL}/test"'),
    ("INVALID", f"INVALID.{NAMES} A", "NXDOMAIN qr aa", "SOA"),
    ("the name servers", f"{ZONE} NS", "NOERROR qr aa", "NS ns.blocklist.example."),
    ("the web site", f"{ZONE} AAAA", "NOERROR qr aa", f"AAAA {IPV6}"),
    ("the version", "version.bind CH TXT", "NOERROR qr aa", 'TXT "rbl"'),
    ("which server", "id.server CH TXT", "NOERROR qr aa", 'TXT "ns1"'),
    ("another name of CHAOS", "authors.bind CH TXT", "REFUSED qr", ""),
    ("our name in CHAOS", f"{ZONE} CH SOA", "REFUSED qr", ""),
    ("class HS", f"{ZONE} CLASS4 SOA", "REFUSED qr", ""),
    ("a name of others", "www.example.org A", "REFUSED qr", ""),
    ("the root", ". NS", "REFUSED qr", ""),
]


@pytest.mark.root
@pytest.mark.parametrize("program", [dig, kdig], ids=["dig", "kdig"])
def test_answers(stage: Stage, program: Callable[..., Said]) -> None:
    """dig and kdig understand every answer, the same over each transport."""
    expected, actual = [], []
    for why, question, head, record in QUESTIONS:
        quiet = ("+norec", "+nocookie", "+noad") if program is dig else ("+norec", "+nocookie")
        said = stage.ask_each_way(program, *quiet, *question.split())
        shown = [" ".join(line.split()[3:]) for line in said.records]
        expected.append((why, head, [record] if record else []))
        actual.append((why, said.head, ["SOA"] if shown and shown[0].startswith("SOA") else shown))
        assert not said.faults, said.text

    assert expected == actual


@pytest.mark.root
def test_test_points(stage: Stage) -> None:
    """Each value has a test point, in both families (RFC 5782 §5)."""
    for value in ("127.0.0.2", *FORTY):
        for address in (value, f"::ffff:{value}"):
            said = dig(stage.postmaster, IPV4, "+norec", name_of(address), "A")

            assert said.head == "NOERROR qr aa", said.text
            assert said.records, said.text


@pytest.mark.root
@pytest.mark.parametrize("server", [IPV4, IPV6])
@pytest.mark.parametrize(
    ("how", "head"),
    [
        ("+noedns", "NOERROR qr aa tc"),
        ("+bufsize=256", "NOERROR qr aa tc"),
        ("+bufsize=512", "NOERROR qr aa tc"),
        ("+bufsize=693", "NOERROR qr aa tc"),
        ("+bufsize=694", "NOERROR qr aa"),
        ("+bufsize=1232", "NOERROR qr aa"),
        ("+bufsize=4096", "NOERROR qr aa"),
        ("+noedns +tcp", "NOERROR qr aa"),
        ("+bufsize=512 +tcp", "NOERROR qr aa"),
    ],
)
def test_forty_values(stage: Stage, server: str, how: str, head: str) -> None:
    """Forty values fit in an answer or are left out, all of them, with TC (RFC 2181 §9)."""
    question = (name_of("192.0.2.99"), "A")
    said = dig(stage.postmaster, server, "+norec", "+noad", "+nocookie", "+ignore", *how.split(), *question)
    values = {line.split()[4] for line in said.records}

    assert head == said.head, said.text
    assert values == (set() if "tc" in head else set(FORTY))
    assert ("EDNS 0 1232" if "noedns" not in how else "") == said.edns


@pytest.mark.root
def test_a_truncated_answer_is_asked_for_over_tcp(stage: Stage) -> None:
    """dig and kdig come back over TCP by themselves and get all forty values."""
    for program in (dig, kdig):
        said = program(stage.postmaster, IPV4, "+norec", "+bufsize=512", name_of("192.0.2.99"), "A")

        assert len(FORTY) == len(said.records), said.text


@pytest.mark.root
@pytest.mark.parametrize(
    ("client", "question", "reason"),
    [
        ("postmaster", "www.example.org A", "20 (Not Authoritative): (no zone of this server)"),
        ("postmaster", f"{ZONE} CH SOA", "20 (Not Authoritative): (no zone of this server)"),
        ("postmaster", f"{ZONE} AXFR", "21 (Not Supported): (no zone transfer here)"),
        ("postmaster", f"{ZONE} IXFR=1", "21 (Not Supported): (no zone transfer here)"),
        ("stranger", f"{ZONE} SOA", "18 (Prohibited): (this client may not ask here)"),
    ],
)
def test_what_is_refused_says_why(stage: Stage, client: str, question: str, reason: str) -> None:
    """REFUSED comes with the extended error that fits (RFC 8914 §4), to whoever has EDNS."""
    host = stage.hosts[client]
    said = dig(host, IPV4, "+norec", "+noad", "+nocookie", "+edns=0", *question.split())
    silent = dig(host, IPV4, "+norec", "+noad", "+noedns", *question.split())

    assert ("REFUSED qr", "EDNS 0 1232") == (said.head, said.edns)
    assert f"; EDE: {reason}" in said.text
    assert ("REFUSED qr", "") == (silent.head, silent.edns)


@pytest.mark.root
def test_a_cookie_is_good(stage: Stage) -> None:
    """A server cookie comes back as good, over each transport."""
    for server, transport in WAYS.values():
        said = dig(stage.postmaster, server, transport, "+norec", "+cookie", ZONE, "SOA")

        assert "(good)" in said.text


@pytest.mark.root
@pytest.mark.parametrize("server", [IPV4, IPV6])
def test_pipelined_queries(stage: Stage, server: str) -> None:
    """Queries sent at once over one connection are all answered (RFC 7766 §6.2.1.1)."""
    names = [name_of(f"192.0.2.{last}") for last in range(60, 200)]
    said = mdig(stage.postmaster, server, names)
    listed = [answer.head for answer in said].count("NOERROR qr aa rd")

    assert (len(names), 1 + 1 + 72) == (len(said), listed)


@pytest.mark.root
def test_one_connection_for_many_queries(stage: Stage) -> None:
    """kdig keeps its connection for the next query, and is answered on it."""
    names = [name_of(address) for address in ("192.0.2.66", "192.0.2.67", "192.0.2.130")]
    arguments = [argument for name in names for argument in (name, "A")]
    said = kdig(stage.postmaster, IPV4, "+tcp", "+keepopen", "+norec", *arguments)

    assert 2 == said.text.count("status: NOERROR")
    assert 1 == said.text.count("status: NXDOMAIN")


@pytest.mark.root
def test_behind_a_resolver_that_minimises(stage: Stage) -> None:
    """Listed hosts stay visible behind Unbound, also after it was told what is not there (RFC 9156)."""
    ask = Visitor(stage.postmaster).ask
    for address in ("10.0.0.1", "192.0.3.1", "192.0.2.67", "2001:db8:bae::1", "::ffff:192.0.2.67"):
        assert ask(name_of(address), "A") == NO_SUCH, address
    for name in (f"192.{ZONE}", f"2.0.192.{ZONE}", f"f.f.f.f.{'0.' * 20}{ZONE}", f"2.0.0.2.{ZONE}"):
        assert ask(name, "A").rcode in {"NOERROR", "NXDOMAIN"}, name
    for address in (
        *("192.0.2.66", "192.0.2.128", "192.0.2.200", "2001:db8:bad::1", "2001:db8:bad:1::7"),
        *("::ffff:192.0.2.66", "2002:c000:242::1", "2002:c000:2c8:1:2:3:4:5", "127.0.0.2"),
        "::ffff:127.0.0.2",
    ):
        assert ask(name_of(address), "A") == RELAY, address
    text = f'"Open relay, see {URL}/192.0.2.66"'
    assert ask(name_of("192.0.2.66"), "TXT") == DnsAnswer("NOERROR", (text,))
    forty = ask(name_of("192.0.2.99"), "A")
    assert (forty.rcode, set(forty.rdata)) == ("NOERROR", set(FORTY))
    assert ask(f"test.{NAMES}", "A") == RELAY
    assert ask(f"invalid.{NAMES}", "A") == NO_SUCH
    assert ask(name_of("127.0.0.1"), "A") == NO_SUCH
    assert ask(name_of("::ffff:127.0.0.1"), "A") == NO_SUCH
