import httpx2
import pytest

Header = dict[str, str]
PATH = "/v1/switches/probing"


def test_a_switch_is_turned_and_looked_at(api: httpx2.Client, operator: Header) -> None:
    """Off, and on again; each with its reason in the audit."""
    seen = [api.get(PATH, headers=operator).json()["on"]]
    for on in (False, True):
        api.put(PATH, headers=operator, json={"on": on, "why": "a complaint"})
        seen.append(api.get(PATH, headers=operator).json()["on"])
    deeds = api.get("/v1/audit", headers=operator, params={"subject": "probing"}).json()["deeds"]

    assert [True, False, True] == seen
    assert [("off", "on"), ("on", "off")] == [(deed["was"], deed["became"]) for deed in deeds]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/switches/reactor", {"on": True, "why": "x"}),
        (PATH, {"on": "yes", "why": "x"}),
        (PATH, {"on": True}),
    ],
)
def test_nothing_else_can_be_turned(
    api: httpx2.Client, operator: Header, path: str, body: dict[str, object]
) -> None:
    """Only a switch that there is, to on or off, with a reason."""
    answer = api.put(path, headers=operator, json=body)

    assert (422, "invalid") == (answer.status_code, answer.json()["code"])
