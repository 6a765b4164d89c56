"""Subjects on their way into the index."""

from ipaddress import ip_address

import pytest

from rbl.zone.batch import parse_network


@pytest.mark.parametrize(
    ("subject", "address", "length", "reason"),
    [
        ("203.0.113.9/32", "203.0.113.9", 32, "the canonical form"),
        ("203.0.113.9", "203.0.113.9", 32, "an address is a network of one"),
        ("0.0.0.0/0", "0.0.0.0", 0, "everything"),
        ("2001:db8::/32", "2001:db8::", 32, "IPv6"),
        ("::/95", "::", 95, "wider than the mapped addresses: an IPv6 network"),
        ("2000::/14", "2000::", 14, "wider than 6to4: an IPv6 network"),
    ],
)
def test_parse_network(subject: str, address: str, length: int, reason: str) -> None:
    """A subject is read as the network that answers for it."""
    assert (ip_address(address).packed, length) == parse_network(subject), reason


@pytest.mark.parametrize(
    ("subject", "reason"),
    [
        ("", "nothing"),
        ("spam.example", "a name"),
        ("203.0.113/24", "shortened"),
        ("203.0.113.09/32", "a leading zero"),
        ("203.0.113.9/33", "longer than an address"),
        ("203.0.113.9/", "no length after the slash"),
        ("203.0.113.9/032", "a length with a leading zero"),
        ("203.0.113.9/-1", "a negative length"),
        ("203.0.113.9/24", "bits to the right of the prefix"),
        ("2001:db8::1/32", "bits to the right of an IPv6 prefix"),
        ("2001:db8::/129", "longer than an IPv6 address"),
        ("fe80::1%eth0", "a scope"),
        ("::ffff:203.0.113.0/120", "an IPv4-mapped network: the IPv4 network is meant"),
        ("::ffff:0:0/96", "all IPv4-mapped addresses"),
        ("2002:cb00:7109::/48", "a 6to4 site: the IPv4 address is meant"),
        ("2002::/16", "all 6to4 sites"),
        ("203.0.113.9\0/32", "a NUL"),
        ("\ud800", "no character"),
    ],
)
def test_parse_network_declines(subject: str, reason: str) -> None:
    """What is no network in canonical form is declined, not guessed at."""
    assert parse_network(subject) is None, reason
