"""Messages that reached the collector: kept whole, matched to their envelope, the run woken.

A receipt is stored before the sender is told 250, so none is lost; what it means for the host is
said by the worker, in ``conclusions``.
"""

import zlib
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from rbl.store import hosts, runs, signal
from rbl.store.probetables import ProbeEnvelope, ProbeRun, Receipt
from rbl.store.tables import Host
from rbl.terms import Act, Address, EnvelopeResult, Purpose

_LONGEST_TEXT = 1_000


@dataclass(frozen=True, slots=True)
class NewReceipt:
    """What the collector took: *kind* RELAYED or BOUNCED, or None for what proves nothing."""

    token: str  # with its first letter: r… of a recipient, s… of a sender
    kind: EnvelopeResult | None
    peer: Address
    helo: str
    mail_from: str
    rcpt_to: str
    message: bytes
    received_at: datetime


@dataclass(frozen=True, slots=True)
class Expected:
    """What is known of the envelope that a token belongs to."""

    envelope_id: int
    run_id: int
    test_id: str
    tested: Address
    is_sender_token: bool


def expected(session: Session, token: str) -> Expected | None:
    """Return whose token this is, or None where it is none of ours."""
    row = session.execute(
        select(ProbeEnvelope.id, ProbeRun.id, ProbeEnvelope.test_id, Host.address, ProbeEnvelope.token)
        .select_from(ProbeEnvelope)
        .join(ProbeRun, ProbeRun.id == ProbeEnvelope.run_id)
        .join(Host, Host.id == ProbeRun.host_id)
        .where((ProbeEnvelope.token == token) | (ProbeEnvelope.sender_token == token))
    ).one_or_none()
    if row is None:
        return None
    envelope_id, run_id, test_id, address, recipient_token = row
    return Expected(envelope_id, run_id, test_id, address, is_sender_token=token != recipient_token)


def keep(session: Session, new: NewReceipt) -> None:
    """Store a receipt, mark its envelope, and make its run due at once."""
    envelope = session.execute(
        select(ProbeEnvelope).where(
            (ProbeEnvelope.token == new.token) | (ProbeEnvelope.sender_token == new.token)
        )
    ).scalar_one_or_none()
    kind = new.kind
    if envelope is not None and kind is not None:
        run = _lock_run(session, envelope.run_id)
        session.refresh(envelope)  # another receipt may have come while we waited for the lock
        if _was_closed_since(envelope):
            kind = None
        else:
            if envelope.result is not EnvelopeResult.RELAYED:  # proof is not undone by a later bounce
                envelope.result = kind
            _wake(session, run, new)
    session.add(
        Receipt(
            envelope_id=None if envelope is None else envelope.id,
            kind=kind,
            peer=new.peer,
            helo=new.helo[:_LONGEST_TEXT],
            mail_from=new.mail_from[:_LONGEST_TEXT],
            rcpt_to=new.rcpt_to[:_LONGEST_TEXT],
            message=zlib.compress(new.message),
            received_at=new.received_at,
        )
    )


def _was_closed_since(envelope: ProbeEnvelope) -> bool:
    """Whether the host refused the envelope after it took its message: that one proves nothing of today."""
    return envelope.result is EnvelopeResult.REFUSED and envelope.sent_at is not None


def _lock_run(session: Session, run_id: int) -> ProbeRun:
    """Return the run, its host and itself locked in this order, as everywhere."""
    run = session.get_one(ProbeRun, run_id)
    session.get_one(Host, run.host_id, with_for_update=True)
    session.refresh(run, with_for_update=True)
    return run


def _wake(session: Session, run: ProbeRun, new: NewReceipt) -> None:
    """Make *run* due now; one that is over is opened again by a late proof, unless a newer one began."""
    if run.finished_at is not None:
        if new.kind is not EnvelopeResult.RELAYED or not _is_latest(session, run, new.received_at):
            return
        run.finished_at = None
    run.due_at = min(run.due_at, new.received_at)
    run.woken = True
    signal.notify(session, runs.CHANNEL)


def _is_latest(session: Session, run: ProbeRun, now: datetime) -> bool:
    """Whether no newer test of the host has begun; a follow-up that waits for its day gives way."""
    waiting = hosts.unfinished_run(session, run.host_id)
    if waiting is not None:
        if waiting.purpose is not Purpose.FOLLOW_UP or waiting.steps_done or waiting.lease_owner:
            return False
        hosts.end_run(session, run.host_id, Act("collector", "a message of the test before came back", now))
        session.flush()
    newer = session.execute(
        select(ProbeRun.id).where(
            ProbeRun.host_id == run.host_id, ProbeRun.id > run.id, ProbeRun.steps_done > 0
        )
    ).scalar()
    return newer is None
