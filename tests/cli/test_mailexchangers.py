"""Which families the DNS says that the collector listens in, asked of a real name server on loopback."""

import asyncio
import socket
import threading
from collections.abc import Iterator, Mapping
from datetime import timedelta
from ipaddress import ip_address

import pytest
from dns import flags, message, name, rcode, rdatatype, rrset
from dns.asyncresolver import Resolver
from structlog.testing import capture_logs

from rbl.cli import mailexchangers
from rbl.cli.mailexchangers import Published
from rbl.config import Listen

DOMAIN = "relaytest.example"
V4, V6 = Listen("192.0.2.25", 25), Listen("2001:db8::25", 25)
BOTH = {
    "relaytest.example. MX": ["20 second.example.", "10 mx.example."],
    "mx.example. A": ["192.0.2.25"],
    "mx.example. AAAA": ["2001:db8::25"],
    "second.example. A": ["192.0.2.26"],
}


class NameServer:
    """Answers over UDP from *known*, and NXDOMAIN for names that it does not know; None: not at all."""

    def __init__(self, known: Mapping[str, list[str]] | None) -> None:
        self._known = known
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.asked: list[str] = []
        self.was_asked = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def resolver(self) -> Resolver:
        """Return what asks it."""
        resolver = Resolver(configure=False)
        resolver.nameservers = ["127.0.0.1"]
        resolver.port = self._socket.getsockname()[1]
        return resolver

    def stop(self) -> None:
        """Answer no more."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as end:
            end.sendto(b"", self._socket.getsockname())
        self._thread.join()
        self._socket.close()

    def _run(self) -> None:
        while packet := self._socket.recvfrom(4096):
            octets, client = packet
            if not octets:
                return
            query = message.from_wire(octets)
            assert isinstance(query, message.QueryMessage)
            (question,) = query.question
            self.asked.append(f"{question.name} {rdatatype.to_text(question.rdtype)}")
            self.was_asked.set()
            if self._known is not None:
                self._socket.sendto(self._answer(query).to_wire(), client)

    def _answer(self, query: message.QueryMessage) -> message.Message:
        assert self._known is not None
        reply = message.make_response(query)
        reply.flags |= flags.RA
        (question,) = query.question
        rdata = self._known.get(self.asked[-1])
        if rdata:
            reply.answer.append(rrset.from_text(question.name, 60, "IN", question.rdtype, *rdata))
        elif not any(name.from_text(each.split()[0]) == question.name for each in self._known):
            reply.set_rcode(rcode.NXDOMAIN)
        return reply


@pytest.fixture
def known() -> Mapping[str, list[str]] | None:
    return BOTH


@pytest.fixture
def name_server(known: Mapping[str, list[str]] | None) -> Iterator[NameServer]:
    server = NameServer(known)
    yield server
    server.stop()


def warnings(
    server: NameServer, *listen: Listen, domain: str = DOMAIN, patience: timedelta = timedelta(seconds=30)
) -> list[str]:
    """Return what a start warns of."""

    async def start() -> None:
        async with mailexchangers.looked_up([domain], listen, server.resolver(), patience) as looking:
            await looking

    with capture_logs() as logs:
        asyncio.run(start())
    assert all(each["log_level"] == "warning" for each in logs)
    return [f"{each['event']}: {each['why']}; {each['do']}" for each in logs]


@pytest.mark.parametrize(
    ("listen", "family", "record"),
    [
        ((V4, V6), None, ""),
        ((Listen("0.0.0.0", 2525), Listen("::", 25)), None, ""),
        ((V4,), "IPv6", "AAAA"),
        ((V6,), "IPv4", "A"),
    ],
)
def test_a_family_that_is_left_out(
    name_server: NameServer, listen: tuple[Listen, ...], family: str | None, record: str
) -> None:
    """A start warns once of a family in which the MX has addresses and the collector none."""
    warning = (
        f"family_left_out: collector.listen has no {family} address: what open servers deliver over"
        f" {family} is lost; add one to collector.listen, or take the {record} record of mx.example away"
    )

    assert ([] if family is None else [warning]) == warnings(name_server, *listen)


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        (BOTH, ["mx.example 192.0.2.25", "mx.example 2001:db8::25", "second.example 192.0.2.26"]),
        ({"relaytest.example. MX": ["0 ."]}, []),
        ({"relaytest.example. AAAA": ["2001:db8::1"]}, ["relaytest.example 2001:db8::1"]),
        ({"relaytest.example. MX": ["10 gone.example."]}, []),
        ({"other.example. A": ["192.0.2.1"]}, []),
    ],
    ids=["two", "null MX", "no MX", "an MX without address", "no such domain"],
)
def test_what_is_published(name_server: NameServer, expected: list[str]) -> None:
    """The MX's addresses, the preferred first; those of the domain itself where it has no MX."""
    found = asyncio.run(mailexchangers.published(DOMAIN, name_server.resolver()))

    assert expected == [f"{each.exchanger} {each.address}" for each in found]


@pytest.mark.parametrize("known", [None], ids=["silent"])
def test_dns_that_does_not_answer(name_server: NameServer) -> None:
    """Nothing is said, and the look-up ends in its time."""
    assert [] == warnings(name_server, V4, patience=timedelta(seconds=0.2))
    assert ["relaytest.example. MX"] == list(dict.fromkeys(name_server.asked))


@pytest.mark.parametrize("known", [None], ids=["silent"])
def test_the_end_does_not_wait_for_dns(name_server: NameServer) -> None:
    """A collector that stops breaks the look-up off."""

    async def stop_at_once() -> bool:
        async with mailexchangers.looked_up([DOMAIN], [V4], name_server.resolver()) as looking:
            await asyncio.to_thread(name_server.was_asked.wait)
        return looking.cancelled()

    assert asyncio.run(stop_at_once())


def test_nobody_is_asked_for_localhost(name_server: NameServer) -> None:
    """The domain of a list that was not set up yet is in no DNS (RFC 6761 §6.3)."""
    assert ([], []) == (warnings(name_server, V4, domain="relaytest.localhost"), name_server.asked)


def test_one_warning_for_each_domain_and_family() -> None:
    """However many addresses there are."""
    found = [
        Published(domain, "mx.example", ip_address(address))
        for domain in ("a.example", "b.example")
        for address in ("192.0.2.1", "192.0.2.2", "2001:db8::1")
    ]

    assert [("a.example", 4), ("b.example", 4)] == [
        (each.domain, each.address.version) for each in mailexchangers.left_out(found, [V6])
    ]
