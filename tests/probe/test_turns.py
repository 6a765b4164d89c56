"""Which envelopes have their turn in a session."""

import pytest

from rbl.probe.plan import Envelope
from rbl.probe.turns import next_turn


@pytest.mark.parametrize(
    ("rows", "most", "expected", "why"),
    [
        ("aab", 5, "aab", "all fit"),
        ("aabbb", 5, "aabbb", "just"),
        ("aabbb", 4, "aa", "the second row waits for room"),
        ("aabbbbb", 4, "aabb", "which it would never have"),
        ("aaaaab", 4, "aaaa", "nor would the first"),
        ("", 4, "", "nothing is left"),
    ],
)
def test_rows_are_kept_whole(rows: str, most: int, expected: str, why: str) -> None:
    """Forms of one sender go in one session, where they fit into one."""
    left = [
        Envelope("T01", "", f"<s{number}@{row}.example>", "<r@td.example>", "r", f"s{number}")
        for number, row in enumerate(rows)
    ]

    assert left[: len(expected)] == next_turn(left, most), why
