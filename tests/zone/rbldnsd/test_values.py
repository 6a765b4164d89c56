"""What entries answer."""

import pytest

from rbl.errors import BadInput
from rbl.zone.rbldnsd.values import (
    DEFAULT,
    EXCLUDED,
    Condition,
    Value,
    Values,
    conditional_value,
    entry_value,
    parse_condition,
    parse_seconds,
    parse_value,
    refuse_file,
)

_LOOPBACK = 127 << 24
_OWN = Value(_LOOPBACK + 4, b"default")


def _read(text: bytes) -> Value:
    return entry_value(text, _OWN, lambda _: None)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"", _OWN),
        (b"  # comment", _OWN),
        (b";comment", _OWN),
        (b" own # no comment", Value(_OWN.address, b"own # no comment")),
        (b" :7", Value(_LOOPBACK + 7, b"default")),
        (b" :7:", Value(_LOOPBACK + 7, b"")),
        (b" :7: text", Value(_LOOPBACK + 7, b"text")),
        (b":127.0.1.9:x", Value(_LOOPBACK + 256 + 9, b"x")),
        (b":1.2:x", Value((1 << 24) + 2, b"x")),  # as inet_aton reads it
    ],
)
def test_an_entry_completes_its_value_from_the_default(text: bytes, expected: Value) -> None:
    """What is left out comes from the default."""
    assert expected == _read(text)


@pytest.mark.parametrize("text", [b":0:zero", b":x:y", b":256:big", b":2 trailing"])
def test_a_wrong_value_is_refused(text: bytes) -> None:
    """A value whose address is none, or that has something after it, is no value."""
    with pytest.raises(BadInput) as refused:
        parse_value(text, DEFAULT, lambda _: None)

    assert "bad-line" == refused.value.code


def test_a_long_text_is_cut_and_told() -> None:
    """A text has 255 octets at most."""
    said: list[str] = []

    assert b"A" * 255 == entry_value(b" " + b"A" * 300, _OWN, said.append).text
    assert ["TXT RR truncated to 255 bytes"] == said


def test_a_whole_file_is_refused_with_a_code_of_its_own() -> None:
    """What spoils a file is told apart from what spoils a line."""
    with pytest.raises(BadInput) as refused:
        refuse_file("why")

    assert "bad-file" == refused.value.code


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"ts=100;delay=60s", Condition(160)),
        (b"ts=100", Condition()),
        (b"key=require", Condition(keyed_only=True)),
        (b"ts=1:delay=1m:key=nodelay # why", Condition(61, keyed_at_once=True)),
        (b"ts=x;delay=5", Condition()),
        (b"example.com", None),  # an address of a mailbox, not parameters
        (b"", None),
    ],
)
def test_parse_condition(text: bytes, expected: Condition | None) -> None:
    """Parameters after an @ hide an entry; anything else is none."""
    assert expected == parse_condition(text, lambda _: None)


def test_a_delay_without_a_time_is_told() -> None:
    """A delay from no time on cannot be kept."""
    said: list[str] = []
    parse_condition(b"delay=60", said.append)

    assert ["delay without ts: replies are not delayed, the entry answers at once"] == said


@pytest.mark.parametrize(
    ("condition", "keyed", "now", "expected"),
    [
        (Condition(100), False, 99, False),
        (Condition(100), False, 100, True),
        (Condition(100), True, 99, False),
        (Condition(100, keyed_at_once=True), True, 99, True),
        (Condition(keyed_only=True), False, 1, False),
        (Condition(keyed_only=True), True, 1, True),
    ],
)
def test_a_condition_holds(condition: Condition, *, keyed: bool, now: float, expected: bool) -> None:
    """An entry is seen after its time, or by those with a key."""
    assert expected == condition.holds(keyed=keyed, now=now)


def test_parameters_are_no_part_of_the_text() -> None:
    """A text before parameters ends before the blank; an @ that is none belongs to it."""
    seen = [conditional_value(text, DEFAULT, lambda _: None) for text in (b" N @ key=require", b" a@b.c")]

    assert [
        Value(DEFAULT.address, b"N", Condition(keyed_only=True)),
        Value(DEFAULT.address, b"a@b.c"),
    ] == seen


@pytest.mark.parametrize(
    ("text", "expected"),
    [(b"35m", 2100), (b"1W", 604800), (b"5", 5), (b"", None), (b"1x", None), (b"9999999999", None)],
)
def test_parse_seconds(text: bytes, expected: int | None) -> None:
    """A time has a unit, or is in seconds, within 32 bits."""
    assert expected == parse_seconds(text)


def test_several_values_at_one_place() -> None:
    """Values of one place are joined, each once; an exclusion among them wins."""
    values = Values()
    one, two = (values.number(Value(n, b"")) for n in (1, 2))
    both = values.joined({one, two})

    assert values.of(both) == (Value(1, b""), Value(2, b""))
    assert (both, one, EXCLUDED) == (
        values.joined({both, one}),
        values.joined({one}),
        values.joined({one, EXCLUDED}),
    )
    assert () == values.of(EXCLUDED)
