"""acl and aclkey: what becomes of a client's question."""

from ipaddress import ip_address
from pathlib import Path

import pytest

from rbl.errors import BadInput
from rbl.zone.rbldnsd.clients import Acl, AclKey, Action, Treatment
from rbl.zone.rbldnsd.filezone import client_rule, key_rule
from rbl.zone.rbldnsd.reading import Options
from rbl.zone.rbldnsd.values import Value
from tests.zone.rbldnsd.lines import dataset, faults

_LOOPBACK = 127 << 24


def _find(folder: Path, lines: str, client: str, options: Options | None = None) -> Action:
    (leaf,) = dataset(folder, "acl", lines, options=options).leaves
    return client_rule(leaf, ip_address(client)).action


@pytest.mark.parametrize(
    ("lines", "client", "expected"),
    [
        ("127.0.0.1 :refuse\n", "127.0.0.1", Treatment.REFUSE),
        ("127.0.0.1\n", "127.0.0.1", Treatment.IGNORE),
        ("127.0.0.1 # c\n", "127.0.0.1", Treatment.IGNORE),
        ("127.0.0.1 =blackhole\n", "127.0.0.1", Treatment.IGNORE),
        ("127.0.0.1 :Empty\n", "127.0.0.1", Treatment.EMPTY),
        ("127.0.0.1 :refuse\n", "127.0.0.2", Treatment.PASS),
        (":refuse\n0.0.0.0/0\n127.0.0.1 :pass\n", "127.0.0.1", Treatment.PASS),
        (":refuse\n0/0\n127.0.0.1 :pass\n", "192.0.2.1", Treatment.REFUSE),
        ("=empty\n192.0.2.0/24\n", "192.0.2.1", Treatment.EMPTY),
        ("::1 :refuse\n", "::1", Treatment.REFUSE),
        ("2001:db8::/32 accept\n", "2001:db8::1", Value(_LOOPBACK + 2, b"accept")),
        ("127.0.0.1 :99:go away $\n", "127.0.0.1", Value(_LOOPBACK + 99, b"go away $")),
        (":9:all\n127.0.0.1 :7\n", "127.0.0.1", Value(_LOOPBACK + 7, b"all")),
    ],
)
def test_acl(tmp_path: Path, lines: str, client: str, expected: Action) -> None:
    """The longest prefix that a client is in decides; whoever is in none gets ordinary answers."""
    assert expected == _find(tmp_path, lines, client)


def test_acl_refuses(tmp_path: Path) -> None:
    """Lines that are none are named."""
    lines = "x\n127.0.0.1/8\n127.0.0.1 =what\n10/8\n10/8 :pass\n$MAXRANGE4 /16\n11/8\n::1\n::1 :pass\n"

    assert [
        (1, "invalid address"),
        (2, "invalid range (non-zero host part)"),
        (3, "invalid keyword"),
        (5, "duplicated entry for 10.0.0.0/8"),
        (7, "too large range (16777216) ignored (65536 max)"),
        (9, "duplicated entry for ::1/128"),
    ] == faults(dataset(tmp_path, "acl", lines))


def test_acl_masks_host_bits(tmp_path: Path) -> None:
    """With -e a network may have bits beyond its prefix."""
    options = Options(accept_host_bits=True)

    assert Treatment.REFUSE == _find(tmp_path, "127.0.0.1/8 :refuse\n", "127.9.9.9", options)


def test_aclkey(tmp_path: Path) -> None:
    """The last label is a key where it is known; without one the default decides."""
    (leaf,) = dataset(tmp_path, "aclkey", ":refuse\nSecret :pass\nother=empty\nplain\n").leaves
    asked = [(b"test", b"secret"), (b"test", b"other"), (b"test", b"plain"), (b"test", b"x"), (b"secret",)]

    rules = [key_rule(leaf, labels) for labels in asked]

    assert [
        (Treatment.PASS, b"secret"),
        (Treatment.EMPTY, b"other"),
        (Treatment.REFUSE, b"plain"),
        (Treatment.REFUSE, b""),
        (Treatment.REFUSE, b""),
    ] == [(rule.action, rule.label) for rule in rules]
    assert isinstance(leaf.builder, AclKey)
    assert 3 == leaf.builder.count()


def test_aclkey_refuses_a_long_key(tmp_path: Path) -> None:
    """A key is a label."""
    with pytest.raises(BadInput, match="cannot insert a key of more than 63 octets"):
        dataset(tmp_path, "aclkey", "x" * 64 + "\n")


def test_entries_are_counted(tmp_path: Path) -> None:
    """An acl counts the networks of both families."""
    (leaf,) = dataset(tmp_path, "acl", "10/8\n::1\n").leaves

    assert isinstance(leaf.builder, Acl)
    assert 2 == leaf.builder.count()
