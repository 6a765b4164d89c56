"""What a first test costs a real closed mail server, in commands and connections."""

import asyncio
from ipaddress import ip_network

from rbl.lifecycle import Policy
from rbl.probe.runner import run_step
from rbl.store import probes
from rbl.store.engine import Store
from rbl.store.hosts import ZonePolicy
from rbl.terms import EnvelopeResult, Verdict
from tests.e2e.hosts import Host
from tests.e2e.postfix import CLOSED, Postfix
from tests.probe.relay import Clock, make_tools
from tests.store import steps

EVERYWHERE = (ip_network("0.0.0.0/0"),)
POLICY = ZonePolicy(steps.ZONE, "relay", Policy(), EVERYWHERE)
MOST_COMMANDS, MOST_CONNECTIONS = 40, 3


def test_a_closed_postfix_sees_few_commands(sqlite_url: str, hosts: dict[str, Host]) -> None:
    """Every form is refused or shown to be refused, within 40 commands and 3 connections."""
    tested, tester = hosts["relay"], hosts["blocklist"]
    store, clock = Store(sqlite_url), Clock()
    steps.set_up(store)
    steps.nominate(store, steps.nominator(store), steps.nomination(tested.address), policy=POLICY)
    tools = make_tools(store, 25, clock, source_address=tester.address, allow_reserved=EVERYWHERE)
    claimed = steps.claim(store, clock(), policy=POLICY)
    assert claimed is not None

    with Postfix(tested, "mail.relay.example", CLOSED):
        found = tester.call(lambda: asyncio.run(run_step(tools, claimed, POLICY)))

    with store.reading() as session:
        said = [line.text for _, line in probes.transcript(session, 1) if line.side == "us"]
        rows = probes.envelopes(session, 1)
    store.close()
    assert found is Verdict.CLOSED
    assert len(said) <= MOST_COMMANDS
    assert said.count("QUIT") <= MOST_CONNECTIONS
    assert {EnvelopeResult.REFUSED, EnvelopeResult.NOT_RUN} == {row.result for row in rows}
    spared = [row.reply for row in rows if row.result is EnvelopeResult.NOT_RUN]
    assert all(reply is not None and reply.startswith("not tried: Postfix ") for reply in spared)
