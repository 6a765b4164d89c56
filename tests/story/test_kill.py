"""The program is killed in every state of a story and started again: the story ends as if it had not been.

The kill is SIGKILL, of which a process hears nothing. A story is a generator: it brings the relay into a
state and yields, is killed there or not, and goes on to its end.
"""

import asyncio
import random
import signal
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from rbl.cli.demoserver import APEX
from rbl.responder.follower import index_path
from rbl.zone import snapshot, zonefile
from tests.story import world
from tests.story.relay import Manner, Stage
from tests.story.world import NOT_LISTED, Ending, Story

DELISTED = Ending(
    state="delisted",
    dns=NOT_LISTED,
    journal=("listed", "delisted"),
    live_listings=0,
    nominations=1,
    offences=1,
    doubled=(),
)
CLOSED = Ending(
    state="closed", dns=NOT_LISTED, journal=(), live_listings=0, nominations=1, offences=0, doubled=()
)

IN_DNS = {"listed", "retest-queued", "retesting", "retest-awaiting"}

Telling = Callable[[Story], AsyncIterator[set[str]]]
"""Yields the states that the relay is in where the program is killed."""


async def _to_listed(story: Story) -> None:
    await story.nominate(await story.make_key())
    await story.until("listed")


async def _to_delisted(story: Story) -> None:
    """From wherever it is to the listing; the relay is closed, and a retest ends it."""
    story.relay.release()
    await story.until("listed")
    await story.until_dns(story.listed)
    story.relay.manner = Manner.CLOSED
    await story.ask_retest()
    await story.until("delisted")


async def nominated(story: Story) -> AsyncIterator[set[str]]:
    """A nominator on trial: an operator must look first."""
    await story.nominate(await story.make_key("trial"))
    yield {"nominated"}
    await story.decide("approve")
    await _to_delisted(story)


async def queued(story: Story) -> AsyncIterator[set[str]]:
    """No test may go out."""
    await story.switch(on=False)
    await story.nominate(await story.make_key())
    yield {"queued"}
    await story.switch(on=True)
    await _to_delisted(story)


async def being_tested(story: Story) -> AsyncIterator[set[str]]:
    """The relay has not answered yet."""
    story.relay.hold(Stage.RECIPIENT)
    await story.nominate(await story.make_key())
    await story.relay.until_held()
    yield {"testing"}
    await _to_delisted(story)


async def taken(story: Story) -> AsyncIterator[set[str]]:
    """The relay has the message, but the tester does not know: it comes back from the first attempt."""
    story.relay.hold(Stage.TAKEN)
    await story.nominate(await story.make_key())
    await story.relay.until_held()
    yield {"testing", "listed"}
    await _to_delisted(story)


async def awaiting(story: Story) -> AsyncIterator[set[str]]:
    """The message is in the relay's queue."""
    story.relay.manner = Manner.TAKES_ONE
    story.relay.hold(Stage.QUEUE)
    await story.nominate(await story.make_key())
    await story.until("awaiting-return")
    yield {"awaiting-return", "testing"}  # it goes on with the next form meanwhile
    await _to_delisted(story)


async def returned(story: Story) -> AsyncIterator[set[str]]:
    """The collector has said 250, and whether anybody has judged it by then is not known."""
    story.relay.hold(Stage.HANDED_OVER)
    await story.nominate(await story.make_key())
    await story.relay.until_held()
    yield {"testing", "awaiting-return", "listed"}
    await _to_delisted(story)


async def proven(story: Story) -> AsyncIterator[set[str]]:
    """Listings wait for the operator."""
    await story.nominate(await story.make_key("normal"))
    await story.until("proven")
    yield {"proven"}
    await story.decide("approve")
    await _to_delisted(story)


async def deferred(story: Story) -> AsyncIterator[set[str]]:
    """The relay asks to come again later, several times."""
    story.relay.manner = Manner.GREYLISTING
    await story.nominate(await story.make_key())
    await story.until("deferred")
    yield {"deferred", "testing"}
    story.relay.manner = Manner.OPEN
    await _to_delisted(story)


async def review(story: Story) -> AsyncIterator[set[str]]:
    """The relay refuses the tester."""
    story.relay.manner = Manner.BARRED
    await story.nominate(await story.make_key())
    await story.until("review")
    yield {"review"}
    story.relay.manner = Manner.OPEN
    await story.decide("approve")
    await _to_delisted(story)


async def listed(story: Story) -> AsyncIterator[set[str]]:
    """It is in DNS."""
    await _to_listed(story)
    yield {"listed"}
    await _to_delisted(story)


async def retest_queued(story: Story) -> AsyncIterator[set[str]]:
    """A retest is asked for, and no test may go out."""
    await _to_listed(story)
    await story.switch(on=False)
    story.relay.manner = Manner.CLOSED
    await story.ask_retest()
    yield {"retest-queued"}
    await story.switch(on=True)
    await story.until("delisted")


async def retesting(story: Story) -> AsyncIterator[set[str]]:
    """The relay does not say yet that it is closed."""
    await _to_listed(story)
    story.relay.hold(Stage.RECIPIENT)
    story.relay.manner = Manner.CLOSED
    await story.ask_retest()
    await story.relay.until_held()
    yield {"retesting"}
    story.relay.release()
    await story.until("delisted")


async def retest_awaiting(story: Story) -> AsyncIterator[set[str]]:
    """The relay took a message again, and in the end gives it back to its sender."""
    story.relay.manner = Manner.TAKES_ONE
    await _to_listed(story)
    story.relay.forget()
    story.relay.bounces = True
    story.relay.hold(Stage.QUEUE)
    await story.ask_retest()
    await story.until("retest-awaiting")
    yield {"retest-awaiting", "retesting"}  # the forms that are left are tried while it waits
    story.relay.release()
    await story.until("delisted")


async def delisted(story: Story) -> AsyncIterator[set[str]]:
    """The story is over."""
    await _to_listed(story)
    await _to_delisted(story)
    yield {"delisted"}


async def closed(story: Story) -> AsyncIterator[set[str]]:
    """The host never relayed."""
    story.relay.manner = Manner.CLOSED
    await story.nominate(await story.make_key())
    await story.until("closed")
    yield {"closed"}


@dataclass(frozen=True, slots=True)
class Case:
    """A story, the settings it needs, and how it ends."""

    telling: Telling
    ending: Ending = DELISTED
    settings: Mapping[str, str] = field(default_factory=dict)


CASES = {
    case.telling.__name__: case
    for case in (
        Case(nominated),
        Case(queued),
        Case(being_tested),
        Case(taken),
        Case(awaiting),
        Case(returned),
        Case(proven, settings={"RBL_LISTS__APPROVE_LISTINGS": "true"}),
        Case(deferred, settings={"RBL_LISTS__RETRIES": ",".join(["0.5"] * 200)}),
        Case(review),
        Case(listed),
        Case(retest_queued),
        Case(retesting),
        Case(retest_awaiting),
        Case(delisted),
        Case(closed, ending=CLOSED),
    )
}


async def _tell(case: Case, folder: Path, *, kill: bool) -> Ending:
    """Tell a story to its end, with or without a kill in the middle, and return how it ended."""
    async with world.begun(folder, case.settings) as story:
        telling = case.telling(story)
        states = await anext(telling)
        assert await story.state() in states
        if kill:
            await story.kill()
            assert await story.state() in states
            if not states & IN_DNS:
                assert await story.dns() == NOT_LISTED
            elif states <= IN_DNS:
                assert await story.dns() == story.listed
        await anext(telling, None)
        await story.until_dns(case.ending.dns)
        return await story.ending()


@pytest.mark.parametrize("name", CASES)
def test_killed_in_a_state(name: str, tmp_path: Path) -> None:
    """Killed in a state of the story and started again, the program brings it to the same end."""
    case = CASES[name]

    ending = asyncio.run(_tell(case, tmp_path, kill=True))

    assert case.ending == ending


@pytest.mark.parametrize("name", ["listed", "retest_awaiting", "closed"])
def test_not_killed(name: str, tmp_path: Path) -> None:
    """This is the end of a story in which nobody is killed."""
    case = CASES[name]

    ending = asyncio.run(_tell(case, tmp_path, kill=False))

    assert case.ending == ending


def test_kills_at_any_moment(tmp_path: Path) -> None:
    """Ten kills at random moments change nothing but the time that the story takes."""
    moments = random.Random(66)

    async def hunt(story: Story) -> None:
        for _ in range(10):
            await asyncio.sleep(moments.uniform(0, 1))
            await story.kill()

    async def tell(story: Story, key: str) -> None:
        await story.nominate(key)
        await _to_delisted(story)

    async def both() -> Ending:
        async with world.begun(tmp_path) as story:
            key = await story.make_key()
            await asyncio.gather(hunt(story), tell(story, key))
            await story.until_dns(NOT_LISTED)
            return await story.ending()

    ending = asyncio.run(both())

    assert DELISTED == replace(ending, doubled=())


def test_killed_between_the_commit_and_the_index_on_disk(tmp_path: Path) -> None:
    """A listing that is in the journal and not in the index on disk is in DNS after a start."""

    async def tell() -> tuple[str, str]:
        async with world.begun(tmp_path) as story:
            assert await story.server.end(signal.SIGTERM) == 0  # writes the index
            await story.server.start()
            await _to_listed(story)
            zone = zonefile.read(tmp_path / "relays.toml")
            on_disk = snapshot.read(index_path(tmp_path, APEX), zone)
            assert on_disk.live() == 0
            await story.kill()
            await story.until_dns(story.listed)
            return await story.dns()

    a_record, _ = asyncio.run(tell())

    assert "127.0.0.2" == a_record
