"""The sockets: UDP and TCP on real ports of the loopback, and clients that misbehave."""

import contextlib
import os
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path

import dns.message
import dns.query
import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from rbl.config import Dns, Listen, RateLimit
from rbl.errors import ConfigError
from rbl.responder.answer import Reply, answer
from rbl.responder.client import Client
from rbl.responder.codes import Outcome, Transport
from rbl.responder.counters import Counters
from rbl.responder.rules import rules_of
from rbl.responder.server import Server
from rbl.responder.tcp import TcpLimits
from tests.responder.lists import NOW, make_catalogue
from tests.responder.presentation import make_query, show

CATALOGUE = make_catalogue()
RULES = rules_of(Dns())
LISTED = make_query("9.113.0.203.bl.test. IN A")[0]
LISTED_LINES = ("NOERROR qr aa", "answer 9.113.0.203.bl.test. 900 IN A 127.0.0.2")
LONG = timedelta(minutes=1)  # never reached: what a test waits for comes, or the test hangs and fails


def respond(packet: bytes, client: Client) -> Reply:
    """Answer from the lists of these tests."""
    return answer(packet, client, CATALOGUE, RULES, NOW)


class Running:
    """A server that answers, and what it counted."""

    def __init__(
        self,
        *hosts: str,
        answerer: Callable[[bytes, Client], Reply] = respond,
        limits: TcpLimits | None = None,
    ) -> None:
        self.registry = CollectorRegistry()
        listen = [Listen(host, 0) for host in hosts or ("127.0.0.1",)]
        self.server = Server(listen, answerer, Counters(self.registry), limits)
        self.server.start()
        self.bound = self.server.bound

    def connect(self, host: str | None = None) -> socket.socket:
        """Return a TCP connection to the first address, from the address *host* where that is given."""
        return socket.create_connection(self.bound[0], 60, None if host is None else (host, 0))

    def connect_deaf(self) -> socket.socket:
        """Return a TCP connection that takes in little of what is not read."""
        deaf = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.settimeout(60)
        deaf.connect(self.bound[0])
        return deaf

    def counted(self, name: str, **labels: str) -> float:
        """Return a counter's value."""
        return self.registry.get_sample_value(name, labels) or 0.0


@contextlib.contextmanager
def running(
    *hosts: str,
    answerer: Callable[[bytes, Client], Reply] = respond,
    limits: TcpLimits | None = None,
) -> Iterator[Running]:
    """Run a server for the length of a block."""
    server = Running(*hosts, answerer=answerer, limits=limits)
    try:
        yield server
    finally:
        server.server.stop()


def framed(packet: bytes) -> bytes:
    """Return *packet* with its length before it."""
    return struct.pack("!H", len(packet)) + packet


def read_answer(connection: socket.socket) -> bytes | None:
    """Return the next answer on *connection*, None where it ends before one."""
    length = _read_octets(connection, 2)
    return None if length is None else _read_octets(connection, *struct.unpack("!H", length))


def _read_octets(connection: socket.socket, count: int) -> bytes | None:
    octets = b""
    while len(octets) < count:
        try:
            received = connection.recv(count - len(octets))
        except ConnectionResetError:
            return None
        if not received:
            return None
        octets += received
    return octets


def numbered(number: int) -> bytes:
    """Return the query for a listed address with an id of its own."""
    return struct.pack("!H", number) + LISTED[2:]


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "0.0.0.0", "::"])
def test_answers_over_both_transports(host: str) -> None:
    """At an address, or at all of one family, the same answer comes over UDP and TCP."""
    asked = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    query = dns.message.from_wire(LISTED)
    with running(host) as server:
        port = server.bound[0].port
        over_udp = dns.query.udp(query, asked, port=port, timeout=60)
        over_tcp = dns.query.tcp(query, asked, port=port, timeout=60)

    assert LISTED_LINES == show(over_udp.to_wire()) == show(over_tcp.to_wire())


def test_the_answer_comes_from_the_address_that_was_asked() -> None:
    """Bound to every address, a server asked at 127.0.0.7 answers from 127.0.0.7."""
    with running("0.0.0.0") as server, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.settimeout(60)
        asking.sendto(LISTED, ("127.0.0.7", server.bound[0].port))
        _, answering = asking.recvfrom(4096)

    assert ("127.0.0.7", server.bound[0].port) == answering


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "0.0.0.0", "::"])
def test_an_answer_knows_its_client(host: str) -> None:
    """Address and transport of the client come with each query, also where a server has all addresses."""
    asked = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    seen = []

    def note(packet: bytes, client: Client) -> Reply:
        seen.append(client)
        return respond(packet, client)

    query = dns.message.from_wire(LISTED)
    with running(host, answerer=note) as server:
        port = server.bound[0].port
        dns.query.udp(query, asked, port=port, timeout=60)
        dns.query.tcp(query, asked, port=port, timeout=60)

    assert [Client(ip_address(asked), transport) for transport in (Transport.UDP, Transport.TCP)] == seen


def test_a_client_over_his_rate_is_told_to_use_tcp() -> None:
    """Over UDP every answer after the first is cut, and dnspython gets it over TCP, as resolvers do."""
    limit = RateLimit(responses_per_second=1, window=timedelta(seconds=1), slip=1, exempt=())
    rules = rules_of(Dns(rate_limit=limit))
    query = dns.message.from_wire(LISTED)
    with running(answerer=lambda packet, client: answer(packet, client, CATALOGUE, rules, NOW)) as server:
        port = server.bound[0].port
        tries = [dns.query.udp_with_fallback(query, "127.0.0.1", port=port, timeout=60) for _ in range(3)]
        counted = {
            (transport, outcome): server.counted(
                "rbl_dns_queries_total", zone="bl.test", transport=transport, outcome=outcome
            )
            for transport, outcome in (("udp", "listed"), ("udp", "slipped"), ("tcp", "listed"))
        }

    assert [(LISTED_LINES, False), (LISTED_LINES, True), (LISTED_LINES, True)] == [
        (show(told.to_wire()), over_tcp) for told, over_tcp in tries
    ]
    assert {("udp", "listed"): 1, ("udp", "slipped"): 2, ("tcp", "listed"): 2} == counted


def test_several_addresses() -> None:
    """Every address of the configuration is answered at, IPv4 and IPv6."""
    query = dns.message.from_wire(LISTED)
    with running("127.0.0.1", "127.0.0.2", "::1") as server:
        shown = {
            show(dns.query.udp(query, listen.host, port=listen.port, timeout=60).to_wire())
            for listen in server.bound
        }

    assert (3, {LISTED_LINES}) == (len(server.bound), shown)


@pytest.mark.parametrize(
    ("host", "level", "option"),
    [("127.0.0.1", socket.IPPROTO_IP, 10), ("::1", socket.IPPROTO_IPV6, 23)],  # <linux/in.h>, <linux/in6.h>
)
@pytest.mark.parametrize(("fragments", "discovery"), [(False, 3), (True, 1)])
def test_answers_are_not_fragmented(
    host: str, level: int, option: int, *, fragments: bool, discovery: int
) -> None:
    """An answer goes whole, whatever a forged ICMP message says of the path, unless pieces are allowed."""
    server = Server([Listen(host, 0)], respond, Counters(CollectorRegistry()), fragments=fragments)
    server.start()
    found = options_of(server.bound[0], level, option)
    server.stop()

    assert [discovery] == found


def options_of(listen: Listen, level: int, option: int) -> list[int]:
    """Return an option of every UDP socket of this process that is bound to an address."""
    found = []
    for path in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(int(path.name))) as each:
            if each.type == socket.SOCK_DGRAM and each.getsockname()[:2] == listen:
                found.append(each.getsockopt(level, option))
    return found


def test_every_address_that_cannot_be_bound_is_named() -> None:
    """A start fails as a whole and names each address that is taken or is not this machine's."""
    with running("127.0.0.1") as server:
        taken = server.bound[0]
        listen = [taken, Listen("127.0.0.1", 0), Listen("192.0.2.1", 5300)]
        second = Server(listen, respond, Counters(CollectorRegistry()))
        with pytest.raises(ConfigError) as raised:
            second.start()
        second.stop()

    assert [
        f"dns.listen: cannot listen on {taken}: Address already in use",
        "dns.listen: cannot listen on 192.0.2.1:5300: Cannot assign requested address",
    ] == raised.value.faults


@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_STREAM])
def test_a_port_must_be_free_for_both_transports(kind: socket.SocketKind) -> None:
    """A port that another program has for one transport is not taken for the other."""
    with socket.socket(socket.AF_INET, kind) as other:
        other.bind(("127.0.0.1", 0))
        listen = Listen(*other.getsockname())
        server = Server([listen], respond, Counters(CollectorRegistry()))
        with pytest.raises(ConfigError):
            server.start()


def test_queries_on_one_connection_are_answered_in_their_order() -> None:
    """A thousand queries sent at once, in pieces of any size, come back one by one (RFC 7766 §6.2.1.1)."""
    stream = b"".join(framed(numbered(number)) for number in range(1000))
    with running() as server, server.connect() as connection:
        sending = threading.Thread(target=_send_in_pieces, args=(connection, stream))
        sending.start()
        identities = []
        for _ in range(1000):
            reply = read_answer(connection)
            assert reply is not None
            identities.append(struct.unpack_from("!H", reply)[0])
        sending.join()

    assert list(range(1000)) == identities


def _send_in_pieces(connection: socket.socket, stream: bytes) -> None:
    for at in range(0, len(stream), 777):
        connection.sendall(stream[at : at + 777])


def test_a_client_that_stops_sending_still_gets_its_answers() -> None:
    """After the client's end of file what it asked is answered, then the connection ends."""
    with running() as server, server.connect() as connection:
        connection.sendall(framed(LISTED) * 3)
        connection.shutdown(socket.SHUT_WR)
        answers = [read_answer(connection) for _ in range(4)]

    assert [False, False, False, True] == [reply is None for reply in answers]


def test_what_is_dropped_over_udp_is_dropped_over_tcp() -> None:
    """A response sent as a query has no answer; the query after it has."""
    response = struct.pack("!6H", 1, 0x8000, 0, 0, 0, 0)
    with running() as server, server.connect() as connection:
        connection.sendall(framed(response) + framed(b"") + framed(numbered(2)))
        reply = read_answer(connection)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            asking.connect(server.bound[0])
            asking.settimeout(60)
            asking.send(response)
            asking.send(numbered(3))
            datagram = asking.recv(4096)
        dropped = server.counted("rbl_dns_queries_total", zone="", transport="udp", outcome="dropped")

    assert reply is not None
    assert (b"\0\2", b"\0\3", 1.0) == (reply[:2], datagram[:2], dropped)


def test_a_message_that_is_too_long_ends_the_connection() -> None:
    """A query of more than 4,096 octets is not waited for; what came before it is answered."""
    with running() as server, server.connect() as connection:
        connection.sendall(framed(LISTED) + struct.pack("!H", 4097))
        answers = [read_answer(connection), read_answer(connection)]

    assert [False, True] == [reply is None for reply in answers]


def test_the_longest_message_is_read() -> None:
    """4,096 octets are read, and with octets left over they are FORMERR."""
    with running() as server, server.connect() as connection:
        connection.sendall(framed(LISTED + bytes(4096 - len(LISTED))))
        reply = read_answer(connection)

    assert reply is not None
    assert ("FORMERR qr",) == show(reply)


def test_an_idle_client_is_let_go() -> None:
    """A connection on which no whole query comes within the idle time is closed, half a query or none."""
    limits = TcpLimits(idle=timedelta(milliseconds=50))
    with running(limits=limits) as server, server.connect() as silent, server.connect() as slow:
        slow.sendall(framed(LISTED)[:20])
        answers = [read_answer(silent), read_answer(slow)]

    assert [None, None] == answers


def test_a_slow_client_holds_nobody() -> None:
    """With one client in the middle of a query and one that reads nothing, a third is answered."""
    with (
        running(limits=TcpLimits(idle=LONG)) as server,
        server.connect() as slow,
        server.connect_deaf() as deaf,
        server.connect() as third,
    ):
        slow.sendall(framed(LISTED)[:20])
        deaf.settimeout(0.2)
        with contextlib.suppress(TimeoutError):
            _send_for_ever(deaf)  # until the server reads no more, since its answers are not read
        third.sendall(framed(LISTED))
        reply = read_answer(third)
        slow.sendall(framed(LISTED)[20:])
        late = read_answer(slow)
        server.server.stop(timedelta(milliseconds=10))

    assert reply is not None
    assert reply == late


def test_a_client_that_reads_nothing_is_let_go() -> None:
    """Answers that are not read within the idle time end the connection."""
    limits = TcpLimits(idle=timedelta(milliseconds=100))
    with running(limits=limits) as server, server.connect_deaf() as deaf, pytest.raises(ConnectionError):
        _send_for_ever(deaf)


def _send_for_ever(connection: socket.socket) -> None:
    while True:
        connection.sendall(framed(LISTED) * 1000)


def test_a_client_has_only_so_many_connections() -> None:
    """One more than a client may have is answered, and his that asked longest ago is closed for it."""
    with running(limits=TcpLimits(idle=LONG, connections_of_client=2)) as server:
        with _answered(server) as first, _answered(server) as second, _answered(server) as third:
            assert read_answer(first) is None
            for each in (second, third):
                each.sendall(framed(LISTED))
                assert read_answer(each) is not None
        count = server.counted("rbl_dns_connections_displaced_total", limit="client")

    assert 1 == count


def test_all_clients_have_only_so_many_connections() -> None:
    """One more than there may be in all is answered, whoever opens it, and another is closed for it."""
    with running("127.0.0.1", "::1", limits=TcpLimits(idle=LONG, connections=1)) as server:
        with _answered(server) as first, socket.create_connection(server.bound[1], timeout=60) as other:
            other.sendall(framed(LISTED))
            assert read_answer(other) is not None
            assert read_answer(first) is None
        count = server.counted("rbl_dns_connections_displaced_total", limit="total")

    assert 1 == count


def test_idle_connections_shut_nobody_out() -> None:
    """Where all places are held by connections that say nothing or half a query, clients are answered.

    Who asked keeps his connection before those, and the longest silent go first (RFC 7766 §6.2.3).
    """
    limits = TcpLimits(idle=LONG, connections=6, connections_of_client=2)
    with running(limits=limits) as server, contextlib.ExitStack() as held:
        client = held.enter_context(_answered(server, "127.0.0.2"))
        silent = [held.enter_context(server.connect(f"127.0.0.{host}")) for host in range(3, 8)]
        silent[-1].sendall(framed(LISTED)[:20])
        others = [held.enter_context(_answered(server, f"127.0.0.{host}")) for host in (10, 11)]
        client.sendall(framed(LISTED))
        assert read_answer(client) is not None
        half_said = silent.pop()
        half_said.sendall(framed(LISTED)[20:])
        assert read_answer(half_said) is not None
        assert [None, None] == [read_answer(each) for each in silent[:2]]
        for each in (silent[2], *others):
            each.sendall(framed(LISTED))
            assert read_answer(each) is not None


def test_connections_that_asked_once_shut_nobody_out() -> None:
    """Where all places are held by clients who asked once, one whose query is on its way keeps his own."""
    limits = TcpLimits(idle=LONG, connections=6)
    with running(limits=limits) as server, contextlib.ExitStack() as held:
        idle = [held.enter_context(_answered(server)) for _ in range(6)]
        slow = held.enter_context(server.connect("127.0.0.2"))
        slow.sendall(framed(LISTED)[:20])
        assert read_answer(idle[0]) is None
        more = [held.enter_context(_answered(server, f"127.0.0.{host}")) for host in (3, 4)]
        slow.sendall(framed(LISTED)[20:])
        assert read_answer(slow) is not None
        assert [None, None] == [read_answer(each) for each in idle[1:3]]
        for each in (*idle[3:], *more):
            each.sendall(framed(LISTED))
            assert read_answer(each) is not None


def _answered(server: Running, host: str | None = None) -> socket.socket:
    """Return a connection, from *host*, on which a query was answered: the server has it among its own."""
    connection = server.connect(host)
    connection.sendall(framed(LISTED))
    assert read_answer(connection) is not None
    return connection


def test_a_stop_answers_what_has_arrived() -> None:
    """Queries that wait when the server is told to stop are answered before it is gone."""
    entered, let_go = threading.Event(), threading.Event()

    def slow(packet: bytes, client: Client) -> Reply:
        entered.set()
        let_go.wait(60)
        return respond(packet, client)

    server = Running(answerer=slow)
    with server.connect() as connection, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.settimeout(60)
        asking.connect(server.bound[0])
        for number in range(3):
            asking.send(numbered(number))
            connection.sendall(framed(numbered(number)))
        assert entered.wait(60)
        stopping = threading.Thread(target=server.server.stop)
        stopping.start()
        let_go.set()
        over_udp = [asking.recv(4096)[:2] for _ in range(3)]
        over_tcp = [(read_answer(connection) or b"")[:2] for _ in range(3)]
        stopping.join()
        end = read_answer(connection)

    assert [b"\0\0", b"\0\1", b"\0\2"] == over_udp == over_tcp
    assert end is None


def test_a_fault_in_answering_is_servfail_and_one_log_line() -> None:
    """When answering raises, the client gets SERVFAIL, the log a line, and the next query its answer."""

    def faulty(packet: bytes, client: Client) -> Reply:
        if packet[:2] == b"\0\1":
            msg = "a fault of ours"
            raise RuntimeError(msg)
        return respond(packet, client)

    with capture_logs() as logs, running(answerer=faulty) as server:
        replies = []
        with server.connect() as connection:
            connection.sendall(framed(numbered(1)) + framed(numbered(2)))
            replies += [read_answer(connection), read_answer(connection)]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            asking.settimeout(60)
            asking.connect(server.bound[0])
            for number in (1, 2):
                asking.send(numbered(number))
                replies.append(asking.recv(4096))
        failed = [
            server.counted("rbl_dns_queries_total", zone="", transport=transport, outcome=Outcome.FAILED)
            for transport in Transport
        ]

    assert [("SERVFAIL qr",), LISTED_LINES] * 2 == [show(reply or b"") for reply in replies]
    assert ["tcp", "udp"] == [line["transport"] for line in logs if line["event"] == "query_error"]
    assert [1.0, 1.0] == failed


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_an_answer_that_cannot_be_sent_is_counted(host: str) -> None:
    """Where the system refuses to send an answer, the next query is answered all the same."""

    def huge(packet: bytes, client: Client) -> Reply:
        if packet[:2] == b"\0\1":
            return Reply(bytes(70_000), "", Outcome.LISTED)  # more than a datagram holds
        return respond(packet, client)

    with running(host, answerer=huge) as server:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            asking.settimeout(60)
            asking.connect(("127.0.0.1", server.bound[0].port))
            asking.send(numbered(1))
            asking.send(struct.pack("!6H", 3, 0x8000, 0, 0, 0, 0))  # not answered
            asking.send(numbered(2))
            reply = asking.recv(4096)
        failures = server.counted("rbl_dns_send_failures_total")

    assert (LISTED_LINES, 1.0) == (show(reply), failures)


def test_queries_are_counted_by_zone_transport_and_outcome() -> None:
    """The counters say which zone was asked, how, and what became of it."""
    query = dns.message.from_wire(LISTED)
    with running() as server:
        for _ in range(2):
            dns.query.udp(query, "127.0.0.1", port=server.bound[0].port, timeout=60)
        dns.query.tcp(query, "127.0.0.1", port=server.bound[0].port, timeout=60)
        counted = [
            server.counted(
                "rbl_dns_queries_total", zone="bl.test", transport=transport, outcome=Outcome.LISTED
            )
            for transport in Transport
        ]

    assert [2.0, 1.0] == counted
