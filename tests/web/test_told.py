import httpx2

from rbl.store import hits
from rbl.terms import State
from tests.web.world import RELAY, START, ZONE, World


def test_the_whole_story_is_told(api: httpx2.Client, world: World) -> None:
    """Spam, tests with the titles of their forms, and history, each in its place."""
    world.bring_to(State.DELISTED)

    story = api.get(f"/v1/addresses/{RELAY}").json()

    assert ["retest", "nomination"] == [run["purpose"] for run in story["runs"]]
    assert ["", "percent sign, at the host's name"] == [
        envelope["title"] for envelope in story["runs"][0]["envelopes"]
    ]
    assert ["Subject: buy\n\nBuy now."] == [each["published"] for each in story["spams"]]
    assert ["close", "ask-retest", "list", "prove", "queue"] == [
        deed["action"] for deed in story["history"]
    ]
    assert ["9.9.9.9/32"] == [each["network"] for each in story["past"]]
    assert ("not listed", 1) == (story["standing"], story["offences"])


def test_hits_are_told(api: httpx2.Client, world: World) -> None:
    """How often DNS answered, with the first and the last time; nothing before it ever did."""
    world.bring_to(State.LISTED)
    before = api.get(f"/v1/addresses/{RELAY}").json()["listings"][0]
    with world.store.writing() as session:
        hits.add(session, {(ZONE, f"{RELAY}/32"): 7}, START)
    after = api.get(f"/v1/addresses/{RELAY}").json()["listings"][0]

    assert [(0, None, None), (7, "2026-11-24T03:00:00Z", "2026-11-24T03:00:00Z")] == [
        (told["hits"], told["first_hit_at"], told["last_hit_at"]) for told in (before, after)
    ]


def test_nobody_is_named(api: httpx2.Client, world: World) -> None:
    """Keys, nominators and machines are not in the story."""
    world.bring_to(State.WITHDRAWN)

    answer = api.get(f"/v1/addresses/{RELAY}")

    assert "secret" not in answer.text
    assert "an operator" == answer.json()["history"][0]["who"]


def test_an_unproven_host_is_told_without_its_spam(api: httpx2.Client, world: World) -> None:
    """Before the first listing neither spam nor envelopes are public."""
    world.bring_to(State.PROVEN)

    story = api.get(f"/v1/addresses/{RELAY}").json()

    assert ([None], [[]], None) == (
        [each["published"] for each in story["spams"]],
        [run["envelopes"] for run in story["runs"]],
        story["proof"],
    )
