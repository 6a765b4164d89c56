"""How single settings are written: what is read, and what is refused in which words."""

from datetime import timedelta
from ipaddress import ip_address, ip_network

import pytest
from pydantic import TypeAdapter, ValidationError

from rbl.configvalues import Address, Duration, HexSecret, Hostname, Network, Several

READERS: dict[str, TypeAdapter[object]] = {
    "address": TypeAdapter(Address),
    "network": TypeAdapter(Network),
    "host name": TypeAdapter(Hostname),
    "wait": TypeAdapter(Duration),
    "secret": TypeAdapter(HexSecret),
    "several": TypeAdapter(Several[Hostname]),
}


@pytest.mark.parametrize(
    ("kind", "written", "value"),
    [
        ("address", "192.0.2.1", ip_address("192.0.2.1")),
        ("address", "2001:DB8::1", ip_address("2001:db8::1")),
        ("address", ip_address("192.0.2.1"), ip_address("192.0.2.1")),
        ("network", "192.0.2.0/24", ip_network("192.0.2.0/24")),
        ("network", "192.0.2.1", ip_network("192.0.2.1/32")),
        ("network", ip_network("2001:db8::/32"), ip_network("2001:db8::/32")),
        ("host name", "Mail.Example.", "mail.example"),
        ("host name", "_a-1.b", "_a-1.b"),
        ("host name", ".".join(["a" * 61] * 4) + ".", ".".join(["a" * 61] * 4)),
        ("wait", 1.5, timedelta(seconds=1.5)),
        ("wait", "90", timedelta(seconds=90)),
        ("wait", "PT5M", timedelta(minutes=5)),
        ("wait", 0, timedelta(0)),
        ("wait", "P3650D", timedelta(days=3650)),
        ("secret", "0123456789abcdef" * 2, "0123456789abcdef" * 2),
        ("several", "a.b, c.d,", ("a.b", "c.d")),
        ("several", ["a.b"], ("a.b",)),
        ("several", "", ()),
    ],
)
def test_what_is_read(kind: str, written: object, value: object) -> None:
    """Text of a file or a variable becomes the value it means."""
    assert value == READERS[kind].validate_python(written)


@pytest.mark.parametrize(
    ("kind", "written", "fault"),
    [
        ("address", False, "False is no IP address"),
        ("address", "127.1", "'127.1' is no IP address"),
        ("network", 10, "10 does not stand in quotes"),
        ("network", "10.0.0.1/8", "10.0.0.1/8 has host bits set"),
        ("network", "ten", "'ten' does not appear to be an IPv4 or IPv6 network"),
        ("host name", "", "'' is no host name"),
        ("host name", "a..b", "'a..b' is no host name"),
        ("host name", "a-.b", "'a-.b' is no host name"),
        ("host name", "a b", "'a b' is no host name"),
        ("host name", "x" * 64, f"'{'x' * 64}' is no host name"),
        ("wait", -1, "must be between 0 and 3650 days"),
        ("wait", "P3651D", "must be between 0 and 3650 days"),
    ],
)
def test_what_is_refused(kind: str, written: object, fault: str) -> None:
    """A fault is told once, with the value."""
    with pytest.raises(ValidationError) as caught:
        READERS[kind].validate_python(written)

    assert [f"Value error, {fault}"] == [error["msg"] for error in caught.value.errors()]


@pytest.mark.parametrize("written", ["", "0123456789ABCDEF" * 2, "0" * 31, "0" * 33])
def test_a_secret_has_sixteen_octets(written: str) -> None:
    """A shorter, longer or otherwise written secret is refused."""
    with pytest.raises(ValidationError):
        READERS["secret"].validate_python(written)
