"""Who received a spam, by every trace."""

import pytest

from rbl.mail import recipients
from rbl.mail.source import Field


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("john", ["john"]),
        ("johnny", []),
        ("Doe, John", ["Doe", "John", "Doe, John"]),
        ("wbua.qbr", ["wbua.qbr"]),
        ("mx1.trap.example", ["mx1.trap.example"]),
        ("mytrap.example", []),
        ("trap.examples", []),
        ("a@trap.example", ["trap.example"]),
    ],
)
def test_found(text: str, shown: list[str]) -> None:
    """Names, turned or not, and domains with their hosts are found; longer words are others."""
    traces = recipients.traces([Field(b"to", b"john.doe@trap.example")], [], [])

    assert sorted(shown) == sorted({text[start:end] for start, end, _ in traces.found(text)})


@pytest.mark.parametrize(
    ("host", "own"),
    [
        ("a.b.example", "b.example"),
        ("A.B.co.uk.", "b.co.uk"),
        ("example", "example"),
        ("somebody.github.io", "github.io"),
        ("a." * 200 + "example", "a." * 200 + "example"),
        ("", ""),
    ],
)
def test_registrable(host: str, own: str) -> None:
    """What somebody registered is told by the suffixes that registries give out."""

    assert own == recipients.registrable(host)
