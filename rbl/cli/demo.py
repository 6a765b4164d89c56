"""``rbl demo``: the whole story in under a minute, on loopback, told line by line.

A pretend open relay and a pretend ISP stand around the real program, which runs as ``rbl serve`` in
a process of its own and is used as anybody would use it: over mail, HTTP and DNS. How that process is
started is in ``demoserver``.
"""

import asyncio
import smtplib
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from rbl.cli.opening import now
from rbl.config import Listen

if TYPE_CHECKING:
    from rbl.cli.demoserver import DemoServer

RELAY = "127.0.0.66"
MX = "127.0.0.25"
SPAMMER = "127.0.0.99"
_MX_NAME = "mx.isp.example"
_TIMEOUT_SECONDS = 20

_SPAM = """\
From: Lucky Winner <promo@bulk.example>
To: customer@isp.example
Subject: You have won!!!
Message-ID: <{number}@bulk.example>

Click http://bulk.example/claim?who=customer to claim your prize.
"""
_LETTER = """\
From: a user of the relay <user@relay.example>
To: customer@isp.example
Subject: Minutes of the meeting
Message-ID: <{number}@relay.example>

As agreed.
"""


def demo() -> None:
    """Show the whole story on this machine: nominate, test, list, answer, retest, delist."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="rbl-demo-") as folder:
        asyncio.run(_tell(Path(folder)))
    typer.echo(f"\nThe whole story took {time.monotonic() - started:.0f} seconds. Your own list: make run")


async def _tell(folder: Path) -> None:
    """Build the world, and tell what happens in it."""
    from rbl.cli.demoserver import DemoServer  # noqa: PLC0415 — see rbl.cli
    from rbl.mail.pretend import PretendMx, PretendRelay, serving  # noqa: PLC0415

    async with AsyncExitStack() as world:
        relay = PretendRelay(RELAY, {})
        relay_port = await world.enter_async_context(serving(relay))
        server = await world.enter_async_context(DemoServer(folder, relay_port))
        mx = PretendMx(MX, _MX_NAME, server.txt, now)
        mx_port = await world.enter_async_context(serving(mx))
        relay.routes = {"isp.example": Listen(MX, mx_port), server.collector_domain: server.collector}

        _say(f"rbl runs: DNS at {server.dns}, pages at {server.web}")
        _say(f"{RELAY} is an open mail relay.")
        _say(f"{_MX_NAME} ({MX}) is an ISP's mail server that asks the list before it takes mail.")

        _step(1, f"A spammer at {SPAMMER} sends his spam through the relay. The ISP takes it:")
        await _send(SPAMMER, Listen(RELAY, relay_port), _SPAM.format(number=1))
        _answer(server)

        _step(2, "The ISP's postmaster nominates the relay, with the spam as evidence:")
        told = await asyncio.to_thread(server.nominate, mx.delivered[-1])
        _say(f"   nomination {told['id']} of {told['address']}: {told['state']}")

        _step(3, "rbl sends a message through the relay to itself. It comes back:")
        await server.until("listed")
        for line in await asyncio.to_thread(server.proof):
            _say(f"   {line}")

        _step(4, "So the relay is listed. What every mail server now sees:")
        _answer(server)

        _step(5, "The spammer sends through the relay again. The ISP refuses it:")
        await _send(SPAMMER, Listen(RELAY, relay_port), _SPAM.format(number=2))
        _say(f"   {relay.refused[-1]}")

        _step(6, "The relay's admin follows the link, closes the relay, and presses the button:")
        relay.closed = True
        told = await asyncio.to_thread(server.ask_retest)
        _say(f"   retest of {told['address']}: {told['state']}")
        await server.until("delisted")

        _step(7, "The test is refused now, and within the second the relay is out of DNS:")
        _answer(server)

        _step(8, "Its users' mail flows again:")
        said = await _send(RELAY, Listen(MX, mx_port), _LETTER.format(number=3))
        _say(f"   {said}")


def _step(number: int, words: str) -> None:
    _say(f"\n{number}. {words}")


def _answer(server: "DemoServer") -> None:
    """Show what DNS answers about the relay, asked over the wire."""
    for line in server.answers():
        _say(f"   {line}")


def _say(words: str) -> None:
    typer.echo(words)


async def _send(source: str, target: Listen, message: str) -> str:
    """Send *message* from *source*, and return what the server says to it."""
    return await asyncio.to_thread(_sent, source, target, message)


def _sent(source: str, target: Listen, message: str) -> str:
    with smtplib.SMTP(
        target.host, target.port, "sender.example", _TIMEOUT_SECONDS, source_address=(source, 0)
    ) as client:
        client.ehlo()
        client.mail("promo@bulk.example")
        client.rcpt("customer@isp.example")
        code, text = client.data(message)
    return f"{code} {text.decode(errors='replace')}"
