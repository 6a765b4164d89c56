"""DNS over UDP: one thread, a plain loop over all sockets. RFC 1035 §4.2.1.

A socket bound to every address (0.0.0.0, [::]) answers from the address that was asked, with the
system's packet information (RFC 3542 §6 for IPv6): a resolver drops an answer from another one.
Logs nothing.
"""

import selectors
import socket
import struct
import threading
from collections.abc import Callable, Sequence
from typing import Any

from rbl.responder.client import Client, client_at
from rbl.responder.codes import Transport
from rbl.responder.counters import Counters

# A query is some 100 octets. Of a longer packet the rest is lost and the parser says FORMERR.
_LARGEST_QUERY = 4096
# Packets taken from one socket before the others are looked at.
_BATCH = 64
# What is answered at a stop of what waits in a socket: more arrives for ever.
_LAST_PACKETS = 10_000
# Linux, <linux/in.h>: the socket module of Python 3.11 has no name for it.
_IP_PKTINFO = 8
_ANCILLARY_OCTETS = 64
# Likewise, and <linux/in6.h>. WANT: fragment what is larger than the path takes, as by default. PROBE: do
# not fragment, and believe no ICMP message about the path.
_IP_MTU_DISCOVER, _IPV6_MTU_DISCOVER, _PMTUDISC_WANT, _PMTUDISC_PROBE = 10, 23, 1, 3
_ANY = frozenset({"0.0.0.0", "::"})  # noqa: S104  # recognised here, not chosen

# (host, port) or (host, port, flow, scope): what the socket module gives and takes.
_Peer = tuple[Any, ...]
_Ancillary = list[tuple[int, int, bytes]]


class UdpServer:
    """Answers what arrives at bound *sockets*, which it closes at the end.

    Whether a call waits is said in each call: the sockets' own mode may be another process's matter too.
    """

    def __init__(
        self,
        sockets: Sequence[socket.socket],
        answer: Callable[[bytes, Client], bytes | None],
        counters: Counters,
    ) -> None:
        self._sockets = sockets
        self._answer = answer
        self._counters = counters
        self._wake, self._woken = socket.socketpair()
        self._thread = threading.Thread(target=self._run, name="dns-udp", daemon=True)
        self._from_asked = {each for each in sockets if answers_from_asked(each)}

    def start(self) -> None:
        """Answer from now on, in a thread."""
        self._thread.start()

    def stop(self, *, shared: bool = False) -> None:
        """Answer what waits in the sockets, then close them; they go on where another reads them too."""
        del shared  # closing is no shutdown
        self._wake.send(b"\0")
        self._thread.join()

    def _run(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._woken, selectors.EVENT_READ)
            for each in self._sockets:
                selector.register(each, selectors.EVENT_READ, self._loop_of(each))
            stopping = False
            while not stopping:
                for key, _ in selector.select():
                    if key.data is None:
                        stopping = True
                    else:
                        key.data(key.fileobj, _BATCH)
        for each in self._sockets:
            self._loop_of(each)(each, _LAST_PACKETS)
            each.close()
        self._wake.close()
        self._woken.close()

    def _loop_of(self, bound: socket.socket) -> Callable[[socket.socket, int], None]:
        return self._answer_from_asked if bound in self._from_asked else self._answer_plainly

    def _answer_plainly(self, bound: socket.socket, most: int) -> None:
        """Answer up to *most* packets that wait in a socket of one address."""
        for _ in range(most):
            try:
                packet, peer = bound.recvfrom(_LARGEST_QUERY, socket.MSG_DONTWAIT)
            except OSError:  # nothing waits, or an ICMP error came for an earlier answer
                return
            reply = self._answer(packet, client_at(peer[0], Transport.UDP))
            if reply is not None:
                try:
                    bound.sendto(reply, socket.MSG_DONTWAIT, peer)
                except OSError:  # no route, a full buffer, port 0: as if the network had lost it
                    self._counters.send_failures.inc()

    def _answer_from_asked(self, bound: socket.socket, most: int) -> None:
        """The same for a socket of every address."""
        for _ in range(most):
            try:
                packet, ancillary, _, peer = bound.recvmsg(
                    _LARGEST_QUERY, _ANCILLARY_OCTETS, socket.MSG_DONTWAIT
                )
            except OSError:
                return
            reply = self._answer(packet, client_at(peer[0], Transport.UDP))
            if reply is not None:
                try:
                    bound.sendmsg([reply], _source(ancillary), socket.MSG_DONTWAIT, peer)
                except OSError:
                    self._counters.send_failures.inc()


def set_fragments(bound: socket.socket, *, allowed: bool) -> None:
    """Have answers from *bound* go whole or not at all (RFC 9715 §3.1), or in pieces where *allowed*.

    Fragments get lost at firewalls, and a forged second one spoils what a resolver remembers; a forged
    ICMP message could else have any answer above 552 octets cut. Nor does the system look for an IP
    identification then, which no whole packet needs.
    """
    mode = _PMTUDISC_WANT if allowed else _PMTUDISC_PROBE
    if bound.family == socket.AF_INET6:
        bound.setsockopt(socket.IPPROTO_IPV6, _IPV6_MTU_DISCOVER, mode)
    else:
        bound.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, mode)


def answers_from_asked(bound: socket.socket) -> bool:
    """Whether *bound* is of every address; then each packet comes with the one it was sent to."""
    if bound.getsockname()[0] not in _ANY:
        return False
    if bound.family == socket.AF_INET6:
        bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
    else:
        bound.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
    return True


def _source(ancillary: _Ancillary) -> _Ancillary:
    """Return the packet information that sends an answer from the address its query came to.

    Nothing else is in *ancillary*, since nothing else was asked for.
    The interface is left to the routing table (0): it may not be the one the query came by.
    """
    answered: _Ancillary = []
    for level, kind, value in ancillary:
        if level == socket.IPPROTO_IP:
            _, local, _ = struct.unpack("=I4s4s", value)  # interface, local address, destination
            answered.append((level, kind, struct.pack("=I4s4s", 0, local, bytes(4))))
        else:
            destination, _ = struct.unpack("=16sI", value)
            answered.append((level, kind, struct.pack("=16sI", destination, 0)))
    return answered
