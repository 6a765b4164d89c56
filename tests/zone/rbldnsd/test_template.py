"""TXT templates."""

import pytest

from rbl.zone.rbldnsd.template import expand, render

_VARIABLES = {b"1": b"one", b"2": b"$1"}
_BASE = {b"=": b"see $= ($) $1", b"1": b"one"}


@pytest.mark.parametrize(
    ("text", "variables", "expected"),
    [
        (b"plain", {}, b"plain"),
        (b"", {}, b""),
        (b"of $", {}, b"of X"),
        (b"$$", {}, b"$"),
        (b"$$$", {}, b"$X"),
        (b"$1 $3", _VARIABLES, b"one $3"),  # unset ones stay
        (b"$2", _VARIABLES, b"$1"),  # what is filled in is not looked at again
        (b"[$=]", {}, b"[[$=]]"),
        (b"own", _BASE, b"see own (X) one"),
        (b"", _BASE, b"see X (X) one"),  # the address stands for no text
        (b"=alone $", _BASE, b"alone X"),
        (b"=", _BASE, b""),
        (b"A" * 300, {}, b"A" * 254),  # as long as rbldnsd answers it
    ],
)
def test_rendered_text(text: bytes, variables: dict[bytes, bytes], expected: bytes) -> None:
    """Variables, the base text and what was asked for are filled in."""
    assert expected == render(expand(text, variables), b"X")
