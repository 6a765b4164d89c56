"""Those who ask: spam that is made to look handed in before, strangers at the button, a key that floods."""

import asyncio
import random
import re
import time
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

import httpx2

from tests.attacks.target import Target, attacked
from tests.cli.process import DOMAIN, Installation, spam
from tests.story import relay as relays
from tests.story.relay import GatedRelay, Manner

_PATIENCE_SECONDS = 60
_HOSTS = 40
_PRESSES = 300
_NOMINATIONS = 300
_INTERVAL_SECONDS = 3
_EARLY = 2


def _key(target: Target, name: str, trust: str) -> dict[str, str]:
    """Make a nominator's key and return the headers that show it."""
    body = {"name": name, "role": "nominator", "trust": trust, "mx_names": ["mx.isp.example"]}
    made = target.admin("POST", "/v1/keys", json=body).raise_for_status().json()
    return {"Authorization": f"Bearer {made['key']}", "Content-Type": "message/rfc822"}


def _nominate(client: httpx2.Client, key: dict[str, str], message: bytes) -> httpx2.Response:
    return client.post("/v1/nominations", content=message, headers=key)


def test_a_constant_message_id(target: Target) -> None:
    """A spammer writes one Message-ID into everything and hands it in first: tests are due still."""
    spammer, victim = _key(target, "spammer", "trial"), _key(target, "victim", "normal")
    told: list[tuple[int, str]] = []
    with httpx2.Client(base_url=target.web, timeout=30) as client:
        for number in range(1, _HOSTS + 1):
            address = f"5.9.{number}.1"
            first = _nominate(client, spammer, spam(address, 1))
            assert (201, "nominated") == (first.status_code, first.json()["state"])
            answer = _nominate(client, victim, spam(address, 1))
            told.append((answer.status_code, answer.json()["state"]))

    assert [(201, "queued")] * _HOSTS == told
    target.is_well()
    target.used(memory_mib=48, disk_mib=12, log_lines=3 * _HOSTS)


def test_a_key_that_floods(target: Target) -> None:
    """It comes to its quota and no further; nobody else is refused for it, and the log has an alarm."""
    flood, other = _key(target, "flood", "normal"), _key(target, "other", "normal")
    with httpx2.Client(base_url=target.web, timeout=30) as client:
        answers = [
            _nominate(client, flood, spam(f"5.{number // 250}.{number % 250}.1", number)).status_code
            for number in range(_NOMINATIONS)
        ]
        others = _nominate(client, other, spam("5.200.1.1", 1)).status_code

    assert (100, _NOMINATIONS - 100, 201) == (answers.count(201), answers.count(429), others)
    alarms = [line for line in target.process.log().splitlines() if "event=quota_alarm" in line]
    assert ["80", "100"] == [re.findall(r"used=(\d+)", line)[0] for line in alarms], alarms
    target.is_well()
    target.used(memory_mib=48, disk_mib=12, log_lines=150)


def test_strangers_at_the_button(tmp_path: Path) -> None:
    """From as many networks as they like: the owner who closes is delisted, and few tests go out."""
    asyncio.run(_besieged(tmp_path))


async def _besieged(folder: Path) -> None:
    relay = GatedRelay()
    async with relays.serving(relay) as port:
        installation = Installation(folder)
        installation.may_test(port)
        settings = installation.settings | {
            "RBL_LISTS__RETEST_INTERVAL": str(_INTERVAL_SECONDS),
            "RBL_LISTS__RETEST_PAUSE": "1",
            "RBL_LISTS__EARLY_RETESTS": str(_EARLY),
            "RBL_WEB__TRUSTED_PROXIES": "127.0.0.0/8",
        }
        await asyncio.to_thread(_attack, folder, settings, relay)


def _attack(folder: Path, settings: dict[str, str], relay: GatedRelay) -> None:
    with attacked(folder, settings) as target:
        relay.routes = {DOMAIN: target.collector}
        key = _key(target, "victim", "trusted")
        with httpx2.Client(base_url=target.web, timeout=30) as client:
            assert 201 == _nominate(client, key, spam(relays.HOST)).status_code
            _until(client, "listed")
            began, before = time.monotonic(), _connections(target)
            _press(client)
            relay.manner = Manner.CLOSED
            path = f"/v1/addresses/{relays.HOST}/retests"
            client.post(path, headers={"X-Forwarded-For": "192.0.2.77"})
            _until(client, "delisted")
            lasted = time.monotonic() - began
        # the looks of their turns, the early ones, and four connections that find it closed
        assert _connections(target) - before <= lasted / _INTERVAL_SECONDS + 1 + _EARLY + 4
        target.is_well()
        target.used(memory_mib=64, disk_mib=8, log_lines=500)


def _press(client: httpx2.Client) -> None:
    """Ask for a retest from as many networks, IPv4 and IPv6, as there are presses."""
    chance = random.Random(1)
    for number in range(_PRESSES):
        stranger = (
            IPv6Address(chance.getrandbits(125) | 1 << 125)
            if number % 2
            else IPv4Address(chance.randrange(1 << 24, 100 << 24))
        )
        answer = client.post(
            f"/v1/addresses/{relays.HOST}/retests", headers={"X-Forwarded-For": str(stranger)}
        )
        assert answer.status_code in {200, 202}


def _until(client: httpx2.Client, state: str) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while (told := client.get(f"/v1/addresses/{relays.HOST}").json()["state"]) != state:
        assert time.monotonic() < deadline, f"it is {told}, not {state}"
        time.sleep(0.05)


def _connections(target: Target) -> int:
    """Return how often the tester connected, by its log."""
    return sum(map(int, re.findall(r"event=probed .*sessions=(\d+)", target.process.log())))
