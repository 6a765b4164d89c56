"""How long a message is waited for, by when somebody listened."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rbl.attendance import Attendance, Span, attendance, waited_until, was_missed

SENT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
WINDOW = 72 * HOUR
FIRST = HOUR / 12


def span(began: float, ended: float) -> Span:
    """Return a span by the hours after the sending."""
    return Span(SENT + began * HOUR, SENT + ended * HOUR)


def heard(*absences: Span) -> Attendance:
    """Return an attendance that knows everything."""
    return Attendance(SENT + 1000 * HOUR, absences)


@pytest.mark.parametrize(
    ("present", "refused", "absences", "why"),
    [
        ([span(-1, 10)], [], [], "somebody was there all the while"),
        ([], [], [span(0, 10)], "no collector ever ran"),
        ([span(-1, 4), span(6, 20)], [], [span(4, 6)], "stopped, and started again"),
        ([span(2, 20)], [], [span(0, 2)], "started after the sending"),
        ([span(-1, 4)], [], [span(4, 10)], "never started again"),
        ([span(-5, -1), span(-1, 4), span(3, 20)], [], [], "one took over from another"),
        ([span(-1, 20), span(2, 3)], [], [], "one beside another"),
        ([span(-1, 20)], [span(3, 4)], [span(3, 4)], "there, and full"),
        ([span(-1, 3), span(5, 20)], [span(2, 4)], [span(2, 5)], "full, then gone"),
        ([span(-1, 20)], [span(-3, -2)], [], "full long before"),
        ([span(-1, 20)], [span(2, 2)], [span(2, 2)], "one refusal is an absence, too"),
        ([span(12, 20)], [], [span(0, 10)], "what comes later is not known yet"),
    ],
)
def test_attendance(present: list[Span], refused: list[Span], absences: list[Span], why: str) -> None:
    """Whoever was not there, or refused, was absent."""
    known_until = SENT + 10 * HOUR

    assert Attendance(known_until, tuple(absences)) == attendance(present, refused, SENT, known_until), why


@pytest.mark.parametrize(
    ("absences", "hours", "missed", "why"),
    [
        ([], 72, False, "the window alone"),
        ([span(-2, -1)], 72, False, "absent before it was sent"),
        ([span(10, 12)], 74, False, "two hours longer, for two hours of absence"),
        ([span(10, 12), span(20, 21)], 75, False, "each counts"),
        ([span(71.9, 71.9)], 79.9, False, "refused at the very end: every server tries once more"),
        ([span(71, 73)], 81, False, "after the end, too"),
        ([span(72, 80)], 72, False, "the window was over"),
        ([span(71, 75), span(82, 83)], 91, False, "an absence in the longer window makes it longer still"),
        ([span(-1, 0.01)], 8.01, True, "nobody there when it was sent: sent again after a last try"),
        ([span(0.05, 100)], 108, True, "an absence that began in the first minutes, and lasted"),
        ([span(0.01, 0.01)], 8.01, True, "refused in the first minutes"),
        ([span(0.01, 0.02), span(5, 6)], 14, True, "absent again in that time"),
    ],
)
def test_how_long_is_waited(absences: list[Span], hours: float, why: str, *, missed: bool) -> None:
    """The window is as much longer as nobody listened in it, and ends never just after an absence."""
    assert SENT + hours * HOUR == waited_until(SENT, heard(*absences), WINDOW, FIRST), why
    assert missed is was_missed(SENT, heard(*absences), FIRST), why


def test_a_short_window_has_a_short_margin() -> None:
    """Where messages are awaited for a minute only, an absence makes it no more than a minute longer."""
    minute = HOUR / 60

    assert SENT + 1.5 * minute == waited_until(SENT, heard(span(0.5 / 60, 0.5 / 60)), minute, minute / 60)


SPANS = st.lists(
    st.tuples(st.integers(-100, 200), st.integers(0, 50)).map(lambda one: span(one[0], one[0] + one[1]))
)


@given(present=SPANS, refused=SPANS)
def test_nothing_is_lost_by_an_absence(present: list[Span], refused: list[Span]) -> None:
    """Whatever happened: whoever is not waited for any more had a whole window, or is tried again."""
    found = attendance(present, refused, SENT, SENT + 500 * HOUR)
    until = waited_until(SENT, found, WINDOW, FIRST)
    absent = sum(
        (min(one.ended_at, until) - max(one.began_at, SENT) for one in found.absences
         if one.began_at < until and one.ended_at > SENT),
        timedelta(0),
    )  # fmt: skip

    assert was_missed(SENT, found, FIRST) or until - SENT - absent >= WINDOW
    assert not any(
        one.began_at < until < one.ended_at + 8 * HOUR for one in found.absences if one.ended_at > SENT
    )
