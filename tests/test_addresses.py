"""Addresses: read strictly, turned into labels and back, and which are never touched."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rbl.addresses import (
    neighbourhood,
    networks_of_labels,
    parse_address,
    parse_network,
    reserved_networks,
    reserved_reason,
    reversed_labels,
)
from rbl.errors import BadInput
from rbl.terms import Address

ADDRESSES = st.ip_addresses()


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::1"),
        ("2001:DB8:0:0:0:0:0:1", "2001:db8::1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("::FFFF:C000:201", "192.0.2.1"),
        ("::192.0.2.1", "::c000:201"),
    ],
)
def test_an_address_is_read(text: str, address: str) -> None:
    """Every form of RFC 4291 §2.2 is read; a mapped address is the IPv4 address it maps."""
    assert ip_address(address) == parse_address(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "nothing"),
        ("localhost", "a name"),
        ("127.1", "shortened"),
        ("192.0.2", "three octets"),
        ("192.0.2.01", "a leading zero may mean octal"),
        ("192.0.2.256", "out of range"),
        (" 192.0.2.1", "a blank"),
        ("192.0.2.1\n", "a line end"),
        ("192.0.2.1:25", "a port"),
        ("[2001:db8::1]", "brackets"),
        ("fe80::1%eth0", "a scope id"),
        ("::ffff:192.0.2.1%1", "a scope id on a mapped address"),
        ("3221225985", "a number"),
        ("0x7f.0.0.1", "hexadecimal"),
        ("١٩٢.0.2.1", "digits of another script"),
        ("192.0.2.1/32", "a network"),
        ("\x00", "an octet that no reader should see"),
        ("1" * 100_000, "far too long"),
    ],
)
def test_what_is_no_address(text: str, reason: str) -> None:
    """Whatever else is written is refused in words that quote it, escaped and cut."""
    with pytest.raises(BadInput) as caught:
        parse_address(text)

    assert "bad-address" == caught.value.code, reason
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 300


@given(ADDRESSES)
def test_an_address_is_read_as_it_is_written(address: Address) -> None:
    """The text of an address is read as that address, mapped ones as what they map."""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None

    assert (mapped or address) == parse_address(str(address))


@pytest.mark.parametrize(
    ("text", "network"),
    [
        ("192.0.2.1", "192.0.2.1/32"),
        ("192.0.2.0/24", "192.0.2.0/24"),
        ("0.0.0.0/0", "0.0.0.0/0"),
        ("2001:db8::/32", "2001:db8::/32"),
        ("2001:db8::1", "2001:db8::1/128"),
        ("::ffff:192.0.2.0/120", "192.0.2.0/24"),
        ("::ffff:192.0.2.1/128", "192.0.2.1/32"),
    ],
)
def test_a_network_is_read(text: str, network: str) -> None:
    """An address alone is a network of one; a mapped network is the IPv4 network it maps."""
    assert ip_network(network) == parse_network(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "192.0.2.1/24",
            "'192.0.2.1/24' has bits set to the right of its prefix: did you mean 192.0.2.0/24?",
        ),
        ("192.0.2.0/33", "'192.0.2.0/33': the prefix length is out of range"),
        ("192.0.2.0/", "'192.0.2.0/' has no valid prefix length after the slash"),
        ("192.0.2.0/-1", "'192.0.2.0/-1' has no valid prefix length after the slash"),
        ("192.0.2.0/255.255.255.0", "'192.0.2.0/255.255.255.0' has no valid prefix length after the slash"),
        ("192.0.2.0/24/24", "'192.0.2.0/24/24' has no valid prefix length after the slash"),
        ("192.0.2.0/²", "'192.0.2.0/\\xb2' has no valid prefix length after the slash"),
        ("2001:db8::/129", "'2001:db8::/129': the prefix length is out of range"),
        ("::ffff:192.0.2.0/24", "'::ffff:192.0.2.0/24': the prefix length is out of range"),
        ("fe80::%eth0/64", "'fe80::%eth0' has a scope id, which means nothing elsewhere"),
        ("net/24", "'net' is not an IP address: write it as 192.0.2.1 or 2001:db8::1"),
    ],
)
def test_what_is_no_network(text: str, message: str) -> None:
    """A refusal quotes what was written and says what is wrong with it."""
    with pytest.raises(BadInput) as caught:
        parse_network(text)

    assert message == caught.value.message


@given(ADDRESSES, st.integers(min_value=0, max_value=128))
def test_a_network_is_read_as_it_is_written(address: Address, length: int) -> None:
    """The text of any network is read as that network."""
    network = ip_network((address, length % (address.max_prefixlen + 1)), strict=False)
    if isinstance(network.network_address, IPv6Address) and network.network_address.ipv4_mapped:
        return

    assert network == parse_network(str(network))


@given(st.text(max_size=40))
def test_any_text_is_a_network_or_refused(text: str) -> None:
    """Nothing that anybody can write has another effect."""
    try:
        network = parse_network(text)
    except BadInput:
        return

    assert network == parse_network(str(network))


@pytest.mark.parametrize(
    ("address", "labels"),
    [
        ("192.0.2.99", "99.2.0.192"),
        (
            "2001:db8:1:2:3:4:567:89ab",
            "b.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.8.b.d.0.1.0.0.2",
        ),
    ],
)
def test_an_address_is_looked_up_by_its_labels(address: str, labels: str) -> None:
    """The examples of RFC 5782 §2.1 and §2.4."""
    assert tuple(labels.encode().split(b".")) == reversed_labels(ip_address(address))


@given(ADDRESSES)
def test_labels_name_the_address_they_were_made_of(address: Address) -> None:
    """All labels of an address name it, and it alone where the other family cannot be meant."""
    found = networks_of_labels(reversed_labels(address))

    assert ip_network(address) in found
    assert [ip_network(address)] == [network for network in found if network.version == address.version]


@given(ADDRESSES, st.integers(min_value=1, max_value=32))
def test_fewer_labels_name_the_network_around(address: Address, count: int) -> None:
    """The labels that a minimising resolver asks for name the networks on the way (RFC 9156)."""
    labels = reversed_labels(address)
    count = min(count, len(labels))
    bits = count * (8 if isinstance(address, IPv4Address) else 4)

    assert ip_network((address, bits), strict=False) in networks_of_labels(labels[-count:])


@pytest.mark.parametrize(
    ("labels", "networks", "reason"),
    [
        ("2.0.127", ["127.0.2.0/24"], "on the way to an IPv4 address"),
        ("1.2", ["2.1.0.0/16", "2100::/8"], "a prefix in both families"),
        ("a.b", ["ba00::/8"], "a nibble that is no decimal digit"),
        ("1.2.3.4", ["4.3.2.1/32", "4321::/16"], "an IPv4 address, and on the way to IPv6 ones"),
        ("1.2.3.4.5", ["5432:1000::/20"], "five nibbles"),
        ("256.0.0.127", [], "no octet"),
        ("01.0.0.127", [], "a leading zero"),
        ("0.0.0.127", ["127.0.0.0/32"], "a zero alone"),
        ("-1.0.0.127", [], "a sign"),
        ("A.b", [], "upper case is folded before"),
        ("www.0.0.127", [], "a name"),
        (".".join("0" * 33), [], "too many nibbles"),
        ("²", [], "a digit of another kind"),
    ],
)
def test_what_labels_name(labels: str, networks: list[str], reason: str) -> None:
    """Every network that labels can stand for is named, IPv4 first, and nothing else."""
    found = networks_of_labels(tuple(labels.encode().split(b".")))

    assert networks == [str(network) for network in found], reason


def test_no_labels_and_empty_labels_name_nothing() -> None:
    """The apex is no network."""
    assert ((), ()) == (networks_of_labels(()), networks_of_labels((b"",)))


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("224.0.0.1", "multicast (RFC 5771)"),
        ("239.1.1.1", "multicast (RFC 5771)"),
        ("192.88.99.1", "6to4 relay anycast (RFC 7526)"),
        ("ff02::1", "multicast (RFC 4291)"),
        ("2002:a00:1::1", "6to4 tunnels: nominate the IPv4 address (RFC 3056)"),
        ("64:ff9b::a00:1", "IPv4/IPv6 translation (RFC 6052)"),
        ("3fff::1", "documentation (RFC 9637)"),
        ("5f00::1", "segment routing (RFC 9602)"),
    ],
)
def test_what_python_calls_global_and_is_not(address: str, why: str) -> None:
    """``is_global`` says True for these; they are reserved all the same."""
    assert why == reserved_reason(ip_address(address))


@pytest.mark.parametrize(
    ("network", "why"),
    [
        ("0.0.0.0", "this network (RFC 791)"),
        ("10.255.255.255", "private use (RFC 1918)"),
        ("100.64.0.1", "shared address space of carriers (RFC 6598)"),
        ("127.0.0.1", "loopback (RFC 1122)"),
        ("127.0.0.2", "loopback (RFC 1122)"),
        ("169.254.169.254", "link local (RFC 3927)"),
        ("172.31.255.255", "private use (RFC 1918)"),
        ("192.0.2.1", "documentation (RFC 5737)"),
        ("192.168.1.1", "private use (RFC 1918)"),
        ("198.19.255.255", "benchmarking (RFC 2544)"),
        ("255.255.255.255", "reserved (RFC 1112)"),
        ("::", "the unspecified address (RFC 4291)"),
        ("::1", "loopback (RFC 4291)"),
        ("::8.8.8.8", "IPv4-compatible, deprecated (RFC 4291)"),
        ("::ffff:8.8.8.8", "not global unicast (RFC 4291)"),
        ("2001::1", "IETF protocol assignments, Teredo, ORCHID (RFC 2928)"),
        ("2001:db8::25", "documentation (RFC 3849)"),
        ("fc00::1", "unique local (RFC 4193)"),
        ("fe80::1", "link local (RFC 4291)"),
        ("4000::1", "not global unicast (RFC 4291)"),
        ("0.0.0.0/0", "this network (RFC 791)"),
        ("172.0.0.0/8", "private use (RFC 1918)"),
        ("::/0", "the unspecified address (RFC 4291)"),
        ("2000::/3", "IETF protocol assignments, Teredo, ORCHID (RFC 2928)"),
        ("8.8.8.8", None),
        ("8.0.0.0/8", None),
        ("172.32.0.1", None),
        ("2600::/16", None),
        ("2a00:1450::1", None),
    ],
)
def test_what_is_reserved_and_why(network: str, why: str | None) -> None:
    """Reserved space, and what overlaps it, is named with its reason; plain global unicast is not."""
    assert why == reserved_reason(ip_network(network))


@given(ADDRESSES)
def test_what_python_calls_not_global_is_reserved(address: Address) -> None:
    """Our table is at least as strict as the library's."""
    if not address.is_global:
        assert reserved_reason(address) is not None


def test_reserved_networks_are_all_of_them() -> None:
    """Each network of the list is reserved, and all IPv6 space outside 2000::/3 is in it."""
    listed = reserved_networks()

    assert [] == [network for network, _ in listed if reserved_reason(network) is None]
    for number in range(1, 16):
        address = IPv6Address(number << 124 | 25)
        is_listed = any(network.version == 6 and address in network for network, _ in listed)
        assert (reserved_reason(address) is not None) is is_listed, address


@pytest.mark.parametrize(
    ("address", "network"),
    [("203.0.113.9", "203.0.113.0/24"), ("2001:db8:1:2:3::25", "2001:db8:1:2::/64")],
)
def test_a_neighbourhood_is_a_24_or_a_64(address: str, network: str) -> None:
    """What one site commonly has around an address."""
    assert ip_network(network) == neighbourhood(ip_address(address))
