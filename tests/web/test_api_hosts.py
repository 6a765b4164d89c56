import httpx2
import pytest
from structlog.testing import capture_logs

from rbl.terms import State
from tests.web.world import RELAY, World

Header = dict[str, str]
PATH = f"/v1/hosts/{RELAY}/decisions"


@pytest.mark.parametrize("state", [State.NOMINATED, State.PROVEN, State.REVIEW])
def test_what_waits_is_listed(api: httpx2.Client, operator: Header, world: World, state: State) -> None:
    """An operator sees what needs a decision."""
    world.bring_to(state)

    hosts = api.get("/v1/hosts", headers=operator).json()["hosts"]

    assert [("9.9.9.9", state.value)] == [(host["address"], host["state"]) for host in hosts]


def test_hosts_can_be_asked_for_by_state(api: httpx2.Client, operator: Header, world: World) -> None:
    """One state or several."""
    world.bring_to(State.LISTED)

    found = [
        len(api.get("/v1/hosts", headers=operator, params={"state": states}).json()["hosts"])
        for states in (["listed"], ["closed", "listed"], ["closed"])
    ]

    assert [1, 1, 0] == found


@pytest.mark.parametrize(
    ("state", "decision", "becomes", "logged"),
    [
        (State.NOMINATED, "approve", State.QUEUED, []),
        (State.NOMINATED, "reject", State.REJECTED, []),
        (State.PROVEN, "approve", State.LISTED, ["listed"]),
        (State.LISTED, "withdraw", State.WITHDRAWN, ["delisted"]),
    ],
)
def test_a_decision_is_in_force_at_once(
    api: httpx2.Client,
    operator: Header,
    world: World,
    state: State,
    decision: str,
    becomes: State,
    logged: list[str],
) -> None:
    """The answer has the new state; what enters or leaves DNS is logged."""
    world.bring_to(state)

    with capture_logs() as logs:
        answer = api.post(PATH, headers=operator, json={"decision": decision, "why": "sound"})

    assert (200, becomes.value) == (answer.status_code, answer.json()["state"])
    assert logged == [log["event"] for log in logs]


def test_a_decision_is_audited_with_its_reason(api: httpx2.Client, operator: Header, world: World) -> None:
    """Who, what, when and why."""
    world.bring_to(State.LISTED)
    api.post(PATH, headers=operator, json={"decision": "withdraw", "why": "a mistake of ours"})

    deed = api.get("/v1/audit", headers=operator, params={"limit": 1}).json()["deeds"][0]

    assert ("withdraw", "a mistake of ours", "listed", "withdrawn") == (
        deed["action"],
        deed["why"],
        deed["was"],
        deed["became"],
    )
    assert "(the operator)" in deed["actor"]


@pytest.mark.parametrize(
    ("state", "decision", "status", "code"),
    [
        (None, "approve", 404, "unknown-host"),
        (State.CLOSED, "approve", 409, "wrong-state"),
        (State.CLOSED, "withdraw", 409, "wrong-state"),
        (State.LISTED, "reject", 409, "wrong-state"),
    ],
)
def test_a_decision_that_does_not_fit_is_refused(
    api: httpx2.Client,
    operator: Header,
    world: World,
    state: State | None,
    decision: str,
    status: int,
    code: str,
) -> None:
    """Only what the lifecycle allows can be decided."""
    if state:
        world.bring_to(state)

    answer = api.post(PATH, headers=operator, json={"decision": decision, "why": "x"})

    assert (status, code) == (answer.status_code, answer.json()["code"])


@pytest.mark.parametrize(
    "body",
    [
        {"decision": "approve"},
        {"decision": "approve", "why": ""},
        {"decision": "approve", "why": " "},
        {"decision": "approve", "why": "two\nlines"},
        {"decision": "approve", "why": "x" * 501},
        {"decision": "burn", "why": "x"},
        {"decision": "approve", "why": "x", "force": True},
        [],
        None,
    ],
)
def test_a_decision_needs_its_reason(api: httpx2.Client, operator: Header, body: object) -> None:
    """One line of printable text; nothing else is taken."""
    answer = api.post(PATH, headers=operator, json=body)

    assert (422, "invalid") == (answer.status_code, answer.json()["code"])
    assert answer.json()["errors"]
