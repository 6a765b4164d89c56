"""Answers from rbldnsd's data files, held against what rbldnsd itself answered."""

import re
from pathlib import Path
from typing import Any

import dns.flags
import dns.message
import pytest

from rbl.config import Dns
from rbl.responder import filezones
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


_ARGUMENTS = ["-b", "127.0.0.1/0"]
_HEADER = "$SOA 300 ns1.bl.test h.bl.test 1 1h 15m 1w 5m\n$NS 1d ns1.bl.test NS.other.test x.elsewhere\n"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("test.secret.bl.test", 'NOERROR "Success"'),
        ("test.bl.test", "REFUSED"),
        ("test.unknown.bl.test", "REFUSED"),
        ("test.quiet.bl.test", "silent"),
    ],
)
def test_keys_in_the_question(name: str, expected: str, tmp_path: Path) -> None:
    """The last label decides where it is a key, and is no part of what is asked."""
    files = {"g": 'test TXT "Success"\n', "k": ":refuse\nsecret :pass\nquiet :ignore\n"}
    served = recorded.Served(tmp_path, [*_ARGUMENTS, "bl.test:generic:g", "bl.test:aclkey:k"], files)
    key = filezones.answer(
        recorded.ask({"name": name, "type": "TXT"}),
        recorded.LOOPBACK,
        served.follower.catalogue,
        filezones.Style(Dns()),
        0,
    ).key

    assert (expected, "secret" if "secret" in name else "") == (served.answer(name, "TXT"), key)


def test_keys_of_all_zones(tmp_path: Path) -> None:
    """An aclkey dataset with an empty zone name is for zones without one of their own."""
    files = {"z": f"{_HEADER}127.0.0.2\n", "k": ":refuse\nsecret :pass\n"}
    served = recorded.Served(tmp_path, [*_ARGUMENTS, "bl.test:ip4set:z", ":aclkey:k"], files)

    assert ("REFUSED", "NOERROR 127.0.0.2") == (
        served.answer("2.0.0.127.bl.test"),
        served.answer("2.0.0.127.secret.bl.test"),
    )
    assert served.answer("bl.test", "NS").startswith("NOERROR ")


def test_a_client_for_whom_everything_is_listed(tmp_path: Path) -> None:
    """A value in an acl is the answer to every address, with the client in its text."""
    files = {"z": f"{_HEADER}127.0.0.2\n", "a": "127.0.0.1 :99:go away $\n"}
    served = recorded.Served(tmp_path, [*_ARGUMENTS, "bl.test:ip4set:z", "bl.test:acl:a"], files)

    assert "NOERROR 127.0.0.99" == served.answer("9.9.9.9.bl.test")
    assert 'NOERROR "go away 127.0.0.1"' == served.answer("9.9.9.9.bl.test", "TXT")


@pytest.mark.parametrize(("action", "expected"), [("ignore", "silent"), ("refuse", "REFUSED")])
def test_clients_of_all_zones(action: str, expected: str, tmp_path: Path) -> None:
    """An acl of all zones is asked before the zone; one who is ignored hears nothing of any."""
    files = {"z": "127.0.0.2\n", "a": f"127.0.0.1 :{action}\n"}
    served = recorded.Served(tmp_path, [*_ARGUMENTS, "bl.test:ip4set:z", ":acl:a"], files)

    assert expected == served.answer("2.0.0.127.bl.test")


def test_data_that_expired(tmp_path: Path) -> None:
    """After the end in $TIMESTAMP a zone is SERVFAIL: old data are no answer."""
    files = {"z": "$TIMESTAMP 2005:01:01 2006:01:01\n127.0.0.2\n"}
    served = recorded.Served(tmp_path, [*_ARGUMENTS, "bl.test:ip4set:z"], files)

    assert "SERVFAIL" == served.answer("2.0.0.127.bl.test")


def test_many_records_are_all_sent_or_said_to_be_cut(tmp_path: Path) -> None:
    """What does not fit loses glue and name servers first; what still does not fit says TC."""
    lines = "".join(f"127.0.0.2 :{number}:text number {number}\n" for number in range(1, 28))
    served = recorded.Served(tmp_path, [*_ARGUMENTS, "bl.test:ip4set:z"], {"z": _HEADER + lines})
    addresses, texts = (
        dns.message.from_wire(
            served.reply(recorded.ask({"name": "2.0.0.127.bl.test", "type": rtype})) or b""
        )
        for rtype in ("A", "TXT")
    )

    assert (False, 27, []) == (
        bool(addresses.flags & dns.flags.TC),
        len(addresses.answer[0]),
        addresses.authority,
    )
    assert texts.flags & dns.flags.TC


def test_glue_comes_from_our_own_data(tmp_path: Path) -> None:
    """The addresses of name servers that any zone of ours has are sent along, but with -a."""
    zones = ["bl.test:ip4set:z", "bl.test:generic:g", "other.test:generic:o"]
    files = {
        "z": f"{_HEADER}127.0.0.2\n",
        "g": "ns1 600 A 192.0.2.1\n",
        "o": "ns 600 A 192.0.2.2\n",
    }
    question = recorded.ask({"name": "2.0.0.127.bl.test", "type": "A"})
    full = recorded.show(recorded.Served(tmp_path, [*_ARGUMENTS, *zones], files).reply(question))
    short = recorded.show(recorded.Served(tmp_path, [*_ARGUMENTS, "-a", *zones], files).reply(question))

    assert ["NS.other.test. 600 IN A 192.0.2.2", "ns1.bl.test. 600 IN A 192.0.2.1"] == full["additional"]
    assert {"authority", "additional"}.isdisjoint(short)


def test_names_above_a_zone_exist(tmp_path: Path) -> None:
    """Between two zones a name exists, for the deeper one lies below it (RFC 8020)."""
    arguments = [*_ARGUMENTS, "bl.test:ip4set:z", "deep.er.bl.test:ip4set:z"]
    served = recorded.Served(tmp_path, arguments, {"z": "127.0.0.2\n"})

    assert ["NOERROR", "NXDOMAIN"] == [served.answer(f"{name}.bl.test") for name in ("er", "x")]


@pytest.mark.parametrize(
    "packet",
    [bytes.fromhex("123400000000000000000000"), bytes.fromhex("12340000000200000000000001780000010001")],
    ids=["header-only", "two-questions"],
)
def test_what_has_not_one_question_is_formerr(packet: bytes, tmp_path: Path) -> None:
    """A packet without its one question is FORMERR, where rbldnsd says nothing."""
    served = recorded.Served(tmp_path, [*_ARGUMENTS, "bl.test:ip4set:z"], {"z": "127.0.0.2\n"})
    reply = served.reply(packet)

    assert reply is not None
    assert (b"\x12\x34", 1) == (reply[:2], reply[3] & 15)


def test_a_reply_is_never_answered(tmp_path: Path) -> None:
    """A packet with QR set is no query: an answer to it would go round for ever."""
    served = recorded.Served(tmp_path, [*_ARGUMENTS, "bl.test:ip4set:z"], {"z": "127.0.0.2\n"})

    assert served.reply(bytes.fromhex("12348000000100000000000001780000010001")) is None
