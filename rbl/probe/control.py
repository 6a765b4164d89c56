"""The positive control of a retest: mail that any server takes which takes mail from us at all.

A server that is closed refuses what is for others and takes what is for its own postmaster (RFC 5321
§4.5.1, where "postmaster" without a domain must do too). One that refuses its own postmaster as well
refuses the tester, whatever words it chooses. Each control goes as far as RCPT and never to DATA, and
one that is taken spares the others. Pure; ``step`` offers them among the forms of a test.
"""

from collections.abc import Sequence

from rbl.probe import plan, refusals
from rbl.probe.dialogue import REFUSALS, EnvelopeOutcome, Offered
from rbl.probe.plan import Envelope, Identity, TokenSource
from rbl.probe.replies import host_name
from rbl.terms import EnvelopeResult
from rbl.testmessage import TokenKind

SPARED = "not needed: mail for its postmaster was taken already"
_TITLES = {
    "C01": "mail for the server's own postmaster: no message is sent",
    "C02": "mail for the postmaster of the server's domain: no message is sent",
    "C03": "mail for the postmaster of the name it sent spam under: no message is sent",
    "C04": "mail for postmaster, without a domain: no message is sent",
}
IDS = frozenset(_TITLES)
"""The ids of all controls."""


def title(test: str) -> str:
    """Return what the control or form *test* is called for people; "" for an id that is none."""
    return _TITLES.get(test) or plan.title(test)


def is_control(test: str) -> bool:
    """Whether *test* is the id of a control, and of no form."""
    return test in IDS


def controls(
    identity: Identity, hostname: str | None, known: str | None, token: TokenSource
) -> tuple[Envelope, ...]:
    """Return the controls for a server that calls itself *hostname*, in the order of offering.

    *known* is a name that it is known by from evidence. Where both name nothing, the last is left.
    """
    name = None if hostname is None else host_name(hostname)
    other = None if known is None else host_name(known)
    domain = plan.domain_of(name)
    domains = {
        "C01": name,
        "C02": domain if domain != name else None,
        "C03": other if other not in {name, domain} else None,
    }
    found = [
        _envelope(test, f"<postmaster@{of}>", identity, token)
        for test, of in domains.items()
        if of is not None
    ]
    return (*found, _envelope("C04", "<postmaster>", identity, token))


def spared(outcome: EnvelopeOutcome, envelopes: Sequence[Envelope]) -> Sequence[EnvelopeOutcome]:
    """Return what becomes of the controls among *envelopes* that need not be offered after *outcome*."""
    if not is_control(outcome.test) or outcome.result is not EnvelopeResult.ACCEPTED:
        return []
    after = [each.test for each in envelopes if is_control(each.test) and each.test > outcome.test]
    return [EnvelopeOutcome(test, EnvelopeResult.NOT_RUN, SPARED) for test in after]


def shows_a_block(forms: Sequence[Offered], asked: Sequence[Offered]) -> bool:
    """Whether a server that refused *forms* refused the controls *asked* no less: then it refuses us.

    Not where nobody may send without signing in, nor where it looked for the mailbox and has none: that
    is an answer to the recipient, as long as the forms did not hear the same.
    """
    decided = [one for one in asked if one.result is not EnvelopeResult.NOT_RUN]
    if not decided or any(one.result not in REFUSALS for one in decided):
        return False
    said = {refusals.gist(form.reply) for form in forms}
    return not any(
        one.result is EnvelopeResult.AUTH_REQUIRED
        or refusals.wants_login(one.reply)
        or (refusals.knows_no_mailbox(one.reply) and refusals.gist(one.reply) not in said)
        for one in decided
    )


def _envelope(test: str, rcpt_to: str, identity: Identity, token: TokenSource) -> Envelope:
    sl = token(TokenKind.SENDER)
    # Both senders: some servers refuse the null one, others a domain that they cannot look up.
    sender = "<>" if test in {"C02", "C04"} else f"<{sl}@{identity.sender_domain}>"
    return Envelope(
        test,
        _TITLES[test],
        sender,
        rcpt_to,
        token(TokenKind.RECIPIENT),
        sl,
        recipient_domain=identity.recipient_domain,
        sender_domain=identity.sender_domain,
    )
