"""A pretend mail world for ``rbl demo``: an open relay that really forwards, and an ISP's mail server.

Both are real SMTP servers on loopback and nothing else; no part of the running list uses them.
"""

import asyncio
import smtplib
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import format_datetime

from aiosmtpd.smtp import SMTP, Envelope, Session

from rbl.config import Listen

_TIMEOUT_SECONDS = 10
_NAME = "demo.example"
_POSTMASTERS = frozenset({"postmaster", f"postmaster@{_NAME}"})


@dataclass(eq=False)
class PretendRelay:
    """An open relay at *host*: takes mail from anybody for anybody and forwards it by *routes*.

    *routes* gives the server of each recipient domain. Once ``closed`` is set it refuses strangers,
    as its admin's repair would. *refused* has the lines by which those servers refused its mail, or
    why it could not be handed over.
    """

    host: str
    routes: Mapping[str, Listen]
    closed: bool = False
    refused: list[str] = field(default_factory=list, init=False)

    async def handle_RCPT(  # noqa: N802 — aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Accept every recipient; once closed none but its own postmaster (RFC 5321 §4.5.1)."""
        del server, session, options
        if self.closed and address.lower() not in _POSTMASTERS:
            return "554 5.7.1 Relay access denied"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 Ok"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Forward the message with a Received line of our own, as a relay does."""
        peer = _peer(session)
        content = envelope.content
        assert isinstance(content, bytes)
        trace = f"Received: from {session.host_name} ([{peer}]) by relay.demo.example with ESMTP\r\n"
        for recipient in envelope.rcpt_tos:
            target = self.routes.get(recipient.rpartition("@")[2].lower())
            if target is not None:
                await server.loop.run_in_executor(
                    None,
                    self._forward,
                    target,
                    envelope.mail_from or "",
                    recipient,
                    trace.encode() + content,
                )
        return "250 2.0.0 Ok: queued"

    def _forward(self, target: Listen, sender: str, recipient: str, message: bytes) -> None:
        try:
            with smtplib.SMTP(
                target.host, target.port, "relay.demo.example", _TIMEOUT_SECONDS, (self.host, 0)
            ) as client:
                client.sendmail(sender, [recipient], message)
        except smtplib.SMTPRecipientsRefused as refusal:  # a mail server would write a bounce now
            for code, text in refusal.recipients.values():
                self.refused.append(f"{code} {text.decode(errors='replace')}")
        except (OSError, smtplib.SMTPException) as fault:
            self.refused.append(f"{recipient}: {getattr(fault, 'strerror', None) or fault}")


@dataclass(eq=False)
class PretendMx:
    """An ISP's mail server at *host* that asks a blocklist before it takes mail.

    *listed_text* returns the text of the listing of a client's address, or None; *delivered* has
    the messages taken, with the Received line that such a server writes.
    """

    host: str
    name: str
    listed_text: Callable[[str], str | None]
    now: Callable[[], datetime]
    delivered: list[bytes] = field(default_factory=list, init=False)

    async def handle_RCPT(  # noqa: N802 — aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Refuse a listed client with the list's text."""
        del options
        text = await server.loop.run_in_executor(None, self.listed_text, _peer(session))
        if text is not None:
            return f"554 5.7.1 Service unavailable; client [{_peer(session)}] blocked: {text}"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 Ok"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Take the message."""
        del server
        content = envelope.content
        assert isinstance(content, bytes)
        trace = (
            f"Received: from {session.host_name} (unknown [{_peer(session)}])\r\n"
            f"\tby {self.name} with ESMTP; {format_datetime(self.now())}\r\n"
        )
        self.delivered.append(trace.encode() + content)
        return "250 2.0.0 Ok"


@asynccontextmanager
async def serving(handler: PretendRelay | PretendMx, port: int = 0) -> AsyncIterator[int]:
    """Serve *handler* at its host and yield the port, which the system chooses for 0."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(handler, hostname=_NAME), handler.host, port)
    async with server:
        chosen: int = server.sockets[0].getsockname()[1]
        yield chosen


def _peer(session: Session) -> str:
    assert session.peer, "a session has a peer"
    return session.peer[0]
