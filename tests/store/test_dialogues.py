import pytest

from rbl.errors import NotFound
from rbl.lifecycle import Policy
from rbl.store import dialogues, journal, switches
from rbl.store.dialogues import Progress
from rbl.store.engine import Store
from rbl.store.hosts import ZonePolicy
from rbl.terms import State, Verdict
from tests.web.world import DIALOGUE, RELAY, START, TOKEN, ZONE, Clock, World


@pytest.fixture
def world(store: Store) -> World:
    """A host to which things can happen, on each kind of database."""
    with store.writing() as session:
        switches.set_up(session, START)
        journal.open_zone(session, ZONE, START)
    return World(store, Clock(), ZonePolicy(ZONE, "open-relay", Policy()))


def progress(world: World, run_id: int | None = None, after: int = 0) -> Progress | None:
    """Return how far the host's newest test is."""
    with world.store.reading() as session:
        return dialogues.progress(session, ZONE, RELAY, run_id=run_id, after=after)


def seen(told: Progress | None) -> list[int]:
    """Return the numbers of the lines that are told."""
    assert told is not None
    return [seq for seq, _ in told.lines]


def test_an_address_without_a_story_has_no_progress(world: World) -> None:
    """There is nothing to watch."""
    assert progress(world) is None


def test_a_host_that_waits_for_an_operator_is_not_tested(world: World) -> None:
    """No test, and nothing to wait for."""
    world.bring_to(State.NOMINATED)

    expected = Progress(State.NOMINATED, None, None, None, None, finished=True, lines=())

    assert expected == progress(world)


def test_only_new_lines_are_told(world: World) -> None:
    """After the last one that the reader has, of the same test."""
    world.bring_to(State.RETEST_QUEUED)
    world.begin()

    assert [len(DIALOGUE) - 1, len(DIALOGUE)] == seen(progress(world, 2, len(DIALOGUE) - 2))
    assert len(DIALOGUE) == len(seen(progress(world, 1, 18)))  # of the test before: all are new


def test_a_verdict_finishes_the_test(world: World) -> None:
    """And the second look that waits for tomorrow does not hide it."""
    world.bring_to(State.DELISTED)

    told = progress(world)

    assert told is not None
    assert (2, Verdict.CLOSED, True, State.DELISTED) == (
        told.run_id,
        told.verdict,
        told.finished,
        told.state,
    )


@pytest.mark.parametrize("state", [State.TESTING, State.CLOSED, State.PROVEN])
def test_lines_of_an_unproven_host_are_not_told(world: World, state: State) -> None:
    """How far the test is, but not what was said."""
    world.bring_to(state)

    assert [] == seen(progress(world))


def test_a_token_is_masked_however_it_is_cased(world: World) -> None:
    """A server that echoes it in capitals gives nothing away."""
    world.bring_to(State.RETEST_QUEUED)
    world.talk(
        world.claim(),
        (("us", f"RCPT TO:<{TOKEN}@x>"), ("them", "550 no such user r7W2K5QH3MZT6YB4XN8CVA2")),
    )

    told = progress(world)

    assert told is not None
    assert ["RCPT TO:<r…@x>", "550 no such user r…"] == [line.text for _, line in told.lines]


def test_a_dialogue_is_whole(world: World) -> None:
    """Every line in order, with its side."""
    world.bring_to(State.LISTED)

    with world.store.reading() as session:
        lines = dialogues.transcript(session, ZONE, RELAY, 1)

    assert [side for side, _ in DIALOGUE] == [line.side for line in lines]


@pytest.mark.parametrize(
    ("state", "run_id"), [(State.LISTED, 2), (State.CLOSED, 1)], ids=["no such test", "never listed"]
)
def test_a_dialogue_that_is_not_public_is_not_found(world: World, state: State, run_id: int) -> None:
    """Neither what is not there nor what is nobody's business."""
    world.bring_to(state)

    with world.store.reading() as session, pytest.raises(NotFound):
        dialogues.transcript(session, ZONE, RELAY, run_id)
