from datetime import UTC, datetime, timedelta, timezone

import pytest
from jinja2 import UndefinedError

from rbl.web import views


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, räuber 日本", "plain, räuber 日本"),
        ("two\r\nlines\tand a tab", "two\nlines\tand a tab"),
        ("\x1b[2J\x00\x7f", "\\x1b[2J\\x00\\x7f"),
        ("\u202egpj.exe\u2066", "\\u202egpj.exe\\u2066"),
        ("a\u200bb\ufeff", "a\\u200bb\\ufeff"),
        ("\u2028\u2029\x85", "\\u2028\\u2029\\x85"),
        ("\U000e0041", "\\U000e0041"),
        ("C:\\temp 'x'", "C:\\temp 'x'"),
    ],
    ids=["plain", "lines", "control", "turning", "no width", "line ends", "tags", "backslash"],
)
def test_what_does_not_print_is_shown_as_escapes(text: str, shown: str) -> None:
    """Nothing in a stranger's text hides, moves or turns what stands beside it."""
    assert shown == views.visible(text)


def test_a_time_is_for_people_and_programs() -> None:
    """In UTC, whatever zone it came in."""
    at = datetime(2026, 11, 4, 4, 5, 6, tzinfo=timezone(timedelta(hours=1)))

    assert '<time datetime="2026-11-04T03:05:06+00:00">4 November 2026, 03:05 UTC</time>' == views.moment(
        at
    )
    assert views.moment(at) == views.moment(at.astimezone(UTC))


@pytest.mark.parametrize(
    ("length", "words"),
    [
        (timedelta(0), "no time"),
        (timedelta(seconds=-5), "no time"),
        (timedelta(seconds=1), "1 second"),
        (timedelta(minutes=5), "5 minutes"),
        (timedelta(hours=1, minutes=30), "1 hour 30 minutes"),
        (timedelta(hours=72), "3 days"),
        (timedelta(days=1, hours=2, minutes=3, seconds=4), "1 day 2 hours"),
    ],
)
def test_a_span_is_told_in_its_two_largest_units(length: timedelta, words: str) -> None:
    """As a person would say it."""
    assert words == views.span(length)


def test_an_undefined_name_in_a_template_is_a_fault() -> None:
    """A slip in a template is seen in a test, not as a gap on a page."""
    with pytest.raises(UndefinedError):
        views.ENVIRONMENT.from_string("{{ nothing }}").render()


def test_everything_is_escaped() -> None:
    """Whatever a template is called, its values cannot become markup."""
    assert "&lt;b&gt;" == views.ENVIRONMENT.from_string("{{ text }}").render(text="<b>")


@pytest.mark.parametrize(
    ("contact", "shown"),
    [
        ("postmaster@example.org", '<a href="mailto:postmaster@example.org">postmaster@example.org</a>'),
        ("https://example.org/help", '<a href="https://example.org/help">https://example.org/help</a>'),
        ("+1 555 0100", "+1 555 0100"),
        ("javascript:alert(1)", "javascript:alert(1)"),
    ],
)
def test_a_contact_is_linked_as_what_it_is(contact: str, shown: str) -> None:
    """An address of mail, of a page, or only text."""
    assert shown == views.ENVIRONMENT.get_template("contact.html.j2").render(contact=contact).strip()
