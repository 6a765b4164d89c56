"""What is inside a probe run: its envelopes with their tokens, the dialogue, what came back.

Written as it becomes known, envelope by envelope, by the worker that holds the run; so a worker that
dies in the middle leaves nothing to guess.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from rbl.store.probetables import ProbeConnection, ProbeEnvelope, ProbeRun, Receipt, TranscriptRow
from rbl.store.runs import Claim, held
from rbl.terms import Address, EnvelopeResult, TranscriptLine

# Envelopes of a host whose names are looked at: some thirty tests, of a year and more.
_MOST_LOOKED_AT = 1_000
_LONGEST_REPLY = 2_000  # characters; a reply of RFC 5321 §4.5.3.1.5 has 512 octets a line
_PROVEN_BY_RECEIPT = {
    EnvelopeResult.RELAYED,
    EnvelopeResult.MULTIHOP,
    EnvelopeResult.UNCLEAR,
    EnvelopeResult.BOUNCED,
}
_TEMPORARY = (EnvelopeResult.DEFERRED, EnvelopeResult.TIMEOUT, EnvelopeResult.DROPPED)


@dataclass(frozen=True, slots=True)
class EnvelopeRow:
    """One envelope as it is stored; *result* None: not tried yet."""

    id: int
    test_id: str
    token: str
    sender_token: str
    mail_from: str
    rcpt_to: str
    result: EnvelopeResult | None
    reply: str | None
    sent_at: datetime | None
    names: "Names | None" = None  # by which it goes; None: of before they were kept
    vantage: str = ""  # where it was, or is to be, offered from; empty: of before there were several
    answered: str | None = None  # the command that the reply is to


@dataclass(frozen=True, slots=True)
class Names:
    """What a host sees of us in an envelope and its session: two domains, and the name in EHLO."""

    recipient_domain: str
    sender_domain: str
    ehlo_name: str


@dataclass(frozen=True, slots=True)
class ReceiptRow:
    """A message that came back for one of a run's envelopes."""

    test_id: str
    kind: EnvelopeResult
    peer: Address
    received_at: datetime


@dataclass(frozen=True, slots=True)
class Tried:
    """What became of one envelope, to be recorded."""

    test_id: str
    result: EnvelopeResult
    reply: str
    sent_at: datetime | None
    answered: str | None = None


def envelopes(session: Session, run_id: int) -> Sequence[EnvelopeRow]:
    """Return the envelopes of a run in the order in which they are tried; empty before the plan is made."""
    rows = session.execute(
        select(ProbeEnvelope).where(ProbeEnvelope.run_id == run_id).order_by(ProbeEnvelope.id)
    ).scalars()
    return [
        EnvelopeRow(
            row.id,
            row.test_id,
            row.token,
            row.sender_token,
            row.mail_from,
            row.rcpt_to,
            row.result,
            row.reply,
            row.sent_at,
            vantage=row.vantage,
            answered=row.answered,
            names=_names(row.recipient_domain, row.sender_domain, row.ehlo_name),
        )
        for row in rows
    ]


def receipts(session: Session, run_id: int) -> Sequence[ReceiptRow]:
    """Return what came back for a run, in the order of arrival."""
    rows = session.execute(
        select(ProbeEnvelope.test_id, Receipt.kind, Receipt.peer, Receipt.received_at)
        .join(ProbeEnvelope, ProbeEnvelope.id == Receipt.envelope_id)
        .where(ProbeEnvelope.run_id == run_id, Receipt.kind.is_not(None))
        .order_by(Receipt.id)
    )
    return [ReceiptRow(test_id, kind, peer, at) for test_id, kind, peer, at in rows if kind is not None]


def relayed_last(session: Session, host_id: int) -> str | None:
    """Return the id of the form by which the host relayed in the last test that proved it, or None."""
    return session.execute(
        select(ProbeEnvelope.test_id)
        .join(ProbeRun, ProbeRun.id == ProbeEnvelope.run_id)
        .where(ProbeRun.host_id == host_id, ProbeEnvelope.result == EnvelopeResult.RELAYED)
        .order_by(ProbeRun.id.desc(), ProbeEnvelope.id)
        .limit(1)
    ).scalar_one_or_none()


def names_seen(session: Session, host_id: int) -> Sequence[Names | None]:
    """Return the names by which the host was tested, the latest last, each combination once.

    None stands for those of tests from before they were kept. What was never offered is left out.
    """
    rows = session.execute(
        select(ProbeEnvelope.recipient_domain, ProbeEnvelope.sender_domain, ProbeEnvelope.ehlo_name)
        .join(ProbeRun, ProbeRun.id == ProbeEnvelope.run_id)
        .where(
            ProbeRun.host_id == host_id,
            func.coalesce(ProbeEnvelope.result, EnvelopeResult.QUEUED) != EnvelopeResult.NOT_RUN,
            ProbeEnvelope.result.is_not(None) | ProbeEnvelope.reply.is_not(None),
        )
        .order_by(ProbeEnvelope.id.desc())
        .limit(_MOST_LOOKED_AT)
    )
    latest_first = dict.fromkeys(_names(*row) for row in rows)
    return list(reversed(latest_first))


def count_connections(session: Session, host_id: int, since: datetime) -> int:
    """Return how often our tester connected to a host after *since*."""
    return session.execute(
        select(func.count(ProbeConnection.id)).where(
            ProbeConnection.host_id == host_id, ProbeConnection.at > since
        )
    ).scalar_one()


def connect(session: Session, claim: Claim, now: datetime, *, vantage: Address | None = None) -> None:
    """Count a connection to the host, before it is made; from *vantage*, by default the run's.

    Raises:
        Conflict: the run is held by this worker no more.
    """
    held(session, claim)
    session.add(ProbeConnection(host_id=claim.host_id, at=now, vantage=vantage or claim.vantage))


def transcript(session: Session, run_id: int, after: int = 0) -> Sequence[tuple[int, TranscriptLine]]:
    """Return the numbered lines of a run's dialogue after line *after*, in order."""
    rows = session.execute(
        select(TranscriptRow)
        .where(TranscriptRow.run_id == run_id, TranscriptRow.seq > after)
        .order_by(TranscriptRow.seq)
    ).scalars()
    return [(row.seq, TranscriptLine(row.at, row.side, row.text)) for row in rows]


def plan(session: Session, claim: Claim, planned: Sequence[EnvelopeRow], hostname: str | None) -> None:
    """Store the envelopes of a run before the first is tried, with the tokens that prove a return.

    Raises:
        Conflict: the run is held by this worker no more.
    """
    run = held(session, claim)
    run.hostname = hostname
    widen(session, claim, planned)


def widen(session: Session, claim: Claim, further: Sequence[EnvelopeRow]) -> None:
    """Add envelopes to the plan of a run, after those that are there.

    Raises:
        Conflict: the run is held by this worker no more.
    """
    run = held(session, claim)
    for envelope in further:
        session.add(
            ProbeEnvelope(
                run_id=run.id,
                test_id=envelope.test_id,
                vantage=envelope.vantage or from_vantage(claim.vantage),
                token=envelope.token,
                sender_token=envelope.sender_token,
                mail_from=envelope.mail_from,
                rcpt_to=envelope.rcpt_to,
                result=envelope.result,
                reply=envelope.reply,
                answered=None,
                sent_at=envelope.sent_at,
                recipient_domain=envelope.names.recipient_domain if envelope.names else None,
                sender_domain=envelope.names.sender_domain if envelope.names else None,
                ehlo_name=envelope.names.ehlo_name if envelope.names else None,
            )
        )
        session.flush()  # one by one: the ids keep the plan's order


def readdress(session: Session, claim: Claim, senders: Mapping[str, str]) -> None:
    """Give the forms in *senders* that were not tried yet these arguments of MAIL FROM.

    Raises:
        Conflict: the run is held by this worker no more.
    """
    held(session, claim)
    for row in _rows(session, claim, ProbeEnvelope.test_id.in_(senders), ProbeEnvelope.result.is_(None)):
        row.mail_from = senders[row.test_id]


def greeted(session: Session, claim: Claim, banner: str, platform: str | None) -> None:
    """Record how the host introduced itself.

    Raises:
        Conflict: the run is held by this worker no more.
    """
    run = held(session, claim)
    run.banner = banner[:_LONGEST_REPLY]
    run.platform = platform


def from_vantage(address: Address | None) -> str:
    """Return the vantage *address* as envelopes have it."""
    return "" if address is None else str(address)


def record(
    session: Session,
    claim: Claim,
    tried: Sequence[Tried],
    lines: Sequence[TranscriptLine],
    *,
    vantage: Address | None = None,
) -> None:
    """Record what became of some envelopes, and the lines that were said from *vantage*.

    By default that is the run's. An envelope that was planned for another, whose worker died before it
    was tried, belongs to this one from now on.

    A result that a receipt gave meanwhile (relayed, bounced) stays: it is later knowledge. So does a
    bounce that was here before the word that its message was sent.

    Raises:
        Conflict: the run is held by this worker no more.
    """
    run = held(session, claim)
    for outcome in tried:
        row = _tried(session, claim, outcome.test_id)
        row.vantage = from_vantage(claim.vantage)
        if row.result not in _PROVEN_BY_RECEIPT:
            row.result = outcome.result
        row.reply = outcome.reply[:_LONGEST_REPLY]
        row.answered = outcome.answered
        row.sent_at = outcome.sent_at or row.sent_at
        if row.result is EnvelopeResult.QUEUED and _has_bounced(session, row):
            row.result = EnvelopeResult.BOUNCED
    last = session.execute(
        select(func.coalesce(func.max(TranscriptRow.seq), 0)).where(TranscriptRow.run_id == run.id)
    ).scalar_one()
    for seq, line in enumerate(lines, start=last + 1):
        session.add(
            TranscriptRow(
                run_id=run.id,
                seq=seq,
                at=line.at,
                side=line.side,
                text=line.text,
                vantage=vantage or claim.vantage,
            )
        )


def try_again(session: Session, claim: Claim, unheard: Collection[str] = ()) -> None:
    """Forget the temporary results of a run, so that the next step tries those envelopes again.

    So are those of the tests *unheard*, whose messages were taken while nobody listened for them. What
    was taken from another vantage is not: it is of that one.
    """
    held(session, claim)
    here = ProbeEnvelope.vantage.in_(("", from_vantage(claim.vantage)))
    is_unheard = ProbeEnvelope.test_id.in_(unheard) & here
    for row in _rows(session, claim, ProbeEnvelope.result.in_(_TEMPORARY) | is_unheard):
        row.result = None


def ask_again(session: Session, claim: Claim, tests: Collection[str]) -> None:
    """Forget what became of *tests* at the run's vantage, so that they are tried again.

    Raises:
        Conflict: the run is held by this worker no more.
    """
    held(session, claim)
    here = ProbeEnvelope.vantage == from_vantage(claim.vantage)
    for row in _rows(session, claim, ProbeEnvelope.test_id.in_(tests), here):
        row.result = None


def _names(recipient_domain: str | None, sender_domain: str | None, ehlo_name: str | None) -> Names | None:
    if recipient_domain is None or sender_domain is None or ehlo_name is None:
        return None
    return Names(recipient_domain, sender_domain, ehlo_name)


def _rows(session: Session, claim: Claim, *which: ColumnElement[bool]) -> Sequence[ProbeEnvelope]:
    """Return the envelopes of the claimed run that are *which*, in the order of the plan."""
    of_run = select(ProbeEnvelope).where(ProbeEnvelope.run_id == claim.run_id, *which)
    return session.scalars(of_run.order_by(ProbeEnvelope.id)).all()


def _tried(session: Session, claim: Claim, test_id: str) -> ProbeEnvelope:
    """Return the envelope of a form that is offered from the run's vantage now: the newest, else."""
    rows = _rows(session, claim, ProbeEnvelope.test_id == test_id)
    here = from_vantage(claim.vantage)
    return next((row for row in rows if row.vantage == here), rows[-1])


def _has_bounced(session: Session, envelope: ProbeEnvelope) -> bool:
    bounces = select(Receipt.id).where(
        Receipt.envelope_id == envelope.id, Receipt.kind == EnvelopeResult.BOUNCED
    )
    return session.execute(bounces.limit(1)).scalar() is not None
