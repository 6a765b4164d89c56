"""The catalogue: which zone a name is in, and swapping an index."""

import pytest

from rbl.names import parse_name
from rbl.responder.catalogue import Catalogue
from rbl.zone.index import compile_index
from tests.responder.lists import LISTED, make_catalogue, make_zone


@pytest.mark.parametrize(
    ("qname", "zone", "why"),
    [
        ("bl.test", "bl.test", "the apex itself"),
        ("2.0.0.127.bl.test", "bl.test", "below it"),
        ("er.bl.test", "bl.test", "between two zones: the upper one"),
        ("deep.er.bl.test", "deep.er.bl.test", "the deeper apex"),
        ("1.deep.er.bl.test", "deep.er.bl.test", "below the deeper one"),
        ("test", None, "above"),
        ("xbl.test", None, "a longer label"),
        ("bl.test.example", None, "not at the end"),
    ],
)
def test_the_deepest_zone_is_found(qname: str, zone: str | None, why: str) -> None:
    """A name is in the zone with the longest apex that it ends in."""
    found = make_catalogue().find(parse_name(qname))

    assert zone == (found.name if found else None), why


def test_the_root_is_in_no_zone() -> None:
    """The name without labels is found nowhere."""
    assert make_catalogue().find(()) is None


def test_a_zone_is_served_from_the_last_index() -> None:
    """A swap changes what is found from then on, and what was found before stays whole."""
    zone = make_zone("bl.test")
    catalogue = Catalogue([zone])
    before = catalogue.find(zone.apex)
    assert not catalogue.ready()
    first = compile_index(zone, 1, [])
    second = compile_index(zone, 2, LISTED)
    catalogue.serve(first)
    catalogue.serve(second)

    assert catalogue.ready()
    assert before is not None
    assert before.served is None
    assert second is catalogue.index(zone.apex)
