"""A listed host under siege: strangers ask for retests all day, and its owner closes it."""

import asyncio
from collections.abc import Coroutine
from datetime import datetime, timedelta
from ipaddress import ip_address
from typing import Any

from sqlalchemy import func, select

from rbl.config import Probe
from rbl.lifecycle import DAY
from rbl.probe.runner import run_step
from rbl.store import retests
from rbl.store.engine import Store
from rbl.store.probetables import EarlyRetest, ProbeConnection
from rbl.terms import State
from tests.probe import relay
from tests.probe.relay import HOST, POLICY, Clock, Relay, come_back, make_due, make_tools
from tests.store import steps

MINUTE = timedelta(minutes=1)
LONGEST_WAIT = timedelta(hours=1)
PRESSES_EVERY = 10 * MINUTE
ADDRESS = ip_address(HOST)


def run(story: Coroutine[Any, Any, None]) -> None:
    """Run *story* to its end."""
    asyncio.run(story)


class Besieged:
    """A listed host whose retests are asked for from ever new networks while time passes."""

    def __init__(self, store: Store, host: Relay) -> None:
        self.store = store
        self.host = host
        self.clock = Clock()
        self.connections: list[datetime] = []
        self.while_open: list[datetime] = []
        self._presses = 0

    @property
    def probe(self) -> Probe:
        """The tester's settings."""
        return make_tools(self.store, self.host.port, self.clock).settings.probe

    async def be_listed(self) -> None:
        """Nominate it, and prove that it relays."""
        make_due(self.store, self.clock())
        await self.work()
        assert steps.host(self.store, HOST).state is State.LISTED
        self.connections.clear()

    async def work(self) -> None:
        """Let a worker do everything that is due."""
        while (claimed := steps.claim(self.store, self.clock(), policy=POLICY)) is not None:
            before = self.host.sessions
            await run_step(make_tools(self.store, self.host.port, self.clock), claimed, POLICY)
            self.connections += [self.clock()] * (self.host.sessions - before)

    def press(self, network: str | None = None) -> None:
        """Ask for a retest; by default as a stranger from a network that nobody saw before."""
        self._presses += 1
        number = self._presses
        stranger = f"198.18.{number % 256}.0/24" if number % 2 else f"2001:db8:0:{number:x}::/64"
        with self.store.writing() as session:
            retests.ask(session, POLICY, ADDRESS, "public", self.clock(), network=network or stranger)

    async def pass_by(self, length: timedelta) -> None:
        """Let time pass, strangers press, and workers work."""
        until = self.clock() + length
        while self.clock() < until and self.is_listed:
            self.press()
            await self.work()
            self.clock.move(PRESSES_EVERY)

    @property
    def is_listed(self) -> bool:
        """Whether DNS says that it is."""
        return steps.host(self.store, HOST).state.in_dns


def besieged(store: Store, *, relays: bool) -> tuple[Besieged, timedelta]:
    """Return a host that was closed a minute after a look began, a day into the siege, and its wait.

    *relays* False: since it was listed it takes messages and passes none on.
    """
    is_open = [True]
    host = Relay(rcpt=lambda address: relay.taken(address) if is_open[0] else relay.refused(address))
    siege = Besieged(store, host)
    passes_on = [True]
    waits: list[timedelta] = []

    def on_message(recipient: str, _content: bytes) -> None:
        if passes_on[0]:
            come_back(store, recipient, siege.clock())

    host.on_message = on_message

    async def story() -> None:
        async with host.running():
            await siege.be_listed()
            passes_on[0] = relays
            await siege.pass_by(timedelta(hours=25))
            while siege.connections[-1] < siege.clock() - PRESSES_EVERY:  # until a look has just begun
                await siege.pass_by(PRESSES_EVERY)
            siege.while_open = list(siege.connections)
            siege.clock.move(MINUTE - PRESSES_EVERY)
            is_open[0] = False
            closed_at = siege.clock()
            siege.press("192.0.2.0/24")
            while siege.is_listed and siege.clock() - closed_at < timedelta(days=8):
                await siege.work()
                siege.clock.move(MINUTE)
                if relays and siege.is_listed:
                    siege.press()
            waits.append(siege.clock() - closed_at)

    run(story())
    return siege, waits[0]


def test_an_owner_who_closes_is_delisted_within_the_hour(store: Store) -> None:
    """At the worst moment, just after a look began: whatever strangers did all day before."""
    siege, wait = besieged(store, relays=True)

    assert wait < LONGEST_WAIT
    assert len(siege.while_open) > 24  # they did their worst
    assert most_in_a_day(siege.while_open) <= POLICY.times.retests_a_day
    assert most_in_a_day(siege.connections) <= siege.probe.connections_per_day
    early, connections = kept(store)
    with store.writing() as session:
        retests.forget(session, siege.clock() + DAY)
    assert 0 < early <= 2 * POLICY.times.early_retests
    assert connections > 0
    assert (0, 0) == kept(store), "networks and times are kept as long as they are counted"


def test_messages_that_are_waited_for_hold_up_nobody(store: Store) -> None:
    """A host that takes messages and keeps them is waited for; once closed it is delisted as soon."""
    siege, wait = besieged(store, relays=False)

    assert wait < LONGEST_WAIT
    assert most_in_a_day(siege.connections) <= siege.probe.connections_per_day


def kept(store: Store) -> tuple[int, int]:
    """Return how many early retests and how many connections are remembered."""
    with store.reading() as session:
        return (
            session.execute(select(func.count(EarlyRetest.id))).scalar_one(),
            session.execute(select(func.count(ProbeConnection.id))).scalar_one(),
        )


def most_in_a_day(connections: list[datetime]) -> int:
    """Return the most of *connections* within any 24 hours."""
    return max(sum(at <= each < at + DAY for each in connections) for at in connections)
