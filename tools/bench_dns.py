# ruff: noqa: INP001  # a program, not a package
"""What an answer of the reference path costs: queries a second and CPU time on one core.

Usage: python tools/bench_dns.py [queries]

Against 100,000 listed addresses, EDNS queries, 30 % of them listed. First the answers alone, packets
in, packets out; then over real UDP on the loopback, with a client that keeps some queries under way
in a process of its own. CPU time is that of the answering thread, so that the client and whatever
else runs on the machine do not count.
"""

import logging
import random
import socket
import struct
import sys
import threading
import time
from collections.abc import Sequence
from ipaddress import IPv4Address
from multiprocessing import get_context

import structlog
from prometheus_client import CollectorRegistry

from rbl.addresses import reversed_labels
from rbl.config import Dns, Listen, RateLimit
from rbl.responder.answer import Reply, answer
from rbl.responder.catalogue import Catalogue
from rbl.responder.client import Client, client_at
from rbl.responder.codes import Rtype, Transport
from rbl.responder.counters import Counters
from rbl.responder.rules import rules_of
from rbl.responder.server import Server
from rbl.terms import Listed
from rbl.zone.index import compile_index
from rbl.zone.names import parse_name
from rbl.zone.zonefile import ApexRecords, Kind, Limits, Reason, Soa, ZoneFile

LISTINGS = 100_000
HIT_SHARE = 0.3
PACKETS = 10_000
UNDER_WAY = 32  # queries sent before the first answer is read
APEX = "bl.example"
OPT = struct.pack("!BHHIH", 0, Rtype.OPT, 1232, 0, 0)


def make_catalogue(listed: Sequence[IPv4Address]) -> Catalogue:
    """Return a catalogue of one list with *listed* in it."""
    reason = Reason("relay", (IPv4Address("127.0.0.2"),), "{address} relays, see {url}", 900, "Relay")
    name = parse_name(f"ns1.{APEX}")
    zone = ZoneFile(
        apex=parse_name(APEX),
        soa=Soa(name, name, 3600, 900, 600, 604800, 300),
        name_servers=(name,),
        name_server_ttl_seconds=86400,
        apex_records=ApexRecords((), (), (), 3600),
        reasons={"relay": reason},
        kind=Kind.ADDRESSES,
        url="https://example.org/lookup/{address}",
        limits=Limits(),
        ttl_seconds=900,
    )
    catalogue = Catalogue([zone])
    rows = (Listed(f"{address}/32", "relay", None, exempt=False) for address in listed)
    catalogue.serve(compile_index(zone, 1, rows))
    return catalogue


def make_packets(listed: Sequence[IPv4Address], rtype: Rtype, chance: random.Random) -> list[bytes]:
    """Return queries for *rtype*, HIT_SHARE of them for something in *listed*."""
    packets = []
    for number in range(PACKETS):
        hit = chance.random() < HIT_SHARE
        address = chance.choice(listed) if hit else IPv4Address(chance.getrandbits(32))
        labels = (*reversed_labels(address), *parse_name(APEX))
        name = b"".join(bytes((len(label),)) + label for label in labels) + b"\0"
        header = struct.pack("!6H", number, 0x0100, 1, 0, 0, 1)
        packets.append(header + name + struct.pack("!HH", rtype, 1) + OPT)
    return packets


def measure_answers(catalogue: Catalogue, packets: Sequence[bytes], queries: int) -> None:
    """Print what answering costs without any socket."""
    # Budgets are kept, and never empty.
    rules = rules_of(Dns(rate_limit=RateLimit(responses_per_second=1_000_000)))
    client = client_at("192.0.2.53", Transport.UDP)
    octets = 0
    started, cpu = time.perf_counter(), time.thread_time()
    for number in range(queries):
        reply = answer(packets[number % PACKETS], client, catalogue, rules, time.time_ns())
        octets += len(reply.packet or b"")
    _report(queries, time.perf_counter() - started, time.thread_time() - cpu, octets)


def measure_udp(catalogue: Catalogue, packets: Sequence[bytes], queries: int) -> None:
    """Print what answering costs over UDP, the system's part included."""
    rules = rules_of(Dns())
    cpu_of_thread: dict[int, float] = {}
    octets = 0

    def timed(packet: bytes, client: Client) -> Reply:
        nonlocal octets
        reply = answer(packet, client, catalogue, rules, time.time_ns())
        octets += len(reply.packet or b"")
        cpu_of_thread[threading.get_ident()] = time.thread_time()
        return reply

    server = Server([Listen("127.0.0.1", 0)], timed, Counters(CollectorRegistry()))
    server.start()
    try:
        started = time.perf_counter()
        client = get_context("spawn").Process(target=ask, args=(server.bound[0].port, packets, queries))
        client.start()
        client.join()
        wall = time.perf_counter() - started
    finally:
        server.stop()
    _report(queries, wall, sum(cpu_of_thread.values()), octets)


def ask(port: int, packets: Sequence[bytes], queries: int) -> None:
    """Send *queries* and read their answers, UNDER_WAY of them at once."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.settimeout(1)
        asking.connect(("127.0.0.1", port))
        sent = received = 0
        while received < queries:
            while sent < queries and sent - received < UNDER_WAY:
                asking.send(packets[sent % PACKETS])
                sent += 1
            asking.recv(4096)
            received += 1


def _report(queries: int, wall_seconds: float, cpu_seconds: float, octets: int) -> None:
    each = cpu_seconds / queries
    print(  # noqa: T201  # what this program is for
        f"{queries / wall_seconds:9,.0f} q/s   {each * 1e6:6.1f} µs CPU a query"
        f"   {1 / each:9,.0f} q/s a core   {octets / queries:4.0f} octets an answer"
    )


def main() -> None:
    """Measure and print."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    queries = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    chance = random.Random(5782)  # noqa: S311  # the same load each time
    listed = [IPv4Address(chance.getrandbits(32)) for _ in range(LISTINGS)]
    catalogue = make_catalogue(listed)
    for rtype in (Rtype.A, Rtype.TXT):
        packets = make_packets(listed, rtype, chance)
        print(f"{rtype.name}, {LISTINGS:,} listed, {HIT_SHARE:.0%} hits")  # noqa: T201
        print("  answers alone ", end="")  # noqa: T201
        measure_answers(catalogue, packets, queries)
        print("  over UDP      ", end="")  # noqa: T201
        measure_udp(catalogue, packets, queries)


if __name__ == "__main__":
    main()
