"""Datasets joined under one name."""

from ipaddress import IPv6Address, ip_address
from pathlib import Path

import pytest

from rbl.zone.rbldnsd.filezone import build
from rbl.zone.rbldnsd.nametext import key_of
from rbl.zone.rbldnsd.part import Found, Part, Question, Rrsets, address_of
from tests.zone.rbldnsd.lines import APEX, NOW, answer, dataset


def _name(address: str) -> str:
    return ".".join(reversed(IPv6Address(address).exploded.replace(":", "")))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("2.0.0.127", "127.0.0.2"),
        ("002.0.0.127", "127.0.0.2"),  # leading zeros are allowed
        ("256.0.0.127", None),
        ("0002.0.0.127", None),
        ("a.0.0.127", None),
        ("1.2.0.0.127", None),
        (_name("2001:db8::1"), "2001:db8::1"),
        (_name("2001:db8::1").replace("8", "g"), None),
    ],
)
def test_address_of(name: str, expected: str | None) -> None:
    """Four numbers are an IPv4 address, 32 nibbles an IPv6 one."""
    labels = tuple(label.encode() for label in name.split("."))

    assert (expected and ip_address(expected)) == address_of(labels)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("::ffff:127.0.0.2", True),
        ("2002:7f00:2::1", True),
        ("::127.0.0.2", False),
        ("::ffff:127.0.0.1", False),
    ],
)
def test_ipv4_within_ipv6(tmp_path: Path, address: str, *, expected: bool) -> None:
    """Mapped addresses and 6to4 ones are IPv4."""
    found = build(APEX, [dataset(tmp_path, "ip4set", "127.0.0.2\n")])

    assert expected == bool(answer(found, _name(address)))


def test_mapped_addresses_are_ipv4_alone_where_there_is_any(tmp_path: Path) -> None:
    """An IPv6 entry for a mapped address is seen only where no IPv4 dataset is; a 6to4 one always."""
    ipv6 = dataset(tmp_path, "ip6trie", "::ffff:7f00:3\n2002:7f00:3::/48\n")
    ipv4 = dataset(tmp_path, "ip4set", "127.0.0.2\n")
    names = (_name("::ffff:127.0.0.3"), _name("2002:7f00:3::1"))

    assert [True, True] == [bool(answer(build(APEX, [ipv6]), name)) for name in names]
    assert [False, True] == [bool(answer(build(APEX, [ipv4, ipv6]), name)) for name in names]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("", True),
        ("127", True),
        ("0.0.127", True),
        ("128", False),
        ("f.f.f.f.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0", True),
        ("0", True),  # 127.0.0.2 is listed, and so is ::ffff:127.0.0.2
        ("2.0.0.2", True),
        ("0.0.f.7.2.0.0.2", True),
        ("3", False),
        ("x", False),
    ],
)
def test_names_above_listed_addresses_exist(tmp_path: Path, name: str, *, expected: bool) -> None:
    """A name that an IPv4 entry lies below, in whatever form, exists (RFC 8020)."""
    found = build(APEX, [dataset(tmp_path, "ip4set", "127.0.0.2\n")])
    labels = tuple(label.encode() for label in name.split(".") if label)

    assert expected == found.has_below(labels, key_of(labels))


def test_names_above_ipv6_addresses_exist(tmp_path: Path) -> None:
    """The same of IPv6."""
    found = build(APEX, [dataset(tmp_path, "ip6trie", "2001:db8::1\n")])

    assert [True, False, True] == [
        found.has_below(labels, key_of(labels)) for labels in ((b"2",), (b"3",), ())
    ]


@pytest.mark.parametrize(
    ("kind", "line", "name"),
    [
        ("ip4set", "127.0.0.2", "2.0.0.127"),
        ("dnset", "x.test", "x.test"),
        ("generic", "www A 10.0.0.1", "www"),
    ],
)
def test_what_an_acl_makes_of_it(tmp_path: Path, kind: str, line: str, name: str) -> None:
    """Everything is listed for a client, or nothing is; names of ordinary records stay."""
    (leaf,) = dataset(tmp_path, kind, line + "\n").leaves
    labels = tuple(label.encode() for label in name.split("."))
    part, rrsets = Part([leaf]), Rrsets()
    everything = part.find(Question(labels, key_of(labels), 1, NOW, everything=True), rrsets)
    nothing = part.find(Question(labels, key_of(labels), 1, NOW, nothing=True), rrsets)

    assert {} == rrsets.rdatas
    named = kind == "generic"
    assert (Found.NAME if named else Found.CLIENT, Found.NAME if named else Found.NOTHING) == (
        everything,
        nothing,
    )


def test_one_type_has_the_smallest_ttl(tmp_path: Path) -> None:
    """Records of one owner and type have one TTL."""
    found = build(APEX, [dataset(tmp_path, "generic", "www 3000 A 10.0.0.1\nwww 60 A 10.0.0.2\n")])
    rrsets = Rrsets()
    found.find(Question((b"www",), b"\3www", 255, NOW), rrsets)

    assert ({1: 60}, 2) == (rrsets.ttl_seconds, len(rrsets.rdatas[1]))
