"""The pretend mail world of the demonstration."""

import asyncio
import smtplib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from rbl.config import Listen
from rbl.mail.pretend import PretendMx, PretendRelay, serving

RELAY = "127.0.0.66"
MX = "127.0.0.25"
NOW = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
MESSAGE = "Subject: hello\r\n\r\n.Hi\r\n"


@dataclass(slots=True)
class World:
    """A relay, an MX that asks a list, and who is on that list."""

    relay: PretendRelay
    mx: PretendMx
    relay_at: Listen
    listed: dict[str, str]


@asynccontextmanager
async def world() -> AsyncIterator[World]:
    """Serve both."""
    listed: dict[str, str] = {}
    mx = PretendMx(MX, "mx.isp.example", listed.get, lambda: NOW)
    relay = PretendRelay(RELAY, {})
    async with serving(mx) as mx_port, serving(relay) as relay_port:
        relay.routes = {"isp.example": Listen(MX, mx_port), "down.example": Listen("127.0.0.1", 9)}
        yield World(relay, mx, Listen(RELAY, relay_port), listed)


def send(target: Listen, *recipients: str, sender: str = "promo@bulk.example") -> None:
    """Send the message from 127.0.0.99."""
    with smtplib.SMTP(*target, "spammer.example", source_address=("127.0.0.99", 0)) as client:
        client.sendmail(sender, recipients, MESSAGE)


def test_open_relay_forwards() -> None:
    """An open relay forwards from anybody to anybody, from its own address, with trace fields."""

    async def tell() -> list[bytes]:
        async with world() as made:
            await asyncio.to_thread(send, made.relay_at, "a@ISP.example", "b@elsewhere.example")
            return made.mx.delivered

    (delivered,) = asyncio.run(tell())

    assert [
        b"Received: from relay.demo.example (unknown [127.0.0.66])",
        b"\tby mx.isp.example with ESMTP; Tue, 24 Nov 2026 03:00:00 +0000",
        b"Received: from spammer.example ([127.0.0.99]) by relay.demo.example with ESMTP",
        b"Subject: hello",
        b"",
        b".Hi",
    ] == delivered.splitlines()


def test_null_sender() -> None:
    """The null sender of bounces is forwarded too."""

    async def tell() -> int:
        async with world() as made:
            await asyncio.to_thread(send, made.relay_at, "a@isp.example", sender="")
            return len(made.mx.delivered)

    assert 1 == asyncio.run(tell())


def test_closed_relay_refuses() -> None:
    """Once closed it refuses every stranger."""

    async def tell() -> None:
        async with world() as made:
            made.relay.closed = True
            await asyncio.to_thread(send, made.relay_at, "a@isp.example")

    with pytest.raises(smtplib.SMTPRecipientsRefused, match=r"554, b'5\.7\.1 Relay access denied'"):
        asyncio.run(tell())


def test_mx_refuses_who_is_listed() -> None:
    """The MX refuses a listed client with the list's text, and the relay notes the refusal."""

    async def tell() -> tuple[list[bytes], list[str]]:
        async with world() as made:
            made.listed[RELAY] = "Open relay, see http://list.example/"
            await asyncio.to_thread(send, made.relay_at, "a@isp.example")
            return made.mx.delivered, made.relay.refused

    delivered, refused = asyncio.run(tell())

    assert [] == delivered
    assert [
        "554 5.7.1 Service unavailable; client [127.0.0.66] blocked: Open relay, see http://list.example/"
    ] == refused


def test_receiver_that_is_down() -> None:
    """A message that cannot be handed over is lost, and noted; the relay goes on."""

    async def tell() -> tuple[list[bytes], list[str]]:
        async with world() as made:
            await asyncio.to_thread(send, made.relay_at, "a@down.example", "a@isp.example")
            return made.mx.delivered, made.relay.refused

    delivered, refused = asyncio.run(tell())

    assert 1 == len(delivered)
    assert ["a@down.example: Connection refused"] == refused
