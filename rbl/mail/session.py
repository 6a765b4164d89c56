"""One SMTP session of the collector: aiosmtpd's reading of lines and DATA, our commands and limits.

RFC 5321; no AUTH, no STARTTLS, no SMTPUTF8 recipients, no VRFY. A session is ended with a 421 sentence
where it is too long, too loud, or the one that must make room. Log event: ``collector_error``.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol, TypeVar

import structlog
from aiosmtpd import smtp
from aiosmtpd.smtp import SMTP, Envelope

from rbl import config
from rbl.addresses import neighbourhood
from rbl.attendance import Refusal
from rbl.errors import Unavailable
from rbl.mail import envelope
from rbl.mail.delivery import PostboxFull, Received, ReturnsFull
from rbl.mail.places import Limits, Places
from rbl.mail.tokens import Tokens
from rbl.store.receipts import Standing
from rbl.terms import Address, Network

# A test has one recipient and a bounce one; a relay may bundle the tests of one run.
_MAX_RECIPIENTS = 10
# Recipients that are nobody's in a session: our own relays' returns have none.
_MAX_UNKNOWN = 20
# Long enough for headers that relays put on one line; RFC 5321 §4.5.3.1.6 asks for 1,000 octets.
_MAX_LINE_OCTETS = 64 * 1024
# A path of 256 octets, the verb and parameters (RFC 5321 §4.5.3.1); 8-bit HELO names are shorter.
_MAX_COMMAND_OCTETS = 1_024
# Commands of one kind in a session: some hundred messages, each with its recipients.
_MAX_COMMANDS = 1_000
# What a session may send per message beyond the limit, so that a message too large still gets its 552.
_OVERSIZE_FACTOR = 4

CLOSING = "421 4.3.2 closing, please try again in a minute"
_MAKE_ROOM = "421 4.3.2 too many connections, and you have named no recipient: please try again in a minute"
_TRY_LATER = "451 4.3.0 the message could not be kept, please try again later"
_NO_ROOM = "452 4.3.1 no room to keep the message, please try again later"
_POSTBOX_FULL = "452 4.2.2 the mailbox is full, please try again later"
_NOBODY = "550 5.1.1 no such recipient: only returns of relay tests are taken here"
_REFUSED = frozenset({Standing.OVER, Standing.UNKNOWN})
_NULL_SENDER = "<>"  # aiosmtpd takes an empty sender for none

_Given = TypeVar("_Given")
_log = structlog.get_logger()


class House(Protocol):
    """What a session asks of the collector that it is one of."""

    settings: config.Collector
    limits: Limits
    deliver: Callable[[Received], None]
    tokens: Tokens
    refused: Callable[[Refusal, Network | None], None]
    places: "Places[Session]"
    stopping: bool

    async def in_thread(self, work: Callable[[], _Given]) -> _Given:
        """Return what *work* does in a thread."""

    def leave(self, session: "Session") -> None:
        """Count *session* out."""


class _Handler:
    """What aiosmtpd asks about a message that was sent, and about faults."""

    def __init__(self, collector: House, peer: Address) -> None:
        self._collector = collector
        self._peer = peer

    async def handle_EHLO(  # noqa: N802 - aiosmtpd's
        self, server: SMTP, session: smtp.Session, transaction: Envelope, name: str, replies: list[str]
    ) -> list[str]:
        """Note the name, and offer what there is: the last line of aiosmtpd's offers HELP."""
        del server, transaction
        session.host_name = name
        *offers, last = replies[:-1]
        return [*offers, last.replace("-", " ", 1)]

    async def handle_DATA(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: smtp.Session, transaction: Envelope
    ) -> str:
        """Hand the message over; the sender hears 250 only where that succeeded."""
        del server
        assert isinstance(transaction.content, bytes)
        sender = transaction.mail_from or ""
        domains = self._collector.settings.names
        read = (envelope.own_recipient(address, domains) for address in transaction.rcpt_tos)
        taken = [one for one in read if one is not None]
        received = Received(
            peer=self._peer,
            helo=envelope.readable(session.host_name or ""),
            mail_from="" if sender == _NULL_SENDER else envelope.readable(sender),
            recipients=tuple(one.address for one in taken if one.token is not None),
            message=transaction.content,
            received_at=datetime.now(UTC),
            people=tuple(one.address for one in taken if one.token is None),
        )
        try:
            await self._collector.in_thread(lambda: self._collector.deliver(received))
        except PostboxFull:
            return _POSTBOX_FULL
        except ReturnsFull as full:
            around = None if full.tested is None else neighbourhood(full.tested)
            self._collector.refused(Refusal.QUOTA, around)
            return _NO_ROOM
        except Unavailable as fault:
            _log.warning("collector_error", peer=str(self._peer), why=fault.message)
        except Exception:  # noqa: BLE001 - the rim: whatever it is, the sender keeps the message
            _log.exception("collector_error", peer=str(self._peer), why="unforeseen")
        else:
            return "250 2.0.0 kept"
        if received.recipients:
            self._collector.refused(Refusal.STORE, None)
        return _TRY_LATER

    async def handle_exception(self, error: Exception) -> str:  # pragma: no cover - no way here is known
        """Tell the peer to try again, after whatever nobody foresaw."""
        _log.error("collector_error", peer=str(self._peer), why="unforeseen", exc_info=error)
        return _TRY_LATER


class Session(SMTP):
    """A session with *peer* over *wire*."""

    line_length_limit = _MAX_LINE_OCTETS
    command_size_limit = _MAX_COMMAND_OCTETS

    def __init__(self, collector: House, peer: Address, wire: asyncio.Transport) -> None:
        limits = collector.limits
        # aiosmtpd shares this one among all sessions, and each EHLO raises it.
        self.command_size_limits = defaultdict(lambda: _MAX_COMMAND_OCTETS)
        super().__init__(
            _Handler(collector, peer),
            data_size_limit=collector.settings.max_message_octets,
            enable_SMTPUTF8=True,  # a HELO or a sender of eight bits must not cost us a message
            decode_data=False,
            hostname=collector.settings.names[0],
            ident="ESMTP relay test collector",
            timeout=limits.command_timeout.total_seconds(),
            command_call_limit=_MAX_COMMANDS,
            auth_exclude_mechanism=("LOGIN", "PLAIN"),
            loop=asyncio.get_running_loop(),
        )
        self._collector = collector
        self._octets = 0
        self._unknown = 0
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

    def make_room(self) -> None:
        """End the session for somebody else's."""
        self._leave(_MAKE_ROOM)

    def abort(self) -> None:
        """Cut the connection."""
        self._wire.abort()

    def leave_if_idle(self) -> None:
        """End the session with 421 unless a transaction is under way (RFC 5321 §3.8)."""
        idle = not self._in_data and not (self.envelope and self.envelope.mail_from)
        if self._collector.stopping and idle:
            self._leave(CLOSING)

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
        """Take a recipient that is a token worth a message, or one whom people read, and no other."""
        assert self.envelope is not None
        path = envelope.read_path("TO:", arg or "")
        recipient = envelope.own_recipient(path.address, self._collector.settings.names) if path else None
        if not self.envelope.mail_from:
            await self.push("503 5.5.1 say MAIL first")
        elif path is None:
            await self.push("501 5.5.4 syntax: RCPT TO:<address>")
        elif recipient is None:
            await self._refuse_unknown()
        elif len(self.envelope.rcpt_tos) >= _MAX_RECIPIENTS:
            await self.push("452 4.5.3 too many recipients, send the rest in another message")
        elif recipient.token is None or await self._is_worth_it(recipient.token):
            self.envelope.rcpt_tos.append(recipient.address)
            await self.push("250 2.1.5 recipient taken")

    async def _is_worth_it(self, token: str) -> bool:
        """Whether a message for *token* is to be taken; where not, that has been said."""
        tokens = self._collector.tokens
        try:
            standing = tokens.known(token) or await self._collector.in_thread(lambda: tokens.ask(token))
        except Unavailable:
            self._collector.refused(Refusal.STORE, None)
            await self.push(_TRY_LATER)
            return False
        if standing in _REFUSED:
            await self._refuse_unknown()
            return False
        if standing is Standing.AWAITED:
            self._collector.places.settle(self)
        return True

    async def _refuse_unknown(self) -> None:
        """Refuse a recipient, and after too many of them the session."""
        self._unknown += 1
        if self._unknown >= _MAX_UNKNOWN:
            self._leave("421 4.7.0 too many unknown recipients, closing")
        else:
            await self.push(_NOBODY)

    async def smtp_DATA(self, arg: str) -> None:  # noqa: N802 - aiosmtpd's name
        """Take the message."""
        self._in_data = True
        try:
            await super().smtp_DATA(arg)
        finally:
            self._in_data = False
            self._collector.places.unsettle(self)
        self.leave_if_idle()

    async def smtp_RSET(self, arg: str) -> None:  # noqa: N802 - aiosmtpd's name
        """End the transaction without a message."""
        await super().smtp_RSET(arg)
        self._collector.places.unsettle(self)
        self.leave_if_idle()

    async def _not_here(self, arg: str | None) -> None:
        del arg
        await self.push("502 5.5.1 not here")

    smtp_AUTH = smtp_STARTTLS = smtp_VRFY = smtp_EXPN = smtp_HELP = _not_here  # noqa: N815 - aiosmtpd's names
