"""The datasets of IPv4 addresses: ip4set, ip4trie and ip4tset.

An ip4set keeps its ranges as whole octets: what can be said with a /8, /16 or /24 is, and the rest is
single addresses. The narrowest of the four levels that has anything for an address decides, an exclusion
there too, and hides the wider ones. In an ip4trie the longest prefix decides.
"""

from array import array
from ipaddress import IPv4Address

from rbl.zone.family import IPV4
from rbl.zone.rbldnsd import steps
from rbl.zone.rbldnsd.ipv4text import host_bits, read_address, read_cidr, read_prefix, read_range
from rbl.zone.rbldnsd.reading import Reading
from rbl.zone.rbldnsd.steps import Steps
from rbl.zone.rbldnsd.values import (
    BLANKS,
    DEFAULT,
    EXCLUDED,
    Values,
    conditional_value,
    entry_value,
    parse_value,
    refuse,
)

_AFTER = frozenset(b" \t#;:")
_LEVELS = 4  # single addresses, /24, /16, /8


class Ip4set:
    """Ranges of addresses, each with a value of its own, several at one place."""

    def __init__(self, reading: Reading, values: Values) -> None:
        self._reading = reading
        self._values = values
        self._default = DEFAULT
        self._default_number = values.number(DEFAULT)
        # By level: first and last address, and outcome.
        self.levels = [(array("I"), array("I"), array("I")) for _ in range(_LEVELS)]

    def start_file(self) -> None:
        """Forget the default value: each file begins with its own."""
        self._set_default(b"")

    def add(self, line: bytes) -> None:
        """Take one line.

        Raises:
            BadInput: it is none of this dataset.
        """
        address = read_address(line)
        if address is not None:
            if self._reading.gate is not None:
                self._reading.gate.ipv4(address, address, self._default)
            self._piece(0, address, address, self._default_number)
            return
        if line.startswith(b":"):
            self._set_default(line)
            return
        excluded = line.startswith(b"!")
        if excluded:
            line = line[1:].lstrip(BLANKS)
        found = read_range(line)
        if found is None or not found[2] or not _ends(line, found[3]):
            refuse("invalid address")
        first, last, bits, end = found
        if first & host_bits(bits):
            if not self._reading.options.accept_host_bits:
                refuse("invalid range (non-zero host part)")
            first &= ~host_bits(bits)
        if self._reading.too_wide(first, last):
            return
        value = None if excluded else entry_value(line[end:], self._default, self._reading.warn)
        if self._reading.gate is not None:
            self._reading.gate.ipv4(first, last, value)
        self._expand(first, last, EXCLUDED if value is None else self._values.number(value))

    def steps(self) -> Steps:
        """Return what holds where."""
        layers = [steps.ipv4_ranges(*level, self._values.joined) for level in self.levels]
        return steps.overlay(IPV4, layers)

    def count(self) -> int:
        """Return the number of entries."""
        return sum(len(outcomes) for _, _, outcomes in self.levels)

    def _set_default(self, line: bytes) -> None:
        self._default = parse_value(line, DEFAULT, self._reading.warn) if line else DEFAULT
        self._default_number = self._values.number(self._default)

    def _expand(self, first: int, last: int, outcome: int) -> None:
        """Add the range as pieces of whole octets: at each level what the wider one cannot say."""
        for level in range(_LEVELS - 1):
            if first | 255 >= last:
                if last - first == 255:
                    self._piece(level + 1, first >> 8, first >> 8, outcome)
                elif first <= last:
                    self._piece(level, first, last, outcome)
                return
            if first & 255:
                self._piece(level, first, first | 255, outcome)
                first += 256
            if last & 255 != 255:
                self._piece(level, last & ~255, last, outcome)
                last -= 256
            first, last = first >> 8, last >> 8
        self._piece(_LEVELS - 1, first, last, outcome)

    def _piece(self, level: int, first: int, last: int, outcome: int) -> None:
        firsts, lasts, outcomes = self.levels[level]
        shift = 8 * level
        firsts.append(first << shift)
        lasts.append((last + 1 << shift) - 1)
        outcomes.append(outcome)


class Ip4trie:
    """Networks, one value for each; of equal ones the first counts."""

    def __init__(self, reading: Reading, values: Values) -> None:
        self._reading = reading
        self._values = values
        self._default = DEFAULT
        self.networks: dict[int, dict[int, int]] = {}  # by prefix length: outcome by first address

    def start_file(self) -> None:
        """Forget the default value: each file begins with its own."""
        self._default = DEFAULT

    def add(self, line: bytes) -> None:
        """Take one line.

        Raises:
            BadInput: it is none of this dataset.
        """
        if line.startswith(b":"):
            self._default = parse_value(line, DEFAULT, self._reading.warn)
            return
        excluded = line.startswith(b"!")
        if excluded:
            line = line[1:].lstrip(BLANKS)
        found = read_cidr(line)
        if found is None or not _ends(line, found[2]):
            refuse("invalid address")
        first, bits, end = found
        if first & host_bits(bits):
            if not self._reading.options.accept_host_bits:
                refuse("invalid range (non-zero host part)")
            first &= ~host_bits(bits)
        if self._reading.too_wide(first, first | host_bits(bits)):
            return
        value = None if excluded else conditional_value(line[end:], self._default, self._reading.warn)
        of_length = self.networks.setdefault(bits, {})
        if first in of_length:
            refuse(f"duplicated entry for {IPv4Address(first)}/{bits}")
        if self._reading.gate is not None:
            self._reading.gate.ipv4(first, first | host_bits(bits), value)
        of_length[first] = EXCLUDED if value is None else self._values.number(value)

    def steps(self) -> Steps:
        """Return what holds where."""
        lengths = sorted(self.networks, reverse=True)
        layers = [steps.networks(IPV4, length, self.networks[length]) for length in lengths]
        return steps.overlay(IPV4, layers)

    def count(self) -> int:
        """Return the number of entries."""
        return sum(map(len, self.networks.values()))


class Ip4tset:
    """Single addresses, one value for all: the first default that any of the files sets."""

    def __init__(self, reading: Reading, values: Values) -> None:
        self._reading = reading
        self._values = values
        self._set: int | None = None
        self.members = array("I")

    def start_file(self) -> None:
        """Do nothing: the default is of all files together."""

    def add(self, line: bytes) -> None:
        """Take one line.

        Raises:
            BadInput: it is none of this dataset.
        """
        address = read_address(line)
        if address is not None:
            self._take(address)
            return
        if line.startswith(b":"):
            if self._set is None:
                self._set = self._values.number(parse_value(line, DEFAULT, self._reading.warn))
            return
        found = read_prefix(line)
        if found is None or found[1] != 32 or not _ends(line, found[2]):
            refuse("invalid address")
        self._take(found[0])

    @property
    def outcome(self) -> int:
        """The outcome of every member."""
        return self._values.number(DEFAULT) if self._set is None else self._set

    def steps(self) -> Steps:
        """Return what holds where."""
        outcomes = array("I", [self.outcome]) * len(self.members)
        return steps.overlay(
            IPV4, [steps.ipv4_ranges(self.members, self.members, outcomes, self._values.joined)]
        )

    def count(self) -> int:
        """Return the number of entries."""
        return len(self.members)

    def _take(self, address: int) -> None:
        if self._reading.gate is not None:
            (value,) = self._values.of(self.outcome)
            self._reading.gate.ipv4(address, address, value)
        self.members.append(address)


def _ends(line: bytes, at: int) -> bool:
    """Whether an address may end at *at*."""
    return at == len(line) or line[at] in _AFTER
