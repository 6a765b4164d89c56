"""The [access] and [keys] tables of a zone file, and what their author is told of each fault."""

import dataclasses
from ipaddress import IPv4Address, ip_network
from pathlib import Path

import pytest

from rbl.errors import ConfigError
from rbl.zone import access, zonefile
from rbl.zone.access import AccessList, Action, Keys, Rule

LIST = """\
apex = "relays.example"
url = "https://list.example.org/a/{address}"
soa = { mname = "ns1.example", rname = "hostmaster@example.org" }
ns = { names = ["ns1.example"] }
reasons.open-relay = { addresses = ["127.0.0.2"], text = "Open relay" }
"""
ACCESS = """
[access]
default = "refuse"
allow = ["192.0.2.0/24", "2001:db8::/32"]
refuse = ["192.0.2.128/25"]
ignore = ["198.51.100.7"]
empty = ["203.0.113.0/24"]

[[access.listed]]
networks = ["192.0.2.53", "::ffff:198.51.100.0/120"]
address = "127.255.255.254"
text = "{address} is a public resolver, see {url}"
"""
BEGIN = len(LIST.splitlines()) + 1


def read(tmp_path: Path, text: str) -> zonefile.ZoneFile:
    """Read a list with *text* at its end."""
    path = tmp_path / "list.toml"
    path.write_text(LIST + text, encoding="utf-8")
    return zonefile.read(path)


def faults_of(tmp_path: Path, text: str) -> list[str]:
    """Return the faults that reading reports, without the path."""
    with pytest.raises(ConfigError) as refusal:
        read(tmp_path, text)
    return [fault.removeprefix(f"{tmp_path / 'list.toml'}") for fault in refusal.value.faults]


def test_a_list_is_open_unless_it_says_otherwise(tmp_path: Path) -> None:
    """Without the two tables everybody may ask, and there are no keys."""
    zone = read(tmp_path, "")

    assert (access.OPEN, Keys.UNUSED) == (zone.access, zone.keys)


def test_read_takes_every_action(tmp_path: Path) -> None:
    """Each network has its rule, an IPv4-mapped one as the IPv4 network it is."""
    listed = Rule(
        Action.LISTED, IPv4Address("127.255.255.254"), "{address} is a public resolver, see {url}", 300
    )
    expected = AccessList(
        Rule(Action.REFUSE),
        (
            (ip_network("192.0.2.0/24"), access.ALLOW),
            (ip_network("2001:db8::/32"), access.ALLOW),
            (ip_network("192.0.2.128/25"), Rule(Action.REFUSE)),
            (ip_network("198.51.100.7/32"), Rule(Action.IGNORE)),
            (ip_network("203.0.113.0/24"), Rule(Action.EMPTY)),
            (ip_network("192.0.2.53/32"), listed),
            (ip_network("198.51.100.0/24"), listed),
        ),
    )

    assert expected == read(tmp_path, ACCESS).access


@pytest.mark.parametrize(
    ("text", "keys", "why"),
    [
        ("[keys]", Keys.REQUIRED, "who writes the table wants keys"),
        ("[keys]\nrequired = true", Keys.REQUIRED, "nothing without a key"),
        ("[keys]\nrequired = false", Keys.ACCEPTED, "also without"),
    ],
)
def test_read_takes_keys(tmp_path: Path, text: str, keys: Keys, why: str) -> None:
    """The [keys] table says whether a key is needed."""
    assert keys == read(tmp_path, text).keys, why


def test_access_makes_no_other_index(tmp_path: Path) -> None:
    """An index on disk is good whatever the access list has become since."""
    zone = read(tmp_path, "")
    changed = dataclasses.replace(zone, access=AccessList(Rule(Action.EMPTY)), keys=Keys.REQUIRED)

    assert zone.fingerprint == changed.fingerprint


REFUSALS = [
    (
        '"refuse"',
        '"deny"',
        f":{BEGIN + 2}: access.default: 'deny' is none of allow, refuse, ignore, empty",
        "an action that is none",
    ),
    (
        '"refuse"',
        '"listed"',
        f":{BEGIN + 2}: access.default: 'listed' is none of allow, refuse, ignore, empty",
        "never list the world for everybody (RFC 6471 §3.4)",
    ),
    (
        "198.51.100.7",
        "198.51.100.7/24",
        (
            f":{BEGIN + 5}: access.ignore: '198.51.100.7/24' has bits set to the right of its prefix:"
            " did you mean 198.51.100.0/24?"
        ),
        "bits beyond the prefix",
    ),
    (
        "203.0.113.0/24",
        "192.0.2.0/24",
        f":{BEGIN + 6}: access.empty: 192.0.2.0/24 has another rule already",
        "two rules for one network",
    ),
    (
        "127.255.255.254",
        "127.0.0.1",
        (
            f":{BEGIN + 10}: access.listed.address: 127.0.0.1 is no value: write one in 127.0.0.0/8,"
            " 127.255.255.x by custom"
        ),
        "never 127.0.0.1 (RFC 5782 §5)",
    ),
    (
        "127.255.255.254",
        "2001:db8::1",
        (
            f":{BEGIN + 10}: access.listed.address: 2001:db8::1 is no value: write one in 127.0.0.0/8,"
            " 127.255.255.x by custom"
        ),
        "an A record has an IPv4 address",
    ),
    (
        'address = "127.255.255.254"',
        "",
        f":{BEGIN + 8}: access.listed.address: is missing",
        "127.255.255.x only where it is written out",
    ),
    (
        "public resolver",
        "{public} resolver",
        f":{BEGIN + 11}: access.listed.text: only {{address}} and {{url}} may stand in braces",
        "a field that is none",
    ),
    (
        '"192.0.2.53", "::ffff:198.51.100.0/120"',
        "",
        f":{BEGIN + 9}: access.listed.networks: is empty: at least one is needed",
        "a rule for nobody",
    ),
    (
        "default =",
        "defalt =",
        f":{BEGIN + 2}: access.defalt: there is no such setting: did you mean default?",
        "a slip of the pen",
    ),
]


@pytest.mark.parametrize(("old", "new", "fault", "why"), REFUSALS, ids=[why for *_, why in REFUSALS])
def test_read_refuses(tmp_path: Path, old: str, new: str, fault: str, why: str) -> None:
    """One fault is reported as one sentence with its line, table and key."""
    assert ACCESS.count(old) >= 1

    assert [fault] == faults_of(tmp_path, ACCESS.replace(old, new, 1)), why


def test_read_refuses_an_apex_without_room_for_keys(tmp_path: Path) -> None:
    """An IPv6 address, a key and the apex fit the 255 octets of a name, or keys are refused."""
    apex = ".".join(["a" * 54] * 3)
    path = tmp_path / "list.toml"
    path.write_text(LIST.replace("relays.example", apex) + "[keys]\n", encoding="utf-8")

    with pytest.raises(ConfigError) as refusal:
        zonefile.read(path)
    assert [
        f"{path}:1: apex: is too long for keys: with one and an IPv6 address 255 octets are exceeded"
    ] == refusal.value.faults
