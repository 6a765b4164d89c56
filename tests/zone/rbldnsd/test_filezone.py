"""Zones made of datasets."""

from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path

from rbl.zone.rbldnsd.filezone import addresses_at, build
from rbl.zone.rbldnsd.specials import FileNameServers
from tests.zone.rbldnsd.lines import APEX, NOW, answer, dataset, text


def test_datasets_are_joined(tmp_path: Path) -> None:
    """What an address answers is the union; an exclusion is of its dataset."""
    first = dataset(tmp_path, "ip4set", "10.0.0.1 :2:a\n!10.0.0.3\n")
    second = dataset(tmp_path, "ip4trie", "10.0.0.0/30 :5:b\n")
    found = build(APEX, [first, second])

    assert ["2 5 a b", "5 b", ""] == [text(found, f"10.0.0.{last}") for last in (1, 3, 4)]


def test_what_a_zone_is_made_of(tmp_path: Path) -> None:
    """The first SOA and name servers count, the earliest end, and a serial 0 is the newest file's time."""
    plain = dataset(tmp_path, "ip4set", "10.0.0.1\n")
    told = dataset(tmp_path, "ip4set", "$SOA 1 a.t h.t 0 1 2 3 4\n$TIMESTAMP 0 2030:01:01\n10.0.0.2\n")
    many = FileNameServers(1, tuple((b"n%d" % number,) for number in range(40)))
    told = replace(told, stamp=77, name_servers=many)
    found = build(APEX, [replace(plain, stamp=5, expires=9), told, dataset(tmp_path, "acl", "10/8\n")])

    assert found.name_servers is not None
    assert (77, 9, 2, 32) == (found.serial, found.expires, found.entries, len(found.name_servers.names))
    assert found.acl is not None
    assert found.rule_for_key((b"x",)) is None


def test_sub_zones(tmp_path: Path) -> None:
    """What is below a sub-zone is asked of it alone, and the names above one exist."""
    lines = "$DATASET ip4set sub.deep\n10.0.0.1 s\n$DATASET ip4set @\n10.0.0.1 b\n"
    found = build(APEX, [dataset(tmp_path, "combined", lines)])

    assert [[b"\1s"], [b"\1b"]] == [answer(found, name, 16) for name in ("1.0.0.10.sub.deep", "1.0.0.10")]
    assert (True, False) == (found.has_below((b"deep",), b"\4deep"), found.has_below((b"x",), b"\1x"))


def test_addresses_of_a_name_server(tmp_path: Path) -> None:
    """Glue comes from our own records."""
    found = build(APEX, [dataset(tmp_path, "generic", "ns 60 A 192.0.2.1\n")])

    assert [(IPv4Address("192.0.2.1"), 60)] == addresses_at(found, (b"ns",), NOW)


def test_keys_of_a_zone(tmp_path: Path) -> None:
    """A zone with an aclkey dataset asks it."""
    found = build(APEX, [dataset(tmp_path, "aclkey", "k :pass\n")])
    rule = found.rule_for_key((b"x", b"k"))

    assert rule is not None
    assert b"k" == rule.label
