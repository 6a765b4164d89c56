"""The network of a client, by which early retests are counted."""

import pytest
from fastapi import Request

from rbl.web.requester import network_of


@pytest.mark.parametrize(
    ("client", "network"),
    [
        (("192.0.2.77", 5), "192.0.2.0/24"),
        (("2001:db8:1:2:3::4", 5), "2001:db8:1:2::/64"),
        (("::ffff:192.0.2.77", 5), "192.0.2.0/24"),
        (("a socket", 5), ""),
        (None, ""),
    ],
    ids=["IPv4", "IPv6", "mapped", "no address", "nobody"],
)
def test_the_network_of_a_client(client: tuple[str, int] | None, network: str) -> None:
    """The /24 or the /64; an address that is mapped into IPv6 is the IPv4 one."""
    assert network == network_of(Request({"type": "http", "client": client}))
