"""The SMTP server that test messages come back to: takes our tokens' mail, relays nothing, loses nothing.

250 is said only when ``deliver`` has returned, so a message is kept or its sender tries again; no
greylisting. What a message means is for ``returns``. A session is refused or ended with a 421
sentence where it is one too many, too long or too loud. RFC 5321; no AUTH, no STARTTLS, no SMTPUTF8
recipients, no VRFY. Log events: ``collector_error`` (a message could not be kept; with traceback
where nobody foresaw why).
"""

import asyncio
import logging
import os
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv6Address, ip_network
from typing import cast

import structlog
from aiosmtpd.smtp import SMTP, Envelope, Session

from rbl import config
from rbl.addresses import parse_address
from rbl.config import Listen
from rbl.errors import ConfigError, Unavailable
from rbl.mail import envelope
from rbl.terms import Address, Network

# A test has one recipient and a bounce one; a relay may bundle the tests of one run.
_MAX_RECIPIENTS = 10
# Long enough for headers that relays put on one line; RFC 5321 §4.5.3.1.6 asks for 1,000 octets.
_MAX_LINE_OCTETS = 64 * 1024
# A path of 256 octets, the verb and parameters (RFC 5321 §4.5.3.1); 8-bit HELO names are shorter.
_MAX_COMMAND_OCTETS = 1_024
# Commands of one kind in a session: some hundred messages, each with its recipients.
_MAX_COMMANDS = 1_000
# What a session may send per message beyond the limit, so that a message too large still gets its 552.
_OVERSIZE_FACTOR = 4

_CLOSING = "421 4.3.2 closing, please try again in a minute"
_TRY_LATER = "451 4.3.0 the message could not be kept, please try again later"
_NULL_SENDER = "<>"  # aiosmtpd takes an empty sender for none

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Received:
    """One message that was taken, and everything known of how it came.

    *recipients* are as the peer wrote them, each ``token@domain`` of this collector in any case;
    *mail_from* is empty for ``<>``; *message* has CRLF line ends as sent, dots unstuffed.
    """

    peer: Address
    helo: str
    mail_from: str
    recipients: tuple[str, ...]
    message: bytes
    received_at: datetime


@dataclass(frozen=True, slots=True)
class Limits:
    """What one peer and all peers together may use."""

    connections: int = 200
    connections_per_peer: int = 20  # an IPv6 peer is its /64
    # RFC 5321 §4.5.3.2: a server waits five minutes for the next command.
    command_timeout: timedelta = timedelta(minutes=5)
    session_timeout: timedelta = timedelta(minutes=30)
    # How long a stop waits for transactions that are under way: whoever sends slowly sends again.
    grace: timedelta = timedelta(seconds=4)


class Collector:
    """Serves SMTP at the address of *settings* and hands each message taken to *deliver*.

    *deliver* is called in a thread of its own; where it raises, the peer is told to try again.
    """

    def __init__(
        self,
        settings: config.Collector,
        deliver: Callable[[Received], None],
        limits: Limits | None = None,
    ) -> None:
        self.settings = settings
        self.deliver = deliver
        self.limits = limits or Limits()
        self.bound = settings.listen  # with the port that the system chose for 0
        self.stopping = False
        self._sessions: dict[_Session, Network] = {}
        self._peers: Counter[Network] = Counter()
        self._empty = asyncio.Event()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Bind the address and take mail.

        Raises:
            ConfigError: the address cannot be bound.
        """
        # aiosmtpd logs each line of each peer, which is neither ours to keep nor an event.
        logging.getLogger("mail.log").setLevel(logging.CRITICAL)
        listen = self.settings.listen
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(lambda: _Door(self), listen.host, listen.port)
        except OSError as fault:
            why = os.strerror(fault.errno or 0)
            raise ConfigError([f"collector.listen: cannot listen on {listen}: {why}"]) from None
        self.bound = Listen(*self._server.sockets[0].getsockname()[:2])

    async def stop(self) -> None:
        """Refuse what is new with 421, let transactions under way end, then close."""
        if self._server is None:
            return
        self.stopping = True
        for session in list(self._sessions):
            session.leave_if_idle()
        if self._sessions:
            self._empty.clear()
            try:
                async with asyncio.timeout(self.limits.grace.total_seconds()):
                    await self._empty.wait()
            except TimeoutError:
                for session in list(self._sessions):
                    session.abort()
        self._server.close()
        await self._server.wait_closed()
        self._server = None

    def refusal(self, site: Network) -> str | None:
        """Return why a new connection from *site* is refused now, as a reply line, or None."""
        if self.stopping:
            return _CLOSING
        if len(self._sessions) >= self.limits.connections:
            return "421 4.3.2 too many connections, please try again in a minute"
        if self._peers[site] >= self.limits.connections_per_peer:
            return "421 4.7.0 too many connections from your address, please close some"
        return None

    def enter(self, session: "_Session", site: Network) -> None:
        """Count *session* in."""
        self._sessions[session] = site
        self._peers[site] += 1

    def leave(self, session: "_Session") -> None:
        """Count *session* out."""
        site = self._sessions.pop(session)
        self._peers[site] -= 1
        self._peers += Counter()  # drops the peers that have none left
        if not self._sessions:
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
        site = ip_network((peer, 64), strict=False) if isinstance(peer, IPv6Address) else ip_network(peer)
        refusal = self._collector.refusal(site)
        if refusal:
            transport.write(f"{refusal}\r\n".encode())
            transport.close()
            return
        session = _Session(self._collector, peer, transport)
        self._collector.enter(session, site)
        transport.set_protocol(session)
        session.connection_made(transport)


class _Handler:
    """What aiosmtpd asks about a message that was sent, and about faults."""

    def __init__(self, collector: Collector, peer: Address) -> None:
        self._collector = collector
        self._peer = peer

    async def handle_EHLO(  # noqa: N802 - aiosmtpd's
        self, server: SMTP, session: Session, transaction: Envelope, name: str, replies: list[str]
    ) -> list[str]:
        """Note the name, and offer what there is: the last line of aiosmtpd's offers HELP."""
        del server, transaction
        session.host_name = name
        *offers, last = replies[:-1]
        return [*offers, last.replace("-", " ", 1)]

    async def handle_DATA(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, transaction: Envelope
    ) -> str:
        """Hand the message over; the sender hears 250 only where that succeeded."""
        del server
        assert isinstance(transaction.content, bytes)
        sender = transaction.mail_from or ""
        received = Received(
            peer=self._peer,
            helo=envelope.readable(session.host_name or ""),
            mail_from="" if sender == _NULL_SENDER else envelope.readable(sender),
            recipients=tuple(transaction.rcpt_tos),
            message=transaction.content,
            received_at=datetime.now(UTC),
        )
        try:
            await asyncio.to_thread(self._collector.deliver, received)
        except Unavailable as fault:
            _log.warning("collector_error", peer=str(self._peer), why=fault.message)
            return _TRY_LATER
        except Exception:  # noqa: BLE001 - the rim: whatever it is, the sender keeps the message
            _log.exception("collector_error", peer=str(self._peer), why="unforeseen")
            return _TRY_LATER
        return "250 2.0.0 kept"

    async def handle_exception(self, error: Exception) -> str:  # pragma: no cover - no way here is known
        """Tell the peer to try again, after whatever nobody foresaw."""
        _log.error("collector_error", peer=str(self._peer), why="unforeseen", exc_info=error)
        return _TRY_LATER


class _Session(SMTP):
    """One SMTP session: aiosmtpd's reading of lines and DATA, our envelope commands and limits."""

    line_length_limit = _MAX_LINE_OCTETS
    command_size_limit = _MAX_COMMAND_OCTETS

    def __init__(self, collector: Collector, peer: Address, wire: asyncio.Transport) -> None:
        limits = collector.limits
        # aiosmtpd shares this one among all sessions, and each EHLO raises it.
        self.command_size_limits = defaultdict(lambda: _MAX_COMMAND_OCTETS)
        super().__init__(
            _Handler(collector, peer),
            data_size_limit=collector.settings.max_message_octets,
            enable_SMTPUTF8=True,  # a HELO or a sender of eight bits must not cost us a message
            decode_data=False,
            hostname=collector.settings.domain,
            ident="ESMTP relay test collector",
            timeout=limits.command_timeout.total_seconds(),
            command_call_limit=_MAX_COMMANDS,
            auth_exclude_mechanism=("LOGIN", "PLAIN"),
            loop=asyncio.get_running_loop(),
        )
        self._collector = collector
        self._octets = 0
        self._in_data = False
        self._wire = wire
        self._deadline = self.loop.call_later(
            limits.session_timeout.total_seconds(), self._leave, "421 4.4.2 session too long, closing"
        )

    def connection_lost(self, error: Exception | None) -> None:
        """End, and be counted out."""
        self._deadline.cancel()
        super().connection_lost(error)
        self._collector.leave(self)

    def data_received(self, data: bytes) -> None:
        """Take octets, up to a limit for each message: aiosmtpd would read a line for ever."""
        self._octets += len(data)
        if self._octets > _OVERSIZE_FACTOR * self._collector.settings.max_message_octets:
            self.abort()
            return
        super().data_received(data)

    def abort(self) -> None:
        """Cut the connection."""
        self._wire.abort()

    def leave_if_idle(self) -> None:
        """End the session with 421 unless a transaction is under way (RFC 5321 §3.8)."""
        idle = not self._in_data and not (self.envelope and self.envelope.mail_from)
        if self._collector.stopping and idle:
            self._leave(_CLOSING)

    def _leave(self, reply: str) -> None:
        self._wire.write(f"{reply}\r\n".encode())
        self._wire.close()

    async def smtp_MAIL(self, arg: str | None) -> None:  # noqa: N802 - aiosmtpd's name
        """Begin a transaction with any sender: only the recipient matters here."""
        assert self.session is not None
        assert self.envelope is not None
        path = envelope.read_path("FROM:", arg or "")
        if not self.session.host_name:
            await self.push("503 5.5.1 say EHLO first")
        elif self.envelope.mail_from:
            await self.push("503 5.5.1 a message was begun already")
        elif path is None:
            await self.push("501 5.5.4 syntax: MAIL FROM:<address>")
        elif path.declared_size > self._collector.settings.max_message_octets:
            await self.push("552 5.3.4 message too large")
        else:
            self._octets = 0
            self.envelope.mail_from = path.address or _NULL_SENDER
            await self.push("250 2.1.0 sender noted")

    async def smtp_RCPT(self, arg: str | None) -> None:  # noqa: N802 - aiosmtpd's name
        """Take a recipient that is one of our tokens, and no other."""
        assert self.envelope is not None
        path = envelope.read_path("TO:", arg or "")
        recipient = envelope.own_recipient(path.address, self._collector.settings.domain) if path else None
        if not self.envelope.mail_from:
            await self.push("503 5.5.1 say MAIL first")
        elif path is None:
            await self.push("501 5.5.4 syntax: RCPT TO:<address>")
        elif recipient is None:
            await self.push("550 5.1.1 no such recipient: only returns of relay tests are taken here")
        elif len(self.envelope.rcpt_tos) >= _MAX_RECIPIENTS:
            await self.push("452 4.5.3 too many recipients, send the rest in another message")
        else:
            self.envelope.rcpt_tos.append(recipient)
            await self.push("250 2.1.5 recipient taken")

    async def smtp_DATA(self, arg: str) -> None:  # noqa: N802 - aiosmtpd's name
        """Take the message."""
        self._in_data = True
        try:
            await super().smtp_DATA(arg)
        finally:
            self._in_data = False
        self.leave_if_idle()

    async def smtp_RSET(self, arg: str) -> None:  # noqa: N802 - aiosmtpd's name
        """End the transaction without a message."""
        await super().smtp_RSET(arg)
        self.leave_if_idle()

    async def _not_here(self, arg: str | None) -> None:
        del arg
        await self.push("502 5.5.1 not here")

    smtp_AUTH = smtp_STARTTLS = smtp_VRFY = smtp_EXPN = smtp_HELP = _not_here  # noqa: N815 - aiosmtpd's names
