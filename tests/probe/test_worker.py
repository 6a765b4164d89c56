"""The worker, with a real database and real mail servers."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from types import ModuleType
from typing import Any

import pytest
from sqlalchemy.orm import Session
from structlog.testing import capture_logs

from rbl.errors import Unavailable
from rbl.probe import worker as worker_module
from rbl.probe.worker import Worker
from rbl.store import hosts, listings, retests, runs, switches
from rbl.store.engine import Store
from rbl.store.hosts import ZonePolicy
from rbl.store.listings import NewListing
from rbl.store.runs import Claim
from rbl.store.signal import ChangeSignal
from rbl.store.vantages import Prober
from rbl.terms import Act, State, Verdict
from tests.probe.relay import (
    HOST,
    KEY,
    POLICY,
    Relay,
    come_back,
    make_due,
    make_tools,
    nobody,
    refused,
    until,
)
from tests.probe.scripted import Do, ScriptedServer
from tests.store import steps


def run(story: Coroutine[Any, Any, None]) -> None:
    """Run *story* to its end."""
    asyncio.run(story)


def now() -> datetime:
    """Return the present time: a worker sleeps by the real clock."""
    return datetime.now(UTC)


@asynccontextmanager
async def working(store: Store, port: int, **changed: object) -> AsyncIterator[Worker]:
    """Let a worker work on *store* until the block ends."""
    tools = make_tools(store, port, now, **changed)
    worker = Worker(
        store, {steps.ZONE: POLICY}, tools.settings, KEY, owner="worker", clock=now, name_of=nobody
    )
    task = asyncio.create_task(worker.run())
    try:
        yield worker
    finally:
        worker.stop()
        await task


def is_in(store: Store, state: State) -> Callable[[], bool]:
    """Return whether the host is in *state*, as a condition to wait for."""
    return lambda: steps.host(store, HOST).state is state


def test_due_run_is_done(store: Store) -> None:
    """A worker that starts takes what is due: an open relay is listed."""
    make_due(store, now())
    host = Relay(on_message=lambda recipient, _: come_back(store, recipient, now()))

    async def story() -> None:
        async with host.running(), working(store, host.port):
            await until(is_in(store, State.LISTED))

    run(story())


def test_new_run_wakes_the_worker(store: Store) -> None:
    """A nomination that is committed while the worker sleeps is tested at once."""
    steps.set_up(store)
    nominator = steps.nominator(store)
    host = Relay(rcpt=refused)

    async def story() -> None:
        async with host.running(), working(store, host.port):
            steps.nominate(store, nominator, steps.nomination(HOST), at=now(), policy=POLICY)
            await until(is_in(store, State.CLOSED))

    run(story())


def test_returned_message_wakes_the_worker(store: Store) -> None:
    """A message that comes back while its run waits lists the host at once."""
    make_due(store, now())
    host = Relay()

    async def story() -> None:
        async with host.running(), working(store, host.port):
            await until(is_in(store, State.AWAITING_RETURN))
            recipient = host.recipients[0]
            await asyncio.to_thread(come_back, store, recipient, now())
            await until(is_in(store, State.LISTED))

    run(story())


def test_nothing_goes_out_while_probing_is_not_set_up(store: Store) -> None:
    """A worker without a tester's identity connects to nobody, and still judges what comes back."""
    make_due(store, now())
    host = Relay()

    async def story() -> None:
        async with host.running():
            async with working(store, host.port):
                await until(is_in(store, State.AWAITING_RETURN))
            sessions = host.sessions
            async with working(store, host.port, enabled=False):
                await asyncio.to_thread(come_back, store, host.recipients[0], now())
                await until(is_in(store, State.LISTED))

        assert sessions == host.sessions

    run(story())


def test_stopping_does_not_wait_for_a_slow_host(store: Store) -> None:
    """A worker that is stopped breaks its steps off; another can take the run up at once."""
    make_due(store, now())
    host = ScriptedServer((Do.HANG,))

    async def story() -> None:
        async with host.running(), working(store, host.port):
            await until(lambda: bool(host.heard))

        assert steps.host(store, HOST).state is State.TESTING
        with store.writing() as session:
            taken = runs.claim(
                session, "another", now(), timedelta(minutes=2), {steps.ZONE: POLICY}, outbound=True
            )
        assert taken is not None

    run(story())


def test_run_that_another_worker_took_is_left_to_it(store: Store) -> None:
    """A worker whose run was ended under its hands says so, and goes on working."""
    make_due(store, now())
    host = Relay(on_message=lambda _recipient, _content: _end_run(store))

    async def story() -> None:
        with capture_logs() as logs:
            async with host.running(), working(store, host.port):
                await until(lambda: any(line["event"] == "worker_error" for line in logs))
        whys = [line["why"] for line in logs if line["event"] == "worker_error"]

        assert whys == ["run 1 is not this worker's any more"]

    run(story())


def _end_run(store: Store) -> None:
    with store.writing() as session:
        host_id = steps.host(store, HOST).id
        hosts.end_run(session, host_id, Act("operator", "withdrawn", now()))


def test_listings_end_and_old_ones_are_tested_again(store: Store) -> None:
    """A worker ends what has expired, and asks for a retest of what has been listed for long."""
    long_ago = now() - timedelta(days=100)
    make_due(store, long_ago)
    claimed = steps.claim(store, long_ago, policy=POLICY)
    assert claimed is not None
    steps.plan(store, claimed)
    steps.take(store, claimed, long_ago)
    steps.come_back(store, claimed.run_id, long_ago)
    steps.conclude(store, claimed, Verdict.OPEN, long_ago, policy=POLICY)
    other = ip_network("198.51.100.0/24")
    by_hand = NewListing(
        zone=steps.ZONE,
        subject=other,
        reason="relay",
        expires_at=long_ago + timedelta(days=1),
        allow_reserved=True,
    )
    with store.writing() as session:
        listings.start(session, by_hand, steps.act(at=long_ago))
    host = Relay(rcpt=refused)

    async def story() -> None:
        async with host.running(), working(store, host.port):
            await until(is_in(store, State.DELISTED))
        with store.reading() as session:
            assert listings.covering(session, steps.ZONE, other.network_address) == []

    with capture_logs() as logs:
        run(story())

    expired = {"event": "delisted", "log_level": "info", "listings": 1, "why": "the listing expired"}
    assert expired in logs


def test_at_most_so_many_hosts_at_once(store: Store) -> None:
    """A worker has no more hosts under test than it may."""
    steps.set_up(store)
    nominator = steps.nominator(store)
    for number in (1, 2):
        address = f"127.0.{number}.1"
        new = steps.nomination(address, f"<{number}@spam>")
        steps.nominate(store, nominator, new, at=now(), policy=POLICY)

    async def story() -> None:
        async with working(store, 1, concurrency=1):
            await until(lambda: _states(store) == {State.DEFERRED: 2})

    run(story())


def _states(store: Store) -> dict[State, int]:
    with store.reading() as session:
        return hosts.count_by_state(session, steps.ZONE)


def test_database_that_is_down_is_waited_for(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that cannot reach the database says so and tries again."""
    make_due(store, now())
    host = Relay(rcpt=refused)
    claim = runs.claim
    faults: list[Exception] = [RuntimeError("unforeseen"), Unavailable("the database does not answer")]

    def failing(
        session: Session,
        owner: str,
        at: datetime,
        lease: timedelta,
        policies: Mapping[str, ZonePolicy],
        *,
        outbound: bool,
        retests_only: bool,
        prober: Prober,
    ) -> Claim | None:
        if faults:
            raise faults.pop()
        return claim(
            session,
            owner,
            at,
            lease,
            policies,
            outbound=outbound,
            retests_only=retests_only,
            prober=prober,
        )

    monkeypatch.setattr(runs, "claim", failing)

    async def story() -> None:
        async with host.running(), working(store, host.port):
            await until(is_in(store, State.CLOSED))

    run(story())


@pytest.mark.parametrize("fault", [Unavailable("the database does not answer"), RuntimeError("unforeseen")])
@pytest.mark.parametrize("part", [(retests, "queue_periodic"), (worker_module, "run_step")])
def test_one_failing_part_does_not_stop_the_worker(
    store: Store, monkeypatch: pytest.MonkeyPatch, fault: Exception, part: tuple[ModuleType, str]
) -> None:
    """Whatever fails in one piece of work is told in the log, and the worker goes on."""
    make_due(store, now())
    host = Relay(rcpt=refused)

    def failing(*_arguments: object) -> None:
        raise fault

    monkeypatch.setattr(*part, failing)

    async def story() -> None:
        with capture_logs() as logs:
            async with host.running(), working(store, host.port):
                await until(lambda: any(line["event"] == "worker_error" for line in logs))
                await until(lambda: part[1] == "run_step" or is_in(store, State.CLOSED)())

    run(story())


def test_lost_signal_is_waited_for(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that cannot listen for commits listens again."""
    steps.set_up(store)
    nominator = steps.nominator(store)
    host = Relay(rcpt=refused)
    wait, faults = ChangeSignal.wait, [Unavailable("the database does not answer")]

    def failing(signal: ChangeSignal, timeout: timedelta) -> bool:
        if faults:
            raise faults.pop()
        return wait(signal, timeout)

    monkeypatch.setattr(ChangeSignal, "wait", failing)

    async def story() -> None:
        async with host.running(), working(store, host.port):
            await until(lambda: not faults)
            steps.nominate(store, nominator, steps.nomination(HOST), at=now(), policy=POLICY)
            await until(is_in(store, State.CLOSED))

    run(story())


def test_switch_that_is_off_lets_nothing_out(store: Store) -> None:
    """While probing is switched off no test begins; when it is switched on, the due one does."""
    make_due(store, now())
    host = Relay(rcpt=refused)
    _turn(store, on=False)

    async def story() -> None:
        async with host.running(), working(store, host.port):
            await asyncio.sleep(0)
            before = host.sessions
            await asyncio.to_thread(_turn, store, on=True)
            await until(is_in(store, State.CLOSED))

        assert before == 0

    run(story())


def _turn(store: Store, *, on: bool) -> None:
    with store.writing() as session:
        switches.turn(session, switches.PROBING, steps.act(), on=on)
