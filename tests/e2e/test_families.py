"""Servers of both families: tested over one, and delivering over the other."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e import blocklist, needs, world
from tests.e2e.blocklist import Blocklist
from tests.e2e.hosts import Host, internet
from tests.e2e.letters import hand_over
from tests.e2e.postfix import OPEN_RELAY, Postfix, mailboxes
from tests.e2e.servers import eventually
from tests.e2e.unbound import Unbound
from tests.e2e.visitor import Visitor

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
