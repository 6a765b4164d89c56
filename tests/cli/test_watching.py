"""What is watched, and how it is told."""

import asyncio
import threading

from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from rbl.cli.watching import Watches, task_runs, threads_alive, watched


class Part:
    """A part that says whatever the test wants it to."""

    def __init__(self) -> None:
        self.why: str | None = None
        self.looks = 0

    def __call__(self) -> str | None:
        """Return why the part does not do its work."""
        self.looks += 1
        return self.why

    async def looked_at(self, times: int = 3) -> None:
        """Return once it was looked at so often more."""
        until = self.looks + times
        while self.looks < until:  # noqa: ASYNC110 — the looks are another task's
            await asyncio.sleep(0.001)


def test_a_part_that_fails_and_works_again() -> None:
    """It is told once each, by log and metric, and as not ready meanwhile."""
    registry, part = CollectorRegistry(), Part()
    watches = Watches(registry)

    def metric() -> float | None:
        return registry.get_sample_value("rbl_part_ready", {"part": "dns"})

    async def run() -> list[object]:
        told: list[object] = []
        async with watched(watches, 0):
            with watches.of("dns", part):
                for why in (None, "the journal is far away", "the journal is farther away", None):
                    part.why = why
                    await part.looked_at()
                    told.append((watches.ready(), watches.faults(), metric()))
        return [*told, watches.ready(), metric()]

    with capture_logs() as logs:
        told = asyncio.run(run())

    assert [
        ({"dns": True}, {}, 1.0),
        ({"dns": False}, {"dns": "the journal is far away"}, 0.0),
        ({"dns": False}, {"dns": "the journal is farther away"}, 0.0),
        ({"dns": True}, {}, 1.0),
        {},
        None,
    ] == told
    assert [("part_failed", "the journal is far away"), ("part_works", None)] == [
        (line["event"], line.get("why")) for line in logs
    ]


def test_what_is_seen_once_is_not_told() -> None:
    """A fault that is gone at the next look wakes nobody."""
    part = Part()
    watches = Watches(CollectorRegistry())

    def once() -> str | None:
        return "gone in a moment" if part() is None and part.looks == 2 else None

    async def run() -> None:
        async with watched(watches, 0):
            with watches.of("dns", once):
                await part.looked_at(5)

    with capture_logs() as logs:
        asyncio.run(run())

    assert [] == logs


def test_a_thread_that_ended_is_seen() -> None:
    """Only those that ran when the watch began, and were called so, are looked at."""
    ends = threading.Event()
    watched_one = threading.Thread(target=ends.wait, name="watched-1")
    other = threading.Thread(target=ends.wait, name="other")
    for thread in (watched_one, other):
        thread.start()
    look = threads_alive("watched-")
    before = look()
    ends.set()
    for thread in (watched_one, other):
        thread.join()

    assert (None, "watched-1 ended: start the program anew") == (before, look())


def test_a_task_that_ended_is_seen() -> None:
    """With what ended it, where anything did."""

    async def fails() -> None:
        raise ValueError("no")

    async def run() -> list[str | None]:
        running = asyncio.create_task(asyncio.sleep(60))
        failing = asyncio.create_task(fails())
        await asyncio.wait([failing])
        before = task_runs(running)()
        running.cancel()
        await asyncio.wait([running])
        return [before, task_runs(failing)(), task_runs(running)()]

    assert [
        None,
        "it ended (ValueError('no')): start the program anew",
        "it ended (None): start the program anew",
    ] == asyncio.run(run())
