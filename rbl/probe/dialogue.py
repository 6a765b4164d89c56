"""What an SMTP dialogue with a host under test yields: how it began, and what became of an envelope.

Frozen facts between the client (``smtp``), the judge (``verdict``) and the runner. What the host
does wrong is a value here, never an exception.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from rbl.probe.replies import Reply
from rbl.terms import EnvelopeResult

PROOFS = frozenset({EnvelopeResult.RELAYED, EnvelopeResult.MULTIHOP})
"""What a message that came back makes of its form."""
REFUSALS = frozenset({EnvelopeResult.REFUSED, EnvelopeResult.REFUSED_DATA, EnvelopeResult.AUTH_REQUIRED})
"""The results that say no for good."""


class Contact(StrEnum):
    """How far a session came before its first envelope."""

    GREETED = "greeted"  # it takes commands
    UNREACHABLE = "unreachable"  # no connection
    SILENT = "silent"  # a connection, and no greeting in time
    BLOCKED = "blocked"  # 5yz at the greeting or to EHLO and HELO, or closed without a word: it refuses us
    DEFERRED = "deferred"  # 4yz: not now
    BROKEN = "broken"  # closed, fell silent or spoke no SMTP after the greeting began
    OUR_FAULT = "our-fault"  # no identity, no route, no source address: it says nothing of the host


@dataclass(frozen=True, slots=True)
class Greeting:
    """How a session began; *why* in words for people.

    *text* is what the server said of itself, for ``platforms.recognise``, at most 2 KiB.
    """

    contact: Contact
    why: str
    reply: Reply | None = None  # the reply that decided, where there was one
    keywords: tuple[str, ...] = ()  # of EHLO, upper case; empty after HELO
    hostname: str | None = None
    text: str = ""


@dataclass(frozen=True, slots=True)
class EnvelopeOutcome:
    """What became of one envelope in one session.

    *sent_at* is set once the whole message was handed over, whatever was answered, or not, to it.
    NOT_RUN: the session was over before the envelope's turn; it may be tried in another.
    """

    test: str
    result: EnvelopeResult
    why: str  # what decided, in words for people
    reply: Reply | None = None  # the reply that decided, where there was one
    sent_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class StepEnd:
    """How the sessions of a step went.

    *contact*: how the last one began, None where there was none. *went_on*: some form was answered for
    good that had not been.
    """

    contact: Contact | None
    went_on: bool = False


@dataclass(frozen=True, slots=True)
class Offered:
    """One envelope of the run: what became of it, over all steps.

    *result* None: not tried yet. NOT_RUN: it does not apply to this host. *taken* tells whether a
    whole message was handed over, and *awaited* whether it may still come back. *unheard*: when it
    was taken nobody may have listened for it, so that its staying away says nothing. It was offered from
    *vantage*, and *answered* is the command that the reply is to.
    """

    test: str
    result: EnvelopeResult | None
    reply: str = ""
    taken: bool = False
    awaited: bool = False
    unheard: bool = False
    vantage: str = ""
    mail_from: str = ""
    answered: str | None = None
