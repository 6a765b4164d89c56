"""Who may see how the program does: the networks of ``web.watchers``."""

from fastapi import Request

from rbl.addresses import parse_address
from rbl.errors import BadInput, Refused
from rbl.web.parts import UsedParts

_FORWARDED = ("forwarded", "x-forwarded-for", "via")


def watching(request: Request, parts: UsedParts) -> None:
    """Let through whoever asks from one of the networks.

    What came through a proxy that nobody declared has the proxy's address and is somebody else's: as long
    as ``web.trusted_proxies`` is empty, a request that a proxy marked is no watcher's.

    Raises:
        Refused: he is somewhere else.
    """
    web = parts.settings.web
    host = request.client.host if request.client else ""
    came_through = not web.trusted_proxies and any(name in request.headers for name in _FORWARDED)
    try:
        address = parse_address(host)
    except BadInput:
        address = None
    if (
        came_through
        or address is None
        or not any(address.version == network.version and address in network for network in web.watchers)
    ):
        raise Refused("this is told to the networks of web.watchers only", code="no-watcher")
