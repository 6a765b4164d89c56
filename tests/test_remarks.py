"""Remarks: one line of visible text, and nothing that makes it read as what it does not say."""

import json
import re
import sys
import unicodedata

import pytest

from rbl import remarks

HIDDEN = ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")


def test_every_character_that_hides_or_turns_text_is_refused() -> None:
    """All that Unicode has of those kinds, and not one letter, mark, digit or sign beside them."""
    wrong = [
        f"U+{code:04X}"
        for code in range(sys.maxunicode + 1)
        if unicodedata.category(chr(code)) in HIDDEN and remarks.fault(f"a{chr(code)}b") is None
    ]

    assert [] == wrong


@pytest.mark.parametrize(
    "text",
    ["closed now", "Räuber, 強盗, грабитель", "it’s “50 %” – done…", "ok ✅", "a" * 500, "no\u00a0break"],
)
def test_what_people_write_is_taken(text: str) -> None:
    """In any script."""
    assert remarks.fault(text) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a\nb", "U+000A cannot stand in it"),
        ("a\x1b[2J", "U+001B"),
        ("a\u0085b", "U+0085"),
        ("listed\u202edetsil", "U+202E"),
        ("\u2066a\u2069", "U+2066"),
        ("a\u2028b", "U+2028"),
        ("a\u2029b", "U+2029"),
        ("a\u200bb", "U+200B"),
        ("\ufeffa", "U+FEFF"),
        ("\U000e0041", "U+E0041"),
        ("\u3164", "U+3164"),
        ("", "it says nothing"),
        (" \u00a0", "it says nothing"),
        ("a" * 501, "it has 501 characters, and at most 500 are kept"),
    ],
)
def test_what_is_refused_is_told(text: str, said: str) -> None:
    """By its number: whoever pasted it does not see it."""
    assert said in str(remarks.fault(text))


def test_the_schemas_pattern_says_the_same() -> None:
    """A client that keeps to the description of the API is not refused for the form of a remark."""
    pattern = re.compile(json.loads(json.dumps(remarks.PATTERN)))
    others = {
        chr(code)
        for code in (*range(0x20000), *range(0xDFF00, 0xE0200))
        if bool(pattern.search(chr(code))) is not (remarks.fault(chr(code)) is None)
    }

    assert set() == others
    assert pattern.search(" a ")
    assert not pattern.search("a\nb")
