"""Whether the collector listens in every family in which the world finds its domain's mail exchangers.

An open server of both families delivers by the one that its own settings prefer. Where that one has an
address in the DNS and nobody behind it, what proves the server open never arrives. Asked once at the start,
beside everything else: DNS that is slow or away holds nothing up and says nothing. RFC 5321 §5.1, RFC 7505.

Log event: ``family_left_out``, once for each domain and family.
"""

import asyncio
from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta

import structlog
from dns.asyncresolver import Resolver
from dns.exception import DNSException
from dns.name import root
from dns.rdatatype import AAAA, MX, A
from dns.resolver import NXDOMAIN, NoAnswer

from rbl.addresses import parse_address
from rbl.config import Listen
from rbl.terms import Address

_PATIENCE = timedelta(seconds=10)
_MOST_EXCHANGERS = 10  # of ours there are two or three
_LOCAL = ("localhost",)  # RFC 6761 §6.3: never asked of the DNS

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Published:
    """An address at which *exchanger* takes the mail of *domain*, as the DNS says."""

    domain: str
    exchanger: str
    address: Address


@asynccontextmanager
async def looked_up(
    domains: Sequence[str],
    listen: Collection[Listen],
    resolver: Resolver | None = None,
    patience: timedelta = _PATIENCE,
) -> AsyncIterator["asyncio.Task[None]"]:
    """Look *domains* up while the context lasts, and warn of each family that *listen* leaves out."""
    looking = asyncio.create_task(_look(domains, listen, resolver, patience))
    try:
        yield looking
    finally:
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)


def left_out(published: Iterable[Published], listen: Collection[Listen]) -> list[Published]:
    """Return what is in a family that *listen* has no address of: one for each domain and family."""
    heard = {parse_address(each.host).version for each in listen}
    found: dict[tuple[str, int], Published] = {}
    for one in published:
        if one.address.version not in heard:
            found.setdefault((one.domain, one.address.version), one)
    return list(found.values())


async def published(domain: str, resolver: Resolver) -> list[Published]:
    """Return where the DNS says that mail for *domain* is taken; nothing where it takes none.

    Raises:
        DNSException: the DNS does not answer.
    """
    found: list[Published] = []
    for exchanger in await _exchangers(domain, resolver):
        for rtype in (A, AAAA):
            with suppress(NXDOMAIN, NoAnswer):
                answer = await resolver.resolve(exchanger, rtype, search=False)
                found += [
                    Published(domain, exchanger.rstrip("."), parse_address(each.address)) for each in answer
                ]
    return found


async def _exchangers(domain: str, resolver: Resolver) -> list[str]:
    """Return the names of the hosts that take mail for *domain*, the preferred first."""
    try:
        answer = await resolver.resolve(f"{domain}.", MX, search=False)
    except NXDOMAIN:
        return []
    except NoAnswer:
        return [f"{domain}."]  # the domain itself is its mail exchanger
    by_preference = sorted(answer, key=lambda each: each.preference)
    return [each.exchange.to_text() for each in by_preference if each.exchange != root][:_MOST_EXCHANGERS]


async def _look(
    domains: Sequence[str], listen: Collection[Listen], resolver: Resolver | None, patience: timedelta
) -> None:
    for domain in domains:
        if domain.split(".")[-1] in _LOCAL:
            continue
        # Whatever goes wrong here says nothing of the collector, which takes its mail meanwhile.
        with suppress(DNSException, OSError, ValueError):
            async with asyncio.timeout(patience.total_seconds()):
                for one in left_out(await published(domain, resolver or Resolver()), listen):
                    _tell(one)


def _tell(one: Published) -> None:
    family, record = ("IPv6", "AAAA") if one.address.version == 6 else ("IPv4", "A")
    _log.warning(
        "family_left_out",
        domain=one.domain,
        exchanger=one.exchanger,
        address=str(one.address),
        why=f"collector.listen has no {family} address: what open servers deliver over {family} is lost",
        do=f"add one to collector.listen, or take the {record} record of {one.exchanger} away",
    )
