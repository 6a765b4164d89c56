"""How often each form was seen to relay, by mail server."""

from rbl.store import formhistory
from rbl.store.engine import Store
from rbl.terms import EnvelopeResult, Verdict
from tests.store import steps
from tests.store.steps import HOUR, NOW


def test_counts_are_by_server_and_form(store: Store) -> None:
    """What was seen on a server of the kind weighs most, and what was seen elsewhere next."""
    with store.writing() as session:
        for platform, test_id in (("exim", "T15"), ("postfix", "T08"), ("postfix", "T08"), (None, "T01")):
            formhistory.count(session, platform, test_id)

    with store.reading() as session:
        assert {"T15": 1000, "T08": 2, "T01": 1} == formhistory.weights(session, "exim")
        assert {"T15": 1, "T08": 2, "T01": 1000} == formhistory.weights(session, None)
        assert {"T08"} == formhistory.seen_on(session, "postfix")
        assert set() == formhistory.seen_on(session, None)


def test_a_form_is_counted_once_for_each_test_it_relayed_in(opened: Store) -> None:
    """A message that comes back twice, or that bounces, is no second sight of the form."""
    steps.nominate(opened, steps.nominator(opened))
    claimed = steps.must_claim(opened)
    steps.plan(opened, claimed)
    steps.take(opened, claimed, NOW)
    steps.conclude(opened, claimed, Verdict.UNPROVEN)
    kinds = (EnvelopeResult.RELAYED, EnvelopeResult.BOUNCED, EnvelopeResult.RELAYED)
    for hours, kind in enumerate(kinds, start=1):
        steps.keep(opened, steps.receipt("r1x1", NOW + hours * HOUR, kind))

    with opened.reading() as session:
        assert {"T01": 1000} == formhistory.weights(session, None)
