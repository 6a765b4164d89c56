from dataclasses import replace

import pytest

from rbl.errors import BadInput, NotFound
from rbl.web.parts import Parts
from tests.web.world import NAMES_ZONE, SECOND_ZONE, ZONE


@pytest.mark.parametrize(
    ("asked", "meant"),
    [(None, ZONE), ("", ZONE), (SECOND_ZONE, SECOND_ZONE), ("Second.Example.ORG.", SECOND_ZONE)],
)
def test_a_list_is_found_however_its_name_is_written(parts: Parts, asked: str | None, meant: str) -> None:
    """Names are without case, and the final dot is optional; without a name the first list is meant."""
    assert meant == parts.policy(asked).apex


def test_another_list_is_not_found(parts: Parts) -> None:
    """What was asked for is in the message, escaped and cut."""
    with pytest.raises(NotFound, match=r"there is no list '\\x1b"):
        parts.policy("\x1b" + "x" * 10_000)


def test_a_list_of_names_has_no_addresses(parts: Parts) -> None:
    """Nobody can be nominated to it, or looked up in it."""
    with pytest.raises(BadInput, match="a list of names"):
        parts.policy(NAMES_ZONE)


@pytest.mark.parametrize(
    ("order", "default"),
    [
        ((ZONE, SECOND_ZONE, NAMES_ZONE), ZONE),
        ((NAMES_ZONE, SECOND_ZONE), SECOND_ZONE),
        ((NAMES_ZONE,), NAMES_ZONE),
    ],
)
def test_the_first_list_of_addresses_is_the_default(
    parts: Parts, order: tuple[str, ...], default: str
) -> None:
    """In the order in which the lists were given; where there is none, pages have that name at least."""
    lists = {apex: parts.policies[apex] for apex in order}

    assert default == replace(parts, policies=lists).default_zone
