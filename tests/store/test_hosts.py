"""Hosts: their state, their listing and what DNS shows never differ, whatever happens in whatever order."""

import shutil
from collections.abc import Callable
from datetime import datetime, timedelta
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from rbl.errors import RblError
from rbl.store import decisions, exemptions, listings, retests
from rbl.store.engine import Store
from rbl.store.listings import NewListing
from rbl.store.runs import Claim
from rbl.terms import Act, EnvelopeResult, Network, Trust, Verdict
from tests.postgresql import Databases
from tests.store import steps
from tests.store.steps import DAY, ELSEWHERE, HOUR, MINUTE, NEIGHBOUR, NOW, POLICY, RELAY, ZONE

ADDRESSES = st.sampled_from([RELAY, NEIGHBOUR, ELSEWHERE])
NETWORKS = st.sampled_from(
    [ip_network(network) for network in (RELAY, NEIGHBOUR, "203.0.113.0/24", ELSEWHERE)]
)
EXEMPT = st.sampled_from([ip_network(network) for network in (NEIGHBOUR, "203.0.113.8/30")])
FLAGS = st.sampled_from([(True, False), (False, True), (True, True)])
RUNS = st.integers(min_value=1, max_value=12)


class Stories(RuleBasedStateMachine):
    """Everything that anybody may do to three hosts, two of them neighbours."""

    def __init__(self, make_store: Callable[[], Store]) -> None:
        super().__init__()
        self.store = make_store()
        steps.set_up(self.store)
        self.nominators = {trust: steps.nominator(self.store, trust, trust.value) for trust in Trust}
        self.now: datetime = NOW
        self.claims: list[Claim] = []
        self.messages = 0
        self.lengths = (0, 0)

    @initialize(listed=st.booleans())
    def begin(self, *, listed: bool) -> None:
        """Nominate all three, and let them be found open in half of the stories."""
        for address in (RELAY, NEIGHBOUR, ELSEWHERE):
            new = steps.nomination(address)
            steps.nominate(self.store, self.nominators[Trust.NORMAL], new, at=self.now)
            if listed:
                self.claims.append(steps.relay_once(self.store, self.now))

    def teardown(self) -> None:
        """Close the database."""
        self.store.close()

    def may_refuse(self, work: Callable[[], object]) -> None:
        """Do *work*, which may be refused in words, but not because two collided."""
        try:
            work()
        except RblError as fault:
            if fault.code in {"concurrent-change", "database"}:
                raise

    @rule(wait=st.sampled_from([timedelta(0), MINUTE, 10 * MINUTE, HOUR, DAY, 4 * DAY, 91 * DAY]))
    def time_passes(self, wait: timedelta) -> None:
        """Let the clock go on."""
        self.now += wait

    @rule(address=ADDRESSES, trust=st.sampled_from(Trust), again=st.booleans())
    def nominate(self, address: str, trust: Trust, *, again: bool) -> None:
        """Hand in spam, new or seen before."""
        self.messages += not again
        new = steps.nomination(address, f"<{self.messages}@spam>")
        self.may_refuse(lambda: steps.nominate(self.store, self.nominators[trust], new, at=self.now))

    @rule(owner=st.sampled_from(["worker 1", "worker 2"]), outbound=st.booleans())
    def claim(self, owner: str, *, outbound: bool) -> None:
        """Let a worker take a run, and plan it where that was not done."""
        claimed = steps.claim(self.store, self.now, owner, outbound=outbound)
        if claimed is not None:
            self.claims.append(claimed)
            if not steps.results(self.store, claimed.run_id):
                steps.plan(self.store, claimed)

    @rule(which=st.integers(min_value=0), verdict=st.sampled_from(Verdict), more=st.booleans())
    def end_step(self, which: int, verdict: Verdict, *, more: bool) -> None:
        """Let a worker, perhaps one whose lease ran out, end its step; it finds open what came back."""
        if not self.claims:
            return
        claimed = self.claims[-1 - which % len(self.claims)]
        if EnvelopeResult.RELAYED in steps.results(self.store, claimed.run_id):
            verdict = Verdict.OPEN
        elif verdict is Verdict.OPEN:
            verdict = Verdict.UNPROVEN
        if verdict is Verdict.UNPROVEN:
            self.may_refuse(lambda: steps.take(self.store, claimed, self.now))
        self.may_refuse(lambda: steps.conclude(self.store, claimed, verdict, self.now, more=more))

    @rule(relays=st.booleans(), verdict=st.sampled_from([Verdict.CLOSED, Verdict.UNPROVEN]))
    def test(self, verdict: Verdict, *, relays: bool) -> None:
        """Let a worker go through a whole step without anything in between."""
        before = len(self.claims)
        self.claim("worker 1", outbound=True)
        if len(self.claims) > before:
            if relays:
                steps.come_back(self.store, self.claims[-1].run_id, self.now)
            self.end_step(0, verdict, more=False)

    @rule(run=RUNS, kind=st.sampled_from([EnvelopeResult.RELAYED, EnvelopeResult.BOUNCED, None]))
    def come_back(self, run: int, kind: EnvelopeResult | None) -> None:
        """Let a message of a run reach the collector, or one that only looks like it."""
        steps.come_back(self.store, run, self.now, kind)

    @rule(address=ADDRESSES)
    def ask_retest(self, address: str) -> None:
        """Press the button."""

        def ask() -> None:
            with self.store.writing() as session:
                retests.ask(session, POLICY, ip_address(address), "public", self.now)

        self.may_refuse(ask)

    @rule(
        address=ADDRESSES,
        decision=st.sampled_from([decisions.approve, decisions.reject, decisions.withdraw]),
    )
    def decide(self, address: str, decision: Callable[..., object]) -> None:
        """Let the operator decide."""

        def decide() -> None:
            with self.store.writing() as session:
                decision(session, POLICY, ip_address(address), self.act())

        self.may_refuse(decide)

    @rule(network=EXEMPT, flags=FLAGS)
    def exempt(self, network: Network, flags: tuple[bool, bool]) -> None:
        """Exempt a network."""

        def add() -> None:
            with self.store.writing() as session:
                exemptions.add(session, network, never_list=flags[0], never_test=flags[1], act=self.act())

        self.may_refuse(add)

    @rule(network=EXEMPT)
    def end_exemption(self, network: Network) -> None:
        """End an exemption."""

        def end() -> None:
            with self.store.writing() as session:
                exemptions.end(session, network, self.act())

        self.may_refuse(end)

    @rule(network=NETWORKS, reason=st.sampled_from(["relay", "spam"]), expires=st.booleans())
    def list_by_hand(self, network: Network, reason: str, *, expires: bool) -> None:
        """List a network by hand, perhaps for a day."""
        expires_at = self.now + DAY if expires else None
        new = NewListing(ZONE, network, reason, expires_at=expires_at, allow_reserved=True)

        def start() -> None:
            with self.store.writing() as session:
                listings.start(session, new, self.act())

        self.may_refuse(start)

    @rule(network=NETWORKS, reason=st.sampled_from(["relay", "spam"]))
    def end_by_hand(self, network: Network, reason: str) -> None:
        """End a listing by hand."""

        def end() -> None:
            with self.store.writing() as session:
                listings.end(session, ZONE, network, reason, self.act())

        self.may_refuse(end)

    @rule()
    def timer(self) -> None:
        """Do what is due without anybody asking."""
        with self.store.writing() as session:
            listings.end_expired(session, self.now)
            retests.queue_periodic(session, POLICY, self.now)

    @invariant()
    def holds(self) -> None:
        """Assert what must always hold, and that nothing was taken out of journal and audit."""
        steps.check(self.store)
        lengths = steps.lengths(self.store)
        assert lengths[0] >= self.lengths[0]
        assert lengths[1] >= self.lengths[1]
        self.lengths = lengths

    def act(self) -> Act:
        """Return an operator's act, now."""
        return Act("operator", "decided", self.now)


def run_stories(make_store: Callable[[], Store], examples: int) -> None:
    """Run *examples* stories of 50 steps, the same ones each time."""
    chosen = settings(
        max_examples=examples,
        stateful_step_count=50,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(lambda: Stories(make_store), settings=chosen)  # type: ignore[arg-type]  # any maker


@pytest.mark.unmeasured
def test_stories_on_sqlite(sqlite_template: Path, tmp_path: Path) -> None:
    """Whatever happens to hosts in whatever order, state, listing, run and journal agree."""
    file = tmp_path / "stories.db"

    def make_store() -> Store:
        for leftover in tmp_path.glob("stories.db*"):
            leftover.unlink()
        shutil.copy(sqlite_template, file)
        return Store(f"sqlite:///{file}")

    run_stories(make_store, 16)


@pytest.mark.unmeasured
def test_stories_on_postgresql(databases: Databases) -> None:
    """The same holds on PostgreSQL."""
    run_stories(lambda: Store(databases.url(databases.migrated())), 6)
