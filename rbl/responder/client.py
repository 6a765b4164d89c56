"""Who asks: the address and the transport of a query."""

from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_address

from rbl.responder.codes import Transport
from rbl.terms import Address


@dataclass(frozen=True, slots=True)
class Client:
    """Where a query came from. Over UDP the address may be forged."""

    address: Address
    transport: Transport


@lru_cache(maxsize=4096)  # a resolver asks again and again
def client_at(host: str, transport: Transport) -> Client:
    """Return the client at *host*, which is an address as the socket module writes it."""
    return Client(ip_address(host.partition("%")[0]), transport)  # without the scope of a link
