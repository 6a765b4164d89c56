from dataclasses import replace
from datetime import timedelta
from ipaddress import ip_network

import pytest

from rbl.lifecycle import Event, RetestTime
from rbl.store import exemptions, stories
from rbl.store.dialogues import PublicEnvelope
from rbl.store.stories import Proof, Run
from rbl.terms import Act, EnvelopeResult, Purpose, State, TranscriptLine, Verdict
from rbl.web import wording
from rbl.web.wording import Retest
from tests.web.world import RELAY, START, ZONE, World

RUN = Run(1, Purpose.RETEST, None, None, None, None, START, START, None, ())
ENVELOPE = PublicEnvelope("T15", "<s@x>", "<r%y@x>", EnvelopeResult.RELAYED, None)


def tell(world: World) -> stories.Story:
    """Return the story of the world's host."""
    with world.store.reading() as session:
        return stories.story(session, ZONE, RELAY)


def test_everything_has_its_words() -> None:
    """No state, verdict, result or purpose was forgotten."""
    for state in State:
        assert wording.state(state).endswith(".")
    for result in (None, *EnvelopeResult):
        assert wording.RESULTS[result]
    for purpose in Purpose:
        assert wording.PURPOSES[purpose]
    for event in Event:
        if event not in (Event.CLAIM, Event.AWAIT, Event.DEFER):
            assert wording.deed(event) != event


def test_an_unknown_deed_keeps_its_name() -> None:
    """A newer program's audit can still be read."""
    assert "bless" == wording.deed("bless")


@pytest.mark.parametrize(
    ("state", "verdict", "why", "expected"),
    [
        (State.RETESTING, None, None, wording.state(State.RETESTING)),
        (State.RETESTING, Verdict.DEFERRED, "x", wording.state(State.RETESTING)),
        (State.RETEST_QUEUED, None, None, wording.state(State.RETEST_QUEUED)),
        (
            State.RETEST_QUEUED,
            Verdict.DEFERRED,
            "x",
            "The server asked us to come back later. The test goes on later by itself.",
        ),
        (
            State.LISTED,
            Verdict.OPEN,
            "x",
            "Open: a test message came back through the server.",
        ),
        (State.DELISTED, Verdict.CLOSED, "x", "Closed: the server relayed none of our test messages."),
        (State.WITHDRAWN, None, "a good reason", "A good reason."),
    ],
)
def test_progress_is_told_in_a_sentence(
    state: State, verdict: Verdict | None, why: str | None, expected: str
) -> None:
    """Where the test is, or how it ended."""
    assert expected == wording.progress(state, verdict, why)


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        (RUN, "Not over yet."),
        (replace(RUN, finished_at=START), "Ended without a verdict: it was stopped."),
        (replace(RUN, finished_at=START, why="a mistake"), "Ended without a verdict: a mistake."),
        (
            replace(RUN, finished_at=START, verdict=Verdict.UNREACHABLE),
            "The server could not be reached.",
        ),
    ],
)
def test_the_end_of_a_test_is_told(run: Run, expected: str) -> None:
    """With its verdict, or why it has none."""
    assert expected == wording.ended(run)


AT = RetestTime(START, early=False)


@pytest.mark.parametrize("state", State)
def test_a_retest_is_possible_only_while_listed(world: World, state: State) -> None:
    """In every other state the page says why not, unless it would bring another look at the host."""
    world.bring_to(state)

    offered = wording.retest(tell(world), AT)

    assert (state in {State.LISTED, State.RETEST_AWAITING}) is offered.possible
    assert offered.possible is not bool(offered.why_not)


def test_a_retest_of_an_unknown_host_is_not_possible(world: World) -> None:
    """There is nothing to test."""
    assert not wording.retest(tell(world), None).possible


def test_a_retest_that_is_queued_can_be_had_sooner(world: World) -> None:
    """Where the one who asks is granted an earlier one than is queued already, and not else."""
    world.bring_to(State.RETEST_QUEUED)
    world.test(Verdict.OPEN)
    world.ask_retest()
    due_at = START + timedelta(minutes=5)

    assert Retest(possible=True, begins_at=START) == wording.retest(tell(world), AT)
    assert not wording.retest(tell(world), RetestTime(due_at, early=True)).possible


def test_an_opt_out_forbids_a_retest(world: World) -> None:
    """Its owner said so."""
    world.bring_to(State.LISTED)
    with world.store.writing() as session:
        act = Act("x", "asked", START)
        exemptions.add(session, ip_network(RELAY), never_list=False, never_test=True, act=act)

    assert "asked us not to test" in wording.retest(tell(world), AT).why_not


def lines(*said: tuple[str, str]) -> tuple[TranscriptLine, ...]:
    """Return a dialogue."""
    return tuple(TranscriptLine(START, side, text) for side, text in said)


MAIL, RCPT = ("us", "MAIL FROM:<s@x>"), ("us", "RCPT TO:<r%y@x>")
OK, NEXT = ("them", "250 Ok"), ("us", "MAIL FROM:<>")


@pytest.mark.parametrize(
    ("said", "marked"),
    [
        ((NEXT, OK, MAIL, OK, RCPT, OK, ("us", "RSET"), OK), [2, 3, 4, 5]),
        ((MAIL, OK, RCPT, OK, NEXT), [0, 1, 2, 3]),
        ((MAIL, OK, RCPT, OK, ("us", "QUIT")), [0, 1, 2, 3]),
        ((MAIL, OK, RCPT, OK), [0, 1, 2, 3]),
        ((OK, RCPT, OK), [1, 2]),
        ((MAIL, OK, ("them", "RCPT TO:<r%y@x>")), []),
        ((), []),
    ],
    ids=["between others", "next mail", "quit", "to the end", "no MAIL", "only an echo", "nothing"],
)
def test_the_transaction_that_relayed_is_marked(
    said: tuple[tuple[str, str], ...], marked: list[int]
) -> None:
    """From its MAIL to what follows it, by the recipient that was ours alone."""
    proof = Proof(RUN, ENVELOPE, None, lines(*said))

    assert marked == [at for at, (_, is_proof) in enumerate(wording.marked_lines(proof)) if is_proof]


def test_a_long_text_is_cut() -> None:
    """And says so; a short one is whole."""
    assert ("short", 16_384 + 4) == (wording.beginning("short"), len(wording.beginning("x" * 99_999)))
