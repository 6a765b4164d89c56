"""The public pages, as a browser without JavaScript gets them."""

import httpx2
import pytest

from rbl.terms import State
from tests.web.world import World


@pytest.mark.parametrize("state", State)
def test_an_address_has_a_page_in_each_state(browser: httpx2.Client, world: World, state: State) -> None:
    """Whatever happened to a host, its page is there."""
    world.bring_to(state)

    page = browser.get("/a/9.9.9.9")

    assert 200 == page.status_code, page.text
