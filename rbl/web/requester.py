"""Who asks without a key: the network of a client, by which what all may ask for is counted.

The /24 of an IPv4 address and the /64 of an IPv6 one (``addresses.neighbourhood``): whoever has one
address of a network can have the others. Behind a trusted proxy it is the proxy's client.
"""

from typing import Annotated

from fastapi import Depends, Request

from rbl.addresses import neighbourhood, parse_address
from rbl.errors import BadInput


def network_of(request: Request) -> str:
    """Return the network that *request* came from; empty where the server does not know an address."""
    if request.client is None:
        return ""
    try:
        return str(neighbourhood(parse_address(request.client.host)))
    except BadInput:
        return ""


Requester = Annotated[str, Depends(network_of)]
