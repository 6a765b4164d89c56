"""Servers of both families: tested over one, and delivering over the other."""

from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import format_datetime
from ipaddress import ip_address
from pathlib import Path

import pytest

from tests.e2e import blocklist, needs, world
from tests.e2e.blocklist import Blocklist
from tests.e2e.hosts import Host, internet
from tests.e2e.letters import hand_over, letter
from tests.e2e.postfix import OPEN_RELAY, Postfix, mailboxes
from tests.e2e.servers import eventually
from tests.e2e.unbound import Unbound
from tests.e2e.visitor import DnsAnswer, Visitor

CUSTOMER = f"{world.CUSTOMER}@{world.ISP_DOMAIN}"
RELAY, RELAY_6 = world.ADDRESSES["relay"][0], "2001:db8:66::66"
COLLECTOR, COLLECTOR_6 = world.ADDRESSES["blocklist"][0], "2001:db8:10::10"
ADDRESSES = {
    **world.ADDRESSES,
    "blocklist": (*world.ADDRESSES["blocklist"], COLLECTOR_6),
    "relay": (RELAY, RELAY_6),
}
OF_COLLECTOR = f"mx.blocklist.example. 2 IN AAAA {COLLECTOR_6}"
OF_RELAY = f"mail.relay.example. 2 IN AAAA {RELAY_6}"
# It prefers the newer protocol, as many do, and has no address of the collector's that it could not reach.
DUAL_STACK = {
    **mailboxes(world.RELAY_DOMAIN, [world.RELAY_USER]),
    **OPEN_RELAY,
    "inet_protocols": "all",
    "smtp_address_preference": "ipv6",
    "smtp_bind_address6": RELAY_6,
}
# Open to whoever sends in the server's own name, written as an address; it prefers the older protocol.
LITERALS_ONLY = {
    **DUAL_STACK,
    "mynetworks": "127.0.0.0/8",
    "smtp_address_preference": "ipv4",
    "smtpd_relay_restrictions": (
        f"check_sender_access inline:{{{{[IPv6:{RELAY_6}]=permit}}}}, reject_unauth_destination"
    ),
}
QNAME_6 = f"{'.'.join(reversed(ip_address(RELAY_6).exploded.replace(':', '')))}.{world.ZONE}"
BOTH_FAMILIES = {"RBL_COLLECTOR__LISTEN": f"{COLLECTOR}:25,[{COLLECTOR_6}]:25"}


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[dict[str, Host]]:
    """The made-up internet, with IPv6 at the collector and the relay."""
    needs.decide(needs.missing())
    with internet(tmp_path, ADDRESSES, resolver=world.ADDRESSES["resolver"][0]) as hosts:
        yield hosts


@pytest.fixture
def names() -> list[str]:
    """The DNS, in which the collector and the relay have both addresses."""
    return [*world.names(), OF_COLLECTOR, OF_RELAY]


@pytest.fixture
def resolver(hosts: dict[str, Host], names: list[str]) -> Iterator[Unbound]:
    """What every host asks."""
    with Unbound(hosts["resolver"], names, {world.ZONE: hosts["blocklist"].address}) as unbound:
        yield unbound


@pytest.fixture
def relay(hosts: dict[str, Host], resolver: Unbound) -> Iterator[Postfix]:
    """An open relay of both families, which is tested over IPv4 and delivers over IPv6."""
    with Postfix(hosts["relay"], "mail.relay.example", DUAL_STACK) as postfix:
        yield postfix


def nominate(rbl: Blocklist, hosts: dict[str, Host], isp: Postfix) -> None:
    """Hand in a spam that came through the relay."""
    sent = hand_over(hosts["spammer"], RELAY, "offers@spammer.example", CUSTOMER)
    (spam,) = isp.await_letters(world.CUSTOMER)
    assert sent.code == 250
    assert rbl.nominate(Visitor(hosts["isp"]), spam)["address"] == RELAY


def spam_over_ipv6() -> bytes:
    """Return a spam as the ISP's mail exchanger would have taken it from the relay's IPv6 address."""
    received = (
        f"from mail.relay.example (mail.relay.example [IPv6:{RELAY_6}])\r\n"
        f"\tby mx.isp.example (Postfix) with ESMTP id 4Xyz; {format_datetime(datetime.now(UTC))}\r\n"
    )
    return f"Received: {received}".encode() + letter("offers@spammer.example", CUSTOMER)


@pytest.mark.root
def test_one_host_of_both_families(
    hosts: dict[str, Host], isp: Postfix, relay: Postfix, sqlite_url: str
) -> None:
    """An open server delivering over the other family is listed by robot, and its page has the proof."""
    with blocklist.serving(hosts["blocklist"], sqlite_url, BOTH_FAMILIES) as rbl:
        nominate(rbl, hosts, isp)
        eventually(lambda: f"peer={RELAY_6} tested={RELAY}" in rbl.log(), rbl.log)
        rbl.await_state(RELAY, "listed")
        proof = rbl.story(RELAY)["proof"]
        page = Visitor(hosts["relay"]).get(f"{blocklist.URL}/a/{RELAY}").text

        assert proof["envelope"]["result"] == "relayed"
        assert proof["returned_at"] is not None
        assert f"<title>{RELAY} is listed" in page
        assert rbl.story(RELAY_6)["listed"] is False
        assert "event=family_left_out" not in rbl.log()


@pytest.mark.root
def test_tested_over_ipv6(hosts: dict[str, Host], isp: Postfix, relay: Postfix, sqlite_url: str) -> None:
    """A server nominated by its IPv6 address is tested there, by literals too, and listed there."""
    settings = {
        **BOTH_FAMILIES,
        "RBL_PROBE__SOURCE_ADDRESS": COLLECTOR_6,
        "RBL_PROBE__ALLOW_RESERVED": "::/0",
    }
    relay.reconfigure(LITERALS_ONLY)
    with blocklist.serving(hosts["blocklist"], sqlite_url, settings) as rbl:
        assert rbl.nominate(Visitor(hosts["isp"]), spam_over_ipv6())["address"] == RELAY_6
        eventually(lambda: f"peer={RELAY} tested={RELAY_6}" in rbl.log(), rbl.log)
        rbl.await_state(RELAY_6, "listed")
        envelope = rbl.story(RELAY_6)["proof"]["envelope"]
        answer = Visitor(hosts["isp"]).ask(QNAME_6, "A", rbl.host.address)

        assert f"[IPv6:{RELAY_6}]" in envelope["mail_from"]
        assert answer == DnsAnswer("NOERROR", ("127.0.0.2",))
        assert rbl.story(RELAY)["listed"] is False


@pytest.mark.root
@pytest.mark.parametrize("names", [[*world.names(), OF_COLLECTOR]], ids=["the relay has no AAAA"])
def test_what_nothing_links(hosts: dict[str, Host], isp: Postfix, relay: Postfix, sqlite_url: str) -> None:
    """Where the DNS does not say that both addresses are one server, a person looks."""
    with blocklist.serving(hosts["blocklist"], sqlite_url, BOTH_FAMILIES) as rbl:
        nominate(rbl, hosts, isp)
        rbl.await_state(RELAY, "review")

        assert f"kind=multihop peer={RELAY_6} tested={RELAY}" in rbl.log()
        assert (rbl.story(RELAY)["listed"], rbl.story(RELAY)["proof"]) == (False, None)


@pytest.mark.root
def test_a_family_nobody_listens_in(hosts: dict[str, Host], resolver: Unbound, sqlite_url: str) -> None:
    """A start that leaves out a family in which the MX is published says so."""
    with blocklist.serving(hosts["blocklist"], sqlite_url) as rbl:
        eventually(lambda: "event=family_left_out" in rbl.log(), rbl.log)

        assert f"address={COLLECTOR_6} " in rbl.log()
        assert (
            "add one to collector.listen, or take the AAAA record of mx.blocklist.example away" in rbl.log()
        )
