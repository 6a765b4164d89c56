"""What a retest costs a host that is still open, and what it finds where messages are waited for."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from datetime import timedelta
from ipaddress import ip_address
from typing import Any

import pytest

from rbl.config import Collector
from rbl.lifecycle import DAY
from rbl.probe.control import is_control
from rbl.probe.runner import run_step
from rbl.probe.step import Tools
from rbl.store import probes, retests, runs
from rbl.store.engine import Store
from rbl.terms import EnvelopeResult, State, Verdict
from tests.probe import relay
from tests.probe.relay import HOST, POLICY, Clock, Relay, come_back, make_due, make_tools
from tests.probe.scripted import Do, ScriptedServer
from tests.store import steps

R = EnvelopeResult
MINUTE = timedelta(minutes=1)
# Two of each: what one test has shown the next leaves alone.
DOMAINS = ("relaytest.example", "tests.relays.example.org")
TESTERS = ("tester.example.net", "probe.example.org")


@pytest.fixture
def clock() -> Clock:
    """A clock that the test moves."""
    return Clock()


def run(story: Coroutine[Any, Any, None]) -> None:
    """Run *story* to its end."""
    asyncio.run(story)


def percent_alone(address: str) -> str:
    """Refuse all but the percent form at the host's name."""
    is_percent = address.endswith("@mx.example.com") and "%" in address
    return relay.taken(address) if is_percent else relay.refused(address)


class Retested:
    """A host that was listed, with what it was offered since."""

    def __init__(self, store: Store, clock: Clock, rcpt: Callable[[str], str]) -> None:
        self.store = store
        self.clock = clock
        self.host = Relay(rcpt=rcpt, on_message=lambda recipient, _: self._return(recipient))
        self.passes_on = True

    def _return(self, recipient: str) -> None:
        if self.passes_on:
            come_back(self.store, recipient.replace("%", "@"), self.clock())

    async def be_listed(self) -> None:
        """Be nominated and tested until the proof."""
        make_due(self.store, self.clock())
        while (claimed := steps.claim(self.store, self.clock(), policy=POLICY)) is not None:
            await run_step(self.tools(), claimed, POLICY)
        assert State.LISTED is self.state
        self.host.recipients.clear()
        self.host.sessions = 0

    def ask(self) -> None:
        """Ask for a retest."""
        with self.store.writing() as session:
            retests.ask(session, POLICY, ip_address(HOST), "public", self.clock(), network="owner")

    async def look(self, **changed: object) -> Verdict:
        """Let a worker do what is due."""
        return await run_step(self.tools(**changed), relay.claim(self.store, self.clock()), POLICY)

    def tools(self, **changed: object) -> Tools:
        """Return what the worker has."""
        return make_tools(self.store, self.host.port, self.clock, **changed)

    @property
    def state(self) -> State:
        """How the host stands."""
        return steps.host(self.store, HOST).state


class ManyNamed(Retested):
    """One whose tester has several names."""

    def tools(self, **changed: object) -> Tools:
        """Return what the worker has."""
        tools = super().tools(ehlo_names=TESTERS, **changed)
        collector = Collector(domains=DOMAINS)
        return replace(tools, settings=tools.settings.model_copy(update={"collector": collector}))


def test_what_relayed_last_is_tried_first(store: Store, clock: Clock) -> None:
    """A host that is still open costs one connection, one envelope and one message, whatever its fault."""
    tested = Retested(store, clock, percent_alone)

    async def story() -> None:
        async with tested.host.running():
            await tested.be_listed()
            tested.ask()
            found = await tested.look()

        assert (Verdict.OPEN, 1, 1) == (found, tested.host.sessions, len(tested.host.recipients))

    run(story())


def test_a_retest_goes_by_names_that_the_host_has_not_seen(store: Store, clock: Clock) -> None:
    """Who throws away what comes by the names of the test that listed him meets others."""
    tested = ManyNamed(store, clock, relay.taken)
    listed_by: list[str] = []

    def known(recipient: str) -> bool:
        return any(domain in recipient for domain in listed_by)

    async def story() -> None:
        async with tested.host.running():
            await tested.be_listed()
            first = tested.host.messages[0].decode()
            listed_by.extend(name for name in DOMAINS if name in first)
            tested.host.on_message = lambda to, _: None if known(to) else come_back(store, to, clock())
            tested.ask()
            found = await tested.look()
        offered, message = tested.host.recipients, tested.host.messages[-1].decode()
        with store.reading() as session:
            greetings = [names.ehlo_name for names in probes.names_seen(session, 1) if names]

        assert (Verdict.OPEN, 1, 1) == (found, len(listed_by), len(offered))
        assert not known(message)
        assert set(TESTERS) == set(greetings)
        assert 2 == len(greetings)

    run(story())


def test_one_message_at_the_first_look_and_then_the_others(store: Store, clock: Clock) -> None:
    """Where it does not come back in a while the forms that are left follow, as many as are set."""
    tested = Retested(store, clock, relay.taken)

    async def story() -> None:
        async with tested.host.running():
            await tested.be_listed()
            tested.passes_on = False
            tested.ask()
            first = await tested.look(), len(tested.host.messages)
            clock.move(5 * MINUTE)
            second = await tested.look(messages_per_step=5), len(tested.host.messages)

        assert [Verdict.UNPROVEN, Verdict.UNPROVEN] == [first[0], second[0]]
        assert 5 == second[1] - first[1]

    run(story())


def waited_for(store: Store, clock: Clock, answer: Callable[[str], str]) -> tuple[Retested, Verdict]:
    """Let a host take all messages and keep them, then answer otherwise, and be looked at."""
    tested = Retested(store, clock, relay.taken)
    found: list[Verdict] = []

    async def story() -> None:
        async with tested.host.running():
            await tested.be_listed()
            tested.passes_on = False
            tested.ask()
            await tested.look()
            while any(row.result is None for row in _rows(store)):
                clock.move(5 * MINUTE)
                await tested.look()
            tested.host.rcpt = answer
            tested.host.recipients.clear()
            tested.host.sessions = 0
            clock.move(MINUTE)
            tested.ask()
            clock.move(40 * MINUTE)
            found.append(await tested.look())

    run(story())
    return tested, found[0]


def test_a_look_finds_closed_what_is_waited_for(store: Store, clock: Clock) -> None:
    """Refused by now is closed: the listing ends, and what comes back later from before is no proof."""
    tested, found = waited_for(store, clock, relay.refused)
    with store.reading() as session:
        sent = [row for row in probes.envelopes(session, 2) if row.sent_at is not None]
    clock.move(MINUTE)
    come_back(store, f"{sent[0].token}@relaytest.example", clock())

    assert (Verdict.CLOSED, State.DELISTED) == (found, tested.state)
    assert len(forms(tested.host)) == len(sent) > 20
    assert None is steps.claim(store, clock(), policy=POLICY)
    assert {R.REFUSED} == {row.result for row in _rows(store) if not is_control(row.test_id)}
    steps.check(store)


def forms(host: Relay) -> list[str]:
    """Return the recipients that *host* was offered, without its own postmaster."""
    return [address for address in host.recipients if not address.startswith("postmaster")]


def _rows(store: Store) -> list[probes.EnvelopeRow]:
    with store.reading() as session:
        return list(probes.envelopes(session, 2))


@pytest.mark.parametrize("answer", [relay.taken, lambda _: "450 4.7.1 later"], ids=["taken", "later"])
def test_a_look_that_finds_nothing_new_is_short(
    store: Store, clock: Clock, answer: Callable[[str], str]
) -> None:
    """Taken again, or put off: one envelope, and the wait goes on as it was."""
    tested, found = waited_for(store, clock, answer)

    assert (Verdict.UNPROVEN, State.RETEST_AWAITING) == (found, tested.state)
    assert (1, 1) == (tested.host.sessions, len(tested.host.recipients))
    last = max(row.sent_at for row in _rows(store) if row.sent_at is not None)
    assert last < clock() - 40 * MINUTE
    with store.reading() as session:
        assert last + POLICY.times.return_window == runs.next_due(session)


def test_a_host_is_connected_to_so_often_a_day(store: Store, clock: Clock) -> None:
    """However it drops us: no more connections than the policy page names, and the next day some again."""
    make_due(store, clock())
    host = ScriptedServer((b"220 hello\r\n", b"250 hello\r\n", Do.CLOSE))

    async def story() -> None:
        async with host.running():
            for _ in range(5):
                tools = make_tools(store, host.port, clock, connections_per_day=10)
                claimed = steps.claim(store, clock(), policy=POLICY)
                assert claimed is not None
                await run_step(tools, claimed, POLICY)
                with store.reading() as session:
                    due_at = runs.next_due(session)
                clock.move(due_at - clock() if due_at else 2 * DAY)
        counted = [at for at in host.heard if at]

        assert len(counted) <= 10 + 4

    run(story())
