"""An open relay with a queue of its own, which a test can hold at every stage.

A real SMTP server on loopback: like any mail server it says 250 when a message is in its queue, and
tries again to hand over what was not taken.
"""

import asyncio
import smtplib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from enum import Enum, auto
from ipaddress import ip_network

from aiosmtpd.smtp import SMTP, Envelope, Session

from rbl.config import Listen

HOST = "127.0.0.66"
NETWORK = ip_network("127.0.0.0/8")
_TIMEOUT_SECONDS = 20
_TRY_AGAIN_SECONDS = 0.05


class Manner(Enum):
    """How the relay treats strangers."""

    OPEN = auto()  # takes everything for everybody
    TAKES_ONE = auto()  # takes one message, and refuses every other recipient from then on
    GREYLISTING = auto()  # "450 try again later", for ever
    CLOSED = auto()  # refuses every recipient but its own postmaster
    BARRED = auto()  # refuses to speak at all


class Stage(Enum):
    """Where the relay can be held."""

    RECIPIENT = auto()  # before its answer to RCPT
    TAKEN = auto()  # the message is in the queue, and 250 not yet said
    QUEUE = auto()  # before it hands a message over
    HANDED_OVER = auto()  # the message was taken by its receiver, and the relay does nothing more


class GatedRelay:
    """Takes mail and forwards it by *routes*, from recipient domains to servers.

    ``bounces``: it gives every message back to its sender instead. ``handed_over`` counts the
    messages that their receivers took.
    """

    def __init__(self) -> None:
        self.routes: Mapping[str, Listen] = {}
        self.manner = Manner.OPEN
        self.bounces = False
        self.handed_over = 0
        self.offered: list[tuple[str, str]] = []  # from where, to whom
        self._queue: asyncio.Queue[tuple[str, str, bytes]] = asyncio.Queue()
        self._taken = 0
        self._held: Stage | None = None
        self._reached = asyncio.Event()
        self._gate = asyncio.Event()

    def hold(self, stage: Stage) -> None:
        """Stop whoever comes to *stage*, until ``release``."""
        self._held = stage
        self._reached.clear()
        self._gate.clear()

    async def until_held(self) -> None:
        """Wait until somebody stands at the gate."""
        async with asyncio.timeout(_TIMEOUT_SECONDS):
            await self._reached.wait()

    def release(self) -> None:
        """Open the gate for good."""
        self._held = None
        self._gate.set()

    def forget(self) -> None:
        """Begin to count what it takes anew."""
        self._taken = 0

    async def handle_RCPT(  # noqa: N802 — aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Treat a recipient as the relay's manner is."""
        del server, options
        assert session.peer
        self.offered.append((session.peer[0], address))
        await self._pass(Stage.RECIPIENT)
        if address.lower().startswith("postmaster"):
            return "250 2.1.5 Ok"
        if self.manner is Manner.GREYLISTING:
            return "450 4.7.1 Greylisted, try again later"
        if self.manner is Manner.CLOSED or (self.manner is Manner.TAKES_ONE and self._taken):
            return "554 5.7.1 Relay access denied"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 Ok"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Put the message into the queue."""
        del server, session
        content = envelope.content
        assert isinstance(content, bytes)
        self._taken += 1
        for recipient in envelope.rcpt_tos:
            self._queue.put_nowait((envelope.mail_from or "", recipient, content))
        await self._pass(Stage.TAKEN)
        return "250 2.0.0 Ok: queued"

    async def deliver(self) -> None:
        """Hand over what is in the queue, one by one, until cancelled."""
        while True:
            sender, recipient, content = await self._queue.get()
            await self._pass(Stage.QUEUE)
            if self.bounces:
                sender, recipient = "", sender
            target = self.routes.get(recipient.rpartition("@")[2].lower())
            if target is None or not recipient:
                continue
            while True:
                if await asyncio.to_thread(_hand_over, target, sender, recipient, content):
                    break
                await asyncio.sleep(_TRY_AGAIN_SECONDS)
            self.handed_over += 1
            await self._pass(Stage.HANDED_OVER)

    async def _pass(self, stage: Stage) -> None:
        if self._held is stage:
            self._reached.set()
            await self._gate.wait()


class _Shut(asyncio.Protocol):
    """A server that does not let anybody in."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.write(b"554 5.7.1 no SMTP service here for 127.0.0.10\r\n")
        transport.close()


@asynccontextmanager
async def serving(relay: GatedRelay) -> AsyncIterator[int]:
    """Serve *relay* at its address and yield the port, which the system chooses."""
    loop = asyncio.get_running_loop()

    def session() -> asyncio.Protocol:
        if relay.manner is Manner.BARRED:
            return _Shut()
        smtp: asyncio.Protocol = SMTP(relay, hostname="relay.example")
        return smtp

    server = await loop.create_server(session, HOST, 0)
    delivering = asyncio.create_task(relay.deliver())
    async with server:
        port: int = server.sockets[0].getsockname()[1]
        yield port
        delivering.cancel()
        await asyncio.gather(delivering, return_exceptions=True)


def _hand_over(target: Listen, sender: str, recipient: str, content: bytes) -> bool:
    """Hand a message over; False where it is to be tried again."""
    trace = b"Received: from tester.example ([127.0.0.10]) by relay.example with ESMTP\r\n"
    try:
        with smtplib.SMTP(
            target.host, target.port, "relay.example", _TIMEOUT_SECONDS, source_address=(HOST, 0)
        ) as client:
            client.sendmail(sender, [recipient], trace + content)
    except (OSError, smtplib.SMTPException):
        return False
    return True
