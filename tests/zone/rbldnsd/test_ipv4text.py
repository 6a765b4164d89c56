"""IPv4 addresses, prefixes and ranges in text."""

from ipaddress import IPv4Address

import pytest

from rbl.zone.rbldnsd.ipv4text import host_bits, read_address, read_cidr, read_prefix, read_range


def _number(address: str) -> int:
    return int(IPv4Address(address))


def test_host_bits() -> None:
    """The bits beyond the prefix are set."""
    assert (0xFFFFFFFF, 0xFF, 0) == tuple(map(host_bits, (0, 24, 32)))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"127.0.0.2", "127.0.0.2"),
        (b"127.0.0.2 x", None),  # more than an address
        (b"127.0.0.02", None),  # not the usual form: read_prefix takes it
        (b"1.2.3.4.5.6.7.8.9", None),
        (b"", None),
        (b"a.b.c.d1", None),
    ],
)
def test_read_address(text: bytes, expected: str | None) -> None:
    """The quick way takes an address alone, in its usual form."""
    assert (None if expected is None else _number(expected)) == read_address(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"10", ("10.0.0.0", 8, 2)),
        (b"10.1 x", ("10.1.0.0", 16, 4)),
        (b"10.1.2/9", ("10.1.2.0", 24, 6)),
        (b"010.1.2.3", ("10.1.2.3", 32, 9)),
        (b"256.1", None),  # no octet
        (b"10.", None),  # ends in a dot
        (b"1.2.3.", None),
        (b"x", None),
    ],
)
def test_read_prefix(text: bytes, expected: tuple[str, int, int] | None) -> None:
    """Fewer than four octets are a prefix."""
    assert (expected and (_number(expected[0]), *expected[1:])) == read_prefix(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"10.0.0.0/9", ("10.0.0.0", 9, 10)),
        (b"10/8", ("10.0.0.0", 8, 4)),
        (b"10.1", ("10.1.0.0", 16, 4)),
        (b"10", None),  # a bare number
        (b"10.1/33", None),
        (b"10.1/x", None),
        (b"!", None),
    ],
)
def test_read_cidr(text: bytes, expected: tuple[str, int, int] | None) -> None:
    """A network is a prefix, or an address with a length."""
    assert (expected and (_number(expected[0]), *expected[1:])) == read_cidr(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"127.0.0.0/24", ("127.0.0.0", "127.0.0.255", 24, 12)),
        (b"127.0.0.1-255", ("127.0.0.1", "127.0.0.255", 32, 13)),
        (b"127.16-31", ("127.16.0.0", "127.31.255.255", 32, 9)),
        (b"127.16.0-127.31.255", ("127.16.0.0", "127.31.255.255", 32, 19)),
        (b"10.0.0.9-10.0.0.3", None),  # backwards
        (b"127.0.0.1-127.1.1", None),  # ends of two kinds
        (b"10.1-", None),
        (b"10", None),
        (b"x-1", None),
    ],
)
def test_read_range(text: bytes, expected: tuple[str, str, int, int] | None) -> None:
    """A range has two ends, of which the second may be its last octet alone."""
    assert (expected and (_number(expected[0]), _number(expected[1]), *expected[2:])) == read_range(text)
