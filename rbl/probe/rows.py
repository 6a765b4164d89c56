"""Envelopes of a plan as rows of the database, and back."""

from rbl.probe import control
from rbl.probe.dialogue import EnvelopeOutcome
from rbl.probe.plan import Envelope
from rbl.store.probes import EnvelopeRow, Tried
from rbl.terms import EnvelopeResult


def planned_row(envelope: Envelope) -> EnvelopeRow:
    """Return *envelope* as it is stored before it is tried."""
    return EnvelopeRow(
        id=0,  # the database gives it
        test_id=envelope.test,
        token=envelope.recipient_token,
        sender_token=envelope.sender_token,
        mail_from=envelope.mail_from,
        rcpt_to=envelope.rcpt_to,
        result=None if envelope.skipped is None else EnvelopeResult.NOT_RUN,
        reply=envelope.skipped,
        sent_at=None,
    )


def envelope_of(row: EnvelopeRow) -> Envelope:
    """Return the envelope that was stored as *row*."""
    return Envelope(
        row.test_id,
        control.title(row.test_id),
        row.mail_from,
        row.rcpt_to,
        row.token,
        row.sender_token,
    )


def tried_row(outcome: EnvelopeOutcome) -> Tried:
    """Return *outcome* as it is recorded: what was answered, and to which command."""
    reply = outcome.reply
    answered = reply.command.partition(" ")[0][:4].upper() if reply is not None else None
    return Tried(
        outcome.test,
        outcome.result,
        reply.text if reply else outcome.why,
        outcome.sent_at,
        answered or None,
    )
