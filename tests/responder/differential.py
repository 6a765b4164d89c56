"""The compiled path beside the reference path: the same packets for both, and what differs.

A world with everything in it that an answer can depend on, queries as resolvers send them, and ways
to spoil them. Used by the tests and by tools/fuzz.py, where the compiled path is watched by sanitizers.
"""

import random
import struct
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from rbl.config import Access, Dns
from rbl.customerkey import digest_of
from rbl.responder import cookies
from rbl.responder.answer import Reply, answer
from rbl.responder.catalogue import Catalogue
from rbl.responder.client import Client
from rbl.responder.codes import Outcome, Transport
from rbl.responder.hotpath import OUTCOMES, HotPath
from rbl.responder.rules import Rules, rules_of
from rbl.terms import Change, Entry, Listed
from rbl.zone.access import ALLOW, AccessList, Action, Keys, Rule
from rbl.zone.index import Index, compile_index
from rbl.zone.zonefile import ApexRecords, Kind, ZoneFile
from tests.responder.lists import LISTED, LISTED_NAMES, NOW, SERIAL, make_zone
from tests.responder.presentation import make_query, read_golden

CUSTOMER = "abcdefghijklmnopqrstuvwxyz"
SECRETS = ("000102030405060708090a0b0c0d0e0f", "0f0e0d0c0b0a09080706050403020100")
DNS = Dns(
    server_id="ns1.example.org",
    cookie_secrets=SECRETS,
    access=Access(
        refuse=(ip_network("198.51.100.0/24"), ip_network("2001:db8:bad::/48")),
        ignore=(ip_network("198.51.100.66/32"),),
        empty=(ip_network("203.0.113.0/24"), ip_network("2001:db8:e::/48")),
        allow=(ip_network("203.0.113.7/32"),),
    ),
    rate_limit={"responses_per_second": 0},
)
CLIENTS = [
    Client(ip_address(address), Transport.UDP)
    for address in (
        "127.0.0.1",
        "::1",
        "192.0.2.53",
        "192.0.2.99",
        "2001:db8::53",
        "2001:db8:1::53",
        "198.51.100.1",
        "198.51.100.66",
        "203.0.113.6",
        "203.0.113.7",
        "2001:db8:bad::1",
        "2001:db8:e::1",
        "255.255.255.255",
        "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
        "10.1.2.3",
        "10.9.9.9",
    )
]
_TYPES = (1, 16, 28, 1, 16, 255, 2, 6, 15, 33, 43, 65, 99, 252, 251, 257, 65280)
_GUARDED = AccessList(
    ALLOW,
    (
        (
            ip_network("192.0.2.0/24"),
            Rule(Action.LISTED, IPv4Address("127.255.255.254"), "Go, {address}", 60),
        ),
        (ip_network("192.0.2.99/32"), Rule(Action.IGNORE)),
        (ip_network("2001:db8::/32"), Rule(Action.LISTED, IPv4Address("127.255.255.255"), "", 0)),
        (ip_network("2001:db8:1::/48"), Rule(Action.REFUSE)),
        (ip_network("10.0.0.0/8"), Rule(Action.EMPTY)),
        (ip_network("10.1.0.0/16"), ALLOW),
    ),
)


@dataclass(frozen=True, slots=True)
class World:
    """Both paths, at one generation of the same lists."""

    catalogue: Catalogue
    rules: Rules
    hot_path: HotPath


def make_world(dns: Dns = DNS, *, know_keys: bool = True) -> World:
    """Return lists of every kind, asked by both paths; by the compiled one also with the customer's key."""
    bare = replace(make_zone("bare.test"), apex_records=ApexRecords((), (), (), 0))
    files = [
        make_zone("bl.test"),
        make_zone("names.test", Kind.NAMES),
        make_zone("deep.er.bl.test"),
        make_zone("new.test"),
        replace(make_zone("guarded.test"), access=_GUARDED),
        replace(make_zone("guarded.names.test", Kind.NAMES), access=_GUARDED),
        replace(make_zone("keyed.test"), keys=Keys.REQUIRED),
        replace(make_zone("open.keyed.test"), keys=Keys.ACCEPTED),
        replace(make_zone("keyed.names.test", Kind.NAMES), keys=Keys.REQUIRED),
        replace(make_zone("all.names.test", Kind.NAMES), url="{address}.https://example.org/{address}"),
        bare,
    ]
    catalogue = Catalogue(files)
    hot_path = HotPath(catalogue, rules_of(dns))
    for file in files:
        if file.apex_text != "new.test":
            for index in _generations(file):
                catalogue.serve(index)
    for zone in (b"keyed.test", b"open.keyed.test", b"keyed.names.test") if know_keys else ():
        hot_path.learn_key(query(CUSTOMER.encode() + b"." + zone, 1, random.Random(5782)))
    return World(catalogue, rules_of(dns), hot_path)


def _generations(file: ZoneFile) -> Iterator[Index]:
    """Yield an index of *file* and a later one, whose changed blocks lie over the first."""
    listed = list(_names() if file.kind is Kind.NAMES else _networks())
    listed.append(Listed(digest_of(CUSTOMER.encode()), "", None, exempt=False, key=True))
    index = compile_index(file, SERIAL + 2**32, listed)
    yield index
    subjects = ["new.example.com", "*.new.example.com"] if file.kind is Kind.NAMES else [
        "203.0.113.77/32",
        "203.0.114.0/25",
        "2001:db8:1::26/128",
        "2001:db8:77::/48",
        "11.0.0.0/8",
    ]  # fmt: skip
    entries = [
        Entry(
            file.apex_text,
            index.serial + number,
            Change.LISTED,
            subject,
            "relay",
            None,
            "test",
            "test",
            datetime.now(UTC),
        )
        for number, subject in enumerate(subjects, start=1)
    ]
    yield index.apply(entries)


def _networks() -> Iterator[Listed]:
    yield from LISTED
    for subject in (
        "10.0.0.0/8",
        "10.20.0.0/16",
        "223.255.255.255/32",
        "255.255.255.255/32",
        "0.0.0.0/32",
        "1.2.3.4/32",
        "4.3.2.1/32",
        "100.64.0.0/31",
        "2000::/4",
        "2001:db8:3::/127",
        "::/128",
        "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128",
        "fe80::/64",
        "2001:db8:4:0:1::/80",
        "2001:db8:0:1:1:1:1:1/128",
        "2001:0:0:1::1/128",
    ):
        yield Listed(subject, "relay", None, exempt=False)
    for number, text in enumerate(_texts()):
        yield Listed(f"192.0.2.{number}/32", "relay", text, exempt=False)
    for number in range(200):  # a block that is searched by halves
        yield Listed(f"172.20.{number}.{number * 7 % 256}/32", "multihop", None, exempt=False)
    yield Listed("10.20.30.0/24", "", None, exempt=True)
    yield Listed("2001:db8:2:ff::/64", "", None, exempt=True)


def _names() -> Iterator[Listed]:
    yield from LISTED_NAMES
    for subject in (
        "a",
        "*",
        "x.y.z",
        "*.y.z",
        "invalid",
        "*.test",
        "wild.example.com",
        "deep.in.it.example",
    ):
        yield Listed(subject, "multihop", None, exempt=False)
    for number, text in enumerate(_texts()):
        yield Listed(f"text{number}.example", "relay", text, exempt=False)
    yield Listed("good.wild.example.com", "", None, exempt=True)
    yield Listed("*.very.good.example.com", "", None, exempt=True)


def _texts() -> Iterator[str]:
    yield from (
        "",
        "{address}",
        "{url}",
        "{address}{url}{address}",
        "{addres}{{url}}",
        "é€😀 {address}",
        "\ud800",
    )
    for length in (1, 254, 255, 256, 510, 511, 1000, 1200, 4095, 4096, 5000):
        yield "x" * length
        yield "é" * (length // 2) + "{address}"
    yield "{url} " * 100


def seeds() -> list[bytes]:
    """Return well-formed queries, as resolvers send them and not."""
    found = [make_query(golden.question)[0] for golden in read_golden("answers.txt")]
    chance = random.Random(1035)
    names = list(_questions())
    for at, name in enumerate(names):
        found += [query(name, rtype, chance) for rtype in (_TYPES[:5] if at % 3 else _TYPES)]
    return found


def _questions() -> Iterator[bytes]:
    zones = [b"bl.test", b"guarded.test", b"bare.test", b"keyed.test", b"open.keyed.test", b"new.test"]
    zones += [CUSTOMER.encode() + b"." + zone for zone in (b"keyed.test", b"open.keyed.test", b"bl.test")]
    zones += [
        CUSTOMER[::-1].encode() + b".keyed.test",
        b"other.test",
        b"test",
        b"",
        b"er.bl.test",
        b"xbl.test",
    ]
    addresses = list(_addresses())
    for zone in zones:
        yield zone
        for address in addresses if zone == b"bl.test" else addresses[::5]:
            yield address + b"." + zone
    keyed = CUSTOMER.encode() + b".keyed.names.test"
    for zone in (b"names.test", b"all.names.test", b"guarded.names.test", b"keyed.names.test", keyed):
        yield zone
        for name in (
            b"spam.example.com",
            b"example.com",
            b"com",
            b"a.wild.example.com",
            b"wild.example.com",
            b"good.wild.example.com",
            b"not.good.wild.example.com",
            b"x.very.good.example.com",
            b"odd\x00\xff \\name.wild.example.com",
            b"\xc3\xa9" * 31 + b".a",
            b"test",
            b"x.test",
            b"invalid",
            b"x.invalid",
            b"a",
            b"b.a",
            b"x.y.z",
            b"y.z",
            b"w.x.y.z",
            b"it.example",
            b".".join([b"1"] * 110),
            b"new.example.com",
            b"a.new.example.com",
            *(b"text%d.example" % number for number in range(30)),
        ):
            yield name + b"." + zone


def _addresses() -> Iterator[bytes]:
    """Yield names that are addresses, prefixes, and nearly so."""
    for address in (
        "203.0.113.9", "203.0.113.10", "203.0.113.77", "198.51.100.7", "198.51.100.8", "127.0.0.2",
        "127.0.0.1",
        "10.20.30.40", "10.9.8.7", "11.255.0.1", "0.0.0.0", "255.255.255.255", "100.64.0.1", "172.20.7.49",
        "172.20.255.255", "1.2.3.4", "4.3.2.1", "203.0.114.127", "203.0.114.128",
        *(f"192.0.2.{number}" for number in range(32)),
    ):  # fmt: skip
        labels = address.split(".")[::-1]
        for at in range(4):
            yield ".".join(labels[at:]).encode()
    for text in (
        "2001:db8:1::25", "2001:db8:1::26", "2001:db8:2::1", "2001:db8:2:ff::1", "::ffff:203.0.113.9",
        "2002:cb00:7109::1",
        "::ffff:127.0.0.2", "2001:db8:4:0:1::9", "fe80::1", "::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
        "2001:db8:0:1:1:1:1:1", "2001:0:0:1::1", "2000::", "2001:db8:3::1", "2001:db8:3::2",
        "2002::", "::ffff:0:0",
    ):  # fmt: skip
        nibbles = [
            f"{digit:x}" for digit in IPv6Address(text).packed for digit in (digit >> 4, digit & 15)
        ][::-1]
        for at in (0, 1, 4, 8, 15, 16, 17, 20, 24, 27, 28, 30, 31):
            yield ".".join(nibbles[at:]).encode()
    yield from (
        b"256.0.0.127",
        b"02.0.0.127",
        b"x.2.0.0.127",
        b"www",
        b"1.2.3.4.5",
        b"g.0.0.1",
        b"00.0.0.127",
        b"A.B",
    )
    yield from (b"2.0.0.0127", b"-1.0.0.127", b"1e1.0.0.127", b".".join([b"f"] * 33), b"12.f.0.0")


def query(name: bytes, rtype: int, chance: random.Random, rclass: int = 1) -> bytes:
    """Return a query for *name*, with or without an OPT record and what may be in one."""
    wire = b"".join(bytes((len(label),)) + label for label in name.split(b".") if label) + b"\0"
    if chance.random() < 0.3:
        wire = bytes(
            octet ^ 0x20 if 65 <= octet & 0xDF <= 90 and chance.random() < 0.5 else octet for octet in wire
        )
    opt = _opt(chance) if chance.random() < 0.7 else b""
    flags = chance.choice((0, 0x0100, 0x0110, 0x0020, 0x0700, 0x00FF))
    header = struct.pack("!6H", chance.getrandbits(16), flags, 1, 0, 0, 1 if opt else 0)
    return header + wire + struct.pack("!HH", rtype, rclass) + opt


def _opt(chance: random.Random) -> bytes:
    options = b"".join(chance.sample(_options(chance), chance.choice((0, 0, 1, 1, 2, 3))))
    size = chance.choice((0, 511, 512, 513, 1232, 4096, 65535))
    return (
        struct.pack("!BHHIH", 0, 41, size, chance.choice((0, 0x8000, 0x8000, 0x4000)), len(options))
        + options
    )


def _options(chance: random.Random) -> list[bytes]:
    client = chance.choice(CLIENTS).address
    age = chance.choice((-301, -300, -1, 0, 1799, 1800, 1801, 3600, 3601))
    secret = bytes.fromhex(chance.choice((*SECRETS, "ff" * 16)))
    values = [
        (10, chance.randbytes(8)),
        (10, cookies.make(b"ClientCk", client, NOW // 10**9 - age, secret)),
        (10, cookies.make(b"ClientCk", client, NOW // 10**9 - age, secret)),
        (10, chance.randbytes(chance.choice((9, 16, 24, 40, 41)))),
        (3, b""),
        (3, b"anything"),
        (12, bytes(chance.choice((0, 1, 100)))),
        (65001, b"unknown"),
        (8, b"\0\1\x18\0\xc0\0\2"),
    ]
    return [struct.pack("!HH", code, len(value)) + value for code, value in values]


def mutated(packet: bytes, chance: random.Random) -> bytes:
    """Return *packet* with one to four changes."""
    octets = bytearray(packet)
    for _ in range(chance.choice((1, 1, 1, 2, 3, 4))):
        at = chance.randrange(len(octets)) if octets else 0
        match chance.choice((0, 1, 2, 3, 3, 3, 3, 3, 4, 5, 6, 7)):
            case 0 | 1 if octets:
                octets[at] = chance.choice((0, 1, 2, 3, 10, 46, 48, 49, 57, 63, 64, 97, 102, 0xC0, 0xFF))
            case 2 if octets:
                octets[at] ^= 1 << chance.randrange(8)
            case 3 if 12 < at < len(octets) - 4:  # most often a label's octet, and the packet stays whole
                octets[at] = chance.choice(b"0123456789abcdefABCDEF-*.\\\xff")
            case 4:
                octets[at:at] = chance.randbytes(chance.choice((1, 1, 2, 8)))
            case 5:
                del octets[at : at + chance.choice((1, 1, 2, 5, 40))]
            case 6:
                octets += octets[at : at + chance.randrange(60)]
            case 7 if len(octets) > 12:  # a question of another type
                octets[12:] = octets[12:].replace(b"\0\1\0\1", struct.pack("!HH", chance.choice(_TYPES), 1))
    return bytes(octets)


def differing(world: World, packet: bytes, client: Client, now: int = NOW) -> tuple[Outcome | None, str]:
    """Return the compiled path's outcome, None where it hands up, and how its answer differs, if so."""
    got = world.hot_path.generation.answer(packet, client.address.packed, now)
    if got is None:
        return None, ""
    octets, zone, outcome, number = got
    names, keys = world.hot_path.zone_names, world.hot_path.keys
    key = keys[number][1] if number >= 0 else ""
    reply = Reply(octets, names[zone] if zone >= 0 else "", OUTCOMES[outcome], key)
    # What was hit is not in the compiled path's answer; a test of its counts compares it.
    wanted = replace(answer(packet, client, world.catalogue, world.rules, now), hit=None)
    if reply == wanted:
        return reply.outcome, ""
    difference = (
        f"{packet.hex()} from {client.address}:\n compiled  {_shown(reply)}\n reference {_shown(wanted)}"
    )
    return reply.outcome, difference


def _shown(reply: Reply) -> str:
    packet = "nothing" if reply.packet is None else reply.packet.hex()
    return f"{reply.zone or '-'} {reply.outcome} {packet}"


def compare_mutated(
    world: World, count: int, seed: int, clients: Sequence[Client] = CLIENTS
) -> tuple[Counter[Outcome | None], list[str]]:
    """Compare *count* spoiled packets; return what became of them, and the first few differences.

    Where the rate is limited, of one client: each path has a hash of its own, in which others may share
    his budget.
    """
    chance = random.Random(seed)
    packets = seeds()
    outcomes: Counter[Outcome | None] = Counter()
    found: list[str] = []
    for _ in range(count):
        outcome, difference = differing(
            world, mutated(chance.choice(packets), chance), chance.choice(clients)
        )
        outcomes[outcome] += 1
        if difference and len(found) < 10:
            found.append(difference)
    return outcomes, found
