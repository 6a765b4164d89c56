"""The compiled path beside the reference path over rbldnsd's data files: the same packets for both.

Files of every kind, among them those that the compiled path leaves to the other, and queries for what
stands in them. Used by the tests and by tools/fuzz.py, where the compiled path is watched by sanitizers.
"""

import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from rbl.addresses import reversed_labels
from rbl.config import Dns
from rbl.responder import filezones
from rbl.responder.answer import Reply
from rbl.responder.client import Client
from rbl.responder.codes import Outcome, Transport
from rbl.responder.filezones import Style
from rbl.responder.hotfiles import HotFiles
from rbl.responder.hotpath import OUTCOMES
from tests.responder import recorded
from tests.responder.differential import mutated, query
from tests.responder.lists import NOW
from tests.responder.madeup import MadeUp

SECOND = 10**9
CLIENTS = [
    Client(ip_address(address), Transport.UDP)
    for address in ("127.0.0.1", "192.0.2.53", "::1", "2001:db8::53")
]
DNS = Dns(version="rbldnsd", max_udp_octets=2048)
_TYPES = (1, 16, 1, 16, 255, 2, 6, 15, 28, 33, 65, 250, 251, 252, 257, 65280)
_SOA = "$SOA 300 ns1.bl.test hostmaster.bl.test 2024010101 1h 15m 1w 5m\n"
_SERVERS = "$NS 1d ns1.bl.test NS2.generic.test ns3.elsewhere\n"
_HEADER = f"{_SOA}{_SERVERS}$TTL 600\n"
_LONG = "x" * 300
_IPV4 = f"""{_HEADER}:2:Listed, see http://bl.test/?$
$1 one
$= base $= ($) $1
127.0.0.2
10.0.0.1 :3:own $ $$ text
10.0.0.2 :4:=without
10.0.0.3 :5:=
10.0.0.4 {_LONG}$
10.0.0.5 $
10.1.0.0/16
10.1.2.0/24 :6:inner
!10.1.2.3
10.2.0.0-10.2.3.7 :7:range $
0.0.0.1
255.255.255.255
1.2.3.4
4.3.2.1
""" + "".join(
    f"10.9.0.{number % 5} :{number}:=many {'$' * (number % 3)} {number // 9}\n" for number in range(2, 90)
)
_TRIE = """$TTL 77
10.0.0.0/8 :8:wide $
10.1.0.0/16 :9:
!10.1.2.0/24
192.0.2.0/24 :10:later @ ts=9999999999;delay=1h
192.0.3.0/24 :11:keyed @ key=require
172.16.0.0/12 :12:same
"""
_IPV6 = f"""{_HEADER}:2:six $
2001:db8::/32
2001:db8:1::/48 :3:own $
!2001:db8:1:2::/64
2001:db8:1:3:0:1::/96 :4:deep $
::1/128 :5:one $
fe80::/10
2002:a00:1::/48 :6:tunnel $
::ffff:0:0/96 :7:mapped $
1::/16
4000::/3
"""
_NAMES = (
    f"""{_HEADER}:2:dom $
example.com
*.wild.test :3:below $
.both.test :4:both $
!good.both.test
!*.sub.both.test
x.sub.both.test :5:
UPPER.Case.Test =$
dots\\.and\\"quotes\\\\.odd.test $
\\001\\255.odd.test odd $
twice.test :2:a $
twice.test :3:b
*.a.b.c.d.e.f.g deep
2.0.0.10 :9:looks like an address
*.11 :10:below eleven $
"""
    f"{'y' * 60}.{'z' * 60}.{'w' * 60} {_LONG}$\n"
)
_RECORDS = f"""{_HEADER}@ A 192.0.2.80
@ A 192.0.2.81
@ TXT "about this list"
@ MX 10 mx.bl.test
www 3000 A 192.0.2.80
WWW A 192.0.2.82
www TXT one
www TXT two
www TXT one
ns1 A 192.0.2.1
ns1 A 192.0.2.2
deep.er.name TXT here
2.0.0.127 A 127.0.0.99
3.0.0.127 TXT test point
""" + "".join(f"many A 192.0.2.{number}\nmany TXT text number {number}\n" for number in range(100))
FILES = {
    "ipv4": _IPV4,
    "trie": _TRIE,
    "tset": f"{_HEADER}:3:single $\n127.0.0.2\n10.0.0.1\n10.0.0.9\n",
    "ipv6": _IPV6,
    "ip6tset": f"{_HEADER}:4:subnet $\n2001:db8:77:1\n!2001:db8:77:1::2\n1:2:3:4\n",
    "names": _NAMES,
    "hashed": f"{_HEADER}hashed.test a $\n*.hashed.test b $\n!*.not.hashed.test\n"
    "later.test @ key=require\n.both.test x\n",
    "records": _RECORDS,
    "others": "ns2 A 192.0.2.7\n@ TXT others\n*.x TXT odd\n" + _SOA,
    "plain": "10.0.0.1\n127.0.0.2 $\n",
    "combined": f"{_HEADER}$DATASET ip4set @ sub\n10.0.0.1 :2:c $\n$DATASET dnset names x.y\n"
    "listed.test :3:n $\n$DATASET generic @\nwww A 192.0.2.9\n",
    "old": f"$TIMESTAMP 2005:01:01 2006:01:01\n{_HEADER}127.0.0.2\n10.0.0.1\n",
    "dated": f"$TIMESTAMP 2005:01:01 2036:01:01\n{_HEADER}127.0.0.2\n10.0.0.1\n",
    "acl": "127.0.0.1 :refuse\n192.0.2.53 :99:you $\n",
    "keys": ":refuse\nsecret :pass\n",
    "servers": "$SOA 300 a.test b.test 0 1 2 3 4\n$NS 1h "
    + " ".join(f"{letter * 50}.{letter * 50}.test" for letter in "abcdefgh")
    + "\n127.0.0.2 $\n10.0.0.1 :2:"
    + "t" * 200
    + "\n",
    "wide": f"$SOA 300 {'.'.join(['m' * 60] * 4)} {'.'.join(['r' * 60] * 4)} 7 1 2 3 4\n127.0.0.2\n",
    "soaless": f"{_SERVERS}127.0.0.2 $\n10.0.0.1\n",
}
ZONES = (
    "four.test:ip4set:ipv4",
    "trie.test:ip4trie:trie",
    "tset.test:ip4tset:tset",
    "six.test:ip6trie:ipv6",
    "sixset.test:ip6tset:ip6tset",
    "names.test:dnset:names",
    "hashed.test:dnhash:hashed",
    "generic.test:generic:records",
    "generic.test:generic:others",
    # What is put together: of one family, both, with names and records, several sets of names.
    "all4.test:ip4set:ipv4",
    "all4.test:ip4trie:trie",
    "all4.test:ip4tset:tset",
    "both.test:ip4set:ipv4",
    "both.test:ip6trie:ipv6",
    "mix.test:ip4set:ipv4",
    "mix.test:ip6trie:ipv6",
    "mix.test:generic:records",
    "every.test:ip4trie:trie",
    "every.test:dnset:names",
    "every.test:generic:records",
    "twice.test:dnset:names",
    "twice.test:dnhash:hashed",
    "combined.test:combined:combined",
    "joined.test:ip4set:plain",
    "joined.test:combined:combined",
    "plain.test:ip4set:plain",
    "deep.er.plain.test:ip4set:ipv4",
    "old.test:ip4set:old",
    "dated.test:ip4set:dated",
    "guarded.test:ip4set:ipv4",
    "guarded.test:acl:acl",
    "keyed.test:ip4set:ipv4",
    "keyed.test:aclkey:keys",
    "servers.test:ip4set:servers",
    "wide.test:ip4set:wide",
    "soaless.test:ip4set:soaless",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class FileWorld:
    """Both paths over the same data files."""

    served: recorded.Served
    style: Style
    hot_files: HotFiles


def make_world(
    folder: Path,
    arguments: Sequence[str] = ZONES,
    files: Mapping[str, str | bytes] = FILES,
    dns: Dns = DNS,
) -> FileWorld:
    """Return the data files *files* in *folder*, served as *arguments* say, asked by both paths."""
    served = recorded.Served(folder, ["-b", "127.0.0.1/0", *arguments], files)
    style = Style(dns, served.line.minimal)
    hot_files = HotFiles(served.follower.catalogue, style)
    served.follower.watch(hot_files.publish)
    return FileWorld(served, style, hot_files)


def differing(
    world: FileWorld, packet: bytes, client: Client = CLIENTS[0], now: int = NOW
) -> tuple[Outcome | None, str]:
    """Return the compiled path's outcome, None where it hands up, and how its answer differs, if so."""
    got = world.hot_files.generation.answer(packet, client.address.packed, now)
    if got is None:
        return None, ""
    octets, zone, outcome, _ = got
    names = world.hot_files.zone_names
    reply = Reply(octets, names[zone] if zone >= 0 else "", OUTCOMES[outcome])
    catalogue = world.served.follower.catalogue
    wanted = filezones.answer(packet, client, catalogue, world.style, now / SECOND)
    if reply == wanted:
        return reply.outcome, ""
    return reply.outcome, f"{packet.hex()}:\n compiled  {_shown(reply)}\n reference {_shown(wanted)}"


def _shown(reply: Reply) -> str:
    packet = "nothing" if reply.packet is None else reply.packet.hex()
    return f"{reply.zone or '-'} {reply.outcome} {packet}"


def seeds() -> list[bytes]:
    """Return well-formed queries for all zones."""
    chance = random.Random(1035)
    zones = list(dict.fromkeys(zone.partition(":")[0].encode() for zone in ZONES))
    found = []
    for zone in (*zones, b"other.test", b"test", b"", b"sub.combined.test", b"secret.keyed.test"):
        for at, name in enumerate(_names()):
            types = _TYPES if at % 7 == 0 else _TYPES[:5]
            found += [query(name + b"." + zone, rtype, chance) for rtype in types]
    return found


def _names() -> Iterator[bytes]:
    yield b""
    for address in (
        "127.0.0.2", "127.0.0.3", "10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.9",
        "10.1.2.3", "10.1.2.4", "10.1.9.9", "10.2.3.7", "10.2.3.8", "10.9.0.0", "10.9.0.1", "10.9.0.2",
        "10.9.0.3", "10.9.0.4", "0.0.0.1", "255.255.255.255", "1.2.3.4", "4.3.2.1", "192.0.2.1",
        "192.0.3.1", "172.16.1.1", "172.32.0.1", "9.9.9.9", "11.1.1.1", "10.0.0.2",
    ):  # fmt: skip
        labels = address.split(".")[::-1]
        for at in range(4):
            yield ".".join(labels[at:]).encode()
        yield b".".join(reversed_labels(ip_address(f"::ffff:{address}")))
    for text in (
        "2001:db8::1", "2001:db8:1::1", "2001:db8:1:2::1", "2001:db8:1:3:0:1:2:3", "2001:db9::1", "::1",
        "::", "fe80::1", "2002:a00:1::1", "2002:7f00:2::5", "2002:909:909::1", "1::2", "1:2:3:4::9",
        "5fff::1", "2001:db8:77:1::2", "2001:db8:77:1::3", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
        "2001:db8:0:1:1:1:1:1", "2001:0:0:1::1",
    ):  # fmt: skip
        nibbles = ".".join(reversed(ip_address(text).exploded.replace(":", ""))).encode().split(b".")
        for at in (0, 1, 4, 8, 16, 20, 24, 28, 30, 31):
            yield b".".join(nibbles[at:])
    nibbles = [b"0"] * 20 + [b"f"] * 4
    for at in (0, 1, 2, 4, 7):
        yield b".".join([b"0"] * (8 - at) + [b"f"] * 4 + [b"0"] * 20)
    yield from (
        b"example.com", b"www.example.com", b"com", b"wild.test", b"a.b.wild.test", b"both.test",
        b"good.both.test", b"x.good.both.test", b"sub.both.test", b"x.sub.both.test", b"y.sub.both.test",
        b"Upper.case.test", b"twice.test", b"a.b.c.d.e.f.g", b"q.a.b.c.d.e.f.g", b"f.g", b"x.11", b"11",
        b"1.2.3.11", b"hashed.test", b"a.hashed.test", b"a.not.hashed.test", b"later.test", b"test",
        b"www", b"ns1", b"deep.er.name", b"er.name", b"name", b"many", b"a.x", b"x", b"*.x", b"er",
        b"x.y", b"listed.test.x.y", b"names", b"listed.test.names", b"b.sub", b"secret", b"1.0.0.10.secret",
        b"002.0.0.127", b"02.0.00.0127", b"256.0.0.127", b"a.0.0.127", b"\xff.0.0.127", b"1.2.3.4.5",
        b"y" * 60 + b"." + b"z" * 60 + b"." + b"w" * 60, b".".join([b"1"] * 100),
        b"\x01\xff.odd.test",
    )  # fmt: skip


def asked(made: MadeUp) -> list[bytes]:
    """Return what is asked of made-up files."""
    return [recorded.ask(question) for _ in range(3) for question in made.questions()]


def odd_queries() -> list[bytes]:
    """Return queries for names with dots, quotes and backslashes in a label."""
    wire = b'\x10dots.and"quotes\\\x03odd\x04test'
    return [
        bytes.fromhex("123401000001000000000000")
        + wire
        + b"".join(bytes((len(label),)) + label for label in zone.split(b"."))
        + b"\0\0"
        + bytes((rtype,))
        + b"\0\1"
        for zone in (b"names.test", b"every.test", b"twice.test")
        for rtype in (1, 16, 255)
    ]


def compare_mutated(
    world: FileWorld, count: int, seed: int, packets: Sequence[bytes] | None = None
) -> tuple[Counter[Outcome | None], list[str]]:
    """Compare *count* spoiled packets; return what became of them, and the first few differences."""
    chance = random.Random(seed)
    packets = packets or seeds()
    outcomes: Counter[Outcome | None] = Counter()
    found: list[str] = []
    for _ in range(count):
        packet = mutated(chance.choice(packets), chance)
        outcome, difference = differing(world, packet, chance.choice(CLIENTS))
        outcomes[outcome] += 1
        if difference and len(found) < 10:
            found.append(difference)
    return outcomes, found
