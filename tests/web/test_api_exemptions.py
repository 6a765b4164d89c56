import httpx2
import pytest
from structlog.testing import capture_logs

from rbl.terms import State
from tests.web.world import RELAY, World

Header = dict[str, str]
BODY = {"network": "9.9.9.0/24", "never_list": True, "why": "our own customers"}


def test_an_exemption_holds_at_once(api: httpx2.Client, operator: Header, world: World) -> None:
    """What is listed in it shows no more, and shows again when it ends."""
    world.bring_to(State.LISTED)

    with capture_logs() as logs:
        made = api.post("/v1/exemptions", headers=operator, json=BODY)
    during = api.get(f"/v1/addresses/{RELAY}").json()
    ended = api.delete("/v1/exemptions/9.9.9.0/24", headers=operator, params={"why": "moved"})
    after = api.get(f"/v1/addresses/{RELAY}").json()

    assert (201, 204) == (made.status_code, ended.status_code)
    assert [(False, "exempt"), (True, "listed")] == [
        (story["listed"], story["standing"]) for story in (during, after)
    ]
    assert ["exempted"] == [log["event"] for log in logs]


def test_exemptions_are_listed(api: httpx2.Client, operator: Header) -> None:
    """Those that hold now."""
    api.post("/v1/exemptions", headers=operator, json=BODY)

    found = api.get("/v1/exemptions", headers=operator).json()["exemptions"]

    assert [("9.9.9.0/24", True, False, "our own customers")] == [
        (each["network"], each["never_list"], each["never_test"], each["why"]) for each in found
    ]


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"never_list": False}, 409, "empty-exemption"),
        ({"network": "9.9.9.1/24"}, 422, "bad-network"),
        ({}, 409, "already-exempt"),
    ],
)
def test_an_exemption_that_makes_no_sense_is_refused(
    api: httpx2.Client, operator: Header, change: dict[str, object], status: int, code: str
) -> None:
    """Nothing to exempt from, no network, or the same network twice."""
    api.post("/v1/exemptions", headers=operator, json=BODY)

    answer = api.post("/v1/exemptions", headers=operator, json=BODY | change)

    assert (status, code) == (answer.status_code, answer.json()["code"])


def test_an_exemption_that_is_not_cannot_end(api: httpx2.Client, operator: Header) -> None:
    """It is named exactly as it was made."""
    api.post("/v1/exemptions", headers=operator, json=BODY)

    answer = api.delete("/v1/exemptions/9.9.9.9", headers=operator, params={"why": "x"})

    assert (404, "not-exempt") == (answer.status_code, answer.json()["code"])
