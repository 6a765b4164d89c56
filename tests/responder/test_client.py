"""Who asks."""

from ipaddress import ip_address

import pytest

from rbl.responder.client import Client, client_at
from rbl.responder.codes import Transport


@pytest.mark.parametrize(
    ("host", "address", "why"),
    [
        ("192.0.2.1", "192.0.2.1", "IPv4"),
        ("2001:db8::1", "2001:db8::1", "IPv6"),
        ("fe80::1%eth0", "fe80::1", "the link is of this machine, and no part of the address"),
    ],
)
def test_a_client_has_the_address_of_its_socket(host: str, address: str, why: str) -> None:
    """An address is read as the socket module writes it."""
    assert Client(ip_address(address), Transport.TCP) == client_at(host, Transport.TCP), why
