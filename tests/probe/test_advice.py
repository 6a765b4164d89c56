"""How mail servers are closed."""

import pytest

from rbl.probe.advice import advice
from rbl.probe.platforms import PLATFORMS


@pytest.mark.parametrize("platform", PLATFORMS)
def test_every_platform_has_advice_of_its_own(platform: str) -> None:
    """Each mail server that can be recognised has its own advice, ending with what holds for all."""
    own, general = advice(platform), advice(None)

    assert own.title not in {"", general.title}
    assert own.steps != general.steps
    assert own.steps[-2:] == general.steps[-2:]


def test_unknown_platform_gets_what_holds_for_any() -> None:
    """An unknown mail server gets the general advice."""
    assert advice("no such server") == advice(None)
    assert advice(None).title == "Any mail server"


@pytest.mark.parametrize("platform", [None, *PLATFORMS])
def test_steps_are_sentences(platform: str | None) -> None:
    """Each step is a sentence of its own, of one line."""
    steps = advice(platform).steps

    assert len(set(steps)) == len(steps)
    assert all(step and "\n" not in step and step == step.strip() for step in steps)
