"""The datasets of IPv6 addresses: ip6trie and ip6tset."""

from ipaddress import IPv6Address

from rbl.zone.family import IPV6
from rbl.zone.rbldnsd import steps
from rbl.zone.rbldnsd.ipv6text import read_cidr, read_prefix
from rbl.zone.rbldnsd.reading import Reading
from rbl.zone.rbldnsd.steps import Steps
from rbl.zone.rbldnsd.values import (
    BLANKS,
    DEFAULT,
    EXCLUDED,
    Values,
    conditional_value,
    parse_value,
    refuse,
)

_AFTER = frozenset(b" \t#;:")
_SUBNET = 64  # the length of an entry of an ip6tset
_WHOLE = 128


class Ip6trie:
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
        if line.startswith(b":") and not line.startswith(b"::"):
            self._default = parse_value(line, DEFAULT, self._reading.warn)
            return
        excluded = line.startswith(b"!")
        if excluded:
            line = line[1:].lstrip(BLANKS)
        found = read_cidr(line)
        if found is None or not _ends(line, found[2]):
            refuse("invalid address")
        first, bits, end = found
        host = (1 << (_WHOLE - bits)) - 1
        if first & host:
            if not self._reading.options.accept_host_bits:
                refuse("invalid range (non-zero host part)")
            first &= ~host
        value = None if excluded else conditional_value(line[end:], self._default, self._reading.warn)
        of_length = self.networks.setdefault(bits, {})
        if first in of_length:
            refuse(f"duplicated entry for {IPv6Address(first)}/{bits}")
        if self._reading.gate is not None:
            self._reading.gate.ipv6(first, bits, value)
        of_length[first] = EXCLUDED if value is None else self._values.number(value)

    def steps(self) -> Steps:
        """Return what holds where."""
        lengths = sorted(self.networks, reverse=True)
        layers = [steps.networks(IPV6, length, self.networks[length]) for length in lengths]
        return steps.overlay(IPV6, layers)

    def count(self) -> int:
        """Return the number of entries."""
        return sum(map(len, self.networks.values()))


class Ip6tset:
    """Subnets of 64 bits, one value for all; single addresses in them may be excluded."""

    def __init__(self, reading: Reading, values: Values) -> None:
        self._reading = reading
        self._values = values
        self._set: int | None = None
        self.subnets: set[int] = set()
        self.exclusions: set[int] = set()

    def start_file(self) -> None:
        """Do nothing: the default is of all files together."""

    def add(self, line: bytes) -> None:
        """Take one line.

        Raises:
            BadInput: it is none of this dataset.
        """
        if line.startswith(b":"):
            if self._set is None:
                self._set = self._values.number(parse_value(line, DEFAULT, self._reading.warn))
            return
        excluded = line.startswith(b"!")
        if excluded:
            line = line[1:].lstrip(BLANKS)
        found = read_prefix(line)
        if found is None or not _ends(line, found[2]):
            refuse("invalid address")
        wanted = _WHOLE if excluded else _SUBNET
        if found[1] != wanted:
            what = "exclusion" if excluded else "regular entry"
            refuse(f"invalid address for {what} (should be {wanted} bits)")
        if self._reading.gate is not None:
            (value,) = self._values.of(self.outcome)
            self._reading.gate.ipv6(found[0], wanted, None if excluded else value)
        (self.exclusions if excluded else self.subnets).add(found[0])

    @property
    def outcome(self) -> int:
        """The outcome of every subnet."""
        return self._values.number(DEFAULT) if self._set is None else self._set

    def steps(self) -> Steps:
        """Return what holds where."""
        excluded = steps.networks(IPV6, _WHOLE, dict.fromkeys(self.exclusions, EXCLUDED))
        listed = steps.networks(IPV6, _SUBNET, dict.fromkeys(self.subnets, self.outcome))
        return steps.overlay(IPV6, [excluded, listed])

    def count(self) -> int:
        """Return the number of entries."""
        return len(self.subnets) + len(self.exclusions)


def _ends(line: bytes, at: int) -> bool:
    """Whether an address may end at *at*."""
    return at == len(line) or line[at] in _AFTER
