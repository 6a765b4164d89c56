"""Hosts to be tested that are real SMTP servers, and the tools to test them with."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from ipaddress import ip_address, ip_network

from aiosmtpd.smtp import SMTP
from aiosmtpd.smtp import Envelope as Received
from aiosmtpd.smtp import Session as Peer

from rbl.config import Collector, Settings
from rbl.lifecycle import Policy
from rbl.probe.step import Tools
from rbl.store import runs
from rbl.store.engine import Store
from rbl.store.hosts import ZonePolicy
from rbl.store.receipts import NewReceipt
from rbl.store.runs import Claim
from rbl.terms import EnvelopeResult
from tests.probe.scripted import settings
from tests.store import steps

HOST = "127.0.0.1"
POLICY = ZonePolicy(steps.ZONE, "relay", Policy(), (ip_network("127.0.0.0/8"),))
KEY = b"signs our messages"
Said = Callable[[str], str]


def taken(_address: str) -> str:
    """Take everything."""
    return "250 2.0.0 Ok"


def refused(address: str) -> str:
    """Refuse to relay, and take what is for its own postmaster (RFC 5321 §4.5.1)."""
    is_own = address.lower() in {"postmaster", "postmaster@mx.example.com"}
    return "250 2.1.5 Ok" if is_own else "554 5.7.1 Relay access denied"


class Relay:
    """A mail server that answers senders by *mail* and recipients by *rcpt*, and hands on what it took."""

    def __init__(
        self,
        rcpt: Said = taken,
        on_message: Callable[[str, bytes], None] | None = None,
        mail: Said = taken,
    ) -> None:
        self.rcpt = rcpt
        self.mail = mail
        self.on_message = on_message
        self.port = 0
        self.senders: list[str] = []
        self.recipients: list[str] = []  # all that were offered
        self.messages: list[bytes] = []
        self.sessions = 0
        self.peers: list[str] = []  # of each session

    async def handle_EHLO(  # noqa: N802
        self, _server: SMTP, peer: Peer, _envelope: Received, hostname: str, responses: list[str]
    ) -> list[str]:
        self.sessions += 1
        assert peer.peer
        self.peers.append(peer.peer[0])
        peer.host_name = hostname
        return responses

    async def handle_MAIL(  # noqa: N802
        self, _server: SMTP, _peer: Peer, envelope: Received, address: str, _options: list[str]
    ) -> str:
        answer = self.mail(address)
        if answer.startswith("250"):
            envelope.mail_from = address
        return answer

    async def handle_RCPT(  # noqa: N802
        self, _server: SMTP, _peer: Peer, envelope: Received, address: str, _options: list[str]
    ) -> str:
        self.senders.append(envelope.mail_from or "")
        self.recipients.append(address)
        answer = self.rcpt(address)
        if answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, _server: SMTP, _peer: Peer, envelope: Received) -> str:  # noqa: N802
        content = envelope.original_content
        assert isinstance(content, bytes)
        self.messages.append(content)
        if self.on_message is not None:
            self.on_message(envelope.rcpt_tos[0], content)
        return "250 2.0.0 Queued"

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Relay"]:
        """Listen on a free port of the loopback address."""
        server = await asyncio.get_running_loop().create_server(
            lambda: SMTP(self, hostname="mx.example.com", ident="ESMTP Postfix"), HOST, self.port
        )
        self.port = server.sockets[0].getsockname()[1]
        async with server:
            yield self


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = steps.NOW

    def __call__(self) -> datetime:
        return self.now

    def move(self, by: timedelta) -> None:
        """Let time pass."""
        self.now += by


async def nobody(_address: object) -> str | None:
    """Know no name."""
    return None


def make_tools(store: Store, port: int, clock: Callable[[], datetime], **changed: object) -> Tools:
    """Return what a step needs to test a host at *port* of the loopback address."""
    everything = Settings(
        probe=settings(port, timeout=20, **changed), collector=Collector(domain="relaytest.example")
    )
    return Tools(store, everything, KEY, clock, nobody)


def make_due(store: Store, at: datetime) -> None:
    """Nominate the host."""
    steps.set_up(store)
    steps.nominate(store, steps.nominator(store), steps.nomination(HOST), at=at, policy=POLICY)


def claim(store: Store, at: datetime) -> Claim:
    """Let a worker take the host's test."""
    with store.writing() as session:
        taken_up = runs.claim(
            session, "worker", at, timedelta(minutes=2), {steps.ZONE: POLICY}, outbound=True
        )
    assert taken_up is not None
    return taken_up


def come_back(
    store: Store,
    recipient: str,
    at: datetime,
    kind: EnvelopeResult = EnvelopeResult.RELAYED,
    peer: str = HOST,
) -> None:
    """Let a message reach the collector, for *recipient* as the host was given it."""
    new = NewReceipt(
        token=recipient.partition("@")[0],
        kind=kind,
        peer=ip_address(peer),
        helo="mx.example.com",
        mail_from="",
        rcpt_to=recipient,
        message=b"Subject: open relay test\r\n\r\n",
        received_at=at,
    )
    steps.keep(store, new)


async def until(condition: Callable[[], bool]) -> None:
    """Return as soon as *condition* holds; pytest's own time limit ends what never does."""
    while not condition():  # noqa: ASYNC110 — what the database says has no event
        await asyncio.sleep(0.01)
