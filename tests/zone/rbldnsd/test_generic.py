"""generic: ordinary records."""

from pathlib import Path

import pytest

from rbl.errors import BadInput
from tests.zone.rbldnsd.lines import answer, dataset, faults, zone


@pytest.mark.parametrize(
    ("line", "name", "rtype", "expected"),
    [
        ("@ A 127.0.0.8", "", 1, [b"\x7f\0\0\x08"]),
        ("www 3000 A 127.1", "www", 1, [b"\x7f\0\0\x01"]),
        ("WWW IN A 127.0.0.3", "www", 1, [b"\x7f\0\0\x03"]),
        ("about 5m IN TXT unquoted ; text", "about", 16, [b"\x0funquoted ; text"]),
        ('about TXT "quoted"', "about", 16, [b"\x06quoted"]),
        ("@ MX 10 mx.test.", "", 15, [b"\0\x0a\x02mx\x04test\0"]),
        ("in A 10.0.0.1", "in", 1, [b"\x0a\0\0\x01"]),
    ],
)
def test_records(tmp_path: Path, line: str, name: str, rtype: int, expected: list[bytes]) -> None:
    """A line is owner, perhaps TTL and class, type, and what is of that type."""
    assert expected == answer(zone(tmp_path, "generic", line + "\n"), name, rtype)


@pytest.mark.parametrize(
    "line", ["x AAAA ::1", "x CNAME www", "x A", "x A x", "x MX ten mx", "x MX 70000 mx", "@", "x"]
)
def test_what_is_no_record_is_refused(tmp_path: Path, line: str) -> None:
    """Other types, and what is none of its type, are named and passed over."""
    assert [(1, "invalid/unrecognized entry")] == faults(dataset(tmp_path, "generic", line + "\n"))


@pytest.mark.parametrize("line", ["x 1y A 10.0.0.1", "x MX 10", "x MX 10 mx more"])
def test_what_spoils_the_file(tmp_path: Path, line: str) -> None:
    """A wrong TTL or mail exchanger refuses the whole file, as rbldnsd does."""
    with pytest.raises(BadInput, match=r"file file0\(1\): invalid (TTL|MX)"):
        dataset(tmp_path, "generic", line + "\n")


def test_a_long_text_is_cut(tmp_path: Path) -> None:
    """A text has 255 octets at most."""
    found = dataset(tmp_path, "generic", "x TXT " + "A" * 300 + "\n")

    assert [(1, "TXT RR truncated to 255 bytes")] == faults(found)


def test_names_above_owners_exist(tmp_path: Path) -> None:
    """A name with an owner below it exists (RFC 8020)."""
    found = zone(tmp_path, "generic", "a.b A 10.0.0.1\n")

    assert (True, False) == (found.has_below((b"b",), b"\1b"), found.has_below((b"c",), b"\1c"))
    assert 1 == found.entries
