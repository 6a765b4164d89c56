"""The dataset generic: ordinary records of a few types at names of their own."""

import re
from dataclasses import dataclass, field

from rbl.zone.rbldnsd.ipv4text import read_prefix
from rbl.zone.rbldnsd.nametext import Key, key_of, lower_key, parents, parse_name
from rbl.zone.rbldnsd.reading import Reading
from rbl.zone.rbldnsd.values import parse_seconds, refuse, refuse_file

# Types of records as DNS numbers them (RFC 1035 §3.2.2).
A, MX, TXT = 1, 15, 16
_WORD = re.compile(rb"([^ \t]+)[ \t]*(.*)", re.DOTALL)
_LONGEST_TEXT = 255  # RFC 1035 §3.3: a character-string
_LARGEST_PREFERENCE = 65535


@dataclass(frozen=True, slots=True)
class Record:
    """One record without its owner."""

    rtype: int
    ttl_seconds: int
    rdata: bytes


@dataclass(frozen=True, slots=True)
class Records:
    """The records of one dataset by owner, ready to be asked."""

    by_owner: dict[Key, list[Record]]
    below: frozenset[Key]  # the names that have an owner below them


@dataclass(slots=True)
class Generic:
    """Records of the types A, MX and TXT."""

    reading: Reading
    by_owner: dict[Key, list[Record]] = field(default_factory=dict)

    def start_file(self) -> None:
        """Do nothing: there is no default."""

    def add(self, line: bytes) -> None:
        """Take one line: owner, perhaps a TTL, perhaps the class, type, and what is of that type.

        Raises:
            BadInput: it is none of this dataset.
        """
        owner, rest = _first_word(line)
        if owner == b"@" and rest:
            key = b""
        else:
            labels = parse_name(owner)
            if not labels:
                refuse("invalid/unrecognized entry")
            key = lower_key(labels)
        ttl_seconds = self.reading.ttl_seconds
        if rest[:1].isdigit():
            word, rest = _first_word(rest)
            seconds = parse_seconds(word)
            if seconds is None:
                refuse_file("invalid TTL")
            ttl_seconds = self.reading.options.bounded(seconds, ttl_seconds)
        word, after = _first_word(rest)
        if word.lower() == b"in" and after:
            rest = after
        rtype, value = _first_word(rest)
        if self.reading.gate is not None:
            self.reading.gate.record()
        number, rdata = self._rdata(rtype.lower(), value)
        record = Record(number, ttl_seconds, rdata)
        self.by_owner.setdefault(key, []).append(record)

    def records(self) -> Records:
        """Return the records, ready to be asked."""
        below: set[Key] = set()
        for owner in self.by_owner:
            below.update(parents(owner))
        return Records(self.by_owner, frozenset(below))

    def count(self) -> int:
        """Return the number of records."""
        return sum(map(len, self.by_owner.values()))

    def _rdata(self, rtype: bytes, value: bytes) -> tuple[int, bytes]:
        if value and rtype == b"a":
            return A, _address(value)
        if value and rtype == b"txt":
            return TXT, self._text(value)
        if value and rtype == b"mx":
            return MX, _mail_exchanger(value)
        return refuse("invalid/unrecognized entry")

    def _text(self, value: bytes) -> bytes:
        if len(value) >= 2 and value.startswith(b'"') and value.endswith(b'"'):
            value = value[1:-1]
        if len(value) > _LONGEST_TEXT:
            self.reading.warn(f"TXT RR truncated to {_LONGEST_TEXT} bytes")
            value = value[:_LONGEST_TEXT]
        return bytes((len(value),)) + value


def _address(value: bytes) -> bytes:
    prefix = read_prefix(value)
    if prefix is None:
        refuse("invalid/unrecognized entry")
    address, bits, _ = prefix
    if bits < 32:  # as inet_aton reads it: 127.1 is 127.0.0.1
        shift = 32 - bits
        address = (address >> shift & 0xFF) | (address & ~((1 << (shift + 8)) - 1))
    return address.to_bytes(4, "big")


def _mail_exchanger(value: bytes) -> bytes:
    preference, rest = _first_word(value)
    if not preference.isdigit() or len(preference) > 10 or int(preference) > _LARGEST_PREFERENCE:
        refuse("invalid/unrecognized entry")
    name, after = _first_word(rest)
    labels = parse_name(name) if name else None
    if labels is None or after:
        refuse_file("invalid MX")
    return int(preference).to_bytes(2, "big") + key_of(labels) + b"\0"


def _first_word(text: bytes) -> tuple[bytes, bytes]:
    found = _WORD.match(text)
    return (found[1], found[2]) if found else (b"", b"")
