"""The sockets of the DNS server: UDP in one thread, TCP in an event loop of its own in another.

With the compiled hot path UDP has several sockets at each address and a thread for each of them.

Neither shares a thread with the web server or the prober, so that nothing there delays an answer.
What is answered comes from a callable; ``udp`` and ``tcp`` move the bytes, ``binding`` makes the
sockets. All addresses are bound before the first query is answered, and a stop finishes what has
arrived. Sockets may come from another process and go to another one, which then read them both until one
of them stops: nothing that waits in a socket is lost.

RFC 1035 §4.2, RFC 7766 (TCP). Log events: ``dns_listening``, ``query_error`` (with traceback).
"""

import os
import socket
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

import structlog

from rbl.config import Listen
from rbl.responder import binding
from rbl.responder.answer import Reply
from rbl.responder.binding import Bound
from rbl.responder.client import Client
from rbl.responder.codes import Outcome
from rbl.responder.counters import Counters
from rbl.responder.hits import HitCounts
from rbl.responder.tcp import TcpLimits, TcpServer
from rbl.responder.udp import UdpServer, set_fragments
from rbl.responder.wire import pack_servfail

if TYPE_CHECKING:
    # It exists only where there was a compiler.
    from rbl.responder import hotpath

_log = structlog.get_logger()

Answerer = Callable[[bytes, Client], Reply]


class _Udp(Protocol):
    def start(self) -> None:
        """Answer from now on, in threads."""

    def stop(self, *, shared: bool) -> None:
        """Answer what waits in the sockets, then close them; they go on where another reads them too."""


@dataclass(frozen=True, slots=True)
class Hot:
    """The compiled hot path, and with how many threads at each address; 0: one a core."""

    path: "hotpath.Hot"
    threads: int = 0

    def count(self) -> int:
        """Return the number of threads, and sockets, for each address."""
        return self.threads or len(os.sched_getaffinity(0))


class Server:
    """Answers DNS at every address of *listen* with what *answerer* says, from start to stop.

    With *hot* it answers over UDP what it can before *answerer* is asked. With *fragments* the system may
    send a UDP answer in pieces where it is larger than the path takes.
    """

    def __init__(
        self,
        listen: Iterable[Listen],
        answerer: Answerer,
        counters: Counters,
        tcp_limits: TcpLimits | None = None,
        hot: Hot | None = None,
        *,
        fragments: bool = False,
    ) -> None:
        self._listen = tuple(listen)
        self._answerer = answerer
        self._counters = counters
        self._tcp_limits = tcp_limits or TcpLimits()
        self._hot = hot
        self._fragments = fragments
        self._udp: _Udp | None = None
        self._hot_udp: hotpath.HotUdpServer | None = None
        self._tcp: TcpServer | None = None
        self._sockets: list[Bound] = []
        self._inherited = self._given = False  # the sockets: from, and to, another process
        self.bound: tuple[Listen, ...] = ()  # with the ports that the system chose for 0

    def start(self, inherited: Iterable[socket.socket] = ()) -> None:
        """Bind every address that none of *inherited* is bound to, then answer.

        Raises:
            ConfigError: names each address that cannot be bound, and why.
        """
        udp_sockets = 1 if self._hot is None else self._hot.count()
        before = list(inherited)
        self._inherited = bool(before)
        self._sockets = binding.bind(self._listen, udp_sockets, before)
        udp = [each for bound in self._sockets for each in bound.udp]
        for each in udp:
            set_fragments(each, allowed=self._fragments)
        self.bound = tuple(bound.place for bound in self._sockets)
        self._udp = self._udp_server(udp)
        tcp = [bound.tcp for bound in self._sockets]
        self._tcp = TcpServer(tcp, self._answer, self._counters, self._tcp_limits)
        self._udp.start()
        self._tcp.start()
        _log.info("dns_listening", addresses=" ".join(map(str, self.bound)))

    def stop(self, grace: timedelta = timedelta(seconds=5)) -> None:
        """Take no more queries, answer those that have arrived, close; at most *grace* for TCP.

        Where another process goes on with the sockets, clients may finish on open connections.
        """
        udp, self._udp = self._udp, None
        tcp, self._tcp = self._tcp, None
        if udp is not None and tcp is not None:
            udp.stop(shared=self._inherited or self._given)
            tcp.stop(grace, finishing=self._given)

    def share(self) -> Sequence[socket.socket]:
        """Return all sockets, for another process to read them too: from now on they outlive a stop."""
        self._given = True
        return [each for bound in self._sockets for each in bound.all()]

    def take_hits(self) -> HitCounts:
        """Return what *hot* counted by listing since the last call; after the stop, the rest of it."""
        return {} if self._hot_udp is None else self._hot_udp.take_hits()

    def _udp_server(self, sockets: Sequence[socket.socket]) -> _Udp:
        if self._hot is None:
            return UdpServer(sockets, self._answer, self._counters)
        from rbl.responder.hotpath import HotUdpServer  # noqa: PLC0415 — where it was built

        self._hot_udp = HotUdpServer(sockets, self._hot.path, self._answer, self._counters)
        return self._hot_udp

    def _answer(self, packet: bytes, client: Client) -> bytes | None:
        """Return the answer to *packet*; a fault of this program is SERVFAIL and one log line."""
        try:
            reply = self._answerer(packet, client)
        except Exception:  # noqa: BLE001  # the rim: whatever it is, the next query must be answered
            _log.exception("query_error", transport=client.transport.value, packet=packet[:512].hex())
            self._counters.count("", client.transport, Outcome.FAILED)
            return pack_servfail(packet)
        self._counters.count(reply.zone, client.transport, reply.outcome)
        return reply.packet
