"""Who is greeted in a text."""

import pytest

from rbl.mail import greetings


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("Dear Mr John Doe,", ["Mr John Doe"]),
        ("hi peter!", ["peter"]),
        ("Hello John We sell pills.", ["John We"]),
        ("Hello we sell pills.", []),
        ("Hello, we sell pills.", []),
        ("Hello, Anna!", ["Anna"]),
        ("Dear friend,", []),
        ("Dear <b>John</b>,", ["John"]),
        ("Othello John,", []),
        ("尊敬的王伟先生：", ["王伟先生"]),
        ("Hi one two three four five six seven,", []),
    ],
)
def test_greeted(text: str, names: list[str]) -> None:
    """Names stand behind a greeting; friends and customers are nobody."""

    assert names == [text[start:end] for start, end in greetings.greeted(text)]


def test_many() -> None:
    """A text of nothing but greetings names only so many."""

    assert len(list(greetings.greeted("Dear John,\n" * 500))) <= 80
