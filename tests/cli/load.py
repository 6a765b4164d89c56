"""Asks a DNS server at a steady rate until its standard input ends, and tells what was not answered.

    python load.py HOST PORT QUERIES_PER_SECOND QUERY_IN_HEX

A process of its own: neither the test nor the server holds it up. It asks over UDP from many ports, and
over TCP on one connection after the other, a few times on each.
"""

import json
import select
import socket
import struct
import sys
import threading
import time
from dataclasses import dataclass, field

_SOCKETS = 16  # so that each socket of a server gets its share
_STEP_SECONDS = 0.005
# For what is still on its way at the end, on a machine that has other things to do.
_PATIENCE_SECONDS = 20.0
_TCP_PAUSE_SECONDS = 0.02
_QUERIES_OF_CONNECTION = 5


@dataclass
class Told:
    """What was asked and what came back."""

    sent: int = 0
    unanswered: int = 0
    wrong: int = 0
    slowest: float = 0.0
    connections: int = 0
    faults: list[str] = field(default_factory=list)  # of TCP


def _is_right(reply: bytes) -> bool:
    _, flags, _, answers = struct.unpack_from("!4H", reply)
    return (flags & 0x800F, answers) == (0x8000, 1)


class _Udp:
    def __init__(self, place: tuple[str, int], query: bytes, told: Told) -> None:
        self._query, self._told = query[2:], told
        self._sockets = []
        self._number = 0
        self._waiting: dict[tuple[int, bytes], float] = {}
        for _ in range(_SOCKETS):
            one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
            one.connect(place)
            self._sockets.append(one)

    def run(self, rate: float) -> None:
        started = time.monotonic()
        ended = False
        while not ended:
            ended = bool(select.select([sys.stdin], [], [], 0)[0])
            while self._told.sent < (time.monotonic() - started) * rate:
                self._send()
            self._receive(_STEP_SECONDS)
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while self._waiting and time.monotonic() < deadline:
            self._receive(0.1)
        self._told.unanswered = len(self._waiting)

    def _send(self) -> None:
        self._number += 1
        identity = struct.pack("!H", (self._number // _SOCKETS) & 0xFFFF)
        one = self._sockets[self._number % _SOCKETS]
        self._waiting[one.fileno(), identity] = time.monotonic()
        self._told.sent += 1
        one.send(identity + self._query)

    def _receive(self, seconds: float) -> None:
        for one in select.select(self._sockets, [], [], seconds)[0]:
            while True:
                try:
                    reply = one.recv(4096, socket.MSG_DONTWAIT)
                except BlockingIOError:
                    break
                sent_at = self._waiting.pop((one.fileno(), reply[:2]), None)
                if sent_at is None or not _is_right(reply):
                    self._told.wrong += 1
                else:
                    self._told.slowest = max(self._told.slowest, time.monotonic() - sent_at)


def _ask_over_tcp(place: tuple[str, int], query: bytes, told: Told, stop: threading.Event) -> None:
    while not stop.is_set():
        told.connections += 1
        try:
            with socket.create_connection(place, 20) as connection:
                for _ in range(_QUERIES_OF_CONNECTION):
                    _converse(connection, query)
                    stop.wait(_TCP_PAUSE_SECONDS)
        except OSError as fault:
            told.faults.append(f"{type(fault).__name__}: {fault}")


def _converse(connection: socket.socket, query: bytes) -> None:
    connection.sendall(struct.pack("!H", len(query)) + query)
    with connection.makefile("rb") as stream:
        (length,) = struct.unpack("!H", stream.read(2) or b"\0\0")
        if not length or not _is_right(stream.read(length)):
            raise OSError("no answer")


def main() -> None:
    """Do as the module says."""
    host, port, rate, query = sys.argv[1:]
    place, packet, told, stop = (host, int(port)), bytes.fromhex(query), Told(), threading.Event()
    over_tcp = threading.Thread(target=_ask_over_tcp, args=(place, packet, told, stop))
    over_tcp.start()
    _Udp(place, packet, told).run(float(rate))
    stop.set()
    over_tcp.join()
    json.dump(vars(told), sys.stdout)


if __name__ == "__main__":
    main()
