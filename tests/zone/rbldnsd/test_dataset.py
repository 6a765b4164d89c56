"""Reading a dataset: its files, special lines and faults."""

from pathlib import Path

import pytest

from rbl.errors import BadInput
from rbl.zone.rbldnsd.dataset import Spec
from rbl.zone.rbldnsd.kinds import Kind
from rbl.zone.rbldnsd.reading import Options
from rbl.zone.rbldnsd.specials import FileNameServers
from tests.zone.rbldnsd.lines import NOW, dataset, faults, text, zone


def test_a_spec_is_shown_as_it_is_written() -> None:
    """A spec has the form of the command line."""
    assert "ip4set:a,b" == str(Spec(Kind.IP4SET, ("a", "b")))


def test_defaults_are_of_a_file_and_variables_of_the_dataset(tmp_path: Path) -> None:
    """A default value ends with its file; variables, which the first line sets, hold for all files."""
    found = zone(
        tmp_path, "ip4set", "$1 one\n:3:A $1\n10.0.0.1\n", "10.0.0.2\n10.0.0.3 B $1\n$1 two\n$2\n$3 \n"
    )

    assert ["3 A one", "2", "2 B one"] == [text(found, f"10.0.0.{last}") for last in (1, 2, 3)]


def test_special_lines_have_four_beginnings(tmp_path: Path) -> None:
    """#$, ;$ and :$ begin special lines too; with a blank between it is a comment."""
    found = dataset(tmp_path, "ip4set", "#$TTL 111\n;$1 one\n:$2 two\n# $3 three\n\n10.0.0.1\n")

    assert (111, {b"1": b"one", b"2": b"two"}) == (found.leaves[0].ttl_seconds, found.leaves[0].variables)


def test_the_first_soa_and_name_servers_count(tmp_path: Path) -> None:
    """Later $SOA and $NS lines are passed over without a word; those without a name set none."""
    lines = "$NS 1h -x.t\n$NS 0 n.t\n$NS 1h o.t\n$SOA 0 a.t h.t 7 1 2 3 4\n$SOA 0 b.t h.t 8 1 2 3 4\n"
    found = dataset(tmp_path, "ip4set", lines, options=Options(ttl_seconds=900))

    assert FileNameServers(900, ((b"n", b"t"),)) == found.name_servers
    assert found.soa is not None
    assert (7, []) == (found.soa.serial, faults(found))


@pytest.mark.parametrize(
    "line",
    [
        "$BOGUS x",
        "$TTL",
        "$TTL 1x",
        "$SOA 1",
        "$NS x",
        "$MAXRANGE4 x",
        "$TIMESTAMP x",
        "$DATASET ip4set @",
        "$",
    ],
)
def test_a_wrong_special_line_is_named(tmp_path: Path, line: str) -> None:
    """A special line that is unknown or written wrongly is named and passed over."""
    found = dataset(tmp_path, "ip4set", line + "\n10.0.0.1\n")

    assert [(1, "invalid or unrecognized special entry")] == faults(found)


def test_an_acl_has_no_soa(tmp_path: Path) -> None:
    """$SOA and $NS are none of an acl's."""
    found = dataset(tmp_path, "acl", "$SOA 0 a.t h.t 7 1 2 3 4\n$NS 1h a.t\n")

    assert [1, 2] == [line for line, _ in faults(found)]


def test_timestamps(tmp_path: Path) -> None:
    """Data from the future are refused whole; the earliest end counts."""
    options = Options(clock=lambda: NOW)
    lines = "$TIMESTAMP 2005:01:01 2030:01:01\n$TIMESTAMP 2005:01:01 2029:01:01\n$TIMESTAMP 0 2031:01:01\n"

    assert 1861920000 == dataset(tmp_path, "ip4set", lines, options=options).expires
    with pytest.raises(BadInput, match=r"file file0\(1\): data timestamp is \d+ sec in the future"):
        dataset(tmp_path, "ip4set", "$TIMESTAMP 2037:01:01\n", options=options)


def test_combined(tmp_path: Path) -> None:
    """A combined file has datasets for sub-zones, each with TTL and variables of its own."""
    lines = (
        "$TTL 600\n$1 base\n$DATASET ip4set:p proxy @ # c\n$1 sub\n$2 two\n$TTL 60\n10.0.0.1 $1 $2\n"
        "$DATASET dnset \n$DATASET generic bad..x \\300\nwww A 10.0.0.1\n"
    )
    found = dataset(tmp_path, "combined", lines)

    assert [
        (Kind.IP4SET, (b"\5proxy", b""), 60),
        (Kind.DNSET, (), 600),
        (Kind.GENERIC, (b"\3bad\1x",), 600),
    ] == [(leaf.kind, leaf.apexes, leaf.ttl_seconds) for leaf in found.leaves]
    assert [{b"1": b"base", b"2": b"two"}, {b"1": b"base"}] == [leaf.variables for leaf in found.leaves[:2]]
    assert [
        "no subzone(s) specified for dataset, data will be ignored",
        "invalid domain name '\\\\300'",
    ] == [why for _, why in faults(found)]
    assert 2 == found.count()


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        ("10.0.0.1\n", r"file0\(1\): invalid/unrecognized entry - specify \$DATASET line"),
        ("$DATASET what @\n", r"file0\(1\): unknown dataset type 'what'"),
        ("$DATASET acl @\n", r"file0\(1\): dataset type acl cannot be used inside combined"),
        ("$DATASET combined @\n", r"file0\(1\): dataset type combined cannot be used inside combined"),
    ],
)
def test_a_combined_file_that_is_none(tmp_path: Path, lines: str, why: str) -> None:
    """What belongs to no dataset, or begins one that cannot be, refuses the file."""
    with pytest.raises(BadInput, match=why):
        dataset(tmp_path, "combined", lines)


def test_a_comment_is_no_dataset(tmp_path: Path) -> None:
    """A $DATASET line with nothing but a comment is none."""
    assert [1] == [line for line, _ in faults(dataset(tmp_path, "combined", "$DATASET # c\n"))]
