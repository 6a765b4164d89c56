"""The lease of a run: of two workers at most one speaks, however long the other stood still."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from rbl.errors import Conflict, Unavailable
from rbl.probe.lease import Lease
from rbl.probe.runner import run_step
from rbl.probe.worker import Worker
from rbl.store.engine import Store
from rbl.store.patience import Patience
from rbl.store.tables import Host, Switch
from rbl.terms import State, Verdict
from tests.probe import relay
from tests.probe.relay import HOST, KEY, POLICY, Clock, Relay, make_due, make_tools, nobody, until
from tests.store import steps

LEASE = timedelta(seconds=2)


def run(story: Coroutine[Any, Any, None]) -> None:
    """Run *story* to its end."""
    asyncio.run(story)


def now() -> datetime:
    """Return the present time: a process that stands still has no other."""
    return datetime.now(UTC)


class SlowHost:
    """A mail server that answers the *held*-th command of each connection only when it is told to."""

    def __init__(self, answers: dict[str, str], held: str) -> None:
        self._answers = answers
        self._held = held
        self.port = 0
        self.heard: list[list[str]] = []  # of each connection, by the verbs of its commands
        self.over: list[bool] = []
        self.go_on: list[asyncio.Event] = []

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = len(self.heard)
        self.heard.append([])
        self.over.append(False)
        self.go_on.append(asyncio.Event())
        with suppress(OSError):
            writer.write(b"220 mx.example.com ESMTP Postfix\r\n")
            while line := await reader.readline():
                verb = line.decode("latin-1").split(":")[0].split()[0]
                self.heard[number].append(verb)
                if verb == self._held and self.heard[number].count(verb) == 1:
                    await self.go_on[number].wait()
                writer.write(f"{self._answers.get(verb, '250 Ok')}\r\n".encode())
                if verb == "QUIT":
                    break
        writer.transport.abort()
        self.over[number] = True

    def waits(self, number: int) -> bool:
        """Whether that connection waits for an answer that is held."""
        return len(self.heard) > number and self._held in self.heard[number]

    @asynccontextmanager
    async def running(self) -> AsyncIterator["SlowHost"]:
        """Listen on a free port of the loopback address."""
        server = await asyncio.start_server(self._serve, HOST, 0)
        self.port = server.sockets[0].getsockname()[1]
        async with server:
            try:
                yield self
            finally:
                for event in self.go_on:
                    event.set()


REFUSING = {"RCPT": "554 5.7.1 Relay access denied", "DATA": "354 go ahead", "QUIT": "221 bye"}


@pytest.mark.parametrize("held", ["MAIL", "RCPT"])
def test_a_worker_that_stood_still_says_quit_and_no_more(
    store: Store, database_url: str, held: str
) -> None:
    """Stopped for longer than its lease in the middle of an envelope, whose run another has by then."""
    make_due(store, now())
    host = SlowHost(REFUSING, held)

    async def story() -> None:
        async with host.running():
            arguments = [database_url, str(host.port), "first", str(LEASE.total_seconds())]
            first = _worker(*arguments)
            try:
                await until(lambda: host.waits(0))
                await asyncio.to_thread(stop, first, database_url)
                before = list(host.heard[0])
                async with working(store, host.port):
                    await until(lambda: host.waits(1))
                    host.go_on[0].set()
                    first.send_signal(signal.SIGCONT)
                    await until(lambda: host.over[0])
                    said = host.heard[0][len(before) :]
                    first.kill()
                    await until(lambda: _opened(host) and steps.host(store, HOST).state is State.CLOSED)
            finally:
                first.kill()
                first.wait()

        assert ["QUIT"] == said

    run(story())


def _worker(*arguments: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-m", "tests.probe.workerprocess", *arguments])


def stop(process: "subprocess.Popen[bytes]", url: str) -> None:
    """Stop *process* at a moment when it has no lock of the database, which nobody else could have then."""
    store = Store(url, patience=Patience(lock=timedelta(seconds=0.2)))
    while True:
        process.send_signal(signal.SIGSTOP)
        try:
            with store.writing() as session:
                session.execute(select(Host).with_for_update(nowait=True))
                session.execute(select(Switch).with_for_update(nowait=True))
        except Unavailable:
            process.send_signal(signal.SIGCONT)
        else:
            break
    store.close()


def _opened(host: SlowHost) -> bool:
    """Let every connection have its answer."""
    for event in host.go_on:
        event.set()
    return True


@asynccontextmanager
async def working(store: Store, port: int) -> AsyncIterator[None]:
    """Let a second worker work on *store* until the block ends."""
    settings = make_tools(store, port, now, lease=LEASE).settings
    worker = Worker(store, {steps.ZONE: POLICY}, settings, KEY, owner="second", clock=now, name_of=nobody)
    task = asyncio.create_task(worker.run())
    try:
        yield
    finally:
        worker.stop()
        await task


@pytest.mark.parametrize("verb", ["EHLO", "MAIL", "RCPT", "RSET"])
def test_the_own_clock_is_enough(store: Store, verb: str) -> None:
    """A worker whose lease is over by its own clock says nothing more, whoever has the run or nobody."""
    clock = Clock()
    make_due(store, clock())
    host = SlowHost(REFUSING, verb)

    async def story() -> None:
        async with host.running():
            step = asyncio.create_task(
                run_step(make_tools(store, host.port, clock), relay.claim(store, clock()), POLICY)
            )
            await until(lambda: host.waits(0))
            before = len(host.heard[0])
            clock.move(timedelta(minutes=2))
            host.go_on[0].set()
            with pytest.raises(Conflict, match="is not this worker's any more"):
                await step
            await until(lambda: host.over[0])

        assert ["QUIT"] == host.heard[0][before:]
        assert 1 == len(host.heard)

    run(story())


def test_within_a_message_there_is_no_quit(store: Store) -> None:
    """After 354 a QUIT would be a line of the message: the connection is closed, nothing was given."""
    clock = Clock()
    make_due(store, clock())
    host = SlowHost({"DATA": "354 go ahead"}, "DATA")

    async def story() -> None:
        async with host.running():
            step = asyncio.create_task(
                run_step(make_tools(store, host.port, clock), relay.claim(store, clock()), POLICY)
            )
            await until(lambda: host.waits(0))
            clock.move(timedelta(minutes=2))
            host.go_on[0].set()
            with pytest.raises(Conflict):
                await step
            await until(lambda: host.over[0])

        assert "DATA" == host.heard[0][-1]

    run(story())


def test_a_run_that_was_taken_is_left_before_the_next_envelope(store: Store) -> None:
    """By the database, where the own clock has noticed nothing: the clocks of two machines may differ."""
    clock = Clock()
    make_due(store, clock())
    taken: list[int] = []

    def take_over(_address: str) -> str:
        if not taken:
            ahead = clock() + timedelta(minutes=3)
            taken.append(relay.claim(store, ahead).attempt)
        return relay.refused(_address)

    host = Relay(rcpt=take_over)

    async def story() -> None:
        async with host.running():
            with pytest.raises(Conflict):
                await run_step(make_tools(store, host.port, clock), relay.claim(store, clock()), POLICY)

        assert ([2], 1) == (taken, len(host.recipients))

    run(story())


def test_a_lease_that_is_renewed_holds_on(store: Store) -> None:
    """By its own clock and by the database, until it is over or another has it."""
    clock = Clock()
    make_due(store, clock())
    claimed = relay.claim(store, clock())
    lease = Lease(store, claimed, timedelta(seconds=0.03), clock)
    other = Lease(store, replace(claimed, owner="another"), timedelta(minutes=2), clock)

    async def story() -> None:
        renewing = asyncio.create_task(lease.keep())
        clock.move(timedelta(minutes=1))
        await until(lambda: not _holds_at(lease, clock, clock() + timedelta(minutes=1)))
        renewing.cancel()

    assert (True, False) == (lease.is_held(), other.is_held())
    run(story())
    assert lease.is_held()
    clock.move(timedelta(minutes=1))
    assert not lease.is_held()


def _holds_at(lease: Lease, clock: Clock, at: datetime) -> bool:
    """Whether *lease* would hold at another time."""
    before, clock.now = clock.now, at
    try:
        return lease.holds()
    finally:
        clock.now = before


def test_the_verdict_is_right_though_a_worker_was_stopped(store: Store) -> None:
    """Whoever takes the run up tries what was not tried."""
    clock = Clock()
    make_due(store, clock())
    host = Relay(rcpt=_moving(clock, relay.refused))

    async def story() -> None:
        async with host.running():
            with pytest.raises(Conflict):
                await run_step(make_tools(store, host.port, clock), relay.claim(store, clock()), POLICY)
            host.rcpt = relay.refused
            found = await run_step(make_tools(store, host.port, clock), relay.claim(store, clock()), POLICY)

        assert Verdict.CLOSED is found

    run(story())


def _moving(clock: Clock, answer: Callable[[str], str]) -> Callable[[str], str]:
    def rcpt(address: str) -> str:
        clock.move(timedelta(minutes=3))
        return answer(address)

    return rcpt
