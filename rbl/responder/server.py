"""The sockets of the DNS server: UDP in one thread, TCP in an event loop of its own in another.

With the compiled hot path UDP has several sockets at each address and a thread for each of them.

Neither shares a thread with the web server or the prober, so that nothing there delays an answer.
What is answered comes from a callable; ``udp`` and ``tcp`` move the bytes. All addresses are bound
before the first query is answered, and a stop finishes what has arrived.

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
from rbl.errors import ConfigError
from rbl.responder.answer import Reply
from rbl.responder.client import Client
from rbl.responder.codes import Outcome
from rbl.responder.counters import Counters
from rbl.responder.hits import HitCounts
from rbl.responder.tcp import TcpLimits, TcpServer
from rbl.responder.udp import UdpServer, forbid_fragments
from rbl.responder.wire import pack_servfail

_BACKLOG = 256
_PORT_TRIES = 20  # for a port that is free for both transports, where the system chooses it
_RECEIVE_BUFFER = 4 * 1024 * 1024  # a burst of some 10,000 queries waits rather than is lost

if TYPE_CHECKING:
    # It exists only where there was a compiler.
    from rbl.responder import hotpath

_log = structlog.get_logger()

Answerer = Callable[[bytes, Client], Reply]


class _Udp(Protocol):
    def start(self) -> None:
        """Answer from now on, in threads."""

    def stop(self) -> None:
        """Answer what waits in the sockets, then close them."""


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
        self.bound: tuple[Listen, ...] = ()  # with the ports that the system chose for 0

    def start(self) -> None:
        """Bind every address, then answer.

        Raises:
            ConfigError: names each address that cannot be bound, and why.
        """
        pairs: list[tuple[socket.socket, socket.socket]] = []
        more: list[socket.socket] = []
        faults = []
        for listen in self._listen:
            try:
                pairs.append(_bind_pair(listen))
                if self._hot is not None:
                    more += _bind_more(pairs[-1][0], self._hot.count() - 1)
            except OSError as fault:
                faults.append(f"dns.listen: cannot listen on {listen}: {fault.strerror or fault}")
        if faults:
            for bound in (*more, *(bound for pair in pairs for bound in pair)):
                bound.close()
            raise ConfigError(faults)
        if not self._fragments:
            for bound in (*(udp for udp, _ in pairs), *more):
                forbid_fragments(bound)
        self.bound = tuple(Listen(*udp.getsockname()[:2]) for udp, _ in pairs)
        self._udp = self._udp_server([*(udp for udp, _ in pairs), *more])
        self._tcp = TcpServer([tcp for _, tcp in pairs], self._answer, self._counters, self._tcp_limits)
        self._udp.start()
        self._tcp.start()
        _log.info("dns_listening", addresses=" ".join(map(str, self.bound)))

    def stop(self, grace: timedelta = timedelta(seconds=5)) -> None:
        """Take no more queries, answer those that have arrived, close; at most *grace* for TCP."""
        udp, self._udp = self._udp, None
        tcp, self._tcp = self._tcp, None
        if udp is not None and tcp is not None:
            udp.stop()
            tcp.stop(grace)

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


def _bind_pair(listen: Listen) -> tuple[socket.socket, socket.socket]:
    """Return a UDP and a TCP socket bound to one address and port."""
    for _ in range(_PORT_TRIES if listen.port == 0 else 1):
        udp = _bind(listen.host, listen.port, socket.SOCK_DGRAM)
        try:
            tcp = _bind(listen.host, udp.getsockname()[1], socket.SOCK_STREAM)
        except OSError as fault:
            udp.close()
            failure = fault
            continue
        return udp, tcp
    raise failure


def _bind_more(first: socket.socket, count: int) -> list[socket.socket]:
    """Return *count* more UDP sockets at the address and port of *first*, which share its packets.

    Only now may others of this program's user bind there: *first* has found it free.
    """
    first.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    host, port = first.getsockname()[:2]
    more: list[socket.socket] = []
    try:
        for _ in range(count):
            more.append(_bind(host, port, socket.SOCK_DGRAM, shared=True))  # noqa: PERF401  # see below
    except OSError:
        for bound in more:
            bound.close()
        raise
    return more


def _bind(host: str, port: int, kind: socket.SocketKind, *, shared: bool = False) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, kind)
    try:
        if family == socket.AF_INET6:
            # 0.0.0.0 and [::] can then both be listened on, and no IPv4 client looks like IPv6.
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if kind == socket.SOCK_STREAM:
            # A restart must not wait for the old connections' TIME_WAIT.
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        else:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, int(shared))
        bound.settimeout(0)
        bound.bind((host, port))
        if kind == socket.SOCK_STREAM:
            bound.listen(_BACKLOG)
    except OSError:
        bound.close()
        raise
    return bound
