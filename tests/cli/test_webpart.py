"""What the web part is given of the others. It runs in test_serve and in the stories."""

import asyncio
from ipaddress import ip_address

import pytest

from rbl.cli import parts, webpart
from rbl.cli.opening import now, prepare
from rbl.errors import BadInput
from rbl.terms import Nominator, Role, Trust
from tests.cli.conftest import Building
from tests.cli.process import spam

NOMINATOR = Nominator(1, "isp.example", Role.NOMINATOR, Trust.NORMAL, frozenset({"mx.isp.example"}), ())


def test_evidence_of_a_test_network(building: Building) -> None:
    """A reserved address is inside of the nominator's own network, unless it is one that may be tested."""
    outside = webpart.web_parts(building(probe={"allow_reserved": ["127.0.0.0/8"]}))
    inside = webpart.web_parts(building())

    found = outside.read_evidence(spam("127.0.0.66"), NOMINATOR, now())

    assert ip_address("127.0.0.66") == found.address
    with pytest.raises(BadInput, match="a private address"):
        inside.read_evidence(spam("127.0.0.66"), NOMINATOR, now())


def test_web_alone_says_nothing_of_dns(building: Building) -> None:
    """A process that answers no DNS is ready without it."""
    alone = webpart.web_parts(building())

    assert ({}, {}) == (alone.ready(), dict(alone.lists()))


def test_web_is_told_where_dns_stands(building: Building) -> None:
    """With DNS in the same process: that it is ready, and what each list is answered from."""
    built = building(dns={"listen": ["127.0.0.1:0"]})
    prepare(built.store, built.zones)

    web = webpart.web_parts(built)

    async def tell() -> bool:
        async with parts.dns(built) as place:
            assert place.startswith("127.0.0.1:")
            await parts.until_dns_is_ready(built)
            return web.ready() == {"dns": True}

    assert asyncio.run(tell())
    standing = web.lists()["relays.example"]
    assert {} == web.ready()
    assert (standing.newest, None) == (standing.serial, standing.held)
