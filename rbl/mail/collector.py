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
from collections.abc import Callable
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
    """Serves SMTP at the address of *settings* and hands each message taken to *deliver*.

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
        self.bound = settings.listen  # with the port that the system chose for 0
        self.stopping = False
        self._threads = ThreadPoolExecutor(_THREADS, "collector")
        self._empty = asyncio.Event()
        self._server: asyncio.Server | None = None

    async def start(self, listener: socket.socket | None = None) -> None:
        """Bind the address, unless *listener* is bound to it, and take mail.

        Raises:
            ConfigError: the address cannot be bound.
        """
        # aiosmtpd logs each line of each peer, which is neither ours to keep nor an event.
        logging.getLogger("mail.log").setLevel(logging.CRITICAL)
        listen = self.settings.listen
        loop = asyncio.get_running_loop()
        try:
            family = socket.AF_INET6 if ":" in listen.host else socket.AF_INET
            bound = listener or socket.create_server(listen, family=family)
            self._server = await loop.create_server(lambda: _Door(self), sock=bound)
        except OSError as fault:
            why = os.strerror(fault.errno or 0)
            raise ConfigError([f"collector.listen: cannot listen on {listen}: {why}"]) from None
        self.bound = Listen(*self._server.sockets[0].getsockname()[:2])

    async def stop(self, *, shared: bool = False) -> None:
        """Refuse what is new with 421, let transactions under way end, then close.

        With *shared* another process takes what is new, and nothing is refused.
        """
        if self._server is None:
            return
        self.stopping = True
        if shared:
            self._server.close()
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
        self._server.close()
        await self._server.wait_closed()
        self._server = None
        self._threads.shutdown(wait=False)

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
