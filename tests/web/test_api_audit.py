import httpx2
import pytest

from rbl.terms import State
from tests.web.world import World

Header = dict[str, str]


def test_the_audit_is_read_page_by_page(api: httpx2.Client, operator: Header, world: World) -> None:
    """Newest first; following before_id gives every act once."""
    world.bring_to(State.DELISTED)
    whole = api.get("/v1/audit", headers=operator, params={"limit": 1000}).json()
    pages: list[dict[str, object]] = []
    before: int | None = None
    while not pages or before is not None:
        query = {"limit": 3} | ({} if before is None else {"before_id": before})
        page = api.get("/v1/audit", headers=operator, params=query).json()
        pages += page["deeds"]
        before = page["before_id"]

    assert whole["deeds"] == pages
    assert whole["before_id"] is None


def test_the_audit_of_one_subject(api: httpx2.Client, operator: Header, world: World) -> None:
    """A host's acts alone, with who did them."""
    world.bring_to(State.WITHDRAWN)

    deeds = api.get("/v1/audit", headers=operator, params={"subject": "relays.example.org 9.9.9.9"}).json()[
        "deeds"
    ]

    assert "key 5 (secret operator)" == deeds[0]["actor"]
    assert {"relays.example.org 9.9.9.9"} == {deed["subject"] for deed in deeds}


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=1001", "before_id=0", "before_id=x", "subject=" + "x" * 301]
)
def test_a_question_that_makes_no_sense_is_invalid(
    api: httpx2.Client, operator: Header, query: str
) -> None:
    """Nothing unbounded reaches the database."""
    answer = api.get(f"/v1/audit?{query}", headers=operator)

    assert (422, "invalid") == (answer.status_code, answer.json()["code"])
