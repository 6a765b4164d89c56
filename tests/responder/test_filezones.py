"""Answers from rbldnsd's data files, held against what rbldnsd itself answered."""

import re
from pathlib import Path
from typing import Any

import pytest

from tests.responder import recorded

_EXISTS = "a listed name lies below it, so it exists (RFC 8020)"
_SOA = "bl.test. 300 IN SOA ns1.bl.test. hostmaster.bl.test. 2024010101 3600 900 604800 300"
_NODATA = {"rcode": "NOERROR", "flags": "QR AA", "authority": [_SOA]}
_TYPE = "a type is a type whatever its number (RFC 8906 §3.1.2)"
_ONCE = "name servers are not said twice"
# What must be answered where it is not what rbldnsd answers, by case and question, each with its reason.
# None in a field: the field is not there.
DIFFERENCES: dict[tuple[str, str, str], tuple[str, dict[str, Any]]] = {
    ("acl-empty", "bl.test", "NS"): (_ONCE, {"authority": None}),
    ("acl-pass", "bl.test", "NS"): (_ONCE, {"authority": None}),
    ("combined", "bl.test", "NS"): (_ONCE, {"authority": None}),
    ("generic", "bl.test", "NS"): (_ONCE, {"authority": None}),
    ("generic", "bl.test", "ANY"): (_ONCE, {"authority": None}),
    ("gzip-note", "two.test", "NS"): (_ONCE, {"authority": None}),
    ("dnset", "wild.test.bl.test", "A"): (_EXISTS, _NODATA),
    ("dnset", "wild.test.bl.test", "TXT"): (_EXISTS, _NODATA),
    ("dnset", "good.both.test.bl.test", "A"): (_EXISTS, _NODATA),
    ("dnset", "good.both.test.bl.test", "TXT"): (_EXISTS, _NODATA),
    ("dnset", "a.b.c.bl.test", "A"): (_EXISTS, _NODATA),
    ("dnset", "a.b.c.bl.test", "TXT"): (_EXISTS, _NODATA),
    ("dnset", "com.bl.test", "A"): (_EXISTS, _NODATA),
    ("dnset", "com.bl.test", "TXT"): (_EXISTS, _NODATA),
    ("proto-types", "2.0.0.127.bl.test", "TYPE256"): (_TYPE, _NODATA),
    ("proto-types", "2.0.0.127.bl.test", "TYPE257"): (_TYPE, _NODATA),
    ("proto-types", "2.0.0.127.bl.test", "TYPE666"): (_TYPE, _NODATA),
}
_BADVERS = {"rcode": "BADVERS", "flags": "QR"}  # RFC 6891 §6.1.3: only version 0 is known here


@pytest.mark.parametrize("name", recorded.names())
def test_every_recorded_question_is_answered_as_rbldnsd_does(name: str, tmp_path: Path) -> None:
    """Every question of a recorded case is answered as rbldnsd did, or as the list of differences says."""
    case = recorded.read(name)
    served = recorded.Served(tmp_path, case.arguments, case.record["files"])
    expected, actual = [], []
    for asked in case.record["asked"]:
        wanted = recorded.expected(asked)
        if asked.get("edns", 0) > 0:
            wanted = _BADVERS
        _, ours = DIFFERENCES.get((name, asked["name"], asked["type"]), ("", {}))
        wanted = {field: value for field, value in (wanted | ours).items() if value is not None}
        expected.append((asked["name"], asked["type"], wanted))
        actual.append((asked["name"], asked["type"], recorded.show(served.reply(recorded.ask(asked)))))

    assert expected == actual


@pytest.mark.parametrize("name", recorded.names())
def test_a_recorded_case_loads_and_refuses_the_same_lines(name: str, tmp_path: Path) -> None:
    """Each recorded case is loaded, or not, as rbldnsd did, with the same lines refused for the same."""
    case = recorded.read(name)
    served = recorded.Served(tmp_path, case.arguments, case.record["files"])
    loads = case.record["starts"] and "-q" not in case.record["options"]
    refused = [fault for fault in case.record["faults"] if fault.startswith("file ")]

    assert (loads, refused) == (served.loaded, _faults(served))


def _faults(served: recorded.Served) -> list[str]:
    found = [str(fault) for dataset in served.follower.loaded for fault in dataset.faults]
    # How far ahead a date is depends on the day.
    return [
        re.sub(r"\d+ sec in the future", "N sec in the future", fault)
        for fault in [*found, *served.follower.failed]
    ]
