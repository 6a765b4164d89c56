"""The story with every part in a process of its own, on one database, and what the log tells of it."""

import asyncio
import json
import re
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx2
from dns import message as dns_message
from dns import query as dns_query
from dns import rcode as dns_rcode

from rbl.config import Listen
from rbl.store import secrets
from rbl.store.engine import Store
from tests.cli.process import DOMAIN, Installation, Serving, spam
from tests.story import relay as relays
from tests.story.relay import GatedRelay, Manner
from tests.story.world import QNAME, until

PARTS = ("web", "collector", "worker", "dns")


@dataclass(frozen=True, slots=True)
class Told:
    """What the processes left behind: their log lines, and every secret that they know."""

    log: str
    secrets: tuple[str, ...]

    @property
    def events(self) -> Counter[str]:
        """How often each event is in the log."""
        return Counter(re.findall(r" event=(\S+)", self.log))


def _ask(listen: Listen) -> str:
    reply = dns_query.udp(dns_message.make_query(QNAME, "A"), listen.host, 10, listen.port)
    records = [record.to_text() for rrset in reply.answer for record in rrset]
    return "; ".join(records) or dns_rcode.to_text(reply.rcode())


async def _story(web: Serving, dns: Serving, relay: GatedRelay, admin: str) -> str:
    """Nominate, list, retest, delist, exempt; return the nominator's key."""

    async def send(path: str, body: object, key: str = admin) -> dict[str, object]:
        """Send a spam, or anything else as JSON."""
        kind = "message/rfc822" if isinstance(body, bytes) else "application/json"
        headers = {"Authorization": f"Bearer {key}", "Content-Type": kind}
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        answer = await asyncio.to_thread(
            httpx2.post, web.web + path, headers=headers, content=content, timeout=30
        )
        assert answer.is_success, f"{path}: {answer.text}"
        told: dict[str, object] = answer.json()
        return told

    async def answer() -> str:
        return await asyncio.to_thread(_ask, dns.dns)

    new = {"name": "isp", "role": "nominator", "trust": "trusted", "mx_names": ["mx.isp.example"]}
    key = str((await send("/v1/keys", new))["key"])
    assert await answer() == "NXDOMAIN"
    await send("/v1/nominations", spam(relays.HOST), key)
    await until(answer, lambda told: told == "127.0.0.2")
    relay.manner = Manner.CLOSED
    await send(f"/v1/addresses/{relays.HOST}/retests", {})
    await until(answer, lambda told: told == "NXDOMAIN")
    why = {"why": "an exercise"}
    await send("/v1/listings", {"network": "192.0.2.0/24", "reason": "open-relay", **why})
    await send("/v1/exemptions", {"network": "192.0.2.1", "never_list": True, **why})
    return key


async def _tell(installation: Installation) -> Told:
    """Tell the story in four processes; return what they wrote."""
    relay = GatedRelay()
    async with relays.serving(relay) as port:
        installation.may_test(port)
        installation.settings["RBL_LOG__LEVEL"] = "debug"
        with ExitStack() as running:
            started = [running.enter_context(installation.serving("--only", part)) for part in PARTS]
            web, collector, _, dns = started
            relay.routes = {DOMAIN: collector.collector}
            admin = next(process.first_key for process in started if process.first_key)
            key = await _story(web, dns, relay, admin)
            assert [0, 0, 0, 0] == [process.end() for process in started]
            log = "".join(process.log() for process in started)
    store = Store(installation.settings["RBL_DATABASE__URL"])
    with store.writing() as session:
        mark = secrets.get_or_make(session, secrets.PROBE_MARK).hex()
    store.close()
    return Told(log, (admin, key, mark))


def test_story_in_four_processes(tmp_path: Path, database_url: str) -> None:
    """Four processes on one database of either kind do the whole story, and tell each event once."""
    installation = Installation(tmp_path, {"RBL_DATABASE__URL": database_url})

    told = asyncio.run(_tell(installation))

    events = told.events
    once = ("nominated", "exempted", "dns_listening")
    assert dict.fromkeys(once, 1) == {event: events[event] for event in once}
    assert {"listed": 2, "delisted": 1} == {event: events[event] for event in ("listed", "delisted")}
    lost = events.pop("worker_error", 0)  # a step that a return woke, and the asked retest then ended
    assert told.log.count("run 1 is not this worker's any more") == lost
    assert events["verdict"] >= 2
    assert events["verdict"] + lost >= events["probed"] >= 2
    assert min(events["returned"], events["snapshot_swapped"]) > 0
    assert set(events) <= {*once, "listed", "delisted", "verdict", "probed", "returned", "snapshot_swapped"}
    assert [] == [secret for secret in told.secrets if secret in told.log]
    assert re.search(r"\b[rs][a-z2-7]{36}\b", told.log) is None
