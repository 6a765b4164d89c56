"""ip6trie and ip6tset."""

from ipaddress import IPv6Address
from pathlib import Path

import pytest

from rbl.zone.rbldnsd.filezone import FileZone
from rbl.zone.rbldnsd.reading import Options
from tests.zone.rbldnsd.lines import answer, dataset, faults, zone


def _texts(found: FileZone, *addresses: str) -> list[str]:
    names = [".".join(reversed(IPv6Address(each).exploded.replace(":", ""))) for each in addresses]
    return [" ".join(rdata[1:].decode() for rdata in answer(found, name, 16)) for name in names]


def test_ip6trie(tmp_path: Path) -> None:
    """The longest prefix decides, exclusions too."""
    lines = ":2:set $\n2001:db8:c000/36\n2001:db8:c000::/40 own\n!2001:db8:c000::5\n::1 # c\n"
    found = zone(tmp_path, "ip6trie", lines)

    assert ["own", "", "set 2001:db8:cf00::1", "set ::1", ""] == _texts(
        found, "2001:db8:c000::1", "2001:db8:c000::5", "2001:db8:cf00::1", "::1", "::2"
    )


def test_ip6trie_refuses(tmp_path: Path) -> None:
    """Bits beyond the prefix, what is none, and a network again are refused."""
    lines = "2001:db8::1/32\nx\n2001:db8::/32\n2001:db8::/32 again\n"

    assert [
        (1, "invalid range (non-zero host part)"),
        (2, "invalid address"),
        (4, "duplicated entry for 2001:db8::/32"),
    ] == faults(dataset(tmp_path, "ip6trie", lines))


def test_host_bits_are_masked_where_that_is_wanted(tmp_path: Path) -> None:
    """With -e a network may have bits beyond its prefix."""
    found = zone(tmp_path, "ip6trie", "2001:db8::1/32 x\n", options=Options(accept_host_bits=True))

    assert ["x"] == _texts(found, "2001:db8:1::")


@pytest.mark.parametrize(("default", "expected"), [(":2:six $\n:3:no\n", "six 2001:db8:0:1::9"), ("", "")])
def test_ip6tset(tmp_path: Path, default: str, expected: str) -> None:
    """Subnets of 64 bits have one value; single addresses in them may be excluded."""
    found = zone(tmp_path, "ip6tset", f"{default}2001:db8:0:1\n!2001:db8:0:1::2\n")

    assert [expected, "", ""] == _texts(found, "2001:db8:0:1::9", "2001:db8:0:1::2", "2001:db8:0:2::1")
    assert 2 == found.entries


def test_ip6tset_refuses(tmp_path: Path) -> None:
    """An entry has 64 bits, an exclusion 128."""
    assert [
        (1, "invalid address for regular entry (should be 64 bits)"),
        (2, "invalid address for exclusion (should be 128 bits)"),
        (3, "invalid address"),
    ] == faults(dataset(tmp_path, "ip6tset", "2001:db8::\n!2001:db8:0:1\nx\n"))
