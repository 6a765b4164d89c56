"""Who is who in the made-up internet: addresses, names, and the zone that its mail servers ask."""

ZONE = "relays.example"  # the blocklist's apex, served by the blocklist host on port 53
COLLECTOR_DOMAIN = "relaytest.blocklist.example"  # mail for it comes to the blocklist host
ISP_DOMAIN = "isp.example"
CUSTOMER = "customer"  # has a mailbox at the ISP
RELAY_DOMAIN = "relay.example"
RELAY_USER = "user"  # has a mailbox at the relay

# Documentation ranges (RFC 5737), each an organisation's network.
ADDRESSES = {
    "blocklist": ("198.51.100.10", "198.51.100.11"),  # the second is the prober's second source
    "resolver": ("203.0.113.53",),
    "isp": ("203.0.113.25",),
    "relay": ("192.0.2.66",),
    "smarthost": ("203.0.113.80",),  # of the relay's provider: sends out what the relay gives it
    "spammer": ("192.0.2.200",),
}
HOSTNAMES = {
    "198.51.100.10": "mx.blocklist.example",
    "198.51.100.11": "second.blocklist.example",
    "203.0.113.53": "resolver.isp.example",
    "203.0.113.25": "mx.isp.example",
    "192.0.2.66": "mail.relay.example",
    "203.0.113.80": "out.provider.example",
    "192.0.2.200": "host200.spammer.example",
}
# Further names of an address, by which it is found and which it does not go back to.
ALIASES = {"www.blocklist.example": "198.51.100.10", "ns.blocklist.example": "198.51.100.10"}
MAIL_EXCHANGERS = {
    COLLECTOR_DOMAIN: "mx.blocklist.example",
    "blocklist.example": "mx.blocklist.example",
    ISP_DOMAIN: "mx.isp.example",
    RELAY_DOMAIN: "mail.relay.example",
}


def names() -> list[str]:
    """Return the DNS of the made-up internet as lines of a zone file, names and addresses both ways."""
    return [
        *(f"{domain}. 2 IN MX 10 {host}." for domain, host in MAIL_EXCHANGERS.items()),
        *(f"{name}. 2 IN A {address}" for address, name in HOSTNAMES.items()),
        *(f"{name}. 2 IN A {address}" for name, address in ALIASES.items()),
        *(f"{_reversed(address)}.in-addr.arpa. 2 IN PTR {name}." for address, name in HOSTNAMES.items()),
    ]


def _reversed(address: str) -> str:
    return ".".join(reversed(address.split(".")))
