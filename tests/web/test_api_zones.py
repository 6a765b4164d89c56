import httpx2
import pytest

from tests.web.world import ZONE

Header = dict[str, str]
PATH = f"/v1/zones/{ZONE}/force"


def test_an_operator_lets_out_what_is_held_back(api: httpx2.Client, operator: Header) -> None:
    """Up to the last serial, or the one that was looked at; each time with its reason in the audit."""
    newest = api.post(PATH, headers=operator, json={"why": "spring cleaning"})
    serial = newest.json()["serial"]
    again = api.post(PATH.replace(ZONE, ZONE.upper()), headers=operator, json={"serial": 1, "why": "again"})
    deeds = api.get("/v1/audit", headers=operator, params={"subject": ZONE}).json()["deeds"]

    assert (200, ZONE) == (newest.status_code, newest.json()["zone"])
    assert {"zone": ZONE, "serial": serial} == again.json()
    assert [("force", "again"), ("force", "spring cleaning")] == [
        (deed["action"], deed["why"]) for deed in deeds
    ]


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("/v1/zones/other.example/force", {"why": "x"}, 404, "no-such-zone"),
        (PATH, {"why": "x", "serial": 2**52}, 422, "serial-to-come"),
        (PATH, {"why": "x", "serial": 2**53}, 422, "invalid"),
        (PATH, {"why": "x", "serial": 0}, 422, "invalid"),
        (PATH, {"why": "x", "serial": "7"}, 422, "invalid"),
        (PATH, {"serial": 7}, 422, "invalid"),
        (PATH, {"why": " "}, 422, "invalid"),
    ],
)
def test_nothing_else_can_be_let_out(
    api: httpx2.Client, operator: Header, path: str, body: dict[str, object], status: int, code: str
) -> None:
    """Only a list that there is, up to a serial that there is, with a reason."""
    answer = api.post(path, headers=operator, json=body)

    assert (status, code) == (answer.status_code, answer.json()["code"])


def test_only_operators_force(api: httpx2.Client, nominator: Header) -> None:
    """A nominator's key, and no key, do not let anything out."""
    answers = [api.post(PATH, headers=headers, json={"why": "x"}) for headers in (nominator, {})]

    assert [403, 401] == [answer.status_code for answer in answers]
