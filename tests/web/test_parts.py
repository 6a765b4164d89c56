import pytest

from rbl.errors import NotFound
from rbl.web.parts import Parts
from tests.web.world import NAMES_ZONE, ZONE


@pytest.mark.parametrize(
    ("asked", "meant"),
    [(None, ZONE), ("", ZONE), (NAMES_ZONE, NAMES_ZONE), ("Names.Example.ORG.", NAMES_ZONE)],
)
def test_a_list_is_found_however_its_name_is_written(parts: Parts, asked: str | None, meant: str) -> None:
    """Names are without case, and the final dot is optional; without a name the first list is meant."""
    assert meant == parts.policy(asked).apex


def test_another_list_is_not_found(parts: Parts) -> None:
    """What was asked for is in the message, escaped and cut."""
    with pytest.raises(NotFound, match=r"there is no list '\\x1b"):
        parts.policy("\x1b" + "x" * 10_000)


def test_the_first_list_is_the_default(parts: Parts) -> None:
    """In the order in which the lists were given."""
    assert ZONE == parts.default_zone
