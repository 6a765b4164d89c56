"""A listing ends where two vantages were answered alike, and otherwise a person decides."""

import asyncio
import re
from collections.abc import Coroutine
from dataclasses import replace
from datetime import timedelta
from ipaddress import ip_address
from typing import Any

import pytest

from rbl.lifecycle import DAY
from rbl.probe.runner import run_step
from rbl.store import probes, runs, vantages
from rbl.store.engine import Store
from rbl.store.vantages import Prober
from rbl.terms import EnvelopeResult, State, Verdict
from tests.probe import relay
from tests.probe.relay import HOST, POLICY, Clock, Said, come_back, make_tools
from tests.probe.test_retest import Retested
from tests.store import steps

R = EnvelopeResult
HERE, THERE = "127.0.0.1", "127.0.0.2"
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


def run(story: Coroutine[Any, Any, None]) -> None:
    """Run *story* to its end."""
    asyncio.run(story)


class Watched(Retested):
    """A listed host that a worker with *sources* tests, step by step until nothing is due."""

    def __init__(self, store: Store, clock: Clock, rcpt: Said, *sources: str) -> None:
        super().__init__(store, clock, rcpt)
        self.sources = tuple(ip_address(source) for source in sources)

    async def work(self) -> list[Verdict]:
        """Do what is due, and return what it came to."""
        found: list[Verdict] = []
        tools = make_tools(self.store, self.host.port, self.clock, source_addresses=self.sources)
        while True:
            with self.store.writing() as session:
                vantages.tell(session, "worker", self.sources, self.clock(), MINUTE)
                claimed = runs.claim(
                    session,
                    "worker",
                    self.clock(),
                    steps.LEASE,
                    {steps.ZONE: POLICY},
                    outbound=True,
                    prober=Prober(frozenset(self.sources), lambda *_: None),
                )
            if claimed is None:
                return found
            found.append(await run_step(tools, claimed, POLICY))

    def more_spam(self, at_ago: timedelta = timedelta(0)) -> None:
        """Let somebody receive another spam through it."""
        who = steps.nominator(self.store, name=f"other {self.clock()}")
        new = steps.nomination(HOST, f"<{self.clock()}@spam>")
        evidence = replace(new.evidence, received_at=self.clock() - at_ago)
        steps.nominate(self.store, who, replace(new, evidence=evidence), at=self.clock(), policy=POLICY)

    @property
    def review(self) -> str | None:
        """Why a person must look."""
        return steps.host(self.store, HOST).review


def test_the_same_is_asked_once_more_from_another_vantage(store: Store) -> None:
    """A closed host: all from one, what decides from the other with new tokens, and it is out."""
    clock = Clock()
    tested = Watched(store, clock, relay.taken, HERE, THERE)

    async def story() -> None:
        async with tested.host.running():
            await tested.be_listed()
            tested.host.rcpt = relay.refused
            tested.host.peers.clear()
            tested.ask()
            found = await tested.work()

        assert [Verdict.UNPROVEN, Verdict.CLOSED] == found
        assert State.DELISTED is tested.state
        assert {HERE, THERE} == set(tested.host.peers)

    run(story())
    with store.reading() as session:
        rows = probes.envelopes(session, 2)
    first, second = rows[0].vantage, rows[-1].vantage
    plain = [row for row in rows if row.test_id == "T01"]
    assert [(first, R.REFUSED), (second, R.REFUSED)] == [(row.vantage, row.result) for row in plain]
    assert plain[0].token != plain[1].token
    assert {"T01", "C01"} <= {row.test_id for row in rows if row.vantage == second}
    steps.check(store)


def test_who_closes_to_one_vantage_only_is_open(store: Store) -> None:
    """Whichever is drawn first: it still relays for the other, and stays listed."""
    clock = Clock()
    tested = Watched(store, clock, relay.taken, HERE, THERE)

    def answer(address: str) -> str:
        is_known = tested.host.peers[-1] == HERE
        return relay.refused(address) if is_known else relay.taken(address)

    async def story() -> None:
        async with tested.host.running():
            await tested.be_listed()
            tested.host.rcpt = answer
            for _ in range(4):
                clock.move(HOUR)
                tested.ask()
                found = await tested.work()

                assert (Verdict.OPEN, State.LISTED) == (found[-1], tested.state)

    run(story())
    steps.check(store)


def test_answers_that_differ_are_for_a_person(store: Store) -> None:
    """It refuses one vantage and takes the other's mail, though that comes back as a bounce."""
    clock = Clock()
    tested = Watched(store, clock, relay.taken, HERE, THERE)
    known: list[str] = []

    def answer(address: str) -> str:
        if not known:
            known.append(tested.host.peers[-1])
        return relay.refused(address) if tested.host.peers[-1] in known else relay.taken(address)

    def bounce(recipient: str, content: bytes) -> None:
        author = re.search(rb"(?m)^From: .*?(s[a-z2-7]{36})@", content)
        assert author
        bounces.append(author[1].decode())
        assert recipient

    bounces: list[str] = []

    async def story() -> None:
        async with tested.host.running():
            await tested.be_listed()
            tested.host.rcpt = answer
            tested.host.on_message = bounce
            tested.ask()
            found = await tested.work()
            clock.move(MINUTE)
            for sender in bounces:
                come_back(store, f"{sender}@relaytest.example", clock(), R.BOUNCED)
            found += await tested.work()

        assert [Verdict.UNPROVEN, Verdict.UNPROVEN, Verdict.TESTER_BLOCKED] == found
        assert State.LISTED is tested.state
        assert tested.review is not None

    run(story())
    steps.check(store)


@pytest.mark.parametrize(
    ("sources", "state", "why"),
    [
        ((HERE,), State.LISTED, "one vantage alone does not outweigh it"),
        ((HERE, THERE), State.DELISTED, "two that agree do"),
    ],
)
def test_spam_since_the_proof_weighs(
    store: Store, sources: tuple[str, ...], state: State, why: str
) -> None:
    """A host that refuses us, and through which spam came since it last relayed for us."""
    clock = Clock()
    tested = Watched(store, clock, relay.taken, *sources)

    async def story() -> None:
        async with tested.host.running():
            await tested.be_listed()
            clock.move(HOUR)
            tested.more_spam()
            clock.move(HOUR)
            tested.host.rcpt = relay.refused
            tested.ask()
            await tested.work()

        assert state is tested.state, why
        assert (state is State.LISTED) == (tested.review is not None)

    run(story())
    steps.check(store)


def test_spam_from_before_the_proof_does_not(store: Store) -> None:
    """Handed in late, received before: it says nothing that the proof did not."""
    clock = Clock()
    tested = Watched(store, clock, relay.taken, HERE)

    async def story() -> None:
        async with tested.host.running():
            await tested.be_listed()
            clock.move(HOUR)
            tested.more_spam(2 * HOUR)
            tested.host.rcpt = relay.refused
            tested.ask()
            await tested.work()

        assert State.DELISTED is tested.state

    run(story())


@pytest.mark.parametrize("sources", [(HERE,), (HERE, THERE)])
def test_who_takes_mail_and_returns_nothing_never_refused(store: Store, sources: tuple[str, ...]) -> None:
    """It discards what is ours, and spam came since: however many vantages, a person decides."""
    clock = Clock()
    tested = Watched(store, clock, relay.taken, *sources)

    async def story() -> None:
        async with tested.host.running():
            await tested.be_listed()
            clock.move(HOUR)
            tested.more_spam()
            clock.move(HOUR)
            tested.passes_on = False
            tested.ask()
            for _ in range(40):
                await tested.work()
                clock.move(POLICY.times.first_wait)
            clock.move(4 * DAY)
            found = await tested.work()

        assert [Verdict.CLOSED] == found
        assert State.LISTED is tested.state
        assert "took our messages" in (tested.review or "")

    run(story())
    steps.check(store)


def test_who_was_let_out_lately_is_not_by_one_vantage_again(store: Store) -> None:
    """Listed for the second time within a month, with no spam since: a person decides."""
    clock = Clock()
    tested = Watched(store, clock, relay.taken, HERE)

    async def story() -> None:
        async with tested.host.running():
            await tested.be_listed()
            tested.host.rcpt = relay.refused
            tested.ask()
            await tested.work()
            first = tested.state
            tested.host.rcpt = relay.taken
            clock.move(2 * DAY)
            await tested.work()  # the follow-up finds it open
            again = tested.state
            tested.host.rcpt = relay.refused
            clock.move(HOUR)
            tested.ask()
            await tested.work()

        assert [State.DELISTED, State.LISTED, State.LISTED] == [first, again, tested.state]
        assert "listed again soon" in (tested.review or "")

    run(story())
    steps.check(store)
