"""The SMTP server that test messages come back to: takes our tokens' mail, relays nothing, loses nothing.

250 is said only when ``deliver`` has returned, so a message is kept or its sender tries again; no
greylisting. What a message means is for ``returns``, how a session goes for ``session``, who may come
in for ``places``. Whatever is turned away and may have been a return is told to ``refused``: then its
staying away says nothing. Log events: ``collector_error`` (a message could not be kept; with
traceback where nobody foresaw why).
"""

import asyncio
import logging
import os
import socket
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar, cast

from rbl import config
from rbl.addresses import neighbourhood, parse_address
from rbl.attendance import Refusal
from rbl.config import Listen
from rbl.errors import ConfigError
from rbl.mail.delivery import Received
from rbl.mail.places import Answer, Limits, Places
from rbl.mail.session import CLOSING, Session
from rbl.mail.tokens import Tokens
from rbl.terms import Address, Network

_FULL = "421 4.3.2 too many connections, please try again in a minute"
_PEER_FULL = "421 4.7.0 too many connections from your address, please close some"
# Threads of the collector's own: what strangers send it must not keep those of other parts.
_THREADS = 4

_Given = TypeVar("_Given")


class Collector:
    """Serves SMTP at the addresses of *settings* and hands each message taken to *deliver*.

    *deliver* is called in a thread; where it raises, the peer is told to try again. *tokens* knows which
    recipients are worth a message, and *refused* is told of what was turned away: of the tests of a
    neighbourhood, or (None) of any.
    """

    def __init__(
        self,
        settings: config.Collector,
        deliver: Callable[[Received], None],
        tokens: Tokens,
        refused: Callable[[Refusal, Network | None], None],
        limits: Limits | None = None,
    ) -> None:
        self.settings = settings
        self.deliver = deliver
        self.tokens = tokens
        self.refused = refused
        self.limits = limits or Limits()
        self.places: Places[Session] = Places(self.limits)
        self.bound = settings.listen  # with the ports that the system chose for 0
        self.stopping = False
        self._threads = ThreadPoolExecutor(_THREADS, "collector")
        self._empty = asyncio.Event()
        self._servers: list[asyncio.Server] = []

    async def start(self, listeners: Sequence[socket.socket] = ()) -> None:
        """Bind the addresses, unless there are *listeners* bound to them, and take mail.

        Raises:
            ConfigError: names each address that cannot be bound.
        """
        # aiosmtpd logs each line of each peer, which is neither ours to keep nor an event.
        logging.getLogger("mail.log").setLevel(logging.CRITICAL)
        loop = asyncio.get_running_loop()
        for listener in listeners or _bind(self.settings.listen):
            self._servers.append(await loop.create_server(lambda: _Door(self), sock=listener))
        self.bound = tuple(Listen(*each.sockets[0].getsockname()[:2]) for each in self._servers)

    async def stop(self, *, shared: bool = False) -> None:
        """Refuse what is new with 421, let transactions under way end, then close.

        With *shared* another process takes what is new, and nothing is refused.
        """
        if not self._servers:
            return
        self.stopping = True
        if shared:
            self._close()
        for session in self.places.guests():
            session.leave_if_idle()
        if self.places:
            self._empty.clear()
            try:
                async with asyncio.timeout(self.limits.grace.total_seconds()):
                    await self._empty.wait()
            except TimeoutError:
                for session in self.places.guests():
                    session.abort()
        self._close()
        for server in self._servers:
            await server.wait_closed()
        self._servers = []
        self._threads.shutdown(wait=False)

    def _close(self) -> None:
        for server in self._servers:
            server.close()

    async def in_thread(self, work: Callable[[], _Given]) -> _Given:
        """Return what *work* does in one of the collector's own threads."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def refusal(self, peer: Address) -> str | None:
        """Return why a new connection of *peer* is refused now, as a reply line, or None: it may enter."""
        if self.stopping:
            return CLOSING
        answer, leaver = self.places.admit(peer)
        if leaver is not None:
            leaver.make_room()
        around = neighbourhood(peer)
        if answer is Answer.FULL or leaver is not None:
            self.refused(Refusal.FULL, None)
        elif answer is Answer.PEER_FULL and around in self.places.awaited:
            self.refused(Refusal.FULL, around)
        return {Answer.ENTER: None, Answer.FULL: _FULL, Answer.PEER_FULL: _PEER_FULL}[answer]

    def leave(self, session: Session) -> None:
        """Count *session* out."""
        self.places.leave(session)
        if not self.places:
            self._empty.set()


class _Door(asyncio.Protocol):
    """Looks at a new connection, and refuses it or hands it to a session."""

    def __init__(self, collector: Collector) -> None:
        self._collector = collector

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport = cast("asyncio.Transport", transport)  # uvloop's is one, and no subclass
        peername = transport.get_extra_info("peername")
        if not peername:  # gone before it was accepted
            transport.abort()
            return
        peer = parse_address(peername[0].partition("%")[0])
        refusal = self._collector.refusal(peer)
        if refusal:
            transport.write(f"{refusal}\r\n".encode())
            transport.close()
            return
        session = Session(self._collector, peer, transport)
        self._collector.places.enter(session, peer)
        transport.set_protocol(session)
        session.connection_made(transport)


def _bind(places: Iterable[Listen]) -> list[socket.socket]:
    """Return a listening socket at each of *places*.

    Raises:
        ConfigError: names each that cannot be bound, and none stays open.
    """
    bound: list[socket.socket] = []
    faults: list[str] = []
    for place in places:
        family = socket.AF_INET6 if ":" in place.host else socket.AF_INET
        try:
            bound.append(socket.create_server(place, family=family))
        except OSError as fault:
            why = os.strerror(fault.errno or 0)
            faults.append(f"collector.listen: cannot listen on {place}: {why}")
    if faults:
        for each in bound:
            each.close()
        raise ConfigError(faults)
    return bound
