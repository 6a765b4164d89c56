"""Connections that only hold on: DNS over TCP is there for everybody else."""

import socket
import struct
import threading
import time
from contextlib import ExitStack, suppress

from dns import message as dns_message
from dns import query as dns_query

from tests.attacks.target import ANSWER_SECONDS, Target

# As many places as there are, from as many clients as it takes to hold them.
_CONNECTIONS = 500
_CLIENTS = 25
_TEST_POINT = "2.0.0.127.relays.example"
_ASKS = 20
_QUERY = dns_message.make_query(_TEST_POINT, "A").to_wire()
# Nothing, half a query, and a query that was answered.
_BEGINNINGS = (b"", struct.pack("!H", len(_QUERY)) + _QUERY[:20], struct.pack("!H", len(_QUERY)) + _QUERY)


def _hold(target: Target, number: int) -> socket.socket:
    """Open a connection from one of the attacker's addresses, and begin to say something or not."""
    source = (f"127.1.0.{number % _CLIENTS + 1}", 0)
    holding = socket.create_connection(target.dns, 20, source)
    with suppress(ConnectionError):
        holding.sendall(_BEGINNINGS[number % 3])
    return holding


def test_all_places_held(target: Target) -> None:
    """With every place held by idle connections, silent or not, a stranger is answered at once."""
    with ExitStack() as held:
        for number in range(_CONNECTIONS):
            held.enter_context(_hold(target, number))
        for _ in range(_ASKS):
            query = dns_message.make_query(_TEST_POINT, "A")
            assert dns_query.tcp(query, target.dns.host, ANSWER_SECONDS, target.dns.port).answer
        target.is_well()

    target.is_well()
    target.used(memory_mib=32, disk_mib=1, log_lines=5)


def test_places_taken_again_and_again(target: Target) -> None:
    """While the attacker takes every place anew as fast as he can, strangers are answered."""
    stop = threading.Event()

    def attack() -> None:
        held: list[socket.socket] = []
        number = 0
        while not stop.is_set():
            with suppress(OSError):
                held.append(_hold(target, number))
            number += 1
            if len(held) > _CONNECTIONS:
                held.pop(0).close()
        for each in held:
            each.close()

    attacking = threading.Thread(target=attack)
    attacking.start()
    try:
        unanswered = 0
        for _ in range(_ASKS):
            query = dns_message.make_query(_TEST_POINT, "A")
            try:
                dns_query.tcp(query, target.dns.host, 20, target.dns.port)
            except (OSError, EOFError):
                unanswered += 1
            time.sleep(0.01)
    finally:
        stop.set()
        attacking.join()

    assert 0 == unanswered
    target.is_well()
    target.used(memory_mib=32, disk_mib=1, log_lines=5)
