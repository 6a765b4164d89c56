"""What a probe run says of a host, by all that is known of it. Pure, and careful both ways.

OPEN only when our own message came back from the host itself: no answer of the server ever proves
it. CLOSED only when every form that applies was refused for good, bounced, or lost for as long as
mail servers keep trying, with our collector there all the while: one form that timed out or was never
tried leaves it undecided, since that one may be the one that relays, and so does one whose message
may have come to a door that was shut. What cannot be explained decides nothing (RFC 6471 §2.1).

How a mixture is judged: 24 refused and one timed out is DEFERRED, and the next step tries that one
again; so the host is not listed for it, and a listed one is not delisted for it.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from rbl.addresses import neighbourhood
from rbl.probe.dialogue import Contact
from rbl.terms import Address, EnvelopeResult, Verdict

_REFUSALS = frozenset({EnvelopeResult.REFUSED, EnvelopeResult.REFUSED_DATA, EnvelopeResult.AUTH_REQUIRED})
_RELAYED = frozenset({EnvelopeResult.RELAYED, EnvelopeResult.MULTIHOP})
# A reply that speaks of relaying refuses the envelope, whomever else it names: Sendmail's
# "Relaying denied. IP name lookup failed [192.0.2.1]".
_OF_RELAYING = re.compile(
    r"relay|rcpthosts|authenticat|log ?in|recipient|mailbox|unknown user|user unknown"
    r"|sender (?:address|verif)",
    re.IGNORECASE,
)
_OF_THE_CLIENT = re.compile(
    r"\b(?:your|client) (?:ip|host|hostname|address|server|network|connection)\b", re.IGNORECASE
)
_MAX_REPLY = 2000  # characters; more would only slow the search down
# Words that are an address of ours, given back: they hold our names too.
_ECHOED_ADDRESS = re.compile(r"(?<!\S)\S*[\w\"][@!%][\w\"\[]\S*")


@dataclass(frozen=True, slots=True)
class Offered:
    """One envelope of the run: what became of it, over all steps.

    *result* None: not tried yet. NOT_RUN: it does not apply to this host. *taken* tells whether a
    whole message was handed over, and *awaited* whether it may still come back. *unheard*: when it
    was taken nobody may have listened for it, so that its staying away says nothing.
    """

    test: str
    result: EnvelopeResult | None
    reply: str = ""
    taken: bool = False
    awaited: bool = False
    unheard: bool = False


@dataclass(frozen=True, slots=True)
class Returned:
    """A message of this run at the collector: RELAYED, MULTIHOP, UNCLEAR or BOUNCED, from *peer*."""

    kind: EnvelopeResult
    peer: Address


def verdict(
    target: Address,
    offered: Sequence[Offered],
    returned: Sequence[Returned],
    contact: Contact | None,
    names: Sequence[str],
) -> Verdict:
    """Return what is known of *target* after a step of a run.

    *contact* is how the last session of this step began, None where there was none; *names* are
    the tester's, by which a host may refuse it.
    """
    relayed = [message.peer for message in returned if message.kind in _RELAYED]
    if any(peer in neighbourhood(target) for peer in relayed):
        return Verdict.OPEN
    if relayed:
        return Verdict.MULTIHOP
    forms = [form for form in offered if form.result is not EnvelopeResult.NOT_RUN]
    if any(form.result is EnvelopeResult.QUEUED and form.awaited for form in forms):
        return Verdict.UNPROVEN
    if forms and all(_is_conclusive(form) for form in forms):
        if any(message.kind is EnvelopeResult.UNCLEAR for message in returned):
            return Verdict.UNCLEAR  # no other form proved anything, and this one may have
        refused = [form for form in forms if form.result in _REFUSALS]
        blocked = len(refused) == len(forms) and all(names_us(form.reply, names) for form in refused)
        return Verdict.TESTER_BLOCKED if blocked else Verdict.CLOSED
    return _undecided(forms, contact)


def names_us(reply: str, names: Sequence[str]) -> bool:
    """Whether *reply* refuses the tester rather than the envelope: it names us, and not relaying.

    "554 5.7.1 Client host [192.0.2.1] blocked using …" does; "550 Relaying denied" does not.
    """
    words = _ECHOED_ADDRESS.sub(" ", reply[:_MAX_REPLY])
    if _OF_RELAYING.search(words):
        return False
    if _OF_THE_CLIENT.search(words):
        return True
    ours = (rf"(?<![\w.:-]){re.escape(name)}(?![\w:-]|\.\w)" for name in names)
    return any(re.search(pattern, words, re.IGNORECASE) for pattern in ours)


def _is_conclusive(form: Offered) -> bool:
    """Whether no relaying is to be expected of *form* any more.

    A bounce counts only for a message that was handed over: anybody who saw the sender's address
    can write to it.
    """
    if form.result in _REFUSALS or form.result is EnvelopeResult.UNCLEAR:
        return True
    if form.result is EnvelopeResult.BOUNCED:
        return form.taken
    return form.result is EnvelopeResult.QUEUED and not form.awaited and not form.unheard


def _undecided(forms: Sequence[Offered], contact: Contact | None) -> Verdict:
    """Return why the run is not decided; everything here changes only the time of the next test."""
    untried = any(form.result is None for form in forms) or not forms
    answered = any(form.result is not None for form in forms)
    match contact:
        case Contact.OUR_FAULT:
            return Verdict.ERROR
        case Contact.BLOCKED if untried:
            return Verdict.TESTER_BLOCKED
        case Contact.UNREACHABLE | Contact.SILENT if not answered:
            return Verdict.UNREACHABLE
        case _:
            pass
    if untried and any(form.taken for form in forms) and contact in (Contact.GREETED, None):
        return Verdict.UNPROVEN  # the step had its fill of messages; the next one goes on
    return Verdict.DEFERRED
