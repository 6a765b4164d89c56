"""What a reply means for the session and for the envelope that it answers.

Pure, but that a server whose answers are out of step is given up. RFC 5321 §4.2, RFC 3207 §4.
"""

import re
from datetime import datetime

from rbl.probe.connection import Connection, Ended
from rbl.probe.dialogue import Contact, EnvelopeOutcome, Greeting
from rbl.probe.replies import Reply
from rbl.probe.replies import asks_for_patience as _asks_for_patience
from rbl.terms import EnvelopeResult

# What platforms are recognised by; more could only slow the matching down.
MAX_TEXT = 2048
_WANTS_TLS = re.compile(r"\b(?:START)?TLS\b", re.IGNORECASE)
# A closed Postfix, in its own words: by default its smtpd_relay_restrictions end in
# defer_unauth_destination (since 2.10), whose 4yz spares the mail of an admin who made a mistake. No
# stranger's mail is taken later, so it is a refusal: waiting would keep the host listed for ever.
_POSTFIX_DENIES = re.compile(r"454 4\.7\.1 .*: Relay access denied")
# Refused for what went before, and not for the envelope.
_OF_THE_SESSION = re.compile(
    r"too many|slow down|(?:rate|error|recipient) limit|limit (?:reached|exceeded)|bad sequence",
    re.IGNORECASE,
)


def turned_away(reply: Reply) -> Greeting:
    """Return what an answer other than yes to our arrival means."""
    if reply.permanent:
        contact = Contact.BLOCKED
    elif reply.temporary:
        contact = Contact.DEFERRED
    else:
        contact = Contact.BROKEN
    return Greeting(contact, reply.lines[-1], reply, text=reply.text[:MAX_TEXT])


def keywords(hello: Reply) -> tuple[str, ...]:
    """Return the extensions that the answer to EHLO names (RFC 5321 §4.1.1.1)."""
    words = (line[4:].split(None, 1) for line in hello.lines[1:])
    return tuple(word[0].upper() for word in words if word)


def demands_tls(reply: Reply | None) -> bool:
    """Whether *reply* is "530 5.7.0 Must issue a STARTTLS command first" (RFC 3207 §4)."""
    return reply is not None and reply.code == 530 and _WANTS_TLS.search(reply.text) is not None


def is_of_session(reply: Reply | None) -> bool:
    """Whether *reply* refuses for what went before: the same envelope may be taken when it is first."""
    return (
        reply is not None
        and reply.permanent
        and (reply.code == 503 or _OF_THE_SESSION.search(reply.text) is not None)
    )


def puts_off(reply: Reply) -> bool:
    """Whether *reply* is to how much is asked, as 452 for too many recipients (RFC 5321 §4.5.3.1.10)."""
    return reply.temporary and reply.code != 421 and _asks_for_patience(reply.text)


def outcome_of(
    connection: Connection,
    test: str,
    reply: Reply | Ended,
    refused: EnvelopeResult,
    sent_at: datetime | None = None,
) -> EnvelopeOutcome:
    """Return what became of *test* by an answer that was not yes."""
    if isinstance(reply, Ended):
        return EnvelopeOutcome(test, reply.result, reply.why, sent_at=sent_at)
    if reply.code == 530:
        result = EnvelopeResult.AUTH_REQUIRED
    elif reply.permanent or _POSTFIX_DENIES.fullmatch(reply.lines[-1]):
        result = refused
    elif reply.temporary:
        result = EnvelopeResult.DEFERRED
    else:  # 354 to RCPT, 250 to DATA: its next answer would be taken for another command's
        result = connection.give_up("the server's answers are out of step").result
    return EnvelopeOutcome(test, result, reply.lines[-1], reply, sent_at)


def asks_for_patience(outcome: EnvelopeOutcome) -> bool:
    """Whether the host answers no more envelopes for now, whichever they are."""
    is_deferred = outcome.result is EnvelopeResult.DEFERRED
    return is_deferred and outcome.reply is not None and _asks_for_patience(outcome.reply.text)
