"""What is asked once more from another vantage, before a test that found nothing ends a listing.

What decided is offered again: the form that relayed last, the plain one, those whose messages were
taken, and the controls; with new tokens, so that nothing of the first offer is known again. Pure.
"""

from collections.abc import Sequence
from dataclasses import replace

from rbl.probe import control
from rbl.probe import plan as planning
from rbl.probe.plan import Identity, TokenSource
from rbl.probe.rows import planned_row
from rbl.store.closings import Elsewhere
from rbl.store.probes import EnvelopeRow
from rbl.terms import Address

# Of the forms whose messages were taken: each costs the host a message.
_MOST_TAKEN = 2


def rows(
    target: Address,
    elsewhere: Elsewhere,
    offered: Sequence[EnvelopeRow],
    identity: Identity,
    token: TokenSource,
) -> Sequence[EnvelopeRow]:
    """Return the envelopes for *target* from *elsewhere*, beside those that were *offered* to it before.

    What was offered from there already, before the run's vantage was drawn anew, has its answer.
    """
    vantage = str(elsewhere.vantage)
    answered = {row.test_id for row in offered if row.vantage == vantage}
    last = elsewhere.relayed_last
    taken = [row.test_id for row in offered if row.sent_at is not None][:_MOST_TAKEN]
    wanted = frozenset({planning.PLAIN_FORM, *taken, *([last] if last else [])})
    every = planning.plan(target, identity, elsewhere.hostname, token, extensions=wanted, first=last)
    forms = [each for each in every if each.test in wanted and each.skipped is None]
    controls = control.controls(identity, elsewhere.hostname, elsewhere.known_name, token)
    return [
        replace(planned_row(each, identity.ehlo_name), vantage=vantage)
        for each in (*forms[:1], *controls, *forms[1:])
        if each.test not in answered
    ]
