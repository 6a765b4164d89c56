from datetime import timedelta

import httpx2
import pytest

from rbl.terms import State, Verdict
from tests.web.world import RELAY, SECOND_ZONE, World

PATH = f"/v1/addresses/{RELAY}"


@pytest.mark.parametrize("state", State)
def test_the_story_says_whether_dns_lists_it(api: httpx2.Client, world: World, state: State) -> None:
    """The API agrees with DNS in every state of a host."""
    world.bring_to(state)

    story = api.get(PATH).json()

    assert (state.value, state.in_dns) == (story["state"], story["listed"])
    assert state.in_dns is bool(story["listings"])


def test_an_unknown_address_has_an_empty_story(api: httpx2.Client) -> None:
    """Not listed is an answer, not an error."""
    answer = api.get("/v1/addresses/1.1.1.1")

    story = answer.json()
    assert (200, None, False) == (answer.status_code, story["state"], story["listed"])


def test_a_listed_address_has_its_proof(api: httpx2.Client, world: World) -> None:
    """The envelope that relayed, when the message came back, and the dialogue."""
    world.bring_to(State.LISTED)

    proof = api.get(PATH).json()["proof"]

    assert ("T15", "percent sign, at the host's name", "relayed") == tuple(
        proof["envelope"][name] for name in ("test_id", "title", "result")
    )
    assert "2026-11-24T03:00:00Z" == proof["returned_at"]
    assert 20 == len(proof["lines"])


@pytest.mark.parametrize(
    ("asked", "told"),
    [("::ffff:9.9.9.9", "9.9.9.9"), ("2620:FE::9", "2620:fe::9")],
)
def test_any_form_of_an_address_is_understood(api: httpx2.Client, asked: str, told: str) -> None:
    """The answer has the canonical form."""
    assert told == api.get(f"/v1/addresses/{asked}").json()["address"]


@pytest.mark.parametrize("path", ["", "/retests", "/runs/1/transcript", "/events"])
def test_what_is_no_address_is_refused(api: httpx2.Client, path: str) -> None:
    """The same answer everywhere, and nothing of the text is echoed unescaped."""
    answer = api.request("POST" if path == "/retests" else "GET", f"/v1/addresses/9.9.9{path}")

    assert (422, "bad-address") == (answer.status_code, answer.json()["code"])


@pytest.mark.parametrize("path", ["", "/retests", "/runs/1/transcript", "/events"])
def test_a_list_that_is_not_is_not_found(api: httpx2.Client, path: str) -> None:
    """Also before a stream begins."""
    method = "POST" if path == "/retests" else "GET"

    answer = api.request(method, f"{PATH}{path}", params={"zone": "elsewhere.example"})

    assert (404, "no-such-zone") == (answer.status_code, answer.json()["code"])


def test_anybody_may_ask_for_a_retest(api: httpx2.Client, world: World) -> None:
    """Without a key; asking again gives the same retest."""
    world.bring_to(State.LISTED)

    answers = [api.post(f"{PATH}/retests") for _ in range(2)]

    assert [202, 200] == [answer.status_code for answer in answers]
    assert [
        {
            "address": "9.9.9.9",
            "run_id": 2,
            "state": "retest-queued",
            "is_new": is_new,
            "begins_at": "2026-11-24T03:00:00Z",
            "events": "/v1/addresses/9.9.9.9/events",
        }
        for is_new in (True, False)
    ] == [answer.json() for answer in answers]


def test_a_retest_after_a_failed_one_is_queued_for_its_turn(api: httpx2.Client, world: World) -> None:
    """It is taken all the same, and told when it begins: sooner for a network that had none early."""
    world.bring_to(State.RETEST_QUEUED)
    world.test(Verdict.OPEN)

    early = api.post(f"{PATH}/retests")
    world.clock.pass_by(timedelta(minutes=5))
    world.test(Verdict.OPEN)
    second = api.post(f"{PATH}/retests")
    world.clock.pass_by(timedelta(minutes=5))
    world.test(Verdict.OPEN)
    in_turn = api.post(f"{PATH}/retests")

    assert [202, 202, 202] == [answer.status_code for answer in (early, second, in_turn)]
    assert ["2026-11-24T03:05:00Z", "2026-11-24T03:10:00Z", "2026-11-24T03:50:00Z"] == [
        answer.json()["begins_at"] for answer in (early, second, in_turn)
    ]


@pytest.mark.parametrize(
    ("state", "status", "code"),
    [(None, 404, "unknown-host"), (State.CLOSED, 409, "not-listed")],
)
def test_only_what_is_listed_is_retested(
    api: httpx2.Client, world: World, state: State | None, status: int, code: str
) -> None:
    """Nobody can have a host tested that nobody received spam through (RFC 6471 §3.6.1)."""
    if state:
        world.bring_to(state)

    answer = api.post(f"{PATH}/retests")

    assert (status, code) == (answer.status_code, answer.json()["code"])


def test_the_dialogue_of_a_test_can_be_read(api: httpx2.Client, world: World) -> None:
    """Every line, in order."""
    world.bring_to(State.LISTED)

    lines = api.get(f"{PATH}/runs/1/transcript").json()["lines"]

    assert ["connected to 9.9.9.9 port 25", "220 relay.example ESMTP Sendmail 8.8.8; ready"] == [
        line["text"] for line in lines[:2]
    ]


def test_the_dialogue_of_an_unproven_host_is_not_public(api: httpx2.Client, world: World) -> None:
    """Nothing that might lead spammers to it, or wrong it."""
    world.bring_to(State.CLOSED)

    answer = api.get(f"{PATH}/runs/1/transcript")

    assert (404, "no-such-run") == (answer.status_code, answer.json()["code"])


def test_a_test_of_another_host_is_not_found(api: httpx2.Client, world: World) -> None:
    """A test is read under its own address and list only."""
    world.bring_to(State.LISTED)

    elsewhere = api.get("/v1/addresses/1.1.1.1/runs/1/transcript")
    in_another_list = api.get(f"{PATH}/runs/1/transcript", params={"zone": SECOND_ZONE})

    assert ["no-such-run"] * 2 == [answer.json()["code"] for answer in (elsewhere, in_another_list)]
