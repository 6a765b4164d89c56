"""Asking whether who handed messages back is the tested host, at the end of a step."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from ipaddress import ip_address

import pytest
from structlog.testing import capture_logs

from rbl.probe import linking
from rbl.probe.runner import run_step
from rbl.probe.step import Tools
from rbl.store import probes, receipts, stories
from rbl.store.engine import Store
from rbl.store.receipts import NewReceipt
from rbl.terms import Address, EnvelopeResult, State, Verdict
from tests.probe import relay
from tests.probe.relay import HOST, POLICY, Clock, Relay, make_due, make_tools
from tests.store import steps

NAME = "mx.example.com"  # what the relay greets with
TESTED, OTHER, THIRD = ip_address(HOST), ip_address("2001:db8:66::66"), ip_address("2001:db8:99::99")


class Dns:
    """What the DNS knows, and what it was asked for; *meanwhile* happens while it is asked."""

    def __init__(self, addresses: dict[str, set[Address]], reverse: str | None = None) -> None:
        self.addresses = addresses
        self.reverse = reverse
        self.asked: list[str] = []
        self.is_away = False
        self.meanwhile: Callable[[], None] = lambda: None

    async def addresses_of(self, name: str) -> frozenset[Address]:
        self.asked.append(name)
        self.meanwhile()
        if self.is_away:
            await asyncio.get_running_loop().create_future()
        return frozenset(self.addresses.get(name, ()))

    async def name_of(self, _address: Address) -> str | None:
        return self.reverse


@pytest.fixture
def clock() -> Clock:
    """A clock that stands still."""
    return Clock()


def arrive(
    store: Store,
    recipient: str,
    peer: Address,
    helo: str,
    as_host: EnvelopeResult | None = EnvelopeResult.RELAYED,
) -> None:
    """Let a message arrive at the collector by way of *peer*."""
    kind = EnvelopeResult.MULTIHOP
    is_other_family = peer.version != TESTED.version
    new = NewReceipt(
        token=recipient.partition("@")[0].lower(),
        kind=kind,
        peer=peer,
        helo=helo,
        mail_from="a@b",
        rcpt_to=recipient,
        message=b"x",
        received_at=steps.NOW,
        as_host=as_host if is_other_family else None,
    )
    with store.writing() as session:
        receipts.keep(session, new)


def first_token(store: Store) -> str:
    """Return the token of the form that was offered first."""
    with store.reading() as session:
        return probes.envelopes(session, 1)[0].token


def step(store: Store, clock: Clock, dns: Dns, *peers: tuple[Address, str], **changed: object) -> Verdict:
    """Test a relay whose messages come back by each of *peers* (address and EHLO)."""
    make_due(store, clock())

    def deliver(recipient: str, _message: bytes) -> None:
        for peer, helo in peers:
            arrive(store, recipient, peer, helo)

    host = Relay(on_message=deliver)

    async def story() -> Verdict:
        async with host.running():
            return await run_step(
                tools(store, host.port, clock, dns, changed), relay.claim(store, clock()), POLICY
            )

    return asyncio.run(story())


def tools(store: Store, port: int, clock: Clock, dns: Dns, changed: Mapping[str, object]) -> Tools:
    """Return what a step needs, with a DNS."""
    made = make_tools(store, port, clock, **changed)
    return replace(made, name_of=dns.name_of, addresses_of=dns.addresses_of)


def test_an_open_host_of_both_families_is_listed(store: Store, clock: Clock) -> None:
    """What comes back by its other address is proof, and the history says what links the two."""
    dns = Dns({NAME: {TESTED, OTHER}})
    with capture_logs() as logs:
        found = step(store, clock, dns, (OTHER, "MX.example.com"))
    with store.reading() as session:
        story = stories.story(session, steps.ZONE, TESTED)

    assert (Verdict.OPEN, State.LISTED, [NAME]) == (found, steps.host(store, HOST).state, dns.asked)
    assert story.proof is not None
    assert f"(by its address {OTHER}, both are {NAME})" in str(story.runs[0].why)
    assert [(str(OTHER), NAME)] == [(log["peer"], log["name"]) for log in logs if log["event"] == "linked"]


def test_a_name_of_its_reverse_dns(store: Store, clock: Clock) -> None:
    """A host whose greeting is another's name, or none, has the one that the reverse DNS gives it."""
    dns = Dns({"mail.example.com": {TESTED, OTHER}}, reverse="mail.example.com")

    assert Verdict.OPEN is step(store, clock, dns, (OTHER, "mail.example.com"))


@pytest.mark.parametrize(
    ("addresses", "peer", "asked", "why"),
    [
        ({NAME: {TESTED}}, (OTHER, NAME), [NAME], "the DNS gives the name one address"),
        ({}, (OTHER, NAME), [NAME], "the DNS does not answer"),
        ({"x.example": {TESTED, OTHER}}, (OTHER, "x.example"), [], "a name that is not the host's"),
        ({NAME: {TESTED}}, (ip_address("198.51.100.7"), NAME), [], "the same family"),
    ],
)
def test_what_nothing_links(
    store: Store,
    clock: Clock,
    addresses: dict[str, set[Address]],
    peer: tuple[Address, str],
    asked: list[str],
    why: str,
) -> None:
    """A person looks, and the DNS was asked for no name but the host's own."""
    dns = Dns(addresses)

    found = step(store, clock, dns, peer)

    assert (Verdict.MULTIHOP, State.REVIEW) == (found, steps.host(store, HOST).state), why
    assert asked == dns.asked, why


def test_one_of_two_peers_is_the_host(store: Store, clock: Clock) -> None:
    """What a third host delivered, too, changes nothing."""
    dns = Dns({NAME: {TESTED, OTHER}})

    assert Verdict.OPEN is step(store, clock, dns, (THIRD, "third.example"), (OTHER, NAME))


def test_what_proves_nothing_of_the_host_itself(store: Store, clock: Clock) -> None:
    """A message that would be no proof from the tested address is none from its other one."""
    make_due(store, clock())
    dns = Dns({NAME: {TESTED, OTHER}})
    host = Relay(
        on_message=lambda recipient, _: arrive(store, recipient, OTHER, NAME, EnvelopeResult.BOUNCED)
    )

    async def story() -> Verdict:
        async with host.running():
            claim = relay.claim(store, clock())
            return await run_step(tools(store, host.port, clock, dns, {}), claim, POLICY)

    found = asyncio.run(story())

    assert found not in {Verdict.OPEN, Verdict.MULTIHOP, Verdict.CLOSED}


def test_who_comes_while_the_dns_is_asked(store: Store, clock: Clock) -> None:
    """A message that arrives between the look and the verdict is looked at, too."""
    dns = Dns({NAME: {TESTED, OTHER}})

    def second() -> None:
        dns.meanwhile = lambda: None
        token = first_token(store)
        arrive(store, token, OTHER, NAME)

    dns.meanwhile = second

    assert Verdict.OPEN is step(store, clock, dns, (THIRD, NAME))


def test_dns_that_is_away(store: Store, clock: Clock) -> None:
    """A resolver that does not answer holds the verdict up for a part of the lease, and a person looks."""
    dns = Dns({NAME: {TESTED, OTHER}})
    dns.is_away = True

    assert Verdict.MULTIHOP is step(store, clock, dns, (OTHER, NAME), lease=timedelta(seconds=1))


def test_a_crowd_that_does_not_end(store: Store, clock: Clock) -> None:
    """Where others go on handing messages back, the run is judged all the same: a person looks."""
    dns = Dns({NAME: {TESTED}})
    numbers = iter(range(1, 1000))

    def another() -> None:
        token = first_token(store)
        arrive(store, token, ip_address(f"2001:db8:77::{next(numbers)}"), NAME)

    dns.meanwhile = another

    assert Verdict.MULTIHOP is step(store, clock, dns, (THIRD, NAME))
    assert 4 == len(dns.asked)


def test_addresses_of_names() -> None:
    """The system's resolver is asked; a name that it does not know has no address."""

    async def ask() -> tuple[frozenset[Address], frozenset[Address]]:
        return await linking.addresses_of("localhost"), await linking.addresses_of("no-such.invalid")

    local, missing = asyncio.run(ask())

    assert (True, frozenset()) == (local <= {ip_address("127.0.0.1"), ip_address("::1")}, missing)
