"""The datasets of names: dnset, and the fork's dnhash.

``name`` is that name, ``*.name`` every name below it, ``.name`` both. A name of its own decides before
any wildcard, and of those the nearest. An exclusion hides what is wider; in a dnhash a wildcard exclusion
does not, and of equal names the last counts.
"""

import re
from dataclasses import dataclass, field
from enum import Enum

from rbl.zone.rbldnsd.nametext import Key, lower_key, parents, parse_name
from rbl.zone.rbldnsd.reading import Reading
from rbl.zone.rbldnsd.values import (
    BLANKS,
    DEFAULT,
    EXCLUDED,
    NOTHING,
    Value,
    Values,
    conditional_value,
    entry_value,
    parse_value,
    refuse,
    refuse_file,
)

_BLANK = re.compile(rb"[ \t]")
_HASHED_LABELS = 5  # of a wildcard in a dnhash


class _Form(Enum):
    """What an entry covers."""

    NAME = "name"  # name
    BELOW = "below"  # *.name
    BOTH = "both"  # .name


@dataclass(frozen=True, slots=True)
class NameSet:
    """The names of one dataset, ready to be asked: outcomes by key."""

    exact: dict[Key, int]
    wildcards: dict[Key, int]
    below: frozenset[Key]  # the names that have a listed one below them
    wildcards_fall_through: bool  # an excluding wildcard hides no wider one

    def find(self, key: Key) -> tuple[int, Key]:
        """Return the outcome of the name *key*, and the entry that it is from."""
        if not key:
            return NOTHING, key
        found = self.exact.get(key)
        if found is not None:
            return (NOTHING if found == EXCLUDED else found), key
        return self.nearest_wildcard(key[key[0] + 1 :])

    def has_below(self, key: Key) -> bool:
        """Whether any name below *key* is listed."""
        return key in self.below or self.nearest_wildcard(key)[0] != NOTHING

    def nearest_wildcard(self, above: Key) -> tuple[int, Key]:
        """Return the outcome of the names below *above*, and the entry: the nearest wildcard."""
        while above and self.wildcards:
            found = self.wildcards.get(above)
            if found is not None and not (found == EXCLUDED and self.wildcards_fall_through):
                return (NOTHING if found == EXCLUDED else found), above
            above = above[above[0] + 1 :]
        return NOTHING, above


@dataclass(slots=True)
class Dnset:
    """Names, each with a value of its own; in a dnset several at one name."""

    reading: Reading
    values: Values
    hashed: bool = False
    exact: dict[Key, int] = field(default_factory=dict)
    wildcards: dict[Key, int] = field(default_factory=dict)
    _default: Value = DEFAULT

    def start_file(self) -> None:
        """Forget the default value: each file begins with its own."""
        self._default = DEFAULT

    def add(self, line: bytes) -> None:
        """Take one line.

        Raises:
            BadInput: it is none of this dataset.
        """
        if line.startswith(b":"):
            self._default = parse_value(line, DEFAULT, self.reading.warn)
            return
        excluded = line.startswith(b"!")
        if excluded:
            line = line[1:].lstrip(BLANKS)
        form, name, rest = _parsed(line)
        labels = parse_name(name) if name else None
        if not labels:
            refuse("invalid domain name")
        read = conditional_value if self.hashed else entry_value
        value = None if excluded else read(rest, self._default, self.reading.warn)
        if form is not _Form.NAME and self.hashed and len(labels) > _HASHED_LABELS:
            refuse_file(f"cannot insert wildcard: a dnhash takes {_HASHED_LABELS} labels at most")
        key = lower_key(labels)
        if self.reading.gate is not None:
            self.reading.gate.name(key, value)
        outcome = EXCLUDED if value is None else self.values.number(value)
        if form is not _Form.BELOW:
            self._put(self.exact, key, outcome)
        if form is not _Form.NAME:
            self._put(self.wildcards, key, outcome)

    def names(self) -> NameSet:
        """Return the names, ready to be asked."""
        below: set[Key] = set()
        for key, outcome in self.exact.items():
            if outcome != EXCLUDED:
                _add_above(below, key)
        for key, outcome in self.wildcards.items():
            if outcome != EXCLUDED:
                below.add(key)
                _add_above(below, key)
        return NameSet(self.exact, self.wildcards, frozenset(below), self.hashed)

    def count(self) -> int:
        """Return the number of entries."""
        return len(self.exact) + len(self.wildcards)

    def _put(self, names: dict[Key, int], key: Key, outcome: int) -> None:
        old = NOTHING if self.hashed else names.get(key, NOTHING)
        names[key] = self.values.joined({old, outcome}) if old not in {NOTHING, outcome} else outcome


def _parsed(line: bytes) -> tuple[_Form, bytes, bytes]:
    """Return the form of the entry in *line*, its name, and what comes after that."""
    form = _Form.NAME
    if line.startswith(b"."):
        form, line = _Form.BOTH, line[1:]
    elif line.startswith(b"*."):
        form, line = _Form.BELOW, line[2:]
    end = _BLANK.search(line)
    return (form, line, b"") if end is None else (form, line[: end.start()], line[end.start() :])


def _add_above(below: set[Key], key: Key) -> None:
    for above in parents(key):
        if above in below:
            return
        below.add(above)
