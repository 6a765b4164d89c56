"""What the database knows of peers that may be the tested host itself, and the proof that follows."""

from dataclasses import replace
from ipaddress import ip_address

import pytest

from rbl.errors import Conflict
from rbl.store import links, probes, runs, stories
from rbl.store.engine import Store
from rbl.store.links import HandedBack
from rbl.store.runs import Claim
from rbl.terms import EnvelopeResult, Trust, Verdict
from tests.store import steps
from tests.store.steps import HOUR, NOW, PEER, ZONE

OTHER, THIRD = ip_address("2001:db8:66::66"), ip_address("2001:db8:99::99")
MULTIHOP, RELAYED, QUEUED = EnvelopeResult.MULTIHOP, EnvelopeResult.RELAYED, EnvelopeResult.QUEUED


@pytest.fixture
def claimed(opened: Store) -> Claim:
    """A worker's hold on the test of a host that was nominated by a trusted nominator, and by another."""
    for trust in (Trust.NORMAL, Trust.TRUSTED):
        new = steps.nomination(message_id=f"<{trust}@spam>")
        evidence = replace(new.evidence, helo=f"{trust}.relay.example")
        steps.nominate(opened, steps.nominator(opened, trust, trust.value), replace(new, evidence=evidence))
    claimed = steps.must_claim(opened)
    with opened.writing() as session:
        probes.plan(session, claimed, [steps.envelope(1, number) for number in (1, 2)], "mx.relay.example")
    return claimed


def arrive(store: Store, token: str, kind: EnvelopeResult | None, peer: object, helo: str = "h.x") -> None:
    """Let the collector keep a message that *peer* handed over."""
    as_host = RELAYED if kind is MULTIHOP else None
    new = replace(steps.receipt(token, NOW, kind), as_host=as_host)
    message = f"from {helo}".encode()
    steps.keep(store, replace(new, peer=ip_address(str(peer)), helo=helo, message=message))


def test_the_names_of_the_host(opened: Store, claimed: Claim) -> None:
    """What it greets with, and its HELO in the evidence of those whom an operator vouched for."""
    with opened.reading() as session:
        assert ["mx.relay.example", "trusted.relay.example"] == links.own_names(session, claimed)


def test_who_handed_messages_back(opened: Store, claimed: Claim) -> None:
    """Each peer whose message means something else if it is the host, once for each name."""
    arrive(opened, "r1x1", MULTIHOP, OTHER)
    arrive(opened, "r1x2", MULTIHOP, OTHER)
    arrive(opened, "r1x2", MULTIHOP, OTHER, "other.x")
    arrive(opened, "r1x1", RELAYED, PEER)
    arrive(opened, "r1x1", None, THIRD)
    with opened.reading() as session:
        found = links.handed_back(session, claimed.run_id)

    assert [HandedBack(OTHER, "h.x"), HandedBack(OTHER, "other.x")] == found


def test_a_crowd_is_not_looked_at_whole(opened: Store, claimed: Claim) -> None:
    """Whoever has messages delivered by many is for a person."""
    for number in range(1, 20):
        arrive(opened, "r1x1", MULTIHOP, ip_address(f"2001:db8::{number}"))
        arrive(opened, "r1x2", MULTIHOP, ip_address(f"2001:db8:1::{number}"))
    with opened.reading() as session:
        assert 20 == len(links.handed_back(session, claimed.run_id))


def test_the_proof(opened: Store, claimed: Claim) -> None:
    """What the host's other address handed back is relayed, what a third one did stays what it is."""
    arrive(opened, "r1x1", MULTIHOP, OTHER)
    arrive(opened, "r1x2", MULTIHOP, THIRD)
    with opened.writing() as session:
        assert [RELAYED] == links.prove(session, claimed, {OTHER})

    assert [RELAYED, MULTIHOP] == steps.results(opened, 1)
    with opened.reading() as session:
        assert [MULTIHOP, MULTIHOP] == [each.kind for each in probes.receipts(session, 1)]


def test_nothing_links(opened: Store, claimed: Claim) -> None:
    """Without a peer that is the host nothing changes."""
    arrive(opened, "r1x1", MULTIHOP, OTHER)
    with opened.writing() as session:
        assert [] == links.prove(session, claimed, ())

    assert MULTIHOP is steps.results(opened, 1)[0]


def test_a_worker_that_lost_the_run_proves_nothing(opened: Store, claimed: Claim) -> None:
    """Another one has it now."""
    arrive(opened, "r1x1", MULTIHOP, OTHER)
    steps.must_claim(opened, NOW + HOUR, "worker 2")
    with pytest.raises(Conflict), opened.writing() as session:
        links.prove(session, claimed, {OTHER})

    assert MULTIHOP is steps.results(opened, 1)[0]


def test_its_public_proof(opened: Store, claimed: Claim) -> None:
    """The host's page tells when the message came back, by whichever address."""
    steps.take(opened, claimed, NOW)
    arrive(opened, "r1x1", MULTIHOP, OTHER)
    with opened.writing() as session:
        links.prove(session, claimed, {OTHER})
        runs.held(session, claimed)
        steps.end_step(session, claimed, Verdict.OPEN, NOW)
    with opened.reading() as session:
        proof = stories.story(session, ZONE, PEER).proof

    assert proof is not None
    assert (RELAYED, NOW) == (proof.envelope.result, proof.returned_at)
