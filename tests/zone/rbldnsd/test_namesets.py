"""dnset and dnhash."""

from pathlib import Path

import pytest

from rbl.errors import BadInput
from tests.zone.rbldnsd.lines import NOW, answer, dataset, faults, zone

_LINES = """\
:2:dom $
example.com
*.wild.test
.both.test
!good.both.test
!*.sub.both.test
UPPER.Case.Test
"""


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("example.com", [b"dom example.com"]),
        ("www.example.com", []),
        ("wild.test", []),
        ("x.y.wild.test", [b"dom wild.test"]),
        ("both.test", [b"dom both.test"]),
        ("www.both.test", [b"dom both.test"]),
        ("good.both.test", []),
        ("x.good.both.test", [b"dom both.test"]),
        ("x.sub.both.test", []),
        ("sub.both.test", [b"dom both.test"]),
        ("upper.case.test", [b"dom upper.case.test"]),
        ("com", []),
    ],
)
def test_dnset(tmp_path: Path, name: str, expected: list[bytes]) -> None:
    """A name of its own decides before any wildcard, and of those the nearest."""
    actual = [rdata[1:] for rdata in answer(zone(tmp_path, "dnset", _LINES), name, 16)]

    assert expected == actual


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (("com",), True),
        (("test",), True),
        (("x", "wild", "test"), True),
        (("sub", "both", "test"), False),  # below it all is excluded
        (("example", "com"), False),
    ],
)
def test_names_above_listed_ones_exist(tmp_path: Path, labels: tuple[str, ...], *, expected: bool) -> None:
    """A name with a listed one below it exists (RFC 8020)."""
    name = tuple(label.encode() for label in labels)
    key = b"".join(bytes((len(label),)) + label for label in name)

    assert expected == zone(tmp_path, "dnset", _LINES).has_below(name, key)


def test_several_values_of_one_name(tmp_path: Path) -> None:
    """In a dnset all of them are answered, in a dnhash the last."""
    lines = "x.test :2:a\nx.test :3:b\n"
    actual = [
        [rdata[3] for rdata in answer(zone(tmp_path, kind, lines), "x.test")]
        for kind in ("dnset", "dnhash")
    ]

    assert [[2, 3], [3]] == actual


def test_a_wildcard_exclusion_of_a_dnhash_hides_no_wider_one(tmp_path: Path) -> None:
    """In a dnhash the search goes on above an excluding wildcard."""
    lines = ".test\n!*.good.test\n"
    actual = [bool(answer(zone(tmp_path, kind, lines), "x.good.test")) for kind in ("dnset", "dnhash")]

    assert [False, True] == actual


def test_parameters_of_a_dnhash(tmp_path: Path) -> None:
    """An entry may be hidden until its time, or from those without a key; in a dnset all is text."""
    lines = f"cool.tld X @ ts={NOW:.0f};delay=60s\nready.tld R @ ts=1;delay=1\nkey.tld N @ key=require\n"
    found = zone(tmp_path, "dnhash", lines)
    names = ("cool.tld", "ready.tld", "key.tld")

    assert [False, True, False] == [bool(answer(found, name)) for name in names]
    assert [False, True, True] == [bool(answer(found, name, keyed=True)) for name in names]
    assert [True, True, True] == [bool(answer(found, name, keyed=True, now=NOW + 61)) for name in names]
    assert all(answer(zone(tmp_path, "dnset", lines), name) for name in names)


def test_what_is_no_name_is_refused(tmp_path: Path) -> None:
    """A line without a name is named with its number."""
    lines = f".\n{'x' * 64}.test\n"

    assert [(1, "invalid domain name"), (2, "invalid domain name")] == faults(
        dataset(tmp_path, "dnset", lines)
    )


def test_a_dnhash_refuses_a_file_with_deep_wildcards(tmp_path: Path) -> None:
    """A wildcard of more than five labels spoils a dnhash, as the fork has it."""
    with pytest.raises(BadInput, match=r"file file0\(1\): cannot insert wildcard"):
        dataset(tmp_path, "dnhash", "*.a.b.c.d.e.f\n")
