# ruff: noqa: INP001  # part of a program, not a package
"""The list that `make bench` measures, as each server reads it, and the queries that all of them get.

Random with a fixed seed, so that two runs compare. Of the entries 95 % are IPv4 addresses and the rest
IPv6 /64 networks. Of the queries 30 % ask for something listed, 10 % for TXT, 20 % for IPv6 names; half
have OPT, of those 30 % a client cookie; the names of 20 % are in mixed case. What is not listed is as
random as what is. Beside them there are queries of the kind that rbldnsd was made for.
"""

import random
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv6Address
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rbl.responder.codes import Rtype

APEX = "relays.example"  # of zones/relays.example.toml
REASON = "open-relay"
SERIAL = 1_000_000_001  # ten digits, so that a later one takes the same place in a file
_SEED = 5782
_QUERIES = 200_000
_IPV6_ENTRIES = 20  # one in so many
_HITS, _TXT, _IPV6, _OPT, _COOKIES, _MIXED = 0.3, 0.1, 0.2, 0.5, 0.3, 0.2
_PUBLIC = (1 << 24, 100 << 24)  # no reserved space but 10.0.0.0/8
_PUBLIC_IPV6 = 0x2A0 << 52  # 2a00::/12, of a /64: the upper half of the address
_TTL_SECONDS = 300
_TEXT = "Open relay, see http://127.0.0.1:8080/a/"
_TEST_POINTS = ("127.0.0.2",)


@dataclass(frozen=True, slots=True)
class Drawn:
    """What is listed: IPv4 addresses, and the upper halves of IPv6 /64 networks."""

    ipv4: NDArray[np.uint32]
    ipv6: NDArray[np.uint64]

    def subjects(self) -> Iterator[str]:
        """Yield each entry as the journal writes it."""
        yield from (f"{dotted(value)}/32" for value in self.ipv4.tolist())
        yield from (f"{_ipv6(value)}/64" for value in self.ipv6.tolist())


@dataclass(frozen=True, slots=True)
class Query:
    """One query, and whether its name is listed."""

    packet: bytes
    name: str
    rtype: Rtype
    listed: bool


def draw(size: int) -> Drawn:
    """Return *size* entries."""
    chance = np.random.default_rng(_SEED)
    of_ipv6 = size // _IPV6_ENTRIES
    ipv4 = np.empty(0, dtype=np.uint32)
    while len(ipv4) < size - of_ipv6:
        more = chance.integers(*_PUBLIC, size - of_ipv6 - len(ipv4), dtype=np.uint32)
        ipv4 = np.unique(np.concatenate([ipv4, np.where(more >> 24 == 10, more + (1 << 24), more)]))
    ipv6 = np.unique(chance.integers(0, 1 << 52, of_ipv6, dtype=np.uint64)) + np.uint64(_PUBLIC_IPV6)
    return Drawn(ipv4, ipv6)


def new_addresses(drawn: Drawn, count: int) -> list[str]:
    """Return *count* IPv4 addresses that are not in *drawn*: to list while servers run."""
    chance = random.Random(_SEED + 1)  # noqa: S311  # the same load each time
    found: dict[int, None] = {}
    while len(found) < count:
        found[_unlisted(drawn, chance)] = None
    return [dotted(value) for value in found]


def make_queries(drawn: Drawn) -> list[Query]:
    """Return the queries."""
    chance = random.Random(_SEED)  # noqa: S311  # the same load each time
    return [_make_query(drawn, chance, number) for number in range(_QUERIES)]


def make_plain_queries(drawn: Drawn) -> list[Query]:
    """Return queries of rbldnsd's own kind: the A record of an IPv4 address, without OPT, in lower case."""
    chance = random.Random(_SEED + 2)  # noqa: S311  # the same load each time
    found = []
    for number in range(_QUERIES):
        listed = chance.random() < _HITS
        value = int(chance.choice(drawn.ipv4)) if listed else _unlisted(drawn, chance)
        name = _name_of(dotted(value))
        found.append(Query(_packet(name, Rtype.A, b"", number), name, Rtype.A, listed))
    return found


def query_for(address: str) -> bytes:
    """Return a plain query for the A record of an IPv4 *address*."""
    return _packet(_name_of(address), Rtype.A, b"", 1)


def write_packets(queries: Iterable[Query], path: Path) -> None:
    """Write what bench_udp.c reads: each packet after its length."""
    path.write_bytes(b"".join(struct.pack("!H", len(each.packet)) + each.packet for each in queries))


def write_names(queries: Iterable[Query], path: Path) -> None:
    """Write what dnsperf reads: names and types; OPT and cookies are left out."""
    path.write_text("".join(f"{each.name} {each.rtype.name}\n" for each in queries), encoding="ascii")


def write_rbldnsd(drawn: Drawn, ipv4: Path, ipv6: Path) -> None:
    """Write the list as an ip4set and an ip6trie."""
    value = f":127.0.0.2:{_TEXT}$\n"
    with ipv4.open("w", encoding="ascii") as file:
        file.write(f"$SOA 300 ns1.example hostmaster.example.org {SERIAL} 1800 300 604800 300\n")
        file.write(f"$NS 3600 ns1.example\n$TTL {_TTL_SECONDS}\n{value}")
        file.writelines(f"{point}\n" for point in _TEST_POINTS)
        file.writelines(f"{dotted(each)}\n" for each in drawn.ipv4.tolist())
    with ipv6.open("w", encoding="ascii") as file:
        file.write(f"$TTL {_TTL_SECONDS}\n{value}")
        file.writelines(f"{_ipv6(each)}/64\n" for each in drawn.ipv6.tolist())


def write_master(drawn: Drawn, path: Path) -> None:
    """Write the list as a master file, as `rbl export bind` does."""
    with path.open("w", encoding="ascii") as file:
        file.write(f"$ORIGIN {APEX}.\n$TTL {_TTL_SECONDS}\n")
        file.write(f"@ IN SOA ns1.example. hostmaster.example.org. {SERIAL} 1800 300 604800 300\n")
        file.write("@ 3600 IN NS ns1.example.\n")
        file.writelines(master_lines(point) for point in _TEST_POINTS)
        file.writelines(master_lines(dotted(each)) for each in drawn.ipv4.tolist())
        for each in drawn.ipv6.tolist():
            owner = "*." + ".".join(f"{each:016x}"[::-1])
            file.write(_records(owner, str(_ipv6(each))))


def master_lines(address: str) -> str:
    """Return the lines of a master file that list an IPv4 *address*."""
    return _records(".".join(reversed(address.split("."))), address)


def dotted(value: int) -> str:
    """Return the IPv4 address that is the number *value*."""
    return f"{value >> 24}.{value >> 16 & 255}.{value >> 8 & 255}.{value & 255}"


def _name_of(address: str) -> str:
    return ".".join((*reversed(address.split(".")), APEX))


def _records(owner: str, subject: str) -> str:
    return f'{owner} IN A 127.0.0.2\n\tIN TXT "{_TEXT}{subject}"\n'


def _ipv6(upper: int) -> IPv6Address:
    return IPv6Address(upper << 64)


def _unlisted(drawn: Drawn, chance: random.Random) -> int:
    """Return an IPv4 address that is not listed, of the space in which others are."""
    while True:
        value = chance.randrange(11 << 24, _PUBLIC[1])
        at = int(np.searchsorted(drawn.ipv4, np.uint32(value)))
        if at == len(drawn.ipv4) or int(drawn.ipv4[at]) != value:
            return value


def _make_query(drawn: Drawn, chance: random.Random, number: int) -> Query:
    listed = chance.random() < _HITS
    if chance.random() < _IPV6 and len(drawn.ipv6):
        upper = int(chance.choice(drawn.ipv6)) if listed else _PUBLIC_IPV6 + chance.getrandbits(52)
        name = ".".join((*f"{upper << 64 | chance.getrandbits(64):032x}"[::-1], APEX))
    else:
        name = _name_of(dotted(int(chance.choice(drawn.ipv4)) if listed else _unlisted(drawn, chance)))
    if chance.random() < _MIXED:
        name = "".join(chance.choice((letter.lower(), letter.upper())) for letter in name)
    rtype = Rtype.TXT if chance.random() < _TXT else Rtype.A
    opt = b""
    if chance.random() < _OPT:
        cookie = struct.pack("!HH8s", 10, 8, chance.randbytes(8)) if chance.random() < _COOKIES else b""
        opt = struct.pack("!BHHIH", 0, Rtype.OPT, 1232, 0, len(cookie)) + cookie
    return Query(_packet(name, rtype, opt, number), name, rtype, listed)


def _packet(name: str, rtype: Rtype, opt: bytes, number: int) -> bytes:
    labels = name.encode("ascii").split(b".")
    qname = b"".join(bytes((len(label),)) + label for label in labels) + b"\0"
    header = struct.pack("!6H", number & 0xFFFF, 0, 1, 0, 0, 1 if opt else 0)
    return header + qname + struct.pack("!HH", rtype, 1) + opt
