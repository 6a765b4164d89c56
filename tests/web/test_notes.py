"""``why`` is public, ``note`` is not: told apart by every operation that takes a reason."""

from collections.abc import Callable
from typing import Any

import httpx2
import pytest

from rbl.terms import Role, State
from tests.web.conftest import Served
from tests.web.world import RELAY, ZONE, World

Header = dict[str, str]
WHY, NOTE = "the public reason", "the private note"
SAID = {"why": WHY, "note": NOTE}
LISTING = {"network": "9.9.9.0/28", "reason": "pool"}
HOST = f"/v1/hosts/{RELAY}/decisions"
# Each operation with a reason: method, path, body (None: it stands in the query), the audit's subject.
OPERATIONS: dict[str, tuple[str, str, dict[str, Any] | None, str]] = {
    "list by hand": ("POST", "/v1/listings", LISTING, f"{ZONE} 9.9.9.0/28"),
    "end a listing": ("DELETE", "/v1/listings/pool/8.8.8.0/28", None, f"{ZONE} 8.8.8.0/28"),
    "decide": ("POST", HOST, {"decision": "withdraw"}, f"{ZONE} {RELAY}"),
    "exempt": ("POST", "/v1/exemptions", {"network": "9.9.9.0/24", "never_list": True}, "9.9.9.0/24"),
    "end an exemption": ("DELETE", "/v1/exemptions/8.8.4.0/24", None, "8.8.4.0/24"),
    "turn a switch": ("PUT", "/v1/switches/probing", {"on": False}, "probing"),
    "force": ("POST", f"/v1/zones/{ZONE}/force", {}, ZONE),
    "make a key": ("POST", "/v1/keys", {"name": "a", "role": "operator"}, "a"),
    "rotate a key": ("POST", "/v1/keys/1/rotation", {}, "the nominator"),
    "limit a key": ("PUT", "/v1/keys/1/limits", {"nominations": 7}, "the nominator"),
    "revoke a key": ("DELETE", "/v1/keys/1", None, "the nominator"),
}


@pytest.fixture
def things(api: httpx2.Client, key: Callable[..., Header], world: World) -> Header:
    """A listed host, a listing by hand and an exemption; an administrator's key."""
    key(Role.NOMINATOR)
    admin = key(Role.ADMIN)
    world.bring_to(State.LISTED)
    api.post("/v1/listings", headers=admin, json={"network": "8.8.8.0/28", "reason": "pool", "why": "x"})
    api.post(
        "/v1/exemptions", headers=admin, json={"network": "8.8.4.0/24", "never_test": True, "why": "x"}
    )
    return admin


def ask(api: httpx2.Client, header: Header, name: str, said: dict[str, str]) -> httpx2.Response:
    """Do one of the operations, with *said*."""
    method, path, body, _ = OPERATIONS[name]
    if body is None:
        return api.request(method, path, headers=header, params=said)
    return api.request(method, path, headers=header, json=body | said)


@pytest.mark.parametrize("name", OPERATIONS)
def test_operators_read_both_in_the_audit(api: httpx2.Client, things: Header, name: str) -> None:
    """With the number of the key that did it."""
    answer = ask(api, things, name, SAID)
    told = api.get("/v1/audit", headers=things, params={"subject": OPERATIONS[name][3]}).json()["deeds"][0]

    assert answer.is_success, answer.text
    assert (WHY, NOTE, 2) == (told["why"], told["note"], told["key_id"])
    assert NOTE not in answer.text


@pytest.mark.parametrize("field", ["why", "note"])
@pytest.mark.parametrize("name", OPERATIONS)
def test_neither_turns_or_hides_text(api: httpx2.Client, things: Header, name: str, field: str) -> None:
    """A sentence says which character it was, and which field."""
    told = [
        ask(api, things, name, SAID | {field: text}).json()
        for text in ("a\nb", "a\u202eb", "a\u2028b", "a\u200bb", "a\x85b", " ")
    ]
    words = [said["errors"][0]["detail"].removeprefix("Value error, ").split(":")[0] for said in told]

    assert {"invalid"} == {said["code"] for said in told}
    assert all(f".{field}" in said["errors"][0]["pointer"] for said in told)
    assert [
        *(f"U+{code} cannot stand in it" for code in ("000A", "202E", "2028", "200B", "0085")),
        "it says nothing",
    ] == words


def test_the_public_reads_the_reason_alone(
    api: httpx2.Client, browser: httpx2.Client, things: Header, server: Served
) -> None:
    """On the page of an address, in the API's answers about it, and about a network."""
    del server
    for name in ("list by hand", "decide", "exempt"):
        ask(api, things, name, SAID)
    told = [
        browser.get(f"/a/{RELAY}").text,
        api.get(f"/v1/addresses/{RELAY}").text,
        api.get("/v1/listings/9.9.9.0/28").text,
    ]

    assert [True, True, True] == [WHY in text for text in told]
    assert [False, False, False] == [NOTE in text for text in told]


def test_what_the_program_does_has_no_key(api: httpx2.Client, things: Header, world: World) -> None:
    """The public, the timetable and the tester are nobody's key; a nominator is."""
    del world
    deeds = api.get("/v1/audit", headers=things, params={"subject": f"{ZONE} {RELAY}"}).json()["deeds"]

    assert {("queue", True), ("claim", False), ("prove", False), ("list", False)} == {
        (deed["action"], deed["key_id"] is not None) for deed in deeds
    }


def test_a_nominator_is_told_as_one_whatever_his_key_is_called(
    api: httpx2.Client, key: Callable[..., Header], world: World
) -> None:
    """The public history says what kind of person it was by the key's number, not by its name."""
    world.nominate()
    story = api.get(f"/v1/addresses/{RELAY}").json()

    assert ["a nominator"] == [deed["who"] for deed in story["history"]]
    for name in ("public", "Timer", "key 9 (x)", "operator"):
        answer = api.post(
            "/v1/keys", headers=key(Role.ADMIN, f"boss {name}"), json={"name": name, "role": "nominator"}
        )
        assert (422, "bad-name") == (answer.status_code, answer.json()["code"])


def test_a_key_called_like_a_host_says_nothing_on_its_page(
    api: httpx2.Client, key: Callable[..., Header], world: World
) -> None:
    """The audit calls it by its name, and the public history has what happened to the host alone."""
    world.nominate()
    admin = key(Role.ADMIN)
    api.post("/v1/keys", headers=admin, json={"name": f"{ZONE} {RELAY}", "role": "nominator"} | SAID)
    story = api.get(f"/v1/addresses/{RELAY}").json()

    assert ["queue"] == [deed["action"] for deed in story["history"]]
