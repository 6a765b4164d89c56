"""Access lists made ready: the most specific network's rule is found, whatever networks there are."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rbl.config import Access
from rbl.responder.access import compile_table, global_list
from rbl.terms import Address, Network
from rbl.zone.access import ALLOW, OPEN, AccessList, Action, Rule

REFUSE, IGNORE, EMPTY = (Rule(action) for action in (Action.REFUSE, Action.IGNORE, Action.EMPTY))


def find_by_scan(access: AccessList, client: Address) -> Rule:
    """Return the rule of *client* by looking at every network."""
    around = [(network.prefixlen, rule) for network, rule in access.networks if client in network]
    return max(around, key=lambda one: one[0])[1] if around else access.default


def edges(access: AccessList) -> list[Address]:
    """Return the addresses at and beside both ends of every network, and of both families."""
    found: set[Address] = {IPv4Address(0), IPv4Address(2**32 - 1), IPv6Address(0), IPv6Address(2**128 - 1)}
    for network, _ in access.networks:
        kind = type(network.network_address)
        first, last = int(network.network_address), int(network.broadcast_address)
        found |= {kind(n) for n in (first - 1, first, last, last + 1) if 0 <= n < 2**network.max_prefixlen}
    return sorted(found, key=lambda address: (address.version, int(address)))


# Few bits vary, so that networks nest, touch and reach to both ends of the space.
ipv4_networks: st.SearchStrategy[Network] = st.builds(
    lambda top, low, length: ip_network((top << 29 | low, length), strict=False),
    st.integers(0, 7), st.integers(0, 7), st.sampled_from([0, 1, 2, 3, 29, 30, 31, 32]),
)  # fmt: skip
ipv6_networks: st.SearchStrategy[Network] = st.builds(
    lambda top, low, length: ip_network((top << 125 | low, length), strict=False),
    st.integers(0, 7), st.integers(0, 7), st.sampled_from([0, 1, 2, 3, 125, 126, 127, 128]),
)  # fmt: skip
rules = st.sampled_from([ALLOW, REFUSE, IGNORE, EMPTY])
access_lists = st.builds(
    lambda default, networks: AccessList(default, tuple(networks.items())),
    rules,
    st.dictionaries(ipv4_networks | ipv6_networks, rules, max_size=12),
)


@given(access_lists)
@settings(deadline=None)
def test_the_rule_is_that_of_a_scan(access: AccessList) -> None:
    """At every edge of every network the table has the rule of the most specific network around it."""
    table = compile_table(access)
    at = edges(access)

    assert [(client, find_by_scan(access, client)) for client in at] == [
        (client, table.rule(client)) for client in at
    ]


@given(access_lists)
@settings(deadline=None)
def test_ranges_are_arrays_that_begin_at_zero(access: AccessList) -> None:
    """The starts ascend from 0, each has the number of a rule, and number 0 is the default."""
    table = compile_table(access)

    assert access.default == table.rules[0]
    for starts, numbers in (table.ipv4, table.ipv6):
        assert (0, len(starts)) == (starts[0], len(numbers))
        assert list(starts) == sorted(set(starts))
        assert set(numbers) <= set(range(len(table.rules)))


def test_an_open_list_is_one_range() -> None:
    """A list without rules is a single range in each family."""
    assert (((0,), (0,)), ((0,), (0,))) == (compile_table(OPEN).ipv4, compile_table(OPEN).ipv6)


@pytest.mark.parametrize(
    ("client", "rule", "why"),
    [
        ("198.51.100.1", REFUSE, "the default"),
        ("192.0.2.1", ALLOW, "one network"),
        ("192.0.2.130", IGNORE, "a network inside it"),
        ("192.0.2.131", ALLOW, "an address inside that"),
        ("192.0.2.132", IGNORE, "after it, the network around goes on"),
        ("2001:db8::1", EMPTY, "IPv6"),
        ("2001:db9::1", REFUSE, "the default of IPv6"),
    ],
)
def test_the_settings_are_an_access_list(client: str, rule: Rule, why: str) -> None:
    """dns.access names the networks of each action."""
    settings_ = Access.model_validate(
        {
            "default": "refuse",
            "allow": ["192.0.2.0/24", "192.0.2.131"],
            "ignore": "192.0.2.128/25",
            "empty": ["2001:db8::/32"],
        }
    )
    table = compile_table(global_list(settings_))

    assert rule == table.rule(ip_address(client)), why
