"""What a probe run says of a host, by all that is known of it. Pure, and careful both ways.

OPEN only when our own message came back from the host itself: no answer of the server ever proves
it. CLOSED only when every form that applies was refused for good, bounced, or lost for as long as
mail servers keep trying, with our collector there all the while: one form that timed out or was never
tried leaves it undecided, since that one may be the one that relays, and so does one whose message
may have come to a door that was shut. What cannot be explained decides nothing (RFC 6471 §2.1).

And CLOSED only where it is the envelopes that were refused, by anybody's tester. A single refusal that
names the tester, a host that takes no sender at all, one that refuses its own postmaster no less
(``control``), or answers that differ from one vantage to another: each is TESTER_BLOCKED.

How a mixture is judged: 24 refused and one timed out is DEFERRED, and the next step tries that one
again; so the host is not listed for it, and a listed one is not delisted for it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from rbl.addresses import neighbourhood
from rbl.probe import control, plan, refusals
from rbl.probe.dialogue import PROOFS, REFUSALS, Contact, Offered
from rbl.terms import Address, EnvelopeResult, Verdict

_NULL_SENDER = "<>"
_FEW = 3  # forms


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
    confirms: str | None = None,
) -> Verdict:
    """Return what is known of *target* after a step of a run.

    *contact* is how the last session of this step began, None where there was none; *names* are
    the tester's, by which a host may refuse it. *confirms* is the vantage whose answers another is
    asked to confirm.
    """
    relayed = [message.peer for message in returned if message.kind in PROOFS]
    if any(peer in neighbourhood(target) for peer in relayed):
        return Verdict.OPEN
    if relayed:
        return Verdict.MULTIHOP
    asked = [form for form in offered if form.result is not EnvelopeResult.NOT_RUN]
    forms = [form for form in asked if not control.is_control(form.test)]
    if any(form.result is EnvelopeResult.QUEUED and form.awaited for form in forms):
        return Verdict.UNPROVEN
    if forms and all(_is_conclusive(form) for form in forms):
        if any(message.kind is EnvelopeResult.UNCLEAR for message in returned):
            return Verdict.UNCLEAR  # no other form proved anything, and this one may have
        if refuses_us(asked, names) or differ(asked, confirms):
            return Verdict.TESTER_BLOCKED
        if not any(_is_unanswered(one) for one in asked):
            return Verdict.CLOSED
    return _undecided(asked, contact)


def settled(offered: Sequence[Offered], relayed_last: str | None) -> Sequence[Offered]:
    """Return *offered* at the last try of all, a few forms that were put off at every try being refused.

    A server that cannot look up a sender says "not now" for ever, and would stay listed for ever. Not where
    more than a few were put off, which is greylisting or a fault, nor the plain form, nor the one by which
    the host *relayed_last*.
    """
    put_off = [one for one in offered if one.result is EnvelopeResult.DEFERRED]
    never = {plan.PLAIN_FORM, relayed_last}
    plain = [one.result for one in offered if one.test == plan.PLAIN_FORM]
    if not plain or not REFUSALS.issuperset(plain) or len(put_off) > _FEW:
        return offered
    if any(one.test in never or control.is_control(one.test) for one in put_off):
        return offered
    return [
        replace(one, result=EnvelopeResult.REFUSED) if one.result is EnvelopeResult.DEFERRED else one
        for one in offered
    ]


def refuses_us(asked: Sequence[Offered], names: Sequence[str]) -> bool:
    """Whether what was refused shows that it is the tester whom the host refuses, at some vantage."""
    refused = [one for one in asked if one.result in REFUSALS]
    if any(refusals.names_us(one.reply, names) for one in refused):
        return True
    for there in _by_vantage(asked).values():
        forms = [one for one in there if not control.is_control(one.test)]
        if not forms or any(form.result not in REFUSALS for form in forms):
            continue
        if _takes_no_sender(forms):
            return True
        if control.shows_a_block(forms, [one for one in there if control.is_control(one.test)]):
            return True
    return False


def differ(asked: Sequence[Offered], confirms: str | None = None) -> bool:
    """Whether the host answered one vantage otherwise than another: the same form taken and refused.

    Where it answered the second only, and not the one it *confirms*, it does so too.
    """
    answers: dict[str, set[bool]] = {}
    for one in asked:
        if _is_conclusive(one) or one.result is EnvelopeResult.ACCEPTED:
            answers.setdefault(one.test, set()).add(one.result in REFUSALS)
    if any(len(each) > 1 for each in answers.values()):
        return True
    if confirms is None:
        return False
    answered = {one.vantage for one in asked if one.result is not None}
    return bool(answered) and confirms not in answered


def _by_vantage(asked: Sequence[Offered]) -> Mapping[str, Sequence[Offered]]:
    found: dict[str, list[Offered]] = {}
    for one in asked:
        found.setdefault(one.vantage, []).append(one)
    return found


def _takes_no_sender(forms: Sequence[Offered]) -> bool:
    """Whether every MAIL was refused, that of bounces too, and not for want of signing in."""
    return any(form.mail_from == _NULL_SENDER for form in forms) and all(
        form.answered == "MAIL"
        and form.result is not EnvelopeResult.AUTH_REQUIRED
        and not refusals.wants_login(form.reply)
        for form in forms
    )


def _is_unanswered(one: Offered) -> bool:
    """Whether *one* is a control that has no answer yet: without it nobody knows who is refused."""
    cut_off = {None, EnvelopeResult.TIMEOUT, EnvelopeResult.DROPPED}
    return control.is_control(one.test) and one.result in cut_off


def _is_conclusive(form: Offered) -> bool:
    """Whether no relaying is to be expected of *form* any more.

    A bounce counts only for a message that was handed over: anybody who saw the sender's address
    can write to it.
    """
    if form.result in REFUSALS or form.result is EnvelopeResult.UNCLEAR:
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
