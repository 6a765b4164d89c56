"""What strangers do to the collector: mail for made-up tests, and connections that say nothing.

The list goes on, keeps next to nothing of it, and above all concludes nothing from it.
"""

import asyncio
import random
import smtplib
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx2

from rbl.config import Listen
from tests.attacks.target import Target, attacked
from tests.cli.process import DOMAIN, Installation, spam
from tests.story import relay as relays
from tests.story.relay import GatedRelay, Manner

_LETTERS = "abcdefghijklmnopqrstuvwxyz234567"
_SENDERS = 4
_MESSAGES = 60  # of each sender, of 64 KiB
_IDLE = 240  # more than there are places
_IDLE_PER_ADDRESS = 20
_PATIENCE_SECONDS = 60
_TIMEOUT_SECONDS = 20


def test_mail_for_made_up_tokens(target: Target) -> None:
    """Fifteen megabytes for tests that never were leave nothing behind, neither on disk nor in the log."""

    def flood(number: int) -> None:
        chance = random.Random(number)
        for _ in range(_MESSAGES):
            body = chance.randbytes(48 * 1024).hex().encode()[: 64 * 1024]
            recipients = [_made_up(chance, signed=bool(each % 2)) for each in range(10)]
            with smtplib.SMTP(*target.collector, timeout=_TIMEOUT_SECONDS) as client:
                client.ehlo("stranger.example")
                client.mail("")
                if 250 in {client.rcpt(recipient)[0] for recipient in recipients}:
                    client.data(b"\r\n".join(body[at : at + 70] for at in range(0, len(body), 70)))

    with ThreadPoolExecutor(_SENDERS) as pool:
        list(pool.map(flood, range(_SENDERS)))

    target.is_well()
    target.used(memory_mib=32, disk_mib=1, log_lines=10)


def test_letters_to_postmaster(target: Target) -> None:
    """Strangers fill the postbox with no more than the share of each, and the rest of the list lives on."""
    body = b"\r\n".join([b"x" * 70] * 900)

    def write(number: int) -> list[int]:
        codes = []
        for _ in range(40):
            with _client(target.collector, f"127.0.2.{number + 1}") as client:
                client.ehlo()
                client.mail("")
                client.rcpt("postmaster")
                codes.append(client.data(body)[0])
        return codes

    with ThreadPoolExecutor(_SENDERS) as pool:
        codes = list(pool.map(write, range(_SENDERS)))

    assert [[250] * 20 + [452] * 20] * _SENDERS == codes
    target.is_well()
    target.used(memory_mib=32, disk_mib=8, log_lines=100)


def test_idle_connections_during_a_retest_of_an_open_host(tmp_path: Path) -> None:
    """However many connections say nothing, the message comes back, and the open host stays listed."""

    async def tell() -> None:
        relay = GatedRelay()
        relay.manner = Manner.TAKES_ONE
        async with relays.serving(relay) as port:
            await asyncio.to_thread(_besiege, tmp_path, relay, port)

    asyncio.run(tell())


def _besiege(folder: Path, relay: GatedRelay, port: int) -> None:
    installation = Installation(folder)
    installation.may_test(port)
    with attacked(folder, {**installation.settings, "RBL_LISTS__RETURN_WINDOW": "2"}) as target:
        relay.routes = {DOMAIN: target.collector}
        _nominate(target)
        _until(target, "listed")
        relay.forget()
        with _idle(target.collector):
            asked = target.admin("POST", f"/v1/addresses/{relays.HOST}/retests")
            assert asked.is_success, asked.text
            found = _until(target, "listed", "delisted")

        assert found == "listed"
        target.is_well()
        target.used(memory_mib=32, disk_mib=2, log_lines=100)


@contextmanager
def _idle(collector: Listen) -> Iterator[None]:
    """Hold connections that say nothing, from as many addresses as it needs."""
    with ExitStack() as held:
        for number in range(_IDLE):
            source = f"127.0.1.{1 + number // _IDLE_PER_ADDRESS}"
            connection = socket.create_connection(collector, _TIMEOUT_SECONDS, source_address=(source, 0))
            held.callback(connection.close)
            assert connection.recv(3) in {b"220", b"421"}
        yield


def _nominate(target: Target) -> None:
    """Hand in a spam that came through the relay."""
    asked = {"name": "postmaster", "role": "nominator", "trust": "trusted", "mx_names": ["mx.isp.example"]}
    key = target.admin("POST", "/v1/keys", json=asked).json()["key"]
    headers = {"Content-Type": "message/rfc822", "Authorization": f"Bearer {key}"}
    answer = httpx2.post(
        f"{target.web}/v1/nominations", content=spam(relays.HOST), headers=headers, timeout=_TIMEOUT_SECONDS
    )
    assert answer.is_success, answer.text


def _until(target: Target, *states: str) -> str:
    """Return the relay's state as soon as it is one of *states*."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while (state := target.admin("GET", f"/v1/addresses/{relays.HOST}").json()["state"]) not in states:
        assert time.monotonic() < deadline, f"in the end it is still {state}: {target.process.log()}"
        time.sleep(0.05)
    return str(state)


def _made_up(chance: random.Random, *, signed: bool) -> str:
    token = "".join(chance.choices(_LETTERS, k=36)) if signed else f"{chance.getrandbits(128):032x}"
    return f"{chance.choice('rs')}{token}@{DOMAIN}"


def _client(collector: Listen, source: str) -> smtplib.SMTP:
    return smtplib.SMTP(*collector, "stranger.example", _TIMEOUT_SECONDS, source_address=(source, 0))
