"""Hosts that are closed and make it hard to find out: listed ones must get out all the same, and soon."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from ipaddress import ip_address
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP
from aiosmtpd.smtp import Envelope as Received
from aiosmtpd.smtp import Session as Peer

from rbl.probe.runner import run_step
from rbl.store import probes, retests, runs
from rbl.store.engine import Store
from rbl.terms import EnvelopeResult, State, Verdict
from tests.probe import relay
from tests.probe.relay import HOST, POLICY, Clock, come_back, make_due, make_tools
from tests.store import steps

MINUTE = timedelta(minutes=1)
REFUSAL = "550 5.7.1 Relaying denied"


@pytest.fixture
def store(sqlite_url: str) -> Iterator[Store]:
    """A database of one kind: what is tested here is said to a host."""
    store = Store(sqlite_url)
    yield store
    store.close()


@pytest.fixture
def clock() -> Clock:
    """A clock that the test moves."""
    return Clock()


@dataclass
class Stubborn:
    """A mail server that is open until ``closed``, and then ends sessions, or puts off, as it is told.

    *errors*: so many refusals end a session. *answers_last* whether the last of them is said before the
    goodbye, as Postfix does, or the goodbye instead, as chasquid does. *goodbye*: whether there is one.
    *drops_reset*: RSET ends a session. *a_minute*: so many recipients are looked at within a minute.
    *tarpit*: each refusal makes all further answers of the session so many seconds slower.
    """

    clock: Callable[[], datetime]
    errors: int = 100
    answers_last: bool = True
    goodbye: bool = True
    drops_reset: bool = False
    a_minute: int | None = None
    tarpit: float = 0
    closed: bool = False
    opens: str = ""
    port: int = 0
    sessions: int = 0
    commands: list[str] = field(default_factory=list)
    on_message: Callable[[str], None] = lambda _: None
    _looked_at: list[datetime] = field(default_factory=list)

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Stubborn"]:
        """Listen on a free port of the loopback address."""
        server = await asyncio.start_server(self._serve, HOST, 0)
        self.port = server.sockets[0].getsockname()[1]
        async with server:
            yield self

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.sessions += 1
        writer.write(b"220 mx.example.com ESMTP\r\n")
        try:
            await self._talk(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass  # the tester went away
        finally:
            writer.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        refusals, recipient = 0, ""
        while line := (await reader.readline()).decode():
            verb, _, argument = line.strip().partition(" ")
            self.commands.append(verb)
            await asyncio.sleep(self.tarpit * (2**refusals - 1))
            answer = "250 2.0.0 Ok"
            if verb == "RCPT":
                answer, recipient = self._rcpt(argument), argument
            elif verb == "DATA":
                writer.write(b"354 go on\r\n")
                await reader.readuntil(b"\r\n.\r\n")
                self.on_message(recipient)
            elif verb == "QUIT" or (verb == "RSET" and self.drops_reset and self.closed):
                return
            refusals += answer[0] == "5"
            is_last = refusals >= self.errors
            if not is_last or self.answers_last:
                writer.write(f"{answer}\r\n".encode())
            if is_last:
                if self.goodbye:
                    writer.write(b"421 4.7.0 mx.example.com Error: too many errors\r\n")
                return

    def _rcpt(self, argument: str) -> str:
        if not self.closed or "<postmaster" in argument or (self.opens and self.opens in argument):
            return "250 2.1.5 Ok"
        now = self.clock()
        self._looked_at = [at for at in self._looked_at if at > now - MINUTE]
        if self.a_minute is not None and len(self._looked_at) >= self.a_minute:
            return "450 4.7.1 Error: too many recipients from 127.0.0.1"
        self._looked_at.append(now)
        return REFUSAL


async def follow(
    store: Store, clock: Clock, port: int, until: Callable[[], bool], **changed: object
) -> int:
    """Do what is due, let time pass until the next is, and so on *until*; return how many steps."""
    count = 0
    while not until():
        tools = make_tools(store, port, clock, **changed)
        await run_step(tools, relay.claim(store, clock()), POLICY)
        count += 1
        with store.reading() as session:
            due = runs.next_due(session)
        if due is None:
            break
        clock.now = max(due, clock.now)
    return count


def state(store: Store) -> State:
    """How the host stands."""
    return steps.host(store, HOST).state


@pytest.mark.parametrize(
    ("kind", "within", "sessions", "why"),
    [
        ({}, 1 * MINUTE, 3, "plain"),
        ({"errors": 1}, 10 * MINUTE, 31, "Postfix with smtpd_hard_error_limit = 1"),
        ({"errors": 1, "goodbye": False}, 10 * MINUTE, 31, "dropped after a refusal, without a word"),
        ({"drops_reset": True}, 10 * MINUTE, 31, "dropped after RSET"),
        ({"errors": 3}, 10 * MINUTE, 16, "dropped after three errors"),
        (
            {"errors": 3, "answers_last": False},
            10 * MINUTE,
            24,
            "chasquid: the goodbye is the third answer",
        ),
        ({"errors": 10}, 10 * MINUTE, 8, "dropped after ten errors"),
        ({"a_minute": 1}, 40 * MINUTE, 34, "one recipient a minute"),
        ({"a_minute": 5}, 10 * MINUTE, 12, "five recipients a minute"),
        ({"tarpit": 0.05}, 10 * MINUTE, 24, "a tarpit that grows with each error"),
    ],
)
def test_a_listed_host_that_closes_gets_out(
    store: Store, clock: Clock, kind: dict[str, Any], within: timedelta, sessions: int, why: str
) -> None:
    """However it ends its sessions: in a few minutes and sessions, without the ladder of retries."""
    make_due(store, clock())
    host = Stubborn(clock, **kind)
    host.on_message = lambda argument: come_back(store, argument.partition("<")[2], clock())

    async def story() -> None:
        async with host.running():
            await follow(store, clock, host.port, lambda: state(store) is State.LISTED)
            host.closed, host.sessions = True, 0
            clock.move(timedelta(hours=1))
            with store.writing() as session:
                retests.ask(session, POLICY, ip_address(HOST), "public", clock(), network="owner")
            began = clock()
            await follow(
                store,
                clock,
                host.port,
                lambda: state(store) in {State.DELISTED, State.LISTED},
                command_timeout=timedelta(seconds=1.2),
            )

        assert state(store) is State.DELISTED, why
        assert clock() - began < within + timedelta(hours=24), why  # the follow-up is due a day later
        with store.reading() as session:
            run_rows = probes.envelopes(session, 2)
            ended = max(line.at for _, line in probes.transcript(session, 2))
        assert ended - began <= within, why
        assert host.sessions <= sessions, why
        forms = {row.result for row in run_rows if row.test_id.startswith("T")}
        assert forms == {EnvelopeResult.REFUSED}, why

    asyncio.run(story())


@pytest.mark.parametrize(
    "kind", [{"errors": 1}, {"errors": 3, "answers_last": False}, {"drops_reset": True}]
)
@pytest.mark.parametrize("opens", ["!", '<"', "@[127.0.0.1]", ".>"])
def test_a_stubborn_host_that_is_open_by_one_form_is_found(
    store: Store, clock: Clock, kind: dict[str, Any], opens: str
) -> None:
    """The form that is taken is found among those that end sessions, and proves the host open."""
    make_due(store, clock())
    host = Stubborn(clock, closed=True, opens=opens, **kind)
    recipients: list[str] = []
    host.on_message = recipients.append

    async def story() -> None:
        async with host.running():
            await follow(store, clock, host.port, lambda: bool(recipients))
        with store.reading() as session:
            taken = [row for row in probes.envelopes(session, 1) if row.result is EnvelopeResult.QUEUED]
        assert [opens in row.rcpt_to for row in taken] == [True]

    asyncio.run(story())


def test_greylisting_after_refusals_waits_its_time(store: Store, clock: Clock) -> None:
    """A step that got further uses up no retry; what was put off is offered again after the first wait."""
    make_due(store, clock())
    offered: list[str] = []

    def answer(address: str) -> str:
        """Refuse the first, and put off all others for fifteen minutes."""
        offered.append(address)
        is_early = clock() < steps.NOW + timedelta(minutes=15)
        return "450 4.2.0 Greylisted" if is_early and len(offered) > 1 else REFUSAL

    host = relay.Relay(rcpt=answer)

    async def story() -> None:
        async with host.running():
            tools = make_tools(store, host.port, clock)
            first = await run_step(tools, relay.claim(store, clock()), POLICY)
            with store.reading() as session:
                due = runs.next_due(session)
            clock.now = due or clock.now
            claimed = relay.claim(store, clock())
            second = await run_step(tools, claimed, POLICY)

        assert (Verdict.DEFERRED, Verdict.CLOSED) == (first, second)
        assert (0, POLICY.times.retries[0]) == (claimed.retries_done, clock() - steps.NOW)

    asyncio.run(story())


@pytest.mark.parametrize("at", ["MAIL", "RCPT"])
def test_recipients_are_tried_from_a_stranger_where_the_hosts_name_is_refused(
    store: Store, clock: Clock, at: str
) -> None:
    """A host that verifies senders refuses its own name from us: that says nothing of odd recipients."""
    make_due(store, clock())
    senders: list[str] = []

    class Verifies(relay.Relay):
        """Relays by the percent sign, for senders that it does not know to be made up."""

        async def handle_MAIL(  # noqa: N802
            self, _server: SMTP, _peer: Peer, envelope: Received, address: str, _options: list[str]
        ) -> str:
            senders.append(address)
            if at == "MAIL" and address.endswith("@mx.example.com"):
                return "550 unknown user"
            envelope.mail_from = address
            return "250 OK"

        async def handle_RCPT(  # noqa: N802
            self, server: SMTP, peer: Peer, envelope: Received, address: str, options: list[str]
        ) -> str:
            if (envelope.mail_from or "").endswith("@mx.example.com"):
                return "550 Sender verify failed"
            return await super().handle_RCPT(server, peer, envelope, address, options)

    host = Verifies(rcpt=lambda address: "250 OK" if "%" in address else REFUSAL)

    async def story() -> None:
        async with host.running():
            tools = make_tools(store, host.port, clock)
            await run_step(tools, relay.claim(store, clock()), POLICY)
        with store.reading() as session:
            rows = {row.test_id: row for row in probes.envelopes(session, 1)}

        assert rows["T15"].result is EnvelopeResult.QUEUED
        assert f"<{rows['T15'].sender_token}@relaytest.example>" == rows["T15"].mail_from
        assert rows["T08"].mail_from.endswith("@mx.example.com>")
        assert 1 == len([one for one in senders if one.startswith(rows["T08"].sender_token)])

    asyncio.run(story())
