"""What an entry answers: an A value and a text, with the parameters that may hide it.

A value is written ``:address:text``, ``:address`` or as bare text; what is left out comes from the
default that a line of its own sets. Entries share values by number, since millions have the same.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, NoReturn

from rbl.errors import BadInput
from rbl.zone.rbldnsd.ipv4text import read_prefix

BLANKS = b" \t"
COMMENTS = b"#;"
NOTHING = 0  # the outcome of what no entry covers
EXCLUDED = 1  # the outcome of what an entry beginning with ! covers
FIRST_VALUE = 2

_LONGEST_TEXT = 255  # RFC 1035 §3.3: a character-string
_LOOPBACK = 127 << 24  # a value of one number is the last octet of 127.0.0.x
_PARAMETERS = re.compile(rb"(?:^|[ \t])@[ \t]*(.*)$", re.DOTALL)
_COMMENT_AFTER_BLANK = re.compile(rb"(?:^|(?<=[ \t]))[#;].*$", re.DOTALL)
_PARAMETER = re.compile(rb"(ts|delay|key)[ \t]*=[ \t]*([0-9a-zA-Z]+)")
_TIME = re.compile(rb"(\d{1,10})([smhdwSMHDW]?)")
_UNITS = {b"": 1, b"s": 1, b"m": 60, b"h": 3600, b"d": 86400, b"w": 604800}
LARGEST_NUMBER = 2**32 - 1


@dataclass(frozen=True, slots=True)
class Condition:
    """When an entry answers at all: parameters after an ``@``.

    *ready_at* is the time in seconds before which it is hidden; *keyed_only* hides it from clients
    without a key of an aclkey dataset, and *keyed_at_once* shows it to those with one before its time.
    """

    ready_at: int = 0
    keyed_only: bool = False
    keyed_at_once: bool = False

    def holds(self, *, keyed: bool, now: float) -> bool:
        """Whether a client that has a key, or not, sees the entry at *now*."""
        if self.keyed_only and not keyed:
            return False
        return (keyed and self.keyed_at_once) or now >= self.ready_at


class Value(NamedTuple):
    """What one entry answers; *text* is as it was written, without its substitutions."""

    address: int
    text: bytes
    condition: Condition | None = None


DEFAULT = Value(_LOOPBACK + 2, b"")


class Values:
    """The values of a dataset by number, and the sets of them that stand at one place.

    An *outcome* is NOTHING, EXCLUDED, the number of a value, or the number of a set.
    """

    def __init__(self) -> None:
        self._numbers: dict[Value, int] = {}
        self._sets: dict[tuple[int, ...], int] = {}
        self._values: list[Value | list[int] | None] = [None, None]

    def number(self, value: Value) -> int:
        """Return the number of *value*."""
        known = self._numbers.get(value)
        if known is None:
            known = self._numbers[value] = len(self._values)
            self._values.append(value)
        return known

    def outcomes(self) -> range:
        """Return every outcome that stands for a value or a set of them."""
        return range(FIRST_VALUE, len(self._values))

    def joined(self, outcomes: set[int]) -> int:
        """Return the outcome of several entries at one place, all of one width: an exclusion wins."""
        if EXCLUDED in outcomes:
            return EXCLUDED
        if len(outcomes) == 1:
            return next(iter(outcomes))
        members = tuple(sorted({member for outcome in outcomes for member in self._members(outcome)}))
        known = self._sets.get(members)
        if known is None:
            known = self._sets[members] = len(self._values)
            self._values.append(list(members))
        return known

    def of(self, outcome: int) -> tuple[Value, ...]:
        """Return the values that *outcome* stands for."""
        found = []
        for member in self._members(outcome):
            value = self._values[member]
            assert isinstance(value, Value)
            found.append(value)
        return tuple(found)

    def _members(self, outcome: int) -> list[int]:
        stored = self._values[outcome]
        if stored is None:
            return []
        return stored if isinstance(stored, list) else [outcome]


def refuse(reason: str) -> NoReturn:
    """Refuse the line that is being read; the rest of its file is read on.

    Raises:
        BadInput: always.
    """
    raise BadInput(reason, code="bad-line")


def refuse_file(reason: str) -> NoReturn:
    """Refuse the whole dataset because of the line that is being read.

    Raises:
        BadInput: always.
    """
    raise BadInput(reason, code="bad-file")


def parse_value(text: bytes, default: Value, warn: Callable[[str], None]) -> Value:
    """Return the value that *text* writes, completed from *default*.

    Raises:
        BadInput: the address is none, or something stands where the text should begin.
    """
    if not text.startswith(b":"):
        return Value(default.address, _cut(text, warn))
    prefix = read_prefix(text, 1)
    if prefix is None:
        refuse("invalid A RR")
    address, bits, end = prefix
    # As inet_aton reads them: 1 is 0.0.0.1, 1.2 is 1.0.0.2.
    if bits < 32:
        shift = 32 - bits
        address = (address >> shift & 0xFF) | (address & ~((1 << (shift + 8)) - 1))
    if not address:
        refuse("invalid A RR")
    if bits == 8:
        address |= _LOOPBACK
    rest = text[end:].lstrip(BLANKS)
    if rest.startswith(b":"):
        return Value(address, _cut(rest[1:].lstrip(BLANKS), warn))
    if rest:
        refuse("unrecognized value for an entry")
    return Value(address, default.text)


def entry_value(rest: bytes, default: Value, warn: Callable[[str], None]) -> Value:
    """Return the value of an entry whose line has *rest* after the address or name."""
    rest = rest.lstrip(BLANKS)
    if not rest or rest[0] in COMMENTS:
        return default
    return parse_value(rest, default, warn)


def conditional_value(rest: bytes, default: Value, warn: Callable[[str], None]) -> Value:
    """Return the value of an entry that may have parameters after an ``@``.

    An ``@`` that nothing but parameters follows; any other belongs to the text.
    """
    found = _PARAMETERS.search(rest)
    condition = parse_condition(found[1], warn) if found else None
    if found is None or condition is None:
        return entry_value(rest, default, warn)
    value = entry_value(rest[: found.start()].rstrip(BLANKS), default, warn)
    return Value(value.address, value.text, condition)


def parse_condition(text: bytes, warn: Callable[[str], None]) -> Condition | None:
    """Return the condition that the parameters in *text* set, or None where they are no parameters."""
    text = _COMMENT_AFTER_BLANK.sub(b"", text).strip(BLANKS)
    words = [word for word in re.split(rb"[:;]", text) if word.strip(BLANKS)]
    pairs = [_PARAMETER.fullmatch(word.strip(BLANKS)) for word in words]
    if not pairs or not all(pairs):
        return None
    stamp = delay = None
    keys = set()
    for pair in pairs:
        assert pair is not None
        name, value = pair[1], pair[2]
        if name == b"key":
            keys.add(value)
        elif name == b"delay":
            delay = parse_seconds(value)
        else:
            stamp = int(value) if value.isdigit() and len(value) <= 20 else None
    if delay is not None and stamp is None:
        warn("delay without ts: replies are not delayed, the entry answers at once")
    hidden = stamp + delay if stamp is not None and delay is not None else 0
    return Condition(hidden, b"require" in keys, b"nodelay" in keys)


def parse_seconds(text: bytes) -> int | None:
    """Return the seconds of a time such as ``35m``, or None where it is none or beyond 32 bits."""
    found = _TIME.fullmatch(text)
    if found is None:
        return None
    seconds = int(found[1]) * _UNITS[found[2].lower()]
    return seconds if seconds <= LARGEST_NUMBER else None


def _cut(text: bytes, warn: Callable[[str], None]) -> bytes:
    if len(text) > _LONGEST_TEXT:
        warn(f"TXT RR truncated to {_LONGEST_TEXT} bytes")
    return text[:_LONGEST_TEXT]
