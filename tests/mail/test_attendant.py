"""What a collector reports of its own attendance."""

import asyncio
import queue
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network

import pytest

from rbl.attendance import Refusal
from rbl.errors import Unavailable
from rbl.mail.attendant import Attendant
from rbl.store.attendance import Refused, Report

NOW = datetime(2026, 3, 5, 12, 0, tzinfo=UTC)
BEAT = timedelta(milliseconds=1)
SECOND = timedelta(seconds=1)
SITE = ip_network("192.0.2.0/24")
WAIT_SECONDS = 20


class World:
    """A clock that the test moves, and a database that takes reports or does not."""

    def __init__(self) -> None:
        self.now = NOW
        self.seconds = 0.0
        self.reports: queue.Queue[Report] = queue.Queue()
        self.fault: Exception | None = None
        self.failures: queue.Queue[None] = queue.Queue()
        self.attendant = Attendant("c", self.take, BEAT, lambda: self.now, lambda: self.seconds)

    def take(self, report: Report) -> None:
        if self.fault:
            self.failures.put(None)
            raise self.fault
        self.reports.put(report)

    def move(self, by: timedelta) -> None:
        self.now += by
        self.seconds += by.total_seconds()

    async def next(self) -> Report:
        return await asyncio.to_thread(self.reports.get, timeout=WAIT_SECONDS)

    async def until_failed(self, times: int) -> None:
        """Return when the database has refused so many reports."""
        for _ in range(times):
            await asyncio.to_thread(self.failures.get, timeout=WAIT_SECONDS)

    async def until(self, is_right: Callable[[Report], bool]) -> Report:
        """Return the first report that is right."""
        while not is_right(report := await self.next()):
            pass
        return report


def run(story: Callable[[World], Awaitable[None]]) -> None:
    """Tell a story from the first report to the last."""

    async def whole() -> None:
        world = World()
        await world.attendant.begin()
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                await story(world)
        finally:
            await world.attendant.end()

    asyncio.run(whole())


def test_it_reports_that_it_listens() -> None:
    """From the start on each beat says until when it was there, and by when the next is expected."""

    async def story(world: World) -> None:
        first = await world.next()
        world.move(2 * BEAT)
        later = await world.until(lambda report: report.seen_at > NOW)

        assert Report("c", NOW, NOW, NOW + 3 * BEAT, []) == first
        assert Report("c", NOW, NOW + 2 * BEAT, NOW + 5 * BEAT, []) == later

    run(story)


def test_the_last_report_says_that_no_other_follows() -> None:
    """After a stop nobody waits for its next word."""

    async def story(world: World) -> None:
        await world.attendant.end()
        last = await world.until(lambda report: report.expected_at == report.seen_at)

        assert Report("c", NOW, NOW, NOW, []) == last

    run(story)


@pytest.mark.parametrize(
    ("by_date", "by_seconds", "why"),
    [
        (10 * SECOND, 10, "the process was stopped"),
        (10 * SECOND, 0, "the machine slept, and its seconds did not count"),
        (2 * BEAT, 10, "the date was set back meanwhile"),
    ],
)
def test_a_stand_still_is_left_out(by_date: timedelta, by_seconds: float, why: str) -> None:
    """A program that did nothing for a while was not there, whichever clock shows it."""

    async def story(world: World) -> None:
        world.now += by_date
        world.seconds += by_seconds
        report = await world.until(lambda report: report.seen_at != NOW)

        assert (NOW + by_date, NOW + by_date) == (report.began_at, report.seen_at), why

    run(story)


def test_refusals_are_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    """Those that follow each other are one, by the tests that they concern, and told with the next beat."""

    async def story(world: World) -> None:
        for _ in range(3):
            world.attendant.refused(Refusal.FULL)
        world.attendant.refused(Refusal.QUOTA, SITE)
        report = await world.until(lambda report: bool(report.refused))
        silent = await world.next()
        world.attendant.refused(Refusal.FULL)
        longer = await world.until(lambda report: bool(report.refused))

        assert [
            Refused(None, NOW, NOW, Refusal.FULL, 3),
            Refused(SITE, NOW, NOW, Refusal.QUOTA, 1),
        ] == report.refused
        assert ([], [Refused(None, NOW, NOW, Refusal.FULL, 4)]) == (silent.refused, longer.refused)

    run(story)
    assert 2 == capsys.readouterr().out.count("returns_refused")


def test_refusals_far_apart_are_two() -> None:
    """After a minute without one a refusal begins another span."""
    world = World()
    world.attendant.refused(Refusal.FULL)
    world.move(59 * SECOND)
    world.attendant.refused(Refusal.FULL)
    world.move(61 * SECOND)
    world.attendant.refused(Refusal.STORE)
    asyncio.run(begun_and_ended(world))

    assert [
        Refused(None, NOW, NOW + 59 * SECOND, Refusal.FULL, 2),
        Refused(None, NOW + 120 * SECOND, NOW + 120 * SECOND, Refusal.STORE, 1),
    ] == world.reports.get().refused


async def begun_and_ended(world: World) -> None:
    """Let an attendant report twice."""
    await world.attendant.begin()
    await world.attendant.end()


@pytest.mark.parametrize("fault", [Unavailable("no database"), RuntimeError("unforeseen")])
def test_what_the_database_did_not_take_is_told_later(
    fault: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    """A database that is away loses nothing of what was refused, and the collector was there meanwhile."""

    async def story(world: World) -> None:
        await world.next()
        world.fault = fault
        world.attendant.refused(Refusal.STORE)
        world.move(BEAT)
        await world.until_failed(3)
        world.fault = None
        report = await world.until(lambda report: bool(report.refused))

        assert (
            Report("c", NOW, NOW + BEAT, NOW + 4 * BEAT, [Refused(None, NOW, NOW, Refusal.STORE, 1)])
            == report
        )

    run(story)
    told = capsys.readouterr().out.count("attendance_unreported")
    assert told == 1 or isinstance(fault, RuntimeError)
