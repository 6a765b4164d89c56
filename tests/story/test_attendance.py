"""The collector is gone while the message of a retest comes back: nothing is concluded from that."""

import asyncio
import re
import signal
from contextlib import ExitStack
from pathlib import Path

import httpx2

from tests.cli.process import DOMAIN, Installation, Serving, spam
from tests.story import relay as relays
from tests.story.relay import GatedRelay, Manner
from tests.story.world import until

_SETTINGS = {"RBL_LISTS__RETURN_WINDOW": "1.5", "RBL_COLLECTOR__HEARTBEAT": "0.2"}


class _Web:
    """Pages and API, used by the first admin."""

    def __init__(self, process: Serving) -> None:
        self._process = process
        self._key = process.first_key or ""

    async def post(self, path: str, json: object = None, content: bytes | None = None) -> dict[str, object]:
        """Send JSON as the admin, or a spam as the nominator whose key came last."""
        kind = "application/json" if content is None else "message/rfc822"
        headers = {"Authorization": f"Bearer {self._key}", "Content-Type": kind}
        answer = await asyncio.to_thread(
            httpx2.post, self._process.web + path, json=json, content=content, headers=headers, timeout=30
        )
        assert answer.is_success, f"{path}: {answer.text}"
        told: dict[str, object] = answer.json()
        return told

    async def nominate(self) -> None:
        """Hand in a spam that came through the relay."""
        new = {"name": "isp", "role": "nominator", "trust": "trusted", "mx_names": ["mx.isp.example"]}
        self._key = str((await self.post("/v1/keys", new))["key"])
        await self.post("/v1/nominations", content=spam(relays.HOST))

    async def state(self) -> str:
        """Return the relay's state."""
        path = f"{self._process.web}/v1/addresses/{relays.HOST}"
        answer = await asyncio.to_thread(httpx2.get, path, timeout=30)
        return str(answer.json()["state"])


async def _tell(installation: Installation) -> tuple[list[str], str]:
    """Return the states of the host while the collector was gone, and the one after it was back."""
    relay = GatedRelay()
    relay.manner = Manner.TAKES_ONE
    async with relays.serving(relay) as port:
        installation.may_test(port)
        with ExitStack() as running:
            rest = running.enter_context(installation.serving("--only", "web,worker"))
            collector = running.enter_context(installation.serving("--only", "collector"))
            web = _Web(rest)
            relay.routes = {DOMAIN: collector.collector}
            installation.settings["RBL_COLLECTOR__LISTEN"] = str(collector.collector)
            await web.nominate()
            await until(web.state, lambda state: state == "listed")

            assert -signal.SIGKILL == collector.end(signal.SIGKILL)
            relay.forget()
            await web.post(f"/v1/addresses/{relays.HOST}/retests")
            seen: list[str] = []

            async def verdicts() -> int:
                """Return how often the retest was judged: first when it was sent, then after its window."""
                seen.append(await web.state())
                return len(re.findall(r"event=verdict .*run=2 ", rest.log()))

            await until(verdicts, lambda count: count >= 2 or "delisted" in seen)
            running.enter_context(installation.serving("--only", "collector"))
            return seen, await until(web.state, lambda state: not state.startswith("retest"))


def test_a_collector_that_is_gone_delists_nobody(tmp_path: Path) -> None:
    """When the window of its retest is over the host stays listed, and the message comes later."""
    seen, state = asyncio.run(_tell(Installation(tmp_path, _SETTINGS)))

    assert ("listed", False) == (state, "delisted" in seen)
