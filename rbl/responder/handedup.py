"""What the compiled path leaves to the reference path: a queue, and one thread that empties it.

The threads of the compiled path never wait for the interpreter: what they cannot answer they put into
a queue, and go on. The system bounds the queue; what finds no room in it is dropped and counted
(``Worker.overruns``), as a full receive buffer would have dropped it. So a flood of queries that need
the reference path takes nothing from those that do not but its share of the processor. Logs nothing.
"""

import socket
import threading
from collections.abc import Callable
from ipaddress import ip_address

from rbl.responder import _hotpath
from rbl.responder.client import Client
from rbl.responder.codes import Transport
from rbl.responder.counters import Counters

# Some 500 packets where the system allows no more than usual: what is answered in a few hundredths of
# a second, so that nobody gets an answer that he has given up waiting for.
_QUEUE_OCTETS = 1 << 20
# A packet of 4,096 octets and what stands before it.
_LARGEST_MESSAGE = 8192


class HandedUp:
    """Answers with *answer* what is put into ``queue``, from start to stop."""

    def __init__(self, answer: Callable[[bytes, Client], bytes | None], counters: Counters) -> None:
        self._answer = answer
        self._counters = counters
        self._workers: list[_hotpath.Worker] = []
        self.queue, self._end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.queue.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _QUEUE_OCTETS)
        self._thread = threading.Thread(target=self._run, name="dns-udp-handed-up", daemon=True)

    def start(self, workers: list[_hotpath.Worker]) -> None:
        """Answer from now on what *workers* put into the queue, each under its place as its number."""
        self._workers = workers
        self._thread.start()

    def stop(self) -> None:
        """Answer what waits in the queue. Nobody may put more into it any more."""
        self.queue.close()
        self._thread.join()

    def _run(self) -> None:
        with self._end:
            while message := self._end.recv(_LARGEST_MESSAGE):
                number, packed, packet = _hotpath.read_handed(message)
                reply = self._answer(packet, Client(ip_address(packed), Transport.UDP))
                if reply is not None and not self._workers[number].reply(message, reply):
                    self._counters.send_failures.inc()
