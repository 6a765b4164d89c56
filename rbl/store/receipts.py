"""Messages that reached the collector: kept within a quota, matched to their envelope, the run woken.

A receipt is stored before the sender is told 250, so none is lost; what it means for the host is
said by the worker, in ``conclusions``. Only what can still say something is kept: everything while
the test is under way, and afterwards the proof that the host relays, as long as no newer test knows
better. Where there is no room for something that nothing kept says already, that is said.
"""

import hashlib
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from rbl.store import formhistory, hosts, runs, signal
from rbl.store.probetables import ProbeEnvelope, ProbeRun, Receipt
from rbl.store.tables import Host
from rbl.terms import Act, Address, EnvelopeResult, Purpose
from rbl.testtoken import UNSIGNED_LENGTH

_LONGEST_TEXT = 1_000
# Of one kind for one token: relays repeat themselves, and whoever knows a token may.
_MOST_ALIKE = 20
# How far each kind may fill a quota, so that no chatter and no bounce takes the place of a proof.
_SHARES = {
    None: 0.4,
    EnvelopeResult.BOUNCED: 0.7,
    EnvelopeResult.UNCLEAR: 0.8,
    EnvelopeResult.MULTIHOP: 0.85,
    EnvelopeResult.RELAYED: 1.0,
}
# What weighs more is not undone by what weighs less and comes later.
_RANKS: Mapping[EnvelopeResult | None, int] = {
    EnvelopeResult.RELAYED: 4,
    EnvelopeResult.MULTIHOP: 3,
    EnvelopeResult.UNCLEAR: 2,
    EnvelopeResult.BOUNCED: 1,
}


class Standing(StrEnum):
    """What a token is worth."""

    AWAITED = "awaited"  # its test is under way: whatever comes is kept
    LATE = "late"  # its test is over, and no newer one has begun: proof is kept, and nothing else
    OVER = "over"  # a newer test of the host knows better
    UNKNOWN = "unknown"  # nobody's


class Kept(StrEnum):
    """What became of a message."""

    KEPT = "kept"
    KNOWN = "known"  # the same, or enough like it, is kept already: nothing is lost
    DROPPED = "dropped"  # it says nothing any more
    FULL = "full"  # there is no room for what it says, and nobody else says it


@dataclass(frozen=True, slots=True)
class Quota:
    """How many octets are kept at most, compressed: for one token, for one test, and in all."""

    per_token: int
    per_run: int
    in_all: int


_USUAL = Quota(per_token=2**20, per_run=2**22, in_all=2**30)  # what the settings say if nobody changed them


@dataclass(frozen=True, slots=True)
class NewReceipt:
    """What the collector took: *kind* as ``mail.returns`` says, None for what proves nothing.

    *as_host* is the kind that it has if *peer* is the tested host by its address of the other family.
    """

    token: str  # with its first letter: r… of a recipient, s… of a sender
    kind: EnvelopeResult | None
    peer: Address
    helo: str
    mail_from: str
    rcpt_to: str
    message: bytes
    received_at: datetime
    as_host: EnvelopeResult | None = None


@dataclass(frozen=True, slots=True)
class Expected:
    """What is known of the envelope that a token belongs to.

    *token* is its recipient's and *sender_token* its sender's, whichever was asked for; *mail_from* the
    argument of MAIL FROM as it was sent.
    """

    envelope_id: int
    run_id: int
    test_id: str
    tested: Address
    is_sender_token: bool
    standing: Standing = Standing.AWAITED
    token: str = ""
    sender_token: str = ""
    mail_from: str = ""

    @property
    def is_own_sender(self) -> bool:
        """Whether the recipient is its own sender, so that bounces of the test come to it, too."""
        return bool(self.token) and self.token in self.mail_from.lower()


def expected(session: Session, token: str) -> Expected | None:
    """Return whose token this is, or None where it is none of ours."""
    row = session.execute(
        select(ProbeEnvelope, ProbeRun, Host.address)
        .select_from(ProbeEnvelope)
        .join(ProbeRun, ProbeRun.id == ProbeEnvelope.run_id)
        .join(Host, Host.id == ProbeRun.host_id)
        .where(_has(token))
    ).one_or_none()
    if row is None:
        return None
    envelope, run, address = row
    return Expected(
        envelope.id,
        run.id,
        envelope.test_id,
        address,
        is_sender_token=token != envelope.token,
        standing=_standing(session, run),
        token=envelope.token,
        sender_token=envelope.sender_token,
        mail_from=envelope.mail_from,
    )


def says_something(kind: EnvelopeResult | None, standing: Standing) -> bool:
    """Whether a message of *kind* for a token of *standing* may be worth keeping."""
    return standing is Standing.AWAITED or (standing is Standing.LATE and kind is EnvelopeResult.RELAYED)


def octets_kept(session: Session) -> int:
    """Return how many octets all receipts take."""
    return session.execute(select(func.coalesce(func.sum(Receipt.octets), 0))).scalar_one()


def expect_unsigned(session: Session) -> bool:
    """Whether some test under way has tokens from before they were signed (``testtoken``)."""
    found = session.execute(
        select(ProbeEnvelope.id)
        .join(ProbeRun, ProbeRun.id == ProbeEnvelope.run_id)
        .where(ProbeRun.finished_at.is_(None), func.length(ProbeEnvelope.token) == UNSIGNED_LENGTH)
        .limit(1)
    ).scalar()
    return found is not None


def keep(
    session: Session, new: NewReceipt, quota: Quota = _USUAL, *, in_all: int = 0, again: bool = False
) -> Kept:
    """Store a receipt, mark its envelope, and make its run due at once, where that says something.

    *in_all* octets are kept by all receipts. *again*: the same message was kept in this transaction for
    another recipient, and is not kept twice.
    """
    envelope = session.execute(select(ProbeEnvelope).where(_has(new.token))).scalar_one_or_none()
    if envelope is None:
        return Kept.DROPPED
    run = _lock_run(session, envelope.run_id)
    session.refresh(envelope)  # another receipt may have come while we waited for the lock
    if _was_closed_since(envelope):
        new = replace(new, kind=None, as_host=None)
    if not says_something(new.kind, _standing(session, run)):
        return Kept.DROPPED
    message = b"" if again else zlib.compress(new.message)
    row = Receipt(
        envelope_id=envelope.id,
        kind=new.kind,
        as_host=new.as_host,
        peer=new.peer,
        helo=new.helo[:_LONGEST_TEXT],
        mail_from=new.mail_from[:_LONGEST_TEXT],
        rcpt_to=new.rcpt_to[:_LONGEST_TEXT],
        message=message,
        received_at=new.received_at,
        message_sha256=hashlib.sha256(new.message).hexdigest(),
        octets=len(message),
    )
    room = _room(session, row, quota, in_all)
    if room is Kept.KEPT:
        session.add(row)
        _mark(session, run, envelope, new)
    return room


def _was_closed_since(envelope: ProbeEnvelope) -> bool:
    """Whether the host refused the envelope after it took its message: that one proves nothing of today."""
    return envelope.result is EnvelopeResult.REFUSED and envelope.sent_at is not None


def message_of(session: Session, receipt: Receipt) -> bytes:
    """Return the message of *receipt*, which may be kept in the row of another of its recipients.

    Raises:
        NoResultFound: that row is gone.
    """
    kept = (
        receipt.message
        or session.execute(
            select(Receipt.message)
            .where(Receipt.message_sha256 == receipt.message_sha256, Receipt.octets > 0)
            .limit(1)
        ).scalar_one()
    )
    return zlib.decompress(kept)


def _has(token: str) -> ColumnElement[bool]:
    return (ProbeEnvelope.token == token) | (ProbeEnvelope.sender_token == token)


def _standing(session: Session, run: ProbeRun) -> Standing:
    if run.finished_at is None:
        return Standing.AWAITED
    newer = session.execute(
        select(ProbeRun)
        .where(ProbeRun.host_id == run.host_id, ProbeRun.id > run.id)
        .execution_options(populate_existing=True)
    ).scalars()
    return Standing.OVER if any(_knows_better(one) for one in newer) else Standing.LATE


def _knows_better(newer: ProbeRun) -> bool:
    """Whether a newer test has begun, or is due; a follow-up that waits for its day gives way."""
    waits = newer.purpose is Purpose.FOLLOW_UP and not newer.lease_owner
    return newer.steps_done > 0 or (newer.finished_at is None and not waits)


def _room(session: Session, new: Receipt, quota: Quota, in_all: int) -> Kept:
    """Return whether there is room for *new*: KEPT, KNOWN or FULL."""
    of_token = session.execute(
        select(Receipt.kind, Receipt.peer, Receipt.message_sha256, Receipt.octets, Receipt.rcpt_to).where(
            Receipt.envelope_id == new.envelope_id
        )
    ).all()
    alike = [one for one in of_token if one.kind is new.kind]
    if len(alike) >= _MOST_ALIKE or any(
        (one.peer, one.message_sha256, one.rcpt_to) == (new.peer, new.message_sha256, new.rcpt_to)
        for one in alike
    ):
        return Kept.KNOWN
    of_run = session.execute(
        select(func.coalesce(func.sum(Receipt.octets), 0))
        .join(ProbeEnvelope, ProbeEnvelope.id == Receipt.envelope_id)
        .where(
            ProbeEnvelope.run_id
            == select(ProbeEnvelope.run_id).where(ProbeEnvelope.id == new.envelope_id).scalar_subquery()
        )
    ).scalar_one()
    share = _SHARES[new.kind]
    used_and_allowed = (
        (sum(one.octets for one in of_token), quota.per_token),
        (of_run, quota.per_run),
        (in_all, quota.in_all),
    )
    if all(used + new.octets <= share * allowed for used, allowed in used_and_allowed):
        return Kept.KEPT
    return Kept.KNOWN if new.kind is None or alike else Kept.FULL


def _mark(session: Session, run: ProbeRun, envelope: ProbeEnvelope, new: NewReceipt) -> None:
    """Write what *new* says onto its envelope, and wake the run.

    A bounce counts for a message that was handed over: whoever saw the sender's address can write to
    it. One that was faster than our own note of the sending counts once that is made (``probes.record``).
    """
    if new.kind is None or (new.kind is EnvelopeResult.BOUNCED and envelope.sent_at is None):
        return
    if _RANKS.get(envelope.result, 0) <= _RANKS[new.kind]:  # proof is not undone by a later bounce
        envelope.result = new.kind
        if new.kind is EnvelopeResult.RELAYED:
            formhistory.count(session, run.platform, envelope.test_id)
    if run.finished_at is not None:
        _give_way(session, run, new.received_at)
        run.finished_at = None
    run.due_at = min(run.due_at, new.received_at)
    run.woken = True
    signal.notify(session, runs.CHANNEL)


def _lock_run(session: Session, run_id: int) -> ProbeRun:
    """Return the run, its host and itself locked in this order, as everywhere."""
    run = session.get_one(ProbeRun, run_id)
    session.get_one(Host, run.host_id, with_for_update=True)
    session.refresh(run, with_for_update=True)
    return run


def _give_way(session: Session, run: ProbeRun, now: datetime) -> None:
    """End the follow-up that waits for its day, so that *run* can go on."""
    if hosts.unfinished_run(session, run.host_id) is not None:
        hosts.end_run(session, run.host_id, Act("collector", "a message of the test before came back", now))
        session.flush()
