"""Who is connected, and who goes where there is no place left: a rule, without sockets.

There are so many places in all, and so many for each client: an IPv4 address, or an IPv6 /64, which is
what one subscriber has. Where they are taken, whoever has been waited for longest goes: of the client's
own connections where he has too many, else of the client who lets us wait
with most. So a crowd of connections that
ask for nothing crowds out only itself, and a request that is being answered is never cut off.
"""

from collections.abc import Collection
from typing import Protocol

from rbl.addresses import parse_address, subscriber_of
from rbl.errors import BadInput
from rbl.terms import Network

Client = Network | str


class Guest(Protocol):
    """One connection."""

    @property
    def waited_for_since(self) -> float | None:
        """Since when its client lets us wait, by a clock that all share; None: we work for it."""

    def leave(self) -> None:
        """End the connection."""


class Places:
    """So many places in all, and of each client; those in *exempt*, our own proxies, count in all only."""

    def __init__(self, most: int, most_of_client: int, exempt: Collection[Network] = ()) -> None:
        self._most = most
        self._most_of_client = most_of_client
        self._exempt = exempt
        self._guests: dict[Guest, Client] = {}
        self._of_client: dict[Client, dict[Guest, None]] = {}  # of each, in the order that they came

    def __len__(self) -> int:
        """Return how many places are taken."""
        return len(self._guests)

    def enter(self, guest: Guest, host: str) -> bool:
        """Give *guest*, who comes from the address *host*, a place, of another's where it must be.

        False: all places that he could have are taken by requests that are being answered.
        """
        client = client_of(host)
        own = self._of_client.get(client, {})
        if len(own) >= self._most_of_client and not self._is_exempt(client):
            crowd = own
        elif len(self._guests) >= self._most:
            crowd = max(self._of_client.values(), key=_waiting)
        else:
            crowd = None
        if crowd is not None and not self._make_place(crowd):
            return False
        self._guests[guest] = client
        self._of_client.setdefault(client, {})[guest] = None
        return True

    def exit(self, guest: Guest) -> None:
        """Take back the place of *guest*, if he has one."""
        client = self._guests.pop(guest, None)
        if client is None:
            return
        own = self._of_client[client]
        del own[guest]
        if not own:
            del self._of_client[client]

    def _make_place(self, crowd: Collection[Guest]) -> bool:
        idle = [(since, guest) for guest in crowd if (since := guest.waited_for_since) is not None]
        if not idle:
            return False
        _, longest = min(idle, key=lambda each: each[0])
        self.exit(longest)
        longest.leave()
        return True

    def _is_exempt(self, client: Client) -> bool:
        return not isinstance(client, str) and any(
            client.version == network.version and client.network_address in network
            for network in self._exempt
        )


def _waiting(guests: Collection[Guest]) -> int:
    return sum(guest.waited_for_since is not None for guest in guests)


def client_of(host: str) -> Client:
    """Return what stands for one client: an IPv4 address, an IPv6 /64, or *host* where it is no address."""
    try:
        return subscriber_of(parse_address(host.partition("%")[0]))  # a link has one scope
    except BadInput:
        return host
