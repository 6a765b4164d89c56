from datetime import timedelta
from ipaddress import ip_address, ip_network

import pytest

from rbl.errors import NotFound
from rbl.lifecycle import Policy
from rbl.store import exemptions, journal, listings, retests, stories, switches
from rbl.store.engine import Store
from rbl.store.hosts import ZonePolicy
from rbl.store.listings import NewListing
from rbl.store.stories import Story
from rbl.terms import Act, Origin, Purpose, State, Verdict
from tests.web.world import DIALOGUE, RELAY, START, ZONE, Clock, World

OPERATOR = Act("key 5 (secret operator)", "a good reason", START)


@pytest.fixture
def world(store: Store) -> World:
    """A host to which things can happen, on each kind of database."""
    with store.writing() as session:
        switches.set_up(session, START)
        journal.open_zone(session, ZONE, START)
    return World(store, Clock(), ZonePolicy(ZONE, "open-relay", Policy()))


def told(world: World, address: str = str(RELAY)) -> Story:
    """Return the public story of *address*."""
    with world.store.reading() as session:
        return stories.story(session, ZONE, ip_address(address))


def test_an_address_that_nobody_named_has_an_empty_story(world: World) -> None:
    """Nothing is known, and nothing is listed."""
    expected = Story(
        ZONE, ip_address("1.1.1.1"), testing_paused=False, listings=[], past=[], exemptions=[], history=[]
    )

    assert expected == told(world, "1.1.1.1")


def test_a_list_that_is_not_has_no_stories(world: World) -> None:
    """A misspelt list is an error, not an address that is not listed."""
    with world.store.reading() as session, pytest.raises(NotFound):
        stories.story(session, "elsewhere.example", RELAY)


@pytest.mark.parametrize("state", State)
def test_listed_is_what_dns_says(world: World, state: State) -> None:
    """In each state the story agrees with DNS."""
    world.bring_to(state)

    assert state.in_dns is told(world).listed


@pytest.mark.parametrize("state", State)
def test_no_story_names_anybody(world: World, state: State) -> None:
    """Neither nominators nor operators nor the machines that test."""
    world.bring_to(state)

    assert "secret" not in repr(told(world))


@pytest.mark.parametrize("state", State)
def test_details_are_public_from_the_first_listing_on(world: World, state: State) -> None:
    """Spam and envelopes are shown of hosts that are or were listed, and of no other."""
    world.bring_to(state)
    was_listed = state.in_dns or state in (State.DELISTED, State.WITHDRAWN)

    story = told(world)

    assert was_listed is (story.spams[0].published is not None)
    assert was_listed is any(run.envelopes for run in story.runs)
    assert was_listed is (story.proof is not None)


def test_the_proof_is_the_newest(world: World) -> None:
    """A retest that found the host open proves it anew, with its own dialogue and time."""
    world.bring_to(State.RETEST_QUEUED)
    world.clock.pass_by(timedelta(minutes=5))
    world.test(Verdict.OPEN)

    proof = told(world).proof

    assert proof is not None
    assert (2, "T15", world.clock()) == (proof.run.id, proof.envelope.test_id, proof.returned_at)
    assert len(DIALOGUE) == len(proof.lines)


def test_the_proof_outlives_the_listing(world: World) -> None:
    """What was found stays public after the host is closed."""
    world.bring_to(State.DELISTED)

    proof = told(world).proof

    assert proof is not None
    assert 1 == proof.run.id


def test_tokens_under_way_are_masked_and_later_shown(world: World) -> None:
    """While a message may come back nobody learns its token; the verdict makes the whole public."""
    world.bring_to(State.RETEST_QUEUED)
    claim = world.begin()
    during = told(world).runs[0].envelopes[1].rcpt_to
    world.conclude(claim, Verdict.CLOSED)
    after = told(world).runs[0].envelopes[1].rcpt_to

    assert "<r…%relaytest.example.org@relay.example>" == during
    assert "…" not in after


@pytest.mark.parametrize(
    ("state", "purpose"),
    [
        (State.QUEUED, Purpose.NOMINATION),
        (State.RETEST_QUEUED, Purpose.RETEST),
        (State.RETEST_AWAITING, Purpose.RETEST),
        (State.LISTED, None),
        (State.CLOSED, None),
        (State.DELISTED, None),
        (State.NOMINATED, None),
    ],
)
def test_the_current_test_is_one_under_way(world: World, state: State, purpose: Purpose | None) -> None:
    """A second look that waits for tomorrow is none, nor a test that is over."""
    world.bring_to(state)

    run = told(world).current_run

    assert purpose is (None if run is None else run.purpose)


def test_a_follow_up_is_shown_once_it_has_begun(world: World) -> None:
    """It is a test like others then, but not one that anybody waits for."""
    world.bring_to(State.DELISTED)
    before = len(told(world).runs)
    world.clock.pass_by(timedelta(days=1))
    world.test(Verdict.CLOSED)

    story = told(world)

    assert (2, Purpose.FOLLOW_UP) == (before, story.runs[0].purpose)
    assert story.current_run is None


def test_history_tells_deeds_without_names(world: World) -> None:
    """What led to a verdict, newest first; a worker's steps on the way are left out."""
    world.bring_to(State.WITHDRAWN)

    assert [
        ("withdraw", "an operator"),
        ("list", "our tester"),
        ("prove", "our tester"),
        ("queue", "a nominator"),
    ] == [(deed.action, deed.who) for deed in told(world).history]


@pytest.mark.parametrize(
    ("state", "action", "who"),
    [
        (State.RETEST_QUEUED, "ask-retest", "somebody who asked"),
        (State.NOMINATED, "nominate", "a nominator"),
        (State.REJECTED, "reject", "an operator"),
    ],
)
def test_each_deed_has_its_kind_of_doer(world: World, state: State, action: str, who: str) -> None:
    """A kind of person, never a name."""
    world.bring_to(state)

    deed = told(world).history[0]

    assert (action, who) == (deed.action, deed.who)


def test_the_timetable_is_told_as_such(world: World) -> None:
    """A retest that nobody asked for."""
    world.bring_to(State.LISTED)
    world.clock.pass_by(timedelta(days=90))
    with world.store.writing() as session:
        retests.queue_periodic(session, world.policy, world.clock())

    assert "the timetable" == told(world).history[0].who


def test_listings_by_hand_and_exemptions_are_told(world: World) -> None:
    """Those that cover the address, the narrowest first; an exemption wins."""
    with world.store.writing() as session:
        for network in ("9.9.0.0/16", "9.9.9.0/24"):
            listings.start(session, NewListing(ZONE, ip_network(network), "pool", "text"), OPERATOR)
    listed = told(world)
    with world.store.writing() as session:
        exemptions.add(session, ip_network("9.0.0.0/8"), never_list=True, never_test=False, act=OPERATOR)
    exempt = told(world)

    assert [("9.9.9.0/24", Origin.OPERATOR), ("9.9.0.0/16", Origin.OPERATOR)] == [
        (str(each.network), each.origin) for each in listed.listings
    ]
    assert (True, False) == (listed.listed, exempt.listed)
    assert ["9.0.0.0/8"] == [str(each.network) for each in exempt.exemptions]


def test_paused_tests_are_told(world: World) -> None:
    """So that nobody wonders why nothing happens."""
    with world.store.writing() as session:
        switches.turn(session, switches.PROBING, OPERATOR, on=False)

    assert told(world).testing_paused
