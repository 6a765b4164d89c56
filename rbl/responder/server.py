"""The sockets of the DNS server: UDP in one thread, TCP in an event loop of its own in another.

Neither shares a thread with the web server or the prober, so that nothing there delays an answer.
What is answered comes from a callable; ``udp`` and ``tcp`` move the bytes. All addresses are bound
before the first query is answered, and a stop finishes what has arrived.

RFC 1035 §4.2, RFC 7766 (TCP). Log events: ``dns_listening``, ``query_error`` (with traceback).
"""

import socket
from collections.abc import Callable, Iterable
from datetime import timedelta

import structlog

from rbl.config import Listen
from rbl.errors import ConfigError
from rbl.responder.answer import Reply
from rbl.responder.client import Client
from rbl.responder.codes import Outcome
from rbl.responder.counters import Counters
from rbl.responder.tcp import TcpLimits, TcpServer
from rbl.responder.udp import UdpServer
from rbl.responder.wire import pack_servfail

_BACKLOG = 256
_PORT_TRIES = 20  # for a port that is free for both transports, where the system chooses it
_RECEIVE_BUFFER = 4 * 1024 * 1024  # a burst of some 10,000 queries waits rather than is lost

_log = structlog.get_logger()

Answerer = Callable[[bytes, Client], Reply]


class Server:
    """Answers DNS at every address of *listen* with what *answerer* says, from start to stop."""

    def __init__(
        self,
        listen: Iterable[Listen],
        answerer: Answerer,
        counters: Counters,
        tcp_limits: TcpLimits | None = None,
    ) -> None:
        self._listen = tuple(listen)
        self._answerer = answerer
        self._counters = counters
        self._tcp_limits = tcp_limits or TcpLimits()
        self._udp: UdpServer | None = None
        self._tcp: TcpServer | None = None
        self.bound: tuple[Listen, ...] = ()  # with the ports that the system chose for 0

    def start(self) -> None:
        """Bind every address, then answer.

        Raises:
            ConfigError: names each address that cannot be bound, and why.
        """
        pairs: list[tuple[socket.socket, socket.socket]] = []
        faults = []
        for listen in self._listen:
            try:
                pairs.append(_bind_pair(listen))
            except OSError as fault:
                faults.append(f"dns.listen: cannot listen on {listen}: {fault.strerror or fault}")
        if faults:
            for pair in pairs:
                for bound in pair:
                    bound.close()
            raise ConfigError(faults)
        self.bound = tuple(Listen(*udp.getsockname()[:2]) for udp, _ in pairs)
        self._udp = UdpServer([udp for udp, _ in pairs], self._answer, self._counters)
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


def _bind(host: str, port: int, kind: socket.SocketKind) -> socket.socket:
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
        bound.settimeout(0)
        bound.bind((host, port))
        if kind == socket.SOCK_STREAM:
            bound.listen(_BACKLOG)
    except OSError:
        bound.close()
        raise
    return bound
