"""Asks whether peers that handed messages of a run back are the tested host: the names, then the DNS.

What the answers mean is for ``samehost``. Asked at the end of a step, of names that the tested host gives
itself and no others, so nobody can have us ask for names of his. Log event: ``linked``.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

import structlog

from rbl.addresses import parse_address
from rbl.probe import samehost
from rbl.probe.samehost import Handed
from rbl.store import links
from rbl.store.engine import Store
from rbl.store.links import HandedBack
from rbl.store.runs import Claim
from rbl.terms import Address

AddressesOf = Callable[[str], Awaitable[frozenset[Address]]]
"""Returns the addresses of a host name, of both families; none where the DNS does not answer."""
NameOf = Callable[[Address], Awaitable[str | None]]
"""Returns the host name that the reverse DNS gives an address, or None."""

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Links:
    """Who had handed messages back, and which of them are the tested host, each by its name."""

    seen: frozenset[HandedBack] = frozenset()
    own: Mapping[Address, str] = field(default_factory=dict)

    @property
    def addresses(self) -> frozenset[Address]:
        """Those that are the tested host's own."""
        return frozenset(self.own)

    @property
    def words(self) -> str:
        """What links them, for the history; empty where nothing does."""
        return "; ".join(f"by its address {peer}, both are {name}" for peer, name in self.own.items())


async def look(
    store: Store, claim: Claim, addresses_of: AddressesOf, name_of: NameOf, patience: timedelta
) -> Links:
    """Return who handed messages of the run back, and which of them are the tested host itself.

    DNS that takes longer than *patience* in all is taken for away.
    """

    def read() -> tuple[frozenset[HandedBack], list[str]]:
        with store.reading() as session:
            handed = frozenset(links.handed_back(session, claim.run_id))
            return handed, list(links.own_names(session, claim)) if handed else []

    seen, names = await asyncio.to_thread(read)
    others = [Handed(each.peer, each.helo) for each in seen if each.peer.version != claim.address.version]
    if not others:
        return Links(seen)
    try:
        async with asyncio.timeout(patience.total_seconds()):
            reverse = await name_of(claim.address)
            suspected = samehost.suspicions(claim.address, [*names, reverse or ""], others)
            asked = list({each.name for each in suspected})
            known = dict(zip(asked, await asyncio.gather(*map(addresses_of, asked)), strict=True))
    except TimeoutError:
        return Links(seen)
    own = {
        each.peer: each.name
        for each in suspected
        if samehost.confirms(claim.address, each, known[each.name])
    }
    for peer, name in own.items():
        _log.info("linked", address=str(claim.address), peer=str(peer), name=name, run=claim.run_id)
    return Links(seen, own)


async def addresses_of(name: str) -> frozenset[Address]:
    """Return the addresses that the DNS gives *name*, of both families; none where it does not answer."""
    loop = asyncio.get_running_loop()
    try:
        # The dot: no name of ours is tried below the domain of this machine.
        found = await loop.getaddrinfo(f"{name}.", None, type=socket.SOCK_STREAM)
    except OSError:  # no such name, or no resolver
        return frozenset()
    return frozenset(parse_address(str(place[0]).partition("%")[0]) for *_, place in found)
