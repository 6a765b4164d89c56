"""One step of a probe run, with a real database and real mail servers."""

import asyncio
import re
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from rbl.attendance import Refusal
from rbl.errors import Conflict
from rbl.probe.runner import name_of, run_step
from rbl.store import attendance, exemptions, formhistory, hosts, probes, runs, switches
from rbl.store.attendance import Refused, Report
from rbl.store.engine import Store
from rbl.store.probes import EnvelopeRow
from rbl.store.probetables import ProbeRun
from rbl.terms import Act, EnvelopeResult, State, Verdict
from rbl.testmessage import Place, code
from tests.probe import relay
from tests.probe.relay import HOST, KEY, POLICY, Clock, Relay, come_back, make_due, make_tools, until
from tests.probe.scripted import Do, ScriptedServer
from tests.store import steps

R = EnvelopeResult


@pytest.fixture
def clock() -> Clock:
    """A clock that the test moves."""
    return Clock()


def run(story: Coroutine[Any, Any, None]) -> None:
    """Run *story* to its end."""
    asyncio.run(story)


def rows(store: Store, run_id: int = 1) -> list[EnvelopeRow]:
    """Return the envelopes of the run."""
    with store.reading() as session:
        return list(probes.envelopes(session, run_id))


def results(store: Store) -> set[EnvelopeResult | None]:
    """Return the results of the run's envelopes that apply."""
    return {row.result for row in rows(store) if row.result is not R.NOT_RUN}


def state(store: Store) -> State:
    """Return the state of the host."""
    return steps.host(store, HOST).state


async def step(store: Store, port: int, clock: Clock, **changed: object) -> Verdict:
    """Let a worker do what is due."""
    tools = make_tools(store, port, clock, **changed)
    return await run_step(tools, relay.claim(store, clock()), POLICY)


def test_open_relay_is_listed_at_the_first_return(store: Store, clock: Clock) -> None:
    """A message that comes back ends the test, and the host is listed."""
    make_due(store, clock())
    host = Relay(on_message=lambda recipient, _: come_back(store, recipient, clock()))

    async def story() -> None:
        async with host.running():
            found = await step(store, host.port, clock)

        assert found is Verdict.OPEN
        assert state(store) is State.LISTED
        assert len(host.messages) == 1
        assert [row.result for row in rows(store)][:2] == [R.RELAYED, None]

    run(story())


def test_message_names_run_test_and_host(store: Store, clock: Clock) -> None:
    """The message that a host gets carries the marks of the very test it was sent for."""
    make_due(store, clock())
    host = Relay()

    async def story() -> None:
        async with host.running():
            await step(store, host.port, clock)
        token = host.recipients[0].partition("@")[0]

        assert f"<{token}@" in rows(store)[0].rcpt_to
        assert code(Place.BODY, token, KEY) in re.sub(r"\W", "", host.messages[0].decode())
        assert f"[{HOST}]".encode() in host.messages[0]
        assert b"spam that came through this server was reported (2026-03-01)" in host.messages[0]

    run(story())


def test_host_that_refuses_everything_is_closed(store: Store, clock: Clock) -> None:
    """A host that refuses every form is closed, after a few short sessions."""
    make_due(store, clock())
    host = Relay(rcpt=relay.refused)

    async def story() -> None:
        async with host.running():
            found = await step(store, host.port, clock)

        assert found is Verdict.CLOSED
        assert state(store) is State.CLOSED
        assert host.sessions == 2
        assert results(store) == {R.REFUSED}
        assert len(rows(store)) == 27

    run(story())


def test_dialogue_is_kept_whole(store: Store, clock: Clock) -> None:
    """Every line of every session is kept, in order, from the connection to its end."""
    make_due(store, clock())
    host = Relay(rcpt=relay.refused)

    async def story() -> None:
        async with host.running():
            await step(store, host.port, clock)
        with store.reading() as session:
            lines = [line for _, line in probes.transcript(session, 1)]
        said = [line.text for line in lines if line.side == "us"]

        assert [line.text for line in lines].count("connection closed") == 2
        assert said.count("QUIT") == 2
        assert said[:2] == ["EHLO tester.example.net", f"MAIL FROM:{rows(store)[0].mail_from}"]

    run(story())


def test_waiting_after_each_message_then_more(store: Store, clock: Clock) -> None:
    """A host that takes all messages gets one at a time, and after the window it is closed."""
    make_due(store, clock())
    host = Relay()

    async def story() -> None:
        verdicts, messages = [], []
        async with host.running():
            while state(store) is not State.CLOSED:
                verdicts.append(await step(store, host.port, clock))
                messages.append(len(host.messages))
                with store.reading() as session:
                    due = runs.next_due(session)
                clock.now = due or clock.now

        assert messages[:3] == [1, 2, 3]
        assert verdicts == [Verdict.UNPROVEN] * (len(verdicts) - 1) + [Verdict.CLOSED]
        assert clock() >= steps.NOW + timedelta(hours=72)

    run(story())


def attend(store: Store, *spans: tuple[float, float], refused: tuple[float, float] | None = None) -> None:
    """Let collectors have listened only in *spans*, and one have *refused*: in hours after the start."""

    def at(hours: float) -> datetime:
        return steps.NOW + timedelta(hours=hours)

    gaps = [] if refused is None else [Refused(None, at(refused[0]), at(refused[1]), Refusal.FULL, 1)]
    with store.writing() as session:
        attendance.forget(session, steps.NOW + timedelta(days=10_000))
        for number, (began, seen) in enumerate(spans):
            attendance.note(session, Report(f"c{number}", at(began), at(seen), at(seen), gaps))


FOR_EVER = 10_000.0


@pytest.mark.parametrize(
    ("spans", "refused", "hours", "messages", "why"),
    [
        ([(-1, FOR_EVER)], None, 72, 1, "somebody listened all the while"),
        ([(-1, 10), (20, FOR_EVER)], None, 82, 1, "the collector was down for ten hours"),
        ([(-1, 71.9), (72.1, FOR_EVER)], None, 80.1, 1, "it was down when the window ended"),
        ([(-1, FOR_EVER)], (10, 12), 74, 1, "it was full for two hours"),
        ([(-1, 0.01), (1, FOR_EVER)], None, 81.25, 2, "it was down when the message was sent: sent again"),
        ([(-1, FOR_EVER)], (0.02, 0.02), 80.3, 2, "it was full when the message was sent: sent again"),
    ],
)
def test_a_host_is_not_closed_for_what_nobody_listened_for(
    store: Store,
    clock: Clock,
    spans: list[tuple[float, float]],
    refused: tuple[float, float] | None,
    hours: float,
    messages: int,
    why: str,
) -> None:
    """A message that stays away closes a host only where the collector was there for a whole window."""
    make_due(store, clock())
    attend(store, *spans, refused=refused)
    offered: list[str] = []

    def take_one(address: str) -> str:
        """Take the first form, and refuse every other."""
        offered.append(address)
        return relay.taken(address) if address == offered[0] else relay.refused(address)

    host = Relay(rcpt=take_one)

    async def story() -> None:
        async with host.running():
            while state(store) is not State.CLOSED:
                assert await step(store, host.port, clock) is not Verdict.OPEN
                with store.reading() as session:
                    due = runs.next_due(session)
                assert due is None or due > clock()
                clock.now = due or clock.now

        assert abs(clock() - steps.NOW - timedelta(hours=hours)) < timedelta(minutes=6), why
        assert len(host.messages) == messages, why

    run(story())


def test_without_a_collector_no_host_is_closed_for_want_of_a_return(store: Store, clock: Clock) -> None:
    """However long the window is over: the host waits, and is not tested again and again meanwhile."""
    make_due(store, clock())
    attend(store)
    host = Relay()

    async def story() -> None:
        async with host.running():
            for _ in range(60):
                assert await step(store, host.port, clock) in {Verdict.UNPROVEN, Verdict.DEFERRED}
                with store.reading() as session:
                    due = runs.next_due(session)
                assert due is not None
                clock.now = due

        assert state(store) in {State.AWAITING_RETURN, State.DEFERRED}
        assert clock() > steps.NOW + timedelta(days=5)
        assert len(host.messages) == len([row for row in rows(store) if row.sent_at])

    run(story())


def test_without_a_collector_a_host_that_refuses_is_closed(store: Store, clock: Clock) -> None:
    """A refusal is proof by itself, whoever listens."""
    make_due(store, clock())
    attend(store)
    host = Relay(rcpt=relay.refused)

    async def story() -> None:
        async with host.running():
            assert await step(store, host.port, clock) is Verdict.CLOSED

    run(story())


def test_bounce_does_not_hurry_the_next_messages(store: Store, clock: Clock) -> None:
    """A run woken by a bounce waits for the other messages before it sends more."""
    make_due(store, clock())
    host = Relay()

    async def story() -> None:
        async with host.running():
            await step(store, host.port, clock)
            clock.move(timedelta(minutes=5))
            await step(store, host.port, clock, messages_per_step=2)
            clock.move(timedelta(seconds=10))
            second = [row for row in rows(store) if row.sent_at is not None][1]
            come_back(store, second.sender_token, clock(), R.BOUNCED)
            found = await step(store, host.port, clock)

        assert found is Verdict.UNPROVEN
        assert len(host.messages) == 3
        assert [R.BOUNCED] == [row.result for row in rows(store) if row.test_id == second.test_id]

    run(story())


def test_bounce_is_an_answer_after_which_the_next_message_goes_out(store: Store, clock: Clock) -> None:
    """What bounced is not waited for any longer."""
    make_due(store, clock())
    host = Relay()

    async def story() -> None:
        async with host.running():
            await step(store, host.port, clock)
            clock.move(timedelta(seconds=10))
            come_back(store, rows(store)[0].sender_token, clock(), R.BOUNCED)
            await step(store, host.port, clock)

        assert len(host.messages) == 2

    run(story())


def test_late_return_is_proof(store: Store, clock: Clock) -> None:
    """A message that comes back while the window is open lists the host without another connection."""
    make_due(store, clock())
    host = Relay()

    async def story() -> None:
        async with host.running():
            await step(store, host.port, clock)
            clock.move(timedelta(hours=5))
            come_back(store, rows(store)[2].token, clock())
            found = await step(store, host.port, clock)

        assert found is Verdict.OPEN
        assert state(store) is State.LISTED
        assert host.sessions == 1

    run(story())


def test_return_from_another_host_is_for_a_person(store: Store, clock: Clock) -> None:
    """A message that another host delivered is proof of a chain, which a person looks at."""
    make_due(store, clock())
    host = Relay(
        on_message=lambda recipient, _: come_back(store, recipient, clock(), R.MULTIHOP, "198.51.100.7")
    )

    async def story() -> None:
        async with host.running():
            found = await step(store, host.port, clock)

        assert found is Verdict.MULTIHOP
        assert state(store) is State.REVIEW

    run(story())


def test_greylisting_gets_the_same_envelopes_again(store: Store, clock: Clock) -> None:
    """A host that defers everything is tried again later with the very same addresses."""
    make_due(store, clock())
    host = Relay(rcpt=lambda _: "450 4.2.0 Greylisted")

    async def story() -> None:
        async with host.running():
            found = await step(store, host.port, clock)
            first = sorted(host.recipients)
            clock.move(timedelta(minutes=15))
            await step(store, host.port, clock)

        assert found is Verdict.DEFERRED
        assert first == sorted(host.recipients)[::2]
        assert state(store) is State.DEFERRED

    run(story())


def test_unreachable_host_is_tried_again(store: Store, clock: Clock) -> None:
    """A host where nobody listens is unreachable, which closes nothing."""
    make_due(store, clock())

    async def story() -> None:
        async with Relay().running() as gone:
            port = gone.port
        found = await step(store, port, clock)

        assert found is Verdict.UNREACHABLE
        assert state(store) is State.DEFERRED
        assert rows(store) == []

    run(story())


@pytest.mark.parametrize(
    ("scripts", "why"),
    [
        (
            ((Do.CLOSE,), (b"220 mx.example.com\r\n", b"250 ok\r\n", b"221 bye\r\n")),
            "only the second is greeted",
        ),
        (((b"554 not you\r\n",), (b"554 not you\r\n",)), "both are refused"),
    ],
)
def test_host_that_shuts_us_out_is_for_a_person(
    store: Store, clock: Clock, scripts: tuple[tuple[bytes, ...], ...], why: str
) -> None:
    """A host that refuses the tester is neither open nor closed: a person must decide."""
    make_due(store, clock())
    host = ScriptedServer(*scripts)

    async def story() -> None:
        async with host.running():
            found = await step(store, host.port, clock, second_source_address=ip_address("127.0.0.2"))

        assert found is Verdict.TESTER_BLOCKED, why
        assert state(store) is State.REVIEW
        assert len(host.heard) == 2

    run(story())


def test_host_that_drops_us_is_tried_in_four_sessions(store: Store, clock: Clock) -> None:
    """A host that drops each session at its first envelope is connected to four times in a step."""
    make_due(store, clock())
    host = ScriptedServer((b"220 mx.example.com\r\n", b"250 mx.example.com\r\n", Do.CLOSE))

    async def story() -> None:
        async with host.running():
            found = await step(store, host.port, clock)

        assert found is Verdict.DEFERRED
        assert len(host.heard) == 4

    run(story())


def test_bare_greeting_is_asked_for_help(store: Store, clock: Clock) -> None:
    """A server that does not say what it is, is asked for HELP once, and its platform is kept."""
    make_due(store, clock())
    help_ = b"214 qmail home page: http://pobox.com/~djb/qmail.html\r\n"
    host = ScriptedServer((b"220 mx.example.com ESMTP\r\n", b"250 mx.example.com\r\n", help_, Do.CLOSE))

    async def story() -> None:
        async with host.running():
            await step(store, host.port, clock)

        assert [heard.count("HELP") for heard in host.heard] == [1, 0, 0, 0]
        with store.reading() as session:
            assert session.get_one(ProbeRun, 1).platform == "qmail"

    run(story())


def test_kill_switch_stops_before_the_next_envelope(store: Store, clock: Clock) -> None:
    """A test under way ends before its next envelope when probing is turned off."""
    make_due(store, clock())

    def turn_off(_recipient: str, _content: bytes) -> None:
        with store.writing() as session:
            switches.turn(session, switches.PROBING, steps.act(), on=False)

    host = Relay(on_message=turn_off)

    async def story() -> None:
        async with host.running():
            found = await step(store, host.port, clock)

        assert found is Verdict.UNPROVEN
        assert len(host.messages) == 1

    run(story())


def test_owner_who_opts_out_is_tested_no_further(store: Store, clock: Clock) -> None:
    """A test under way ends before its next envelope when the host goes onto the do-not-test list."""
    make_due(store, clock())

    def opt_out(_recipient: str, _content: bytes) -> None:
        with store.writing() as session:
            exemptions.add(session, ip_network(HOST), never_list=False, never_test=True, act=steps.act())

    host = Relay(on_message=opt_out)

    async def story() -> None:
        async with host.running():
            await step(store, host.port, clock)

        assert len(host.recipients) == 1

    run(story())


def test_run_goes_on_where_a_dead_worker_left_it(store: Store, clock: Clock) -> None:
    """A worker that takes a run up tries only what was not tried, with the addresses that were planned."""
    make_due(store, clock())
    first, second = Relay(rcpt=relay.refused), Relay(rcpt=relay.refused)

    async def story() -> None:
        async with first.running():
            dying = asyncio.create_task(step(store, first.port, clock))
            await until(lambda: len(first.recipients) >= 3)
            dying.cancel()
            with suppress(asyncio.CancelledError):
                await dying
        left = [row.test_id for row in rows(store) if row.result is None]
        addresses = {row.test_id: row.rcpt_to for row in rows(store)}
        clock.move(timedelta(minutes=3))
        async with second.running():
            found = await step(store, second.port, clock)

        assert found is Verdict.CLOSED
        assert 0 < len(left) < 25
        assert addresses == {row.test_id: row.rcpt_to for row in rows(store)}
        assert len(second.recipients) <= len(left)

    run(story())


def test_worker_that_lost_its_lease_writes_no_more(store: Store, clock: Clock) -> None:
    """A worker whose run was taken over stops at its next write, and the other goes on undisturbed."""
    make_due(store, clock())
    taken_over: list[int] = []

    def take_over(_recipient: str, _content: bytes) -> None:
        clock.move(timedelta(minutes=3))
        taken_over.append(relay.claim(store, clock()).attempt)

    host = Relay(on_message=take_over)

    async def story() -> None:
        async with host.running():
            with pytest.raises(Conflict):
                await step(store, host.port, clock)

        assert taken_over == [2]
        assert results(store) == {None}
        assert state(store) is State.TESTING

    run(story())


def test_lease_is_renewed_while_the_host_dawdles(store: Store, clock: Clock) -> None:
    """A worker that waits for a slow host keeps its lease; when it is lost all the same, it stops."""
    make_due(store, clock())
    host = ScriptedServer((Do.HANG,))

    def leased_until() -> datetime:
        with store.reading() as session:
            lease_until = session.get_one(ProbeRun, 1).lease_until
        assert lease_until is not None
        return lease_until

    async def story() -> None:
        async with host.running():
            tools = make_tools(store, host.port, clock, lease=timedelta(seconds=0.15))
            claimed = relay.claim(store, clock())
            task = asyncio.create_task(run_step(tools, claimed, POLICY))
            clock.move(timedelta(minutes=1))
            await until(lambda: leased_until() == clock() + timedelta(seconds=0.15))
            with store.writing() as session:
                hosts.end_run(session, claimed.host_id, Act("operator", "withdrawn", clock()))
            with pytest.raises(Conflict):
                await task

    run(story())


def test_fault_of_the_program_ends_as_an_error(store: Store, clock: Clock) -> None:
    """An unforeseen fault in a step is our error: the host is tried again, and not for ever."""
    make_due(store, clock())
    host = ScriptedServer((b"220 hello\r\n", b"250 hello\r\n", b"502 no help\r\n", b"221 bye\r\n"))

    async def broken(_address: object) -> str | None:
        raise RuntimeError("a fault")

    async def story() -> None:
        async with host.running():
            tools = replace(make_tools(store, host.port, clock), name_of=broken)
            found = await run_step(tools, relay.claim(store, clock()), POLICY)

        assert found is Verdict.ERROR
        assert state(store) is State.DEFERRED

    run(story())


def test_cancelled_step_leaves_the_run_to_another(store: Store, clock: Clock) -> None:
    """A step that is broken off writes nothing more; another worker takes the run up after the lease."""
    make_due(store, clock())
    host = ScriptedServer((Do.HANG,))

    async def story() -> None:
        async with host.running():
            task = asyncio.create_task(step(store, host.port, clock))
            await until(lambda: bool(host.heard))
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        clock.move(timedelta(minutes=3))

        assert task.cancelled()
        assert relay.claim(store, clock()).attempt == 2

    run(story())


def test_name_of_an_address() -> None:
    """An address that has no name in the reverse DNS has none, and that is no fault."""

    async def story() -> None:
        assert await name_of(ip_address("127.0.0.1")) in {"localhost", None}
        assert await name_of(ip_address("fe80::1%nowhere")) is None

    run(story())


def test_what_relayed_elsewhere_is_tried_early_and_never_spared(store: Store, clock: Clock) -> None:
    """A form that servers of its kind were seen to fall for comes first, whatever their answers prove."""
    make_due(store, clock())
    with store.writing() as session:
        formhistory.count(session, "postfix", "T12")
    host = ScriptedServer(
        (
            *(
                b"220 mx.example.com ESMTP Postfix\r\n",
                b"250-mx\r\n250-PIPELINING\r\n250-ENHANCEDSTATUSCODES\r\n250 x\r\n",
            ),
            *(
                b"250 2.1.0 Ok\r\n",
                b"554 5.7.1 <r@relaytest.example>: Relay access denied\r\n",
                b"250 2.0.0 Ok\r\n",
            )
            * 30,
        )
    )

    async def story() -> None:
        async with host.running():
            await step(store, host.port, clock)
        by_id = {row.test_id: row for row in rows(store)}

        assert ["T12", "T01"] == [row.test_id for row in rows(store)][:2]
        assert R.REFUSED is by_id["T12"].result
        assert (R.NOT_RUN, True) == (
            by_id["T06"].result,
            (by_id["T06"].reply or "").startswith("not tried: "),
        )

    run(story())
