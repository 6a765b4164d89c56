"""Pages and API once evidence, dialogues and receipts were let go of: they say so, and do not fail."""

from datetime import timedelta

import httpx2
import pytest

from rbl.store import retention
from rbl.store.retention import Kind
from rbl.terms import State
from tests.web.world import RELAY, World

Header = dict[str, str]
YEAR = timedelta(days=365)


@pytest.fixture(
    params=[
        (State.WITHDRAWN, tuple(Kind)),
        (State.WITHDRAWN, (Kind.RECEIPTS,)),
        (State.CLOSED, tuple(Kind)),
    ]
)
def retired(request: pytest.FixtureRequest, world: World) -> tuple[State, tuple[Kind, ...]]:
    """A host whose story is two years old, and what was let go of it."""
    state, kinds = request.param
    world.bring_to(state)
    world.clock.pass_by(2 * YEAR)
    now = world.clock()
    for kind in kinds:
        with world.store.writing() as session:
            assert retention.step(session, kind, now - YEAR, now, None, 1000).position is None
    return state, kinds


def test_the_page_says_what_is_kept_no_longer(
    browser: httpx2.Client, retired: tuple[State, tuple[Kind, ...]]
) -> None:
    """And since when; what was never shown is not shown for that."""
    page = browser.get(f"/a/{RELAY}")

    assert 200 == page.status_code
    assert (Kind.EVIDENCE in retired[1]) is ("when its time was over" in page.text)
    assert (Kind.DIALOGUES in retired[1]) is ("What was said was kept until" in page.text)
    assert ("Buy now." in page.text) is (retired == (State.WITHDRAWN, (Kind.RECEIPTS,)))


def test_the_api_says_so(
    api: httpx2.Client, operator: Header, retired: tuple[State, tuple[Kind, ...]]
) -> None:
    """With the time; and 410 to whoever asks for the thing itself."""
    story = api.get(f"/v1/addresses/{RELAY}").json()
    said = api.get(f"/v1/addresses/{RELAY}/runs/1/transcript")
    spam = api.get("/v1/nominations/1/message", headers=operator)

    gone = Kind.EVIDENCE in retired[1]
    assert gone is (story["spams"][0]["retired_at"] is not None)
    assert (Kind.DIALOGUES in retired[1]) is (story["runs"][0]["dialogue_retired_at"] is not None)
    assert (
        (410, "evidence-retired")
        if gone
        else (200, None)
        == (
            spam.status_code,
            spam.json()["code"] if gone else None,
        )
    )
    if retired[0] is State.WITHDRAWN:
        assert (410 if gone else 200) == said.status_code
