"""What is left to the reference path: answered, from the socket it came by, and nobody waits for it.

Not collected where the compiled path was not built (conftest.py).
"""

import random
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from ipaddress import ip_address

import pytest
from prometheus_client import CollectorRegistry

from rbl.responder.answer import answer
from rbl.responder.client import Client
from rbl.responder.codes import Transport
from rbl.responder.counters import Counters
from rbl.responder.hotpath import HotUdpServer
from tests.responder.differential import make_world, seeds
from tests.responder.presentation import make_query, show

WORLD = make_world()
LISTED = make_query("9.113.0.203.bl.test. IN A")[0][2:]  # answered by the compiled path
CHAOS = make_query("version.bind. CH TXT")[0][2:]  # by the other one


class Waiting:
    """A server that is not started, at a socket in which queries may wait already."""

    def __init__(self) -> None:
        self._bound = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._bound.bind(("127.0.0.1", 0))
        self.client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.client.settimeout(60)
        self.client.connect(self._bound.getsockname())
        self.registry = CollectorRegistry()
        self.handed_up = 0
        self.world = make_world()
        self.server: HotUdpServer | None = None

    def start(self, before: Callable[[], object] = lambda: None) -> None:
        """Start it; *before* is called before each answer of the reference path."""

        def respond(packet: bytes, client: Client) -> bytes | None:
            self.handed_up += 1
            before()
            return answer(packet, client, self.world.catalogue, self.world.rules, time.time_ns()).packet

        counters = Counters(self.registry)
        self.server = HotUdpServer([self._bound], self.world.hot_path, respond, counters)
        self.server.start()

    def ask(self, identity: int, question: bytes) -> None:
        """Send a query."""
        self.client.send(struct.pack("!H", identity) + question)

    def told(self) -> int:
        """Return the identity of the next answer."""
        return int.from_bytes(self.client.recv(4096)[:2], "big")

    def overruns(self) -> int:
        """Return how many queries were dropped because the reference path had too many before them."""
        return int(self.registry.get_sample_value("rbl_dns_overruns_total") or 0)

    def close(self) -> None:
        """Stop it, and what is around it."""
        if self.server is not None:
            self.server.stop()
        self._bound.close()
        self.client.close()


@pytest.fixture
def waiting() -> Iterator[Waiting]:
    """Return a server that is not started."""
    server = Waiting()
    yield server
    server.close()


def test_a_stop_answers_what_has_arrived(waiting: Waiting) -> None:
    """What waits when the server is told to stop is answered first, by either path."""
    for identity in range(200):
        waiting.ask(identity, LISTED if identity % 4 else CHAOS)
    waiting.start()
    assert waiting.server is not None
    waiting.server.stop()

    assert set(range(200)) == {waiting.told() for _ in range(200)}
    assert 50 == waiting.handed_up


def test_queries_of_every_sort_that_arrive_together(waiting: Waiting) -> None:
    """What waits together is answered together, and each as if it had come alone."""
    # As many as any socket's buffer holds; and the same in whichever second it is, so without cookies.
    sorts = [seed for seed in seeds() if b"\0\x0a\0" not in seed]
    packets = [
        struct.pack("!H", at) + each[2:] for at, each in enumerate(random.Random(7766).sample(sorts, 150))
    ]
    client = Client(ip_address("127.0.0.1"), Transport.UDP)
    expected = {}
    for packet in packets:
        reply = answer(packet, client, WORLD.catalogue, WORLD.rules, time.time_ns()).packet
        if reply is not None:
            expected[packet[:2]] = show(reply)
        waiting.client.send(packet)
    waiting.start()
    answers = [waiting.client.recv(8192) for _ in expected]

    assert expected == {reply[:2]: show(reply) for reply in answers}


def test_nobody_waits_for_the_reference_path(waiting: Waiting) -> None:
    """While it stands still the compiled path answers; then it answers what waits for it, in order."""
    goes_on = threading.Event()
    waiting.start(lambda: goes_on.wait(60))
    for identity in range(100):
        waiting.ask(identity, CHAOS)
    waiting.ask(100, LISTED)
    first = waiting.told()
    goes_on.set()
    others = [waiting.told() for _ in range(100)]

    assert (100, list(range(100)), 0) == (first, others, waiting.overruns())


def test_what_the_reference_path_is_too_slow_for_is_dropped(waiting: Waiting) -> None:
    """What waits for it has a bound; what is beyond is dropped and counted, and all else goes on."""
    goes_on = threading.Event()
    waiting.start(lambda: goes_on.wait(60))
    asked = 0
    while not waiting.overruns():
        for _ in range(100):
            waiting.ask(0, CHAOS)
        asked += 100
        waiting.ask(1, LISTED)
        assert 1 == waiting.told()  # and with it the others have been read
    goes_on.set()
    waiting.close()

    assert asked == waiting.handed_up + waiting.overruns()
    assert waiting.handed_up
