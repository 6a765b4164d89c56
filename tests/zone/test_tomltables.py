"""Strict reading of TOML tables: what is wrong is said with its place, and reading goes on."""

import tomllib
from pathlib import Path

import pytest

from rbl.errors import BadInput
from rbl.zone.tomltables import Faults, Table


def tables(text: str) -> tuple[Faults, Table]:
    """Return *text* as a table, and where its faults are noted."""
    faults = Faults(Path("file.toml"), text)
    return faults, Table(faults, "", tomllib.loads(text))


def upper(text: str) -> str:
    """Return *text* in upper case; a dash is refused."""
    if "-" in text:
        raise BadInput(f"{text} has a dash")
    return text.upper()


def test_values_are_taken() -> None:
    """What is there and right is returned, and what is not there has its default."""
    faults, top = tables('a = "x"\nb = ["y", "z"]\nc = 5\nd = true\n[e]\nf = "w"\n[[g]]\nh = 1\n')
    taken = (
        top.parsed("a", upper, ""),
        top.parsed("none", upper, "", default="v"),
        top.each("b", upper),
        top.each("nothing", upper),
        top.number("c", 0, 9, 1),
        top.number("no", 0, 9, 1),
        top.truth("d", default=False),
        top.table("e").parsed("f", upper, ""),
        [one.number("h", 0, 9, 0) for one in top.tables("g")],
        top.table("empty").keys(),
    )
    top.finish()

    assert ("X", "V", ("Y", "Z"), (), 5, 1, True, "W", [1], ()) == taken
    assert [] == faults.sentences


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a.b = 5", "file.toml:1: a.b: 5 is not a text: write it in quotes"),
        ('\n[a]\n"b" = 5', "file.toml:3: a.b: 5 is not a text: write it in quotes"),
        ("a = { b = 5 }", "file.toml:1: a.b: 5 is not a text: write it in quotes"),
        ("# nothing\n[a]\n", "file.toml:2: a.b: is missing"),
        ("", "file.toml: a.b: is missing"),
        ('[a]\nb = "x-y"', "file.toml:2: a.b: x-y has a dash"),
    ],
)
def test_a_fault_has_its_place(text: str, sentence: str) -> None:
    """A fault names the line of its key, or of the nearest table around it."""
    faults, top = tables(text)
    top.table("a").parsed("b", upper, "")

    assert [sentence] == faults.sentences


def test_a_required_table_and_array_are_missed() -> None:
    """What is required and not there is reported once; what would be in it is not."""
    faults, top = tables("")
    top.table("a", required=True).each("b", upper, required=True)
    top.each("c", upper, required=True)

    assert ["file.toml: a: is missing", "file.toml: c: is missing"] == faults.sentences


def test_each_reports_every_element() -> None:
    """All faulty elements of an array are reported, and the others taken."""
    faults, top = tables('a = ["x", "y-1", "y-2"]')

    assert ("X",) == top.each("a", upper)
    assert ["file.toml:1: a: y-1 has a dash", "file.toml:1: a: y-2 has a dash"] == faults.sentences


def test_a_hostile_value_is_cut_and_escaped() -> None:
    """A long or strange value does not fill or garble the message."""
    faults, top = tables(f'a = ["\\u001b[31m{"x" * 500}"]')
    top.parsed("a", upper, "")

    assert [f"file.toml:1: a: ['\\x1b[31m{'x' * 50} is not a text: write it in quotes"] == faults.sentences
