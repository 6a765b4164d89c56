"""Names in text and as keys."""

import pytest

from rbl.names import Name
from rbl.zone.rbldnsd.nametext import key_of, lower_key, parents, parse_name, text_of


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"Example.COM", (b"Example", b"COM")),
        (b"a..b.", (b"a", b"b")),  # empty labels are passed over
        (b".", ()),
        (rb"a\.b.c", (b"a.b", b"c")),
        (rb"g\065.x", (b"gA", b"x")),
        (rb"a\300", None),  # no octet
        (b"a\\", (b"a",)),  # nothing to escape
        (b"x" * 64, None),
        (b".".join([b"x" * 63] * 4), None),
    ],
)
def test_parse_name(text: bytes, expected: Name | None) -> None:
    """Labels keep their case; any octet may be escaped; RFC 1035's lengths hold."""
    assert expected == parse_name(text)


def test_a_key_is_the_wire_form_in_lower_case() -> None:
    """A key has each label after its length."""
    assert (b"\1A\2bc", b"\1a\2bc") == (key_of((b"A", b"bc")), lower_key((b"A", b"bc")))


def test_parents_are_nearest_first() -> None:
    """The names above a key end with the empty one."""
    assert [b"\1b\1c", b"\1c", b""] == list(parents(b"\1a\1b\1c"))


def test_text_of_escapes_what_would_be_read_otherwise() -> None:
    """Dots, quotes and what is not printable are escaped."""
    assert rb"a\.b.\"\000\255" == text_of(key_of((b"a.b", b'"\0\xff')))
