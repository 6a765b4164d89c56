"""Whether a peer that handed a test's message back is the tested host: the names it gave, then the proof.

A receipt stays as it arrived: of another address. Its envelope is what the test found.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from rbl.store.probetables import ProbeEnvelope, ProbeRun, Receipt
from rbl.store.runs import Claim, held
from rbl.store.tables import ApiKey, Nomination
from rbl.terms import Address, EnvelopeResult, Trust

_MOST_NAMES = 10  # the newest; a server changes its name seldom
_MOST_PEERS = 20  # whoever relays by way of a crowd is for a person


@dataclass(frozen=True, slots=True)
class HandedBack:
    """By whom a message of the run was handed back that is not at the tested address."""

    peer: Address
    helo: str


def own_names(session: Session, claim: Claim) -> Sequence[str]:
    """Return what the tested host calls itself: in this test's greeting, and in evidence that is trusted.

    A nominator whom no operator vouched for could make up the name in his evidence.
    """
    greeted = session.execute(select(ProbeRun.hostname).where(ProbeRun.id == claim.run_id)).scalar_one()
    trusted = session.execute(
        select(Nomination.helo)
        .join(ApiKey)
        .where(Nomination.host_id == claim.host_id, ApiKey.trust == Trust.TRUSTED)
        .order_by(Nomination.id.desc())
        .limit(_MOST_NAMES)
    ).scalars()
    return [name for name in (greeted, *trusted) if name]


def handed_back(session: Session, run_id: int) -> Sequence[HandedBack]:
    """Return who handed back what means something else if it was the host itself, the first first."""
    rows = session.execute(
        select(Receipt.peer, Receipt.helo)
        .join(ProbeEnvelope, ProbeEnvelope.id == Receipt.envelope_id)
        .where(ProbeEnvelope.run_id == run_id, Receipt.as_host.is_not(None))
        .order_by(Receipt.id)
    )
    return list(dict.fromkeys(HandedBack(peer, helo) for peer, helo in rows))[:_MOST_PEERS]


def prove(session: Session, claim: Claim, peers: Collection[Address]) -> Sequence[EnvelopeResult]:
    """Take *peers* for the tested host: mark what they relayed, and return what they handed back.

    Raises:
        Conflict: the run is held by this worker no more.
    """
    held(session, claim)
    rows = session.execute(
        select(ProbeEnvelope, Receipt.as_host)
        .join(Receipt, Receipt.envelope_id == ProbeEnvelope.id)
        .where(ProbeEnvelope.run_id == claim.run_id, Receipt.as_host.is_not(None), Receipt.peer.in_(peers))
        .order_by(Receipt.id)
    ).all()
    for envelope, kind in rows:
        if kind is EnvelopeResult.RELAYED:
            envelope.result = kind
    return [kind for _, kind in rows if kind is not None]
