"""The compiled path: no answer differs from the reference path's, and its sockets, threads and counts.

Not collected where it was not built (conftest.py).
"""

import contextlib
import gc
import random
import socket
import struct
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv6Address, ip_address

import dns.message
import dns.query
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from rbl.addresses import reversed_labels
from rbl.config import Dns, Listen
from rbl.customerkey import digest_of
from rbl.responder._hotpath import ServedZone
from rbl.responder.answer import Reply, answer
from rbl.responder.client import Client
from rbl.responder.codes import Outcome, Transport
from rbl.responder.counters import Counters
from rbl.responder.hits import ListingHits
from rbl.responder.hotpath import HotPath, HotUdpServer
from rbl.responder.rules import rules_of
from rbl.responder.server import Hot, Server
from rbl.terms import Change, Entry, Listed
from rbl.zone.index import compile_index
from tests.responder.differential import (
    CLIENTS,
    CUSTOMER,
    World,
    compare_mutated,
    differing,
    make_world,
    query,
    seeds,
)
from tests.responder.lists import ANYBODY, NOW, make_catalogue
from tests.responder.presentation import Golden, make_query, read_golden, show

WORLD = make_world()
LISTED = make_query("9.113.0.203.bl.test. IN A")[0]
LISTED_LINES = ("NOERROR qr aa", "answer 9.113.0.203.bl.test. 900 IN A 127.0.0.2")
NIBBLES = b".".join(reversed_labels(ip_address("2001:db8:1::25"))).decode()
MAPPED = b".".join(reversed_labels(ip_address("::ffff:203.0.113.9"))).decode()
MUTATED = 100_000


# --- the same answers ----------------------------------------------------------------------------


@pytest.mark.parametrize("golden", read_golden("answers.txt"), ids=lambda golden: golden.question)
def test_golden_answers(golden: Golden) -> None:
    """Each question of tests/golden/answers.txt over UDP is answered as written, or handed up."""
    packet, transport = make_query(golden.question)
    catalogue = make_catalogue()
    rules = rules_of(Dns(server_id="ns1.example.org"))
    got = HotPath(catalogue, rules).generation.answer(packet, ANYBODY.address.packed, NOW)
    if got is None or transport is Transport.TCP:
        return

    assert got[0] is not None
    assert golden.lines == show(got[0]), golden.why


@pytest.mark.unmeasured
def test_every_sort_of_query_from_every_sort_of_client() -> None:
    """Queries for all that the lists hold, with all that EDNS brings, from clients under every rule."""
    chance = random.Random(7873)
    outcomes = set()
    differences = []
    for packet in seeds():
        for client in chance.sample(CLIENTS, 2):
            outcome, difference = differing(WORLD, packet, client)
            outcomes.add(outcome)
            differences += [difference] if difference else []

    assert [] == differences[:3]
    assert {
        None,
        Outcome.DENIED,
        Outcome.IGNORED,
        Outcome.REFUSED,
        Outcome.APEX,
        Outcome.LISTED,
        Outcome.NODATA,
        Outcome.NXDOMAIN,
    } == outcomes


@pytest.mark.unmeasured
def test_spoiled_queries() -> None:
    """Of 100,000 changed queries none is answered otherwise (`make fuzz` takes a million)."""
    outcomes, differences = compare_mutated(WORLD, MUTATED, 5782)

    assert [] == differences
    assert MUTATED / 4 < MUTATED - outcomes[None]


_LABELS = st.one_of(
    st.integers(0, 256).map(lambda number: str(number).encode()),
    st.sampled_from([*"0123456789abcdefABCDEF", "00", "01", "test", "*", CUSTOMER]).map(str.encode),
    st.binary(min_size=1, max_size=63).map(lambda label: label.replace(b".", b"-")),
)
_NAMES = st.one_of(
    st.lists(_LABELS, max_size=6),
    st.lists(st.sampled_from("0123456789abcdef").map(str.encode), min_size=1, max_size=33),
)
_ZONES = st.sampled_from([zone.name.encode() for zone in WORLD.catalogue.zones()])


@pytest.mark.unmeasured
@settings(max_examples=1000, deadline=None)
@given(_NAMES, _ZONES, st.integers(0, 300), st.randoms(use_true_random=False), st.sampled_from(CLIENTS))
def test_made_queries(
    labels: list[bytes], zone: bytes, rtype: int, chance: random.Random, client: Client
) -> None:
    """Any name in any zone, of any type: no answer differs."""
    packet = query(b".".join([*labels, zone]), rtype, chance)

    assert "" == differing(WORLD, packet, client)[1]


@settings(max_examples=1000, deadline=None)
@given(st.binary(max_size=400), st.sampled_from(CLIENTS))
def test_any_octets(octets: bytes, client: Client) -> None:
    """Whatever comes: no answer differs."""
    assert "" == differing(WORLD, octets, client)[1]


def test_a_difference_would_be_seen() -> None:
    """Two paths with different settings do differ: the comparison is none of a thing with itself."""
    packet = make_query("9.113.0.203.bl.test. IN A nsid")[0]
    other = make_world(Dns(server_id="other", rate_limit={"responses_per_second": 0}))
    mixed = World(WORLD.catalogue, WORLD.rules, other.hot_path)

    assert "" != differing(mixed, packet, ANYBODY)[1]


@pytest.mark.parametrize(
    "question",
    [
        f"{name} IN {rtype} {edns}"
        for name in (
            "9.113.0.203.bl.test.",
            "8.113.0.203.bl.test.",
            "113.0.203.bl.test.",
            "9.113.0.203.Bl.tEsT.",
            f"{NIBBLES}.bl.test.",
            f"{NIBBLES[8:]}.bl.test.",
            "bl.test.",
            "spam.example.com.names.test.",
            "example.com.names.test.",
            "x.wild.example.com.names.test.",
            "www.example.org.",
        )
        for rtype in ("A", "TXT", "AAAA", "ANY", "NS", "SOA", "MX", "HTTPS")
        for edns in ("", "edns", "do", "nsid", "rd cd udp=4096")
    ],
)
def test_what_resolvers_send_is_answered_here(question: str) -> None:
    """None of the queries that resolvers send is left to the reference path."""
    got = WORLD.hot_path.generation.answer(make_query(question)[0], ANYBODY.address.packed, NOW)

    assert got is not None


@pytest.mark.parametrize(
    ("slip", "responses", "seconds", "is_over"),
    [(0, 1, 1, True), (1, 1, 5, True), (2, 3, 2, True), (3, 1000, 1, False), (2, 1_000_000, 0, True)],
)
def test_budgets(slip: int, responses: int, seconds: int, *, is_over: bool) -> None:
    """Query for query, over time, a client without a cookie gets from both paths what its budget has."""
    limit = {"responses_per_second": responses, "window": seconds, "slip": slip, "exempt": ["10.0.0.0/8"]}
    dns = Dns.model_validate({"rate_limit": limit, "cookie_secrets": ["ab" * 16]})
    chance = random.Random(slip)
    packets = [
        query(name, rtype, chance)
        for name in (
            b"9.113.0.203.bl.test",
            b"8.113.0.203.bl.test",
            b"203.bl.test",
            b"other.test",
            b"bl.test",
        )
        for rtype in (1, 16)
        for _ in range(4)
    ]
    differences, outcomes = [], set()
    for address in ("192.0.2.7", "2001:db8::7", "10.0.0.1"):
        world, client, now = make_world(dns), Client(ip_address(address), Transport.UDP), NOW
        for _ in range(1500):
            now += chance.choice((0, 10, 1000, 10**6, 10**8, 10**9 // responses))
            outcome, difference = differing(world, chance.choice(packets), client, now)
            outcomes.add(outcome)
            differences += [difference] if difference else []

    assert [] == differences[:3]
    assert (is_over and slip != 1, is_over and slip > 0) == (
        Outcome.LIMITED in outcomes,
        Outcome.SLIPPED in outcomes,
    )


def test_clients_of_one_prefix_share_a_budget() -> None:
    """A /24 and a /56 have one budget, and a neighbour has his own."""
    limit = {"responses_per_second": 1, "window": 1, "slip": 0}
    generation = make_world(Dns.model_validate({"rate_limit": limit})).hot_path.generation
    addresses = (
        "192.0.2.1",
        "192.0.2.255",
        "192.0.3.1",
        "2001:db8::1",
        "2001:db8:0:ff::1",
        "2001:db8:0:100::1",
    )
    got = [generation.answer(LISTED, ip_address(address).packed, NOW) for address in addresses]

    assert [True, False, True] * 2 == [reply is not None and reply[0] is not None for reply in got]


def test_a_change_and_its_undoing() -> None:
    """After each of many changes the compiled path answers from the very same lists."""
    world = make_world()
    names = [b"200.113.0.203.bl.test", b"201.113.0.203.bl.test", b"113.0.203.bl.test", b"1.2.4.203.bl.test"]
    chance = random.Random(1)
    packets = [query(name, 1, chance) for name in names]
    differences = []
    for turn in range(60):
        change = Change.DELISTED if turn % 3 == 2 else Change.LISTED
        list_in(world, f"203.0.113.{200 + turn % 2}/32" if turn % 4 else "203.4.2.0/24", change)
        differences += [differing(world, packet, ANYBODY)[1] for packet in packets]

    assert {""} == set(differences)


def list_in(world: World, subject: str, act: Change = Change.LISTED) -> None:
    """Change one listing of bl.test."""
    change(world, "bl.test", subject, act)


def change(world: World, zone: str, subject: str, act: Change) -> None:
    """Have an entry of the journal answered."""
    index = world.catalogue.index(tuple(label.encode() for label in zone.split(".")))
    assert index is not None
    reason = "" if act in {Change.KEYED, Change.UNKEYED} else "relay"
    at = datetime.now(UTC)
    entry = Entry(zone, index.serial + 1, act, subject, reason, None, "test", "test", at)
    world.catalogue.serve(index.apply([entry]))


def ask(client: socket.socket, packet: bytes) -> tuple[str, ...]:
    """Return what is answered to *packet*."""
    client.send(packet)
    return show(client.recv(4096))


_SHAPES = {
    "a few": (9, 500, 40_000),
    "fewer than are looked at together": range(0, 60, 2),
    "even": range(0, 65536, 200),
    "at the beginning": range(0, 600, 2),
    "at the end": range(64_000, 65_536, 3),
    "at both ends": (*range(0, 500, 2), *range(65_000, 65_536, 2)),
    "in the middle": range(30_000, 31_000, 2),
}


@pytest.mark.parametrize("numbers", _SHAPES.values(), ids=_SHAPES)
def test_wherever_the_listed_addresses_lie(numbers: Sequence[int]) -> None:
    """However the listed addresses lie in a network, each and its neighbours are answered rightly."""
    world = make_world()
    asked = {number + step & 0xFFFF for number in numbers for step in (-1, 0, 1)} | {0, 65_535}
    upper, lower = 0x2001_0DB8 << 96, 0x2001_0DB8_0099 << 80
    subjects = [f"{IPv4Address(7 << 24 | number)}/32" for number in numbers]
    subjects += [f"{IPv6Address(upper | 0x77 << 80 | number << 64)}/64" for number in numbers]
    subjects += [f"{IPv6Address(lower | number)}/128" for number in numbers]
    serve(world, subjects)
    addresses = [
        address
        for number in sorted(asked)
        for address in (
            IPv4Address(7 << 24 | number),
            IPv6Address(upper | 0x77 << 80 | number << 64 | 5),
            IPv6Address(lower | number),
        )
    ]
    chance = random.Random(4291)
    packets = [query(b".".join(reversed_labels(each)) + b".bl.test", 16, chance) for each in addresses]

    assert [] == [told for packet in packets if (told := differing(world, packet, ANYBODY)[1])]


def serve(world: World, subjects: Sequence[str]) -> None:
    """Have bl.test list *subjects*, each with a text of its own, and nothing else."""
    index = world.catalogue.index((b"bl", b"test"))
    assert index is not None
    rows = [Listed(subject, "relay", f"for {subject}", exempt=False) for subject in subjects]
    world.catalogue.serve(compile_index(index.zone, index.serial + 1, rows))


@pytest.mark.parametrize("texts", [300, 66_000])
def test_many_answer_sets(texts: int) -> None:
    """Where their numbers take two octets, or four, the right text is told, in the base and over it."""
    world = make_world()
    index = world.catalogue.index((b"bl", b"test"))
    assert index is not None
    rows = [
        Listed(
            f"7.{number >> 8 & 255}.{number & 255}.{number >> 16}/32", "relay", f"no {number}", exempt=False
        )
        for number in range(texts)
    ]
    world.catalogue.serve(compile_index(index.zone, index.serial + 1, rows))
    chance = random.Random(texts)
    names = [
        b"%d.%d.%d.7.bl.test" % (number >> 16, number & 255, number >> 8 & 255)
        for number in (*range(0, texts, 97), texts - 1)
    ]
    packets = [query(name, 16, chance) for name in (*names, b"7.bl.test", b"1.7.bl.test", b"0.0.7.bl.test")]
    differences = [differing(world, packet, ANYBODY)[1] for packet in packets]
    list_in(world, "7.0.0.99/32")
    differences += [differing(world, packet, ANYBODY)[1] for packet in packets]

    assert {""} == set(differences)


def test_an_address_has_four_or_sixteen_octets() -> None:
    """Who compares with something else for a client is told so."""
    with pytest.raises(ValueError, match="4 or 16 octets"):
        WORLD.hot_path.generation.answer(LISTED, b"\x7f", NOW)


@pytest.mark.parametrize(
    "question",
    [
        f"9.113.0.203.{CUSTOMER}.keyed.test. IN A",
        f"{CUSTOMER.upper()}.open.keyed.test. IN A",
        f"113.0.203.{CUSTOMER}.keyed.test. IN TXT",
        f"{NIBBLES}.{CUSTOMER}.open.keyed.test. IN TXT",
        "9.113.0.203.keyed.test. IN A",
    ],
)
def test_a_known_key_is_answered_here(question: str) -> None:
    """So is who has none where one is needed."""
    packet = make_query(question)[0]

    outcome, difference = differing(WORLD, packet, ANYBODY)

    assert "" == difference
    assert outcome is not None


# --- sockets, threads, counts --------------------------------------------------------------------


class Running:
    """A server with the compiled path, what it counted, and what it handed up."""

    def __init__(
        self,
        *hosts: str,
        threads: int = 2,
        world: World | None = None,
        answerer: Callable[[bytes, Client], Reply] | None = None,
    ) -> None:
        self.world = world or make_world()
        self.registry = CollectorRegistry()
        self.handed_up: list[Client] = []

        def respond(packet: bytes, client: Client) -> Reply:
            self.handed_up.append(client)
            return answer(packet, client, self.world.catalogue, self.world.rules, NOW)

        self.server = Server(
            [Listen(host, 0) for host in hosts or ("127.0.0.1",)],
            answerer or respond,
            Counters(self.registry),
            hot=Hot(self.world.hot_path, threads),
        )
        self.server.start()
        self.bound = self.server.bound

    def counted(self, zone: str, outcome: Outcome) -> float:
        """Return how many queries over UDP had that outcome."""
        labels = {"zone": zone, "transport": "udp", "outcome": outcome.value}
        return self.registry.get_sample_value("rbl_dns_queries_total", labels) or 0.0


@contextlib.contextmanager
def running(
    *hosts: str, threads: int = 2, answerer: Callable[[bytes, Client], Reply] | None = None
) -> Iterator[Running]:
    """Run a server for the length of a block."""
    server = Running(*hosts, threads=threads, answerer=answerer)
    try:
        yield server
    finally:
        server.server.stop()


@contextlib.contextmanager
def asking(listen: Listen) -> Iterator[socket.socket]:
    """Open a UDP socket that is connected to a server."""
    family = socket.AF_INET6 if ":" in listen.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as client:
        client.settimeout(60)
        client.connect(listen)
        yield client


def numbered(number: int) -> bytes:
    """Return the query for a listed address with an id of its own."""
    return struct.pack("!H", number) + LISTED[2:]


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "0.0.0.0", "::"])
def test_answers_at_an_address_and_at_all(host: str) -> None:
    """At an address, or at all of one family, what is answered here and what is handed up comes back."""
    asked = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    version = dns.message.make_query("version.bind", "TXT", "CH")
    with running(host) as server:
        port = server.bound[0].port
        listed = dns.query.udp(dns.message.from_wire(LISTED), asked, port=port, timeout=60)
        chaos = dns.query.udp(version, asked, port=port, timeout=60)
        over_tcp = dns.query.tcp(dns.message.from_wire(LISTED), asked, port=port, timeout=60)

    assert LISTED_LINES == show(listed.to_wire()) == show(over_tcp.to_wire())
    assert "NOERROR qr aa rd" == show(chaos.to_wire())[0]
    assert [(ip_address(asked), "udp"), (ip_address(asked), "tcp")] == [
        (client.address, client.transport.value) for client in server.handed_up
    ]


def test_the_answer_comes_from_the_address_that_was_asked() -> None:
    """Bound to every address, a server asked at 127.0.0.7 answers from 127.0.0.7, handed up or not."""
    answering = []
    with running("0.0.0.0") as server, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(60)
        for packet in (LISTED, make_query("version.bind. CH TXT")[0]):
            client.sendto(packet, ("127.0.0.7", server.bound[0].port))
            answering.append(client.recvfrom(4096)[1])

    assert [("127.0.0.7", server.bound[0].port)] * 2 == answering


def test_many_clients_and_threads() -> None:
    """With several threads each of many clients gets its own answers, and all are counted."""
    with running("127.0.0.1", "::1", threads=3) as server, contextlib.ExitStack() as clients:
        sockets = [clients.enter_context(asking(server.bound[number % 2])) for number in range(40)]
        identities = []
        for turn in range(10):
            for number, each in enumerate(sockets):
                each.send(numbered(turn * 100 + number))
            identities += [struct.unpack_from("!H", each.recv(4096))[0] for each in sockets]
        counted = server.counted("bl.test", Outcome.LISTED)

    assert [turn * 100 + number for turn in range(10) for number in range(40)] == identities
    assert 400 == counted


def test_a_long_packet_and_a_short_one() -> None:
    """What is longer than any query is FORMERR, and what is shorter than a header is dropped."""
    with running() as server, asking(server.bound[0]) as client:
        client.send(LISTED + bytes(5000))
        long = client.recv(4096)
        client.send(b"short")
        client.send(b"")
        client.send(LISTED)
        client.recv(4096)
        dropped = server.counted("", Outcome.DROPPED)

    assert ("FORMERR qr",) == show(long)
    assert 2 == dropped


def test_a_second_server_at_the_same_port() -> None:
    """A port is free again after a stop, and not for another program before."""
    first = Running()
    listen = first.bound[0]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other, pytest.raises(OSError, match="in use"):
        other.bind(listen)
    first.server.stop()
    second = Server([listen], lambda *_: Reply(None, "", Outcome.FAILED), Counters(CollectorRegistry()))
    second.start()
    second.stop()

    assert (listen,) == second.bound


def test_a_fault_in_answering_is_servfail_and_the_next_query_is_answered() -> None:
    """When the reference path raises, the client gets SERVFAIL; what is answered here goes on."""

    def faulty(packet: bytes, client: Client) -> Reply:
        msg = "a fault of ours"
        raise RuntimeError(msg)

    with capture_logs() as logs, running(answerer=faulty) as server, asking(server.bound[0]) as client:
        replies = []
        for packet in (make_query("version.bind. CH TXT")[0], LISTED):
            client.send(packet)
            replies.append(show(client.recv(4096)))

    assert [("SERVFAIL qr",), LISTED_LINES] == replies
    assert ["query_error"] == [line["event"] for line in logs if line["log_level"] == "error"]


def test_what_cannot_be_sent_is_counted() -> None:
    """An answer longer than any over UDP, and none at all: the next query is answered all the same."""

    def odd(packet: bytes, client: Client) -> Reply:
        return Reply(bytes(70_000) if packet[:2] == b"\0\1" else None, "", Outcome.CHAOS)

    chaos = make_query("version.bind. CH TXT")[0][2:]
    with running(answerer=odd) as server, asking(server.bound[0]) as client:
        client.send(b"\0\1" + chaos)
        client.send(b"\0\2" + chaos)
        client.send(LISTED)
        reply = client.recv(4096)
        server.server.stop()
        failures = server.registry.get_sample_value("rbl_dns_send_failures_total")

    assert (LISTED_LINES, 1.0) == (show(reply), failures)


def test_no_answer_is_lost_while_generations_are_swapped() -> None:
    """Under full load every query is answered while hundreds of generations are swapped in."""
    server = Running(threads=2)
    swapped = threading.Event()
    answered = [0, 0, 0]

    def load(number: int) -> None:
        with asking(server.bound[0]) as client:
            while not swapped.is_set():
                for identity in range(32):
                    client.send(numbered(identity))
                answered[number] += len({client.recv(4096)[:2] for _ in range(32)})

    loads = [threading.Thread(target=load, args=(number,)) for number in range(len(answered))]
    for each in loads:
        each.start()
    for turn in range(300):
        list_in(server.world, f"203.0.113.{turn % 50 + 100}/32")
    swapped.set()
    for each in loads:
        each.join()
    server.server.stop()

    assert 0 == sum(answered) % 32  # else a load waited for an answer that never came
    assert sum(answered) == server.counted("bl.test", Outcome.LISTED)


def test_a_new_listing_is_answered_at_once() -> None:
    """When a generation has been swapped in, the next query is answered from it, by every thread."""
    packet = make_query("222.113.0.203.bl.test. IN A")[0]
    seen = []
    with running(threads=3) as server, contextlib.ExitStack() as clients:
        sockets = [clients.enter_context(asking(server.bound[0])) for _ in range(12)]
        for change in (Change.LISTED, Change.DELISTED):
            list_in(server.world, "203.0.113.222/32", change)
            for each in sockets:
                each.send(packet)
            seen.append({show(each.recv(4096))[0] for each in sockets})

    assert [{"NOERROR qr aa"}, {"NXDOMAIN qr aa"}] == seen


def test_an_old_generation_is_given_back() -> None:
    """Of the generations before nothing is kept, whether their threads answer or wait."""
    with running() as server, asking(server.bound[0]) as client:
        old = weakref.ref(server.world.hot_path.generation)
        client.send(LISTED)
        client.recv(4096)
        list_in(server.world, "203.0.113.222/32")
        gc.collect()

        assert old() is None


def test_a_generation_is_small_where_little_changed() -> None:
    """What two generations have in common, they share: answers, names and the other zones."""
    world = make_world()
    before = by_name(world)
    list_in(world, "203.0.113.222/32")
    after = by_name(world)

    assert {"bl.test"} == {name for name, zone in after.items() if zone is not before[name]}
    assert before["bl.test"].names is after["bl.test"].names


def by_name(world: World) -> dict[str, ServedZone]:
    """Return the zones of the generation of now."""
    zones = world.hot_path.generation.zones
    return {zone.source.name: zone for zone in zones if isinstance(zone, ServedZone)}


def test_hits_by_listing() -> None:
    """Both paths know which listings answered, and how often: addresses, ranges, names, those below."""
    world = make_world()
    counters = Counters(CollectorRegistry())
    asked = {
        "9.113.0.203.bl.test": ("bl.test", "203.0.113.9/32"),
        "8.100.51.198.bl.test": ("bl.test", "198.51.100.0/24"),
        "200.100.51.198.bl.test": ("bl.test", "198.51.100.0/24"),
        f"{NIBBLES}.bl.test": ("bl.test", "2001:db8:1::25/128"),
        f"{MAPPED}.bl.test": ("bl.test", "203.0.113.9/32"),
        "spam.example.com.names.test": ("names.test", "spam.example.com"),
        "x.wild.example.com.names.test": ("names.test", "*.wild.example.com"),
        "2.0.0.127.bl.test": ("", ""),  # a test point is no listing
        "test.names.test": ("", ""),
        "1.0.0.127.bl.test": ("", ""),
    }
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as bound:
        bound.bind(("127.0.0.1", 0))
        server = HotUdpServer([bound], world.hot_path, lambda *_: None, counters)
        server.start()
        with asking(Listen(*bound.getsockname())) as client:
            for name in asked:
                for _ in range(2):
                    client.send(make_query(f"{name}. IN A")[0])
                    client.recv(4096)
        hits = server.take_hits()
        again = server.take_hits()
        server.stop()
    reference = ListingHits(world.catalogue, counters)
    for name in asked:
        for _ in range(2):
            reply = answer(make_query(f"{name}. IN A")[0], ANYBODY, world.catalogue, world.rules, NOW)
            if reply.hit is not None:
                reference.count(reply.zone, reply.hit)
    wanted: dict[tuple[str, str], int] = {}
    for zone, subject in asked.values():
        if zone:
            wanted[zone, subject] = wanted.get((zone, subject), 0) + 2

    assert wanted == hits
    assert {} == again
    assert wanted == reference.take()


@pytest.mark.unmeasured
def test_more_listings_than_there_is_room_for() -> None:
    """What no longer fits between two calls is counted as such, and answered all the same."""
    world = make_world()
    index = world.catalogue.index((b"bl", b"test"))
    assert index is not None
    addresses = [(second, third) for second in range(256) for third in range(80)]
    rows = [Listed(f"7.{second}.{third}.1/32", "relay", None, exempt=False) for second, third in addresses]
    world.catalogue.serve(compile_index(index.zone, index.serial + 1, rows))
    registry = CollectorRegistry()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as bound:
        bound.bind(("127.0.0.1", 0))
        server = HotUdpServer([bound], world.hot_path, lambda *_: None, Counters(registry))
        server.start()
        with asking(Listen(*bound.getsockname())) as client:
            for at in range(0, len(addresses), 32):
                for second, third in addresses[at : at + 32]:
                    client.send(make_query(f"1.{third}.{second}.7.bl.test. IN A")[0])
                for _ in range(32):
                    client.recv(4096)
        hits = server.take_hits()
        server.stop()
    unplaced = registry.get_sample_value("rbl_dns_hits_unplaced_total")

    assert unplaced
    assert unplaced == registry.get_sample_value("rbl_dns_hits_unplaced_total")
    assert len(addresses) == len(hits) + unplaced


def test_a_customer_s_key_is_learnt_counted_and_revoked() -> None:
    """The first query with a key goes up, the others do not; a revoked one is refused at once."""
    asked = make_query(f"9.113.0.203.{CUSTOMER}.keyed.test. IN A")[0]
    digest = digest_of(CUSTOMER.encode())
    world = make_world(know_keys=False)
    server = Running(threads=1, world=world)
    with asking(server.bound[0]) as client:
        told = [ask(client, asked) for _ in range(5)]
        handed_up = len(server.handed_up)
        change(world, "keyed.test", digest, Change.UNKEYED)
        refused = ask(client, asked)
        change(world, "keyed.test", digest, Change.KEYED)
        told.append(ask(client, asked))
    server.server.stop()

    assert 1 == handed_up
    assert [("NOERROR qr aa", f"answer 9.113.0.203.{CUSTOMER}.keyed.test. 900 IN A 127.0.0.2")] * 6 == told
    assert "REFUSED qr" == refused[0]
    # The reference path counts the first itself, from what its Reply says.
    assert {("keyed.test", digest): 5} == world.hot_path.usage.take()


def test_a_key_that_nobody_was_given_is_not_learnt() -> None:
    """Nor what is no query, no key, of no zone of ours, or of a zone without keys or without an index."""
    world = make_world(know_keys=False)
    before = world.hot_path.generation
    for packet in (
        b"",
        make_query(f"{CUSTOMER[::-1]}.keyed.test. IN A")[0],
        make_query(f"{CUSTOMER}.keyed.test. CH A")[0],
        make_query(f"{CUSTOMER}.bl.test. IN A")[0],
        make_query(f"{CUSTOMER}.new.test. IN A")[0],
        make_query(f"{CUSTOMER}.other. IN A")[0],
        make_query("9.113.0.203.keyed.test. IN A")[0],
        make_query("keyed.test. IN SOA")[0],
    ):
        world.hot_path.learn_key(packet)

    assert before is world.hot_path.generation
    assert [] == world.hot_path.keys
