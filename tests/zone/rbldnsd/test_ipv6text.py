"""IPv6 addresses and prefixes in text."""

from ipaddress import IPv6Address

import pytest

from rbl.zone.rbldnsd.ipv6text import read_cidr, read_prefix


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"2001:db8:c000", ("2001:db8:c000::", 48, 13)),
        (b"2001:db8::1 x", ("2001:db8::1", 128, 11)),
        (b"::", ("::", 128, 2)),
        (b"1::", ("1::", 128, 3)),
        (b"1:2:3:4:5:6:7:8", ("1:2:3:4:5:6:7:8", 128, 15)),
        (b"1::2:3:4:5:6:7:8", None),  # :: for nothing
        (b"12345::", None),
        (b"2001:db8:", None),  # ends in a colon
        (b"x", None),
    ],
)
def test_read_prefix(text: bytes, expected: tuple[str, int, int] | None) -> None:
    """Fewer than eight groups without :: are a prefix."""
    assert (expected and (int(IPv6Address(expected[0])), *expected[1:])) == read_prefix(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"2001:db8::/32", ("2001:db8::", 32, 13)),
        (b"2001:db8:c000/36", ("2001:db8:c000::", 36, 16)),
        (b"2001:db8", ("2001:db8::", 32, 8)),
        (b"2001", None),  # a bare number
        (b"::1/129", None),
        (b"::1/", None),
        (b"", None),
    ],
)
def test_read_cidr(text: bytes, expected: tuple[str, int, int] | None) -> None:
    """A network is a prefix, or an address with a length."""
    assert (expected and (int(IPv6Address(expected[0])), *expected[1:])) == read_cidr(text)
