"""The sockets that DNS is answered at: bound here, or taken over from the process before.

A socket that is taken over is the same one, with what waits in it: two processes may read it for a
moment, and each packet goes to one of them. So it is never shut down, which would end it for both, and
nothing of it that both rely on is changed. An address that no socket was taken over for is bound, and
must be free of other programs. Logs nothing.
"""

import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address

from rbl.config import Listen
from rbl.errors import ConfigError

# A flood of connections waits here rather than has everybody's first packet sent again a second later.
BACKLOG = 1024
_PORT_TRIES = 20  # for a port that is free for both transports, where the system chooses it
_RECEIVE_BUFFER = 4 * 1024 * 1024  # a burst of some 10,000 queries waits rather than is lost


@dataclass(frozen=True, slots=True)
class Bound:
    """The sockets of one address and port: one for TCP, any number for UDP, which share its packets."""

    udp: Sequence[socket.socket]
    tcp: socket.socket

    @property
    def place(self) -> Listen:
        """Where that is, with the port that the system chose for 0."""
        return Listen(*self.tcp.getsockname()[:2])

    def all(self) -> Sequence[socket.socket]:
        """Return every socket."""
        return (*self.udp, self.tcp)


def bind(
    listen: Iterable[Listen], udp_sockets: int, inherited: Iterable[socket.socket] = ()
) -> list[Bound]:
    """Return the sockets of each address, *udp_sockets* or more; those *inherited* before new ones.

    Of an inherited address no UDP socket is left out, however few are wanted: its packets would be lost.
    What was inherited for none of the addresses is closed.

    Raises:
        ConfigError: names each address that cannot be bound, and why; nothing is left open.
    """
    left = list(inherited)
    made: list[Bound] = []
    faults = []
    for each in listen:
        try:
            made.append(_bind_one(each, udp_sockets, left))
        except OSError as fault:
            faults.append(f"dns.listen: cannot listen on {each}: {fault.strerror or fault}")
    for unused in left:
        unused.close()
    if faults:
        for bound in made:
            _close(bound.all())
        raise ConfigError(faults)
    return made


def take(left: list[socket.socket], kind: socket.SocketKind, listen: Listen) -> list[socket.socket]:
    """Take out of *left* the sockets of *kind* bound to *listen*; with port 0, to one port there."""
    taken: list[socket.socket] = []
    port = listen.port
    for each in tuple(left):
        bound = Listen(*each.getsockname()[:2])
        if each.type != kind or ip_address(bound.host) != ip_address(listen.host):
            continue
        if port in {0, bound.port}:
            port = bound.port
            left.remove(each)
            taken.append(each)
    return taken


def _bind_one(listen: Listen, udp_sockets: int, left: list[socket.socket]) -> Bound:
    udp = take(left, socket.SOCK_DGRAM, listen)
    tcp = take(left, socket.SOCK_STREAM, Listen(listen.host, udp[0].getsockname()[1]) if udp else listen)
    try:
        if not udp and not tcp:
            first, stream = _bind_pair(listen)
            udp, tcp = [first], [stream]
        elif not udp:
            udp = [_bind(listen.host, tcp[0].getsockname()[1], socket.SOCK_DGRAM)]
        elif not tcp:
            tcp = [_bind(listen.host, udp[0].getsockname()[1], socket.SOCK_STREAM)]
        udp += _bind_more(udp[0], udp_sockets - len(udp))
    except OSError:
        _close((*udp, *tcp))
        raise
    return Bound(tuple(udp), tcp[0])


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
    if count <= 0:
        return []
    first.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    host, port = first.getsockname()[:2]
    more: list[socket.socket] = []
    try:
        for _ in range(count):
            more.append(_bind(host, port, socket.SOCK_DGRAM, shared=True))  # noqa: PERF401  # see below
    except OSError:
        _close(more)
        raise
    return more


def _bind(host: str, port: int, kind: socket.SocketKind, *, shared: bool = False) -> socket.socket:
    """Return a socket that waits, which every process that reads it must agree on."""
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
        bound.bind((host, port))
        if kind == socket.SOCK_STREAM:
            bound.listen(BACKLOG)
    except OSError:
        bound.close()
        raise
    return bound


def _close(sockets: Iterable[socket.socket]) -> None:
    for each in sockets:
        each.close()
