"""The stage of the end-to-end stories does what the stories take for granted."""

import email
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from ipaddress import IPv4Address
from pathlib import Path
from threading import Thread
from urllib.request import urlopen

import pytest
from dnslib import QTYPE, RCODE, RR, SOA, TXT, A, DNSRecord
from dnslib.server import DNSHandler, DNSLogger, DNSServer

from tests.e2e import needs, world
from tests.e2e.hosts import Host, internet
from tests.e2e.letters import hand_over
from tests.e2e.postfix import ACCEPTS_THEN_BOUNCES, CLOSED, Postfix
from tests.e2e.servers import eventually, running
from tests.e2e.unbound import Unbound

CUSTOMER = f"{world.CUSTOMER}@{world.ISP_DOMAIN}"
SPAMMER = "offers@spammer.example"
REASON = "relayed our test: https://blocklist.example/192.0.2.66"


class StubList:
    """A DNS list of single addresses, for the time that the stage is tried out without the program."""

    def __init__(self) -> None:
        self.listed: set[str] = set()

    def resolve(self, request: DNSRecord, _: DNSHandler) -> DNSRecord:
        """Answer A and TXT of the listed, NODATA above them (RFC 8020), else NXDOMAIN; TTLs of a second."""
        owners = {
            f"{address.reverse_pointer[:-13]}.{world.ZONE}" for address in map(IPv4Address, self.listed)
        }
        reply = request.reply(ra=0)
        qname = str(request.q.qname).rstrip(".").lower()
        rdata = {QTYPE.A: A("127.0.0.2"), QTYPE.TXT: TXT(REASON)}.get(request.q.qtype)
        if qname in owners and rdata is not None:
            reply.add_answer(RR(request.q.qname, request.q.qtype, ttl=1, rdata=rdata))
            return reply
        if not any(name == qname or name.endswith(f".{qname}") for name in (*owners, world.ZONE)):
            reply.header.rcode = RCODE.NXDOMAIN
        times = (1, 60, 60, 3600, 1)  # the last: how long "not listed" is kept, RFC 2308
        reply.add_auth(
            RR(world.ZONE, QTYPE.SOA, ttl=1, rdata=SOA(f"ns.{world.ZONE}", f"dns.{world.ZONE}", times))
        )
        return reply


@pytest.fixture
def stub(hosts: dict[str, Host]) -> Iterator[StubList]:
    """A list without entries, on port 53 of the blocklist host."""
    host = hosts["blocklist"]
    stub = StubList()
    server = host.call(
        lambda: DNSServer(stub, address=host.address, port=53, logger=DNSLogger(log="-", prefix=False))
    )
    thread = Thread(target=server.server.serve_forever, args=(0.01,))
    thread.start()
    yield stub
    server.stop()
    thread.join()
    server.server.server_close()


def dig(host: Host, *question: str) -> str:
    """Return what dig prints on *host*."""
    asked = subprocess.run(
        host.command(["dig", "+noall", "+comments", "+answer", *question]),
        capture_output=True,
        text=True,
        check=True,
    )
    return asked.stdout.strip()


@pytest.mark.root
def test_open_relay_relays(hosts: dict[str, Host], stub: StubList, relay: Postfix, isp: Postfix) -> None:
    """A letter handed to the open relay reaches the ISP's mailbox, whose MX names the relay's address."""
    reply = hand_over(hosts["spammer"], relay.host.address, SPAMMER, CUSTOMER)
    (arrived,) = isp.await_letters(world.CUSTOMER)
    newest, oldest = email.message_from_bytes(arrived).get_all("Received", [])

    assert (reply.command, reply.code) == ("DATA", 250)
    assert re.match(
        r"from mail\.relay\.example \(mail\.relay\.example \[192\.0\.2\.66\]\)\s+by mx\.isp\.", newest
    )
    assert re.match(
        r"from spammer\.example \(host200\.spammer\.example \[192\.0\.2\.200\]\)\s+by mail\.", oldest
    )


@pytest.mark.root
def test_listed_client_is_refused(hosts: dict[str, Host], stub: StubList, isp: Postfix) -> None:
    """The ISP's MX refuses a listed client in the words of the list's TXT, and takes mail of others."""
    stub.listed.add(hosts["relay"].address)
    listed = hand_over(hosts["relay"], isp.host.address, SPAMMER, CUSTOMER)
    other = hand_over(hosts["spammer"], isp.host.address, SPAMMER, CUSTOMER)

    assert (listed.command, listed.code) == ("RCPT", 554)
    assert f"Client host [192.0.2.66] blocked using {world.ZONE}; {REASON}" in listed.text
    assert (other.command, other.code) == ("DATA", 250)


@pytest.mark.root
def test_listing_and_delisting_are_seen(hosts: dict[str, Host], stub: StubList, isp: Postfix) -> None:
    """The MX goes by what the list says now, as soon as the TTL of what it said before is over."""

    def code() -> int:
        return hand_over(hosts["relay"], isp.host.address, SPAMMER, CUSTOMER).code

    before = code()
    stub.listed.add(hosts["relay"].address)
    eventually(lambda: code() == 554, lambda: f"never refused:\n{isp.log()}")
    stub.listed.clear()
    eventually(lambda: code() == 250, lambda: f"never taken again:\n{isp.log()}")

    assert before == 250


@pytest.mark.root
def test_closed_relay_refuses(hosts: dict[str, Host], relay: Postfix) -> None:
    """After its admin closed it, the relay refuses the recipient it took before."""
    before = hand_over(hosts["spammer"], relay.host.address, SPAMMER, CUSTOMER)
    relay.reconfigure(CLOSED)
    after = hand_over(hosts["spammer"], relay.host.address, SPAMMER, CUSTOMER)

    assert (before.command, before.code) == ("DATA", 250)
    assert (after.command, after.code) == ("RCPT", 454)
    assert "Relay access denied" in after.text


@pytest.mark.root
def test_accepted_and_bounced(hosts: dict[str, Host], stub: StubList, isp: Postfix) -> None:
    """A server that takes everything sends nothing on, but a bounce to the sender."""
    token = f"token@{world.COLLECTOR_DOMAIN}"
    with Postfix(hosts["relay"], "mail.relay.example", ACCEPTS_THEN_BOUNCES) as taker:
        reply = hand_over(hosts["spammer"], taker.host.address, CUSTOMER, token)
        (bounce,) = isp.await_letters(world.CUSTOMER)
    message = email.message_from_bytes(bounce)

    assert (reply.command, reply.code) == ("DATA", 250)
    assert (message["Return-Path"], message.get_content_type()) == ("<>", "multipart/report")
    assert f"Final-Recipient: rfc822; {token}" in bounce.decode()


@pytest.mark.root
def test_names_both_ways(hosts: dict[str, Host], resolver: Unbound) -> None:
    """Programs on a host ask the made-up internet's DNS: names, addresses back, and nothing else."""
    host = hosts["spammer"]

    assert "MX\t10 mx.blocklist.example." in dig(host, "MX", world.COLLECTOR_DOMAIN)
    assert "PTR\tmx.blocklist.example." in dig(host, "-x", "198.51.100.10")
    assert "status: NXDOMAIN" in dig(host, "debian.org")


@pytest.mark.root
def test_program_under_test(hosts: dict[str, Host], tmp_path: Path) -> None:
    """A program on a host serves its port there, writes where the test can read, and ends when asked."""
    argv = [sys.executable, "-m", "http.server", "80", "--directory", str(tmp_path)]
    with running(hosts["blocklist"], argv, port=80) as process:
        own = Path(f"/proc/{process.pid}/cmdline").read_text().split("\0")
        page = hosts["isp"].call(lambda: urlopen("http://198.51.100.10/").read())

    assert own[:-1] == argv
    assert b"blocklist/" in page
    assert process.returncode == -signal.SIGTERM


@pytest.mark.root
def test_source_address_of_choice(hosts: dict[str, Host]) -> None:
    """A host with two addresses is seen to come from the one it chose, else from its first."""
    isp, blocklist = hosts["isp"], hosts["blocklist"]
    seen = []
    with isp.call(lambda: socket.create_server((isp.address, 25))) as listener:
        for source in ("", *blocklist.addresses):
            connect = partial(socket.create_connection, (isp.address, 25), source_address=(source, 0))
            blocklist.call(connect).close()
            client, (address, _) = listener.accept()
            client.close()
            seen.append(address)

    assert seen == ["198.51.100.10", "198.51.100.10", "198.51.100.11"]


@pytest.mark.root
def test_no_way_out(hosts: dict[str, Host]) -> None:
    """No namespace has a link to the machine's network, and loopback is each host's own."""
    inside = {name: host.call(socket.if_nameindex) for name, host in hosts.items()}
    wire = replace(hosts["isp"], namespace=hosts["isp"].namespace.removesuffix("isp") + "hub")
    ports = {name for _, name in wire.call(socket.if_nameindex)}
    with socket.create_server(("127.0.0.1", 0)) as on_machine, pytest.raises(ConnectionRefusedError):
        hosts["isp"].call(lambda: socket.create_connection(on_machine.getsockname()))

    assert {name for links in inside.values() for _, name in links} == {"lo", "eth0"}
    assert ports == {"lo", "hub", *(f"port{number}" for number in range(len(hosts)))}


@pytest.mark.root
def test_a_host_that_is_cut_off(tmp_path: Path) -> None:
    """Packets to it and from it are lost, which nobody is told; what waited for them arrives afterwards."""
    needs.decide(needs.missing())
    plan = {"relay": ["192.0.2.66"], "isp": ["203.0.113.25"]}
    with internet(tmp_path, plan, resolver="203.0.113.25") as hosts:
        relay, isp = hosts["relay"], hosts["isp"]
        listener = relay.call(lambda: socket.create_server((relay.address, 25)))
        talking = isp.call(lambda: socket.create_connection((relay.address, 25)))
        taken, _ = listener.accept()
        with relay.cut_off():
            talking.sendall(b"to")
            taken.sendall(b"from")
            with pytest.raises(TimeoutError):
                isp.call(lambda: socket.create_connection((relay.address, 25), timeout=0.1))
            with pytest.raises(BlockingIOError):
                taken.recv(10, socket.MSG_DONTWAIT)
        arrived = taken.recv(10), talking.recv(10)
        for each in (talking, taken, listener):
            each.close()

    assert (b"to", b"from") == arrived


@pytest.mark.root
def test_nothing_is_left(tmp_path: Path) -> None:
    """After a failure within, no namespace and no process of the servers is left."""
    needs.decide(needs.missing())
    pids: set[int] = set()

    def story() -> None:
        with (
            internet(tmp_path, {"relay": ["192.0.2.66"]}, resolver="192.0.2.66") as hosts,
            Postfix(hosts["relay"], "mail.relay.example", CLOSED) as postfix,
        ):
            pids.update(postfix.processes())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        story()

    assert pids
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]
    assert not list(Path("/run/netns").glob(f"rbl-e2e-{os.getpid()}-*"))


@pytest.mark.parametrize(
    ("environment", "outcome"),
    [
        ({}, pytest.skip.Exception),  # a person's machine: the other tests still say something
        ({"CI": "false"}, pytest.skip.Exception),
        ({"CI": "true"}, pytest.fail.Exception),  # nobody reads the skips there
    ],
)
def test_missing_part(environment: dict[str, str], outcome: type[BaseException]) -> None:
    """A missing part skips on a person's machine and fails where CI=true; either way it is named."""
    with pytest.raises(outcome, match="no program ip; no program dig"):
        needs.decide(["no program ip", "no program dig"], environment)


def test_nothing_missing() -> None:
    """With every part there, the tests run."""
    needs.decide([], {"CI": "true"})
