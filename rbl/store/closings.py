"""What is known of a host that a test would close: proofs, spams and listings, for ``closing``."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from rbl import closing
from rbl.closing import ClosingFacts
from rbl.lifecycle import Outcome
from rbl.store import nominations, probes, runs, vantages
from rbl.store.probetables import ProbeEnvelope, ProbeRun, Receipt
from rbl.store.runs import Claim
from rbl.store.tables import Listing, Nomination
from rbl.terms import Address, EnvelopeResult, Purpose


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """That the same is to be asked from *vantage*, and what is known of the host for that."""

    vantage: Address
    hostname: str | None
    known_name: str | None
    relayed_last: str | None


def weigh(
    session: Session, claim: Claim, outcome: Outcome, now: datetime, *, listed: bool, discarded: bool
) -> Outcome | Elsewhere:
    """Return what a test ends with that would close its host by *outcome*, or where else to ask first.

    *discarded*: the host took messages that never came back.

    Raises:
        Conflict: the run is held by this worker no more.
    """
    run = runs.held(session, claim)
    another = vantages.another(session, claim.address, run.vantage, now)
    facts = ClosingFacts(
        listed=listed,
        discarded=discarded,
        newest_spam_at=newest_spam_at(session, claim.host_id),
        proven_at=_proven_at(session, claim.host_id),
        left_at=left_at(session, claim.host_id),
        confirmed=run.confirms is not None,
        can_confirm=another is not None,
    )
    closed = closing.close(outcome, facts, now)
    if closed is not None or another is None:
        return closed or outcome
    return Elsewhere(
        another,
        run.hostname,
        nominations.known_name(session, claim.host_id),
        probes.relayed_last(session, claim.host_id),
    )


def newest_spam_at(session: Session, host_id: int) -> datetime | None:
    """Return when the newest spam of the evidence was received through a host, or None."""
    return session.execute(
        select(func.max(Nomination.received_at)).where(Nomination.host_id == host_id)
    ).scalar_one()


def left_at(session: Session, host_id: int) -> datetime | None:
    """Return when the last of a host's listings that are over ended, or None."""
    return session.execute(
        select(func.max(Listing.ended_at)).where(Listing.host_id == host_id)
    ).scalar_one()


def is_suspect(session: Session, host_id: int, left_at: datetime) -> bool:
    """Whether a host that left the list at *left_at* deserves more than one look.

    It was listed before, until shortly before it was listed again; or spam was received through it since.
    """
    newest = newest_spam_at(session, host_id)
    if newest is not None and newest > left_at:
        return True
    stays = session.execute(
        select(Listing.listed_at, Listing.ended_at)
        .where(Listing.host_id == host_id, Listing.ended_at.is_not(None))
        .order_by(Listing.ended_at.desc())
        .limit(2)
    ).all()
    if len(stays) < 2:
        return False
    (listed_again_at, _), (_, left_before_at) = stays
    return left_before_at is not None and listed_again_at - left_before_at < closing.RELAPSE_WITHIN


def looks_since(session: Session, host_id: int, since: datetime) -> int:
    """Return how many looks at a delisted host were finished after *since*."""
    return session.execute(
        select(func.count(ProbeRun.id)).where(
            ProbeRun.host_id == host_id,
            ProbeRun.purpose == Purpose.FOLLOW_UP,
            ProbeRun.steps_done > 0,
            ProbeRun.finished_at > since,
        )
    ).scalar_one()


def _proven_at(session: Session, host_id: int) -> datetime | None:
    return session.execute(
        select(func.max(Receipt.received_at))
        .join(ProbeEnvelope, ProbeEnvelope.id == Receipt.envelope_id)
        .join(ProbeRun, ProbeRun.id == ProbeEnvelope.run_id)
        .where(ProbeRun.host_id == host_id, Receipt.kind == EnvelopeResult.RELAYED)
    ).scalar_one()
