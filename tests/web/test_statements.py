"""How often a page asks the database: nothing costs a page more, and nothing is asked for twice."""

import httpx2
import pytest
from sqlalchemy import Connection, Engine, event

from rbl.terms import State
from tests.web.world import RELAY, World


@pytest.mark.parametrize(
    ("state", "most"),
    [
        (State.QUEUED, 7),  # list and host, tests, listings now and then, exemptions, spams, history
        (State.DELISTED, 11),  # and hits, envelopes, and of the proof its time and its dialogue
        (State.LISTED, 12),  # and who asked early for a retest
        (State.RETEST_QUEUED, 14),  # and how far it is: its tokens, which are masked, and its dialogue
    ],
)
def test_the_page_of_an_address_asks_for_nothing_twice(
    world: World, browser: httpx2.Client, state: State, most: int
) -> None:
    """What was read for one part of the page is there for the others."""
    world.bring_to(state)
    asked: list[str] = []

    def hear(connection: Connection, cursor: object, statement: str, *_: object) -> None:
        del connection, cursor
        if not statement.startswith("BEGIN"):
            asked.append(statement)

    event.listen(Engine, "before_cursor_execute", hear)
    try:
        answer = browser.get(f"/a/{RELAY}")
    finally:
        event.remove(Engine, "before_cursor_execute", hear)

    assert 200 == answer.status_code
    assert len(asked) <= most, "\n\n".join(asked)
