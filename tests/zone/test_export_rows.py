"""Lists written as tables."""

import csv
import json
from collections.abc import Callable

from rbl.terms import Listed
from rbl.zone import export_rows
from rbl.zone.zonefile import ZoneFile
from tests.zone.lists import exemption, listing


def test_tables(zone_with: Callable[..., ZoneFile]) -> None:
    """CSV and JSON have a row for each listing and exemption as they are, and no customer's key."""
    listed = [
        listing("5.0.0.1/32", text='a "b", c'),
        listing("5.0.0.2/32", "no-such-reason"),
        exemption("5.0.0.3/32"),
        Listed("digest", "", None, exempt=False, key=True),
    ]
    zone = zone_with()

    assert [
        ["subject", "reason", "values", "text", "exempt"],
        ["5.0.0.1/32", "open-relay", "127.0.0.2", 'a "b", c', "no"],
        ["5.0.0.2/32", "no-such-reason", "", "", "no"],
        ["5.0.0.3/32", "", "", "", "yes"],
    ] == list(csv.reader(export_rows.csv_lines(zone, listed)))
    document = json.loads("\n".join(export_rows.json_lines(zone, 7, listed)))
    assert ("relays.example", 7, 3) == (document["zone"], document["serial"], len(document["listings"]))
    assert {
        "subject": "5.0.0.1/32",
        "reason": "open-relay",
        "values": ["127.0.0.2"],
        "text": 'a "b", c',
        "exempt": False,
    } == document["listings"][0]


def test_an_empty_table(zone_with: Callable[..., ZoneFile]) -> None:
    """A list without listings is a document too."""
    assert {"zone": "relays.example", "serial": 7, "listings": []} == json.loads(
        "\n".join(export_rows.json_lines(zone_with(), 7, []))
    )
