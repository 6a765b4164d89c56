"""The datasets of clients: acl by address, and the fork's aclkey by a label of the question."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address, ip_network

from rbl.terms import Address, Network
from rbl.zone.rbldnsd import ipv4text, ipv6text
from rbl.zone.rbldnsd.ipv4text import host_bits
from rbl.zone.rbldnsd.reading import Reading
from rbl.zone.rbldnsd.values import COMMENTS, DEFAULT, Value, entry_value, refuse, refuse_file

_KEYWORD = re.compile(rb"[:=]([a-zA-Z]+)(?=$|[: \t#;])")
_KEY_END = re.compile(rb"[:= \t]")
_AFTER = frozenset(b" \t#;:")
_LONGEST_LABEL = 63  # RFC 1035 §2.3.4


class Treatment(StrEnum):
    """What becomes of a client's question, whatever it asks."""

    IGNORE = "ignore"  # no answer at all
    REFUSE = "refuse"  # REFUSED
    EMPTY = "empty"  # nothing is listed
    PASS = "pass"  # noqa: S105 — an ordinary answer; no password


Action = Treatment | Value  # a value: everything is listed with it

_WORDS = {
    b"ignore": Treatment.IGNORE,
    b"blackhole": Treatment.IGNORE,
    b"refuse": Treatment.REFUSE,
    b"empty": Treatment.EMPTY,
    b"pass": Treatment.PASS,
    b"accept": Treatment.PASS,
}


@dataclass(slots=True)
class _Defaults:
    """What an entry without an action does, and what completes one that is a value."""

    action: Action = Treatment.IGNORE
    value: Value = DEFAULT

    def take(self, text: bytes, reading: Reading) -> None:
        self.action = self.parse(text, reading)
        self.value = self.action if isinstance(self.action, Value) else DEFAULT

    def parse(self, text: bytes, reading: Reading) -> Action:
        """Return the action that *text* writes.

        Raises:
            BadInput: neither a word for one nor a value.
        """
        if not text or text[0] in COMMENTS:
            return self.action
        found = _KEYWORD.match(text)
        word = _WORDS.get(found[1].lower()) if found else None
        if word is not None:
            return word
        if text.startswith(b"="):
            refuse("invalid keyword")
        return entry_value(text, self.value, reading.warn)


@dataclass(slots=True)
class Acl:
    """Actions by the client's network; the longest prefix decides."""

    reading: Reading
    networks: dict[int, dict[int, dict[int, Action]]] = field(default_factory=lambda: {4: {}, 6: {}})
    _defaults: _Defaults = field(default_factory=_Defaults)

    def start_file(self) -> None:
        """Forget the default action: each file begins with ignoring."""
        self._defaults = _Defaults()

    def add(self, line: bytes) -> None:
        """Take one line.

        Raises:
            BadInput: it is none of this dataset.
        """
        if line.startswith(b"=") or (line.startswith(b":") and not line.startswith(b"::")):
            self._defaults.take(line, self.reading)
            return
        version, bits_of_family = 4, 32
        found = ipv4text.read_cidr(line)
        if found is None or not _ends(line, found[2]):
            version, bits_of_family = 6, 128
            found = ipv6text.read_cidr(line)
        if found is None or not _ends(line, found[2]):
            refuse("invalid address")
        first, bits, end = found
        host = (1 << (bits_of_family - bits)) - 1
        if first & host:
            if not self.reading.options.accept_host_bits:
                refuse("invalid range (non-zero host part)")
            first &= ~host
        if version == 4 and self.reading.too_wide(first, first | host_bits(bits)):
            return
        action = self._defaults.parse(line[end:].lstrip(b" \t"), self.reading)
        of_length = self.networks[version].setdefault(bits, {})
        if first in of_length:
            address = IPv4Address(first) if version == 4 else IPv6Address(first)
            refuse(f"duplicated entry for {address}/{bits}")
        of_length[first] = action

    def find(self, client: Address) -> Action:
        """Return what becomes of a question of *client*."""
        number = int(client)
        networks = self.networks[client.version]
        for bits in sorted(networks, reverse=True):
            shift = client.max_prefixlen - bits
            found = networks[bits].get(number >> shift << shift)
            if found is not None:
                return found
        return Treatment.PASS

    def actions(self) -> Iterator[tuple[Network, Action]]:
        """Yield each network and what becomes of its clients' questions."""
        for version, of_family in self.networks.items():
            for bits, of_length in of_family.items():
                for first, action in of_length.items():
                    address = IPv4Address(first) if version == 4 else IPv6Address(first)
                    yield ip_network((address, bits)), action

    def count(self) -> int:
        """Return the number of entries."""
        return sum(len(of_length) for family in self.networks.values() for of_length in family.values())


@dataclass(slots=True)
class AclKey:
    """Actions by a key, which is the last label before the zone's name."""

    reading: Reading
    keys: dict[bytes, Action] = field(default_factory=dict)
    _defaults: _Defaults = field(default_factory=_Defaults)

    @property
    def without_key(self) -> Action:
        """What becomes of a question without a known key."""
        return self._defaults.action

    def start_file(self) -> None:
        """Forget the default action: each file begins with ignoring."""
        self._defaults = _Defaults()

    def add(self, line: bytes) -> None:
        """Take one line.

        Raises:
            BadInput: it is none of this dataset.
        """
        if line[0] in b":=":
            self._defaults.take(line, self.reading)
            return
        ending = _KEY_END.search(line)
        end = ending.start() if ending else len(line)
        if end > _LONGEST_LABEL:
            refuse_file(f"cannot insert a key of more than {_LONGEST_LABEL} octets")
        self.keys[line[:end].lower()] = self._defaults.parse(line[end:].lstrip(b" \t"), self.reading)

    def count(self) -> int:
        """Return the number of keys."""
        return len(self.keys)


def _ends(line: bytes, at: int) -> bool:
    """Whether an address may end at *at*."""
    return at == len(line) or line[at] in _AFTER
