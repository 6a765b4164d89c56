"""The program in a process of its own, as the demonstration starts it."""

import asyncio
import signal
from pathlib import Path

import pytest

from rbl.cli.demoserver import DemoServer
from rbl.errors import Unavailable
from tests.cli.process import spam


def test_it_can_be_ended_and_started_again(tmp_path: Path) -> None:
    """It listens where it did before, and keeps its first key, also after a kill."""

    async def tell() -> tuple[list[int], set[object], str | None]:
        server = DemoServer(tmp_path, 9)
        places: set[object] = set()
        statuses = []
        for number in (signal.SIGTERM, signal.SIGKILL, signal.SIGINT):
            await server.start()
            places.add((server.web, server.dns, server.collector, server.admin_key))
            text = await asyncio.to_thread(server.txt, "127.0.0.66")
            statuses.append(await server.end(number))
        statuses.append(await server.end(signal.SIGTERM))
        return statuses, places, text

    statuses, places, text = asyncio.run(tell())

    assert [0, -signal.SIGKILL, 0, 0] == statuses
    assert 1 == len(places)
    assert text is None


def test_ended_from_outside(tmp_path: Path) -> None:
    """A process that has ended by itself is no fault when it is to be ended."""

    async def tell() -> int:
        server = DemoServer(tmp_path, 9)
        await server.start()
        stopped = await server.end(signal.SIGTERM)
        return stopped + await server.end(signal.SIGTERM)

    assert 0 == asyncio.run(tell())


def test_does_not_start(tmp_path: Path) -> None:
    """Where it cannot start, its own words are told."""

    async def tell() -> None:
        async with DemoServer(tmp_path, 9, {"RBL_DNS__LISTEN": "nowhere"}):
            pass

    with pytest.raises(Unavailable, match=r"(?s)did not start.*RBL_DNS__LISTEN"):
        asyncio.run(tell())


def test_refusals_are_told(tmp_path: Path) -> None:
    """What the API refuses is told in its own words, and so is a state that does not come."""

    async def tell() -> None:
        async with DemoServer(tmp_path, 9, {"RBL_PROBE__ENABLED": "false"}) as server:
            with pytest.raises(
                Unavailable, match=r"/v1/addresses/127\.0\.0\.66/retests: .*never nominated"
            ):
                await asyncio.to_thread(server.ask_retest)
            told = await asyncio.to_thread(server.nominate, spam("127.0.0.66"))
            assert told["state"] == "queued"
            with pytest.raises(Unavailable, match=r"127\.0\.0\.66 is still queued, and should be listed"):
                await server.until("listed", patience_seconds=0)

    asyncio.run(tell())
