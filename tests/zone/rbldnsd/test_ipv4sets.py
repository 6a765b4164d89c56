"""ip4set, ip4trie and ip4tset."""

from pathlib import Path

import pytest

from rbl.zone.rbldnsd.reading import Options
from tests.zone.rbldnsd.lines import dataset, faults, text, zone


@pytest.mark.parametrize(
    ("lines", "address", "expected"),
    [
        ("10/8 :2:wide\n10.0.0/24 :3:mid\n10.0.0.1 :4:host\n", "10.0.0.1", "4 host"),
        ("10/8 :2:wide\n10.0.0/24 :3:mid\n10.0.0.1 :4:host\n", "10.0.0.2", "3 mid"),
        ("10/8 :2:wide\n!10.1/16\n", "10.1.2.3", ""),
        ("!10.0.0.1\n10.0.0.1 yes\n", "10.0.0.1", ""),
        ("10.0.0.1 :2:a\n10.0.0.1 :3:b\n10.0.0.1 :3:a\n", "10.0.0.1", "2 3 a b"),
        ("10.0.0.3-10.0.2.5\n", "10.0.2.5", "2"),
        ("10.0.0.3-10.0.2.5\n", "10.0.2.6", ""),
        ("10.0.0.0-10.1.0.255 x\n", "10.1.0.255", "2 x"),
        ("10.0.0.0-10.1.0.255 x\n", "10.1.1.0", ""),
        ("0/0 all\n", "203.0.113.1", ""),  # all of IPv4 is no range of an ip4set
        ("0.0.0.0/0 all\n", "203.0.113.1", ""),
        (":5:set\n10.0.0.1\n10.0.0.2 # none\n", "10.0.0.2", "5 set"),
        ("10.0.0.0-10.0.0.9 :2:a\n10.0.0.5-10.0.0.12 :3:b\n", "10.0.0.7", "2 3 a b"),
        ("10.0.0.0-10.0.0.9 :2:a\n10.0.0.5-10.0.0.12 :3:b\n", "10.0.0.12", "3 b"),
    ],
)
def test_ip4set(tmp_path: Path, lines: str, address: str, expected: str) -> None:
    """The narrowest level that has anything for an address decides."""
    assert expected == text(zone(tmp_path, "ip4set", lines), address)


@pytest.mark.parametrize(
    ("lines", "address", "expected"),
    [
        ("0.0.0.0/0 wild\n10.0.0.0/9 nine\n10.0.0.0/13 :4:thirteen\n", "10.7.0.1", "4 thirteen"),
        ("0.0.0.0/0 wild\n10.0.0.0/9 nine\n!10.0.0.0/30\n", "10.0.0.2", ""),
        ("0.0.0.0/0 wild\n10.0.0.0/9 nine\n", "10.128.0.1", "2 wild"),
        ("10.0.0.0/9 first\n10.0.0.0/9 second\n", "10.0.0.1", "2 first"),
        (":7:set\n10.0.0.1\n", "10.0.0.1", "7 set"),
    ],
)
def test_ip4trie(tmp_path: Path, lines: str, address: str, expected: str) -> None:
    """The longest prefix decides; of equal ones the first counts."""
    assert expected == text(zone(tmp_path, "ip4trie", lines), address)


def test_ip4tset(tmp_path: Path) -> None:
    """Single addresses have the first default of all files."""
    found = zone(tmp_path, "ip4tset", "10.0.0.1\n10.0.0.2 c\n", ":3:x\n:4:y\n010.0.0.3\n")

    assert ["3 x", "3 x", "3 x", ""] == [text(found, f"10.0.0.{last}") for last in (1, 2, 3, 4)]
    assert "2" == text(zone(tmp_path, "ip4tset", "10.0.0.1\n"), "10.0.0.1")


@pytest.mark.parametrize("kind", ["ip4set", "ip4trie"])
def test_host_bits_are_refused_or_masked(tmp_path: Path, kind: str) -> None:
    """A network with bits beyond its prefix is refused, but with -e."""
    strict = dataset(tmp_path, kind, "127.2.3.4/24\n")
    lax = zone(tmp_path, kind, "127.2.3.4/24\n", options=Options(accept_host_bits=True))

    assert ([(1, "invalid range (non-zero host part)")], "2") == (faults(strict), text(lax, "127.2.3.9"))


@pytest.mark.parametrize("kind", ["ip4set", "ip4trie", "ip4tset"])
def test_what_is_no_address_is_refused(tmp_path: Path, kind: str) -> None:
    """A line without an address is named with its number."""
    found = dataset(tmp_path, kind, "10.0.0.1\nx\n10.0.0.1x\n10.0.0.256\n")

    assert [(2, "invalid address"), (3, "invalid address"), (4, "invalid address")] == faults(found)
    assert 1 == found.count()


@pytest.mark.parametrize("kind", ["ip4set", "ip4trie"])
def test_wide_ranges_can_be_forbidden(tmp_path: Path, kind: str) -> None:
    """$MAXRANGE4 passes over what is wider, and can only be lowered."""
    found = dataset(tmp_path, kind, "$MAXRANGE4 /24\n10.1.0.0/16\n$MAXRANGE4 /8\n10.2.0.0/24\n")

    assert [
        (2, "too large range (65536) ignored (256 max)"),
        (3, "ignoring attempt to increase $MAXRANGE4 from 256 to 16777216"),
    ] == faults(found)
    assert 1 == found.count()
