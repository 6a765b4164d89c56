"""Addresses: reading them strictly, turning them into DNS labels, and which are never touched.

RFC 5782 §2.1 and §2.4 (names), RFC 6471 §3.5 (reserved space), RFC 6890 and the IANA
special-purpose registries (what is reserved). Nothing here resolves a name or opens a socket.
"""

from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

from rbl.errors import BadInput
from rbl.terms import Address, Network

# What may never be listed or probed, with the reason shown to whoever asked. Written out because
# ipaddress.is_global says True for multicast, 6to4 of private space, NAT64 and others.
# Sources: IANA IPv4 and IPv6 Special-Purpose Address Registries, RFC 5771, RFC 4291 §2.7.
_RESERVED: tuple[tuple[Network, str], ...] = tuple(
    (ip_network(network), why)
    for network, why in (
        ("0.0.0.0/8", "this network (RFC 791)"),
        ("10.0.0.0/8", "private use (RFC 1918)"),
        ("100.64.0.0/10", "shared address space of carriers (RFC 6598)"),
        ("127.0.0.0/8", "loopback (RFC 1122)"),
        ("169.254.0.0/16", "link local (RFC 3927)"),
        ("172.16.0.0/12", "private use (RFC 1918)"),
        ("192.0.0.0/24", "IETF protocol assignments (RFC 6890)"),
        ("192.0.2.0/24", "documentation (RFC 5737)"),
        ("192.31.196.0/24", "AS112 service (RFC 7535)"),
        ("192.52.193.0/24", "automatic multicast tunnels (RFC 7450)"),
        ("192.88.99.0/24", "6to4 relay anycast (RFC 7526)"),
        ("192.168.0.0/16", "private use (RFC 1918)"),
        ("192.175.48.0/24", "AS112 service (RFC 7534)"),
        ("198.18.0.0/15", "benchmarking (RFC 2544)"),
        ("198.51.100.0/24", "documentation (RFC 5737)"),
        ("203.0.113.0/24", "documentation (RFC 5737)"),
        ("224.0.0.0/4", "multicast (RFC 5771)"),
        ("240.0.0.0/4", "reserved (RFC 1112)"),
        ("::/128", "the unspecified address (RFC 4291)"),
        ("::1/128", "loopback (RFC 4291)"),
        ("::/96", "IPv4-compatible, deprecated (RFC 4291)"),
        ("64:ff9b::/96", "IPv4/IPv6 translation (RFC 6052)"),
        ("64:ff9b:1::/48", "local IPv4/IPv6 translation (RFC 8215)"),
        ("100::/64", "discard only (RFC 6666)"),
        ("100:0:0:1::/64", "dummy prefix (RFC 9780)"),
        ("2001::/23", "IETF protocol assignments, Teredo, ORCHID (RFC 2928)"),
        ("2001:db8::/32", "documentation (RFC 3849)"),
        ("2002::/16", "6to4 tunnels: nominate the IPv4 address (RFC 3056)"),
        ("2620:4f:8000::/48", "AS112 service (RFC 7534)"),
        ("3fff::/20", "documentation (RFC 9637)"),
        ("5f00::/16", "segment routing (RFC 9602)"),
        ("fc00::/7", "unique local (RFC 4193)"),
        ("fe80::/10", "link local (RFC 4291)"),
        ("fec0::/10", "site local, deprecated (RFC 3879)"),
        ("ff00::/8", "multicast (RFC 4291)"),
    )
)
_GLOBAL_UNICAST_6 = IPv6Network("2000::/3")  # the only IPv6 space IANA has given out (RFC 4291 §2.4)
_NOT_GLOBAL_UNICAST = "not global unicast (RFC 4291)"
_NIBBLES = frozenset(b"0123456789abcdef")


def networks_around(network: Network | Address) -> list[str]:
    """Return the networks that cover all of *network*, as they are written, the most specific first.

    33 of them for an IPv4 address, 129 for IPv6: made from the number, as a page asks for them all.
    """
    if isinstance(network, IPv4Address | IPv6Address):
        network = ip_network(network)
    first, longest = network.network_address, network.prefixlen
    kind, width, value = type(first), first.max_prefixlen, int(first)
    return [f"{kind(value >> (width - bits) << (width - bits))}/{bits}" for bits in range(longest, -1, -1)]


def parse_address(text: str) -> Address:
    """Return the address that *text* writes, an IPv4-mapped IPv6 address as its IPv4 address.

    Accepts the canonical and the RFC 4291 §2.2 forms only: no ports, brackets, scope ids, leading
    zeros, spaces or shortened IPv4 (``127.1``).

    Raises:
        BadInput: *text* is none of these.
    """
    try:
        address = ip_address(text)
    except ValueError:
        raise BadInput(
            f"{_shown(text)} is not an IP address: write it as 192.0.2.1 or 2001:db8::1", code="bad-address"
        ) from None
    if isinstance(address, IPv6Address):
        if address.scope_id is not None:
            raise BadInput(
                f"{_shown(text)} has a scope id, which means nothing elsewhere", code="bad-address"
            )
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
    return address


def parse_network(text: str) -> Network:
    """Return the network that *text* writes: an address, or an address and a prefix length.

    Raises:
        BadInput: not a network, a scope id, or bits set to the right of the prefix.
    """
    host, slash, length = text.partition("/")
    address = parse_address(host)
    if not slash:
        return ip_network(address)
    if not (length.isascii() and length.isdecimal() and len(length) <= 3):
        raise BadInput(f"{_shown(text)} has no valid prefix length after the slash", code="bad-network")
    bits = int(length)
    if isinstance(address, IPv4Address) and ":" in host:
        bits -= 96  # ::ffff:192.0.2.0/120 is 192.0.2.0/24
    if not 0 <= bits <= address.max_prefixlen:
        raise BadInput(f"{_shown(text)}: the prefix length is out of range", code="bad-network")
    try:
        return ip_network((address, bits))
    except ValueError:
        base = ip_network((address, bits), strict=False)
        raise BadInput(
            f"{_shown(text)} has bits set to the right of its prefix: did you mean {base}?",
            code="bad-network",
        ) from None


def subscriber_of(address: Address) -> Network:
    """Return what one subscriber has: the IPv4 address alone, or the /64 of an IPv6 address.

    Whoever has an IPv6 address has all 2^64 of its network (RFC 6177): limits for each client count that.
    """
    return ip_network((address, 32 if isinstance(address, IPv4Address) else 64), strict=False)


def reserved_reason(network: Network | Address) -> str | None:
    """Return why no part of *network* may be listed or probed, or None where it is plain global unicast.

    A network that only overlaps reserved space is reserved too (RFC 6471 §3.5).
    """
    if isinstance(network, IPv4Address | IPv6Address):
        network = ip_network(network)
    for reserved, why in _RESERVED:
        if reserved.version == network.version and reserved.overlaps(network):
            return why
    if isinstance(network, IPv6Network) and not network.subnet_of(_GLOBAL_UNICAST_6):
        return _NOT_GLOBAL_UNICAST
    return None


def reserved_networks() -> tuple[tuple[Network, str], ...]:
    """Return every network that ``reserved_reason`` speaks of, with the reason."""
    others = IPv6Network("::/0").address_exclude(_GLOBAL_UNICAST_6)
    return (*_RESERVED, *((network, _NOT_GLOBAL_UNICAST) for network in others))


def neighbourhood(address: Address) -> Network:
    """Return the network that one site commonly has around *address*: the /24, or the /64.

    Of which only one host is tested at a time, and whose hosts may be one mail server behind
    address translation.
    """
    return ip_network((address, 24 if isinstance(address, IPv4Address) else 64), strict=False)


def reversed_labels(address: Address) -> tuple[bytes, ...]:
    """Return the labels under the apex at which *address* is looked up, lower case, no apex.

    IPv4: four decimal labels, last octet first (RFC 5782 §2.1).
    IPv6: 32 hexadecimal nibbles, last first (RFC 5782 §2.4).
    """
    if isinstance(address, IPv4Address):
        return tuple(str(octet).encode() for octet in reversed(address.packed))
    return tuple(bytes((digit,)) for digit in reversed(address.packed.hex().encode()))


def networks_of_labels(labels: tuple[bytes, ...]) -> tuple[Network, ...]:
    """Return every network that lower-case *labels*, most specific first, can name under an apex.

    The inverse of ``reversed_labels`` and of its prefixes: one to four canonical decimal octets
    name an IPv4 /8 to /32, and one to 32 nibbles an IPv6 /4 to /128; a resolver that minimises
    asks for the prefixes on its way (RFC 9156). One to four labels of one digit each are a prefix
    in both families, since both share a zone (RFC 5782 §2.4): then IPv4 comes first. Anything
    else names nothing.
    """
    found: list[Network] = []
    count = len(labels)
    if 1 <= count <= 4 and all(_is_octet(label) for label in labels):
        octets = bytes(int(label) for label in reversed(labels))
        found.append(IPv4Network((octets + bytes(4 - count), 8 * count)))
    if 1 <= count <= 32 and all(len(label) == 1 and label[0] in _NIBBLES for label in labels):
        nibbles = b"".join(reversed(labels)) + b"0" * (32 - count)
        found.append(IPv6Network((bytes.fromhex(nibbles.decode()), 4 * count)))
    return tuple(found)


def _is_octet(label: bytes) -> bool:
    """Whether *label* is a decimal octet in canonical form: no sign, no leading zero."""
    return (
        1 <= len(label) <= 3
        and label.isdigit()
        and (label[0] != 0x30 or len(label) == 1)  # 0x30: the digit 0
        and int(label) <= 255
    )


def _shown(text: str) -> str:
    """Return hostile *text* quoted, escaped and cut for an error message."""
    return ascii(text[:60])
