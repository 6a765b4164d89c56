"""How a plan changes under way, as it is kept."""

from dataclasses import replace
from itertools import count

import pytest

from rbl.probe.changes import Changes
from rbl.probe.dialogue import EnvelopeOutcome
from rbl.probe.plan import Identity
from rbl.probe.rows import envelope_of
from rbl.store import formhistory, probes
from rbl.store.engine import Store
from rbl.terms import EnvelopeResult
from rbl.testmessage import TokenKind
from tests.store import steps

IDENTITY = Identity("tester.example.net", "td.example", "sd.example")


_NUMBERS = count()


def token(kind: TokenKind) -> str:
    """Return a token that no other call returns."""
    return f"{kind.value}{next(_NUMBERS):020d}"


@pytest.fixture
def changes(store: Store) -> Changes:
    """The plan of a host's test under way: T01 and T02."""
    steps.set_up(store)
    steps.nominate(store, steps.nominator(store))
    claimed = steps.must_claim(store)
    steps.plan(store, claimed)
    return Changes(store, claimed)


def planned(changes: Changes) -> list[str]:
    """Return the forms of the plan, in order."""
    return [row.test_id for row in changes.rows()]


@pytest.mark.parametrize(
    ("test", "result", "added"),
    [
        ("T15", EnvelopeResult.QUEUED, ["T29", "T32"]),
        ("T16", EnvelopeResult.REFUSED_DATA, ["T29", "T32"]),
        ("T24", EnvelopeResult.QUEUED, ["T30"]),
        ("T21", EnvelopeResult.QUEUED, ["T31"]),
        ("T15", EnvelopeResult.REFUSED, []),
        ("T01", EnvelopeResult.QUEUED, []),
    ],
)
def test_longer_forms_follow_one_that_was_taken(
    changes: Changes, test: str, result: EnvelopeResult, added: list[str]
) -> None:
    """They are added once, at the end of the plan, and only where the recipient was taken."""
    before = planned(changes)
    for _ in range(2):
        changes.widen(EnvelopeOutcome(test, result, "so"), IDENTITY, "mx.example.com", token)

    assert [*before, *added] == planned(changes)


def test_senders_are_changed_of_what_was_not_tried(changes: Changes) -> None:
    """The sender of a form that has its answer stays as it was said."""
    with changes.store.writing() as session:
        tried = probes.Tried("T01", EnvelopeResult.REFUSED, "550 no", None)
        probes.record(session, changes.claim, [tried], [])
        rows = probes.envelopes(session, changes.claim.run_id)
    changes.readdress([replace(envelope_of(row), mail_from="<other@sd.example>") for row in rows])
    changes.readdress(())

    with changes.store.reading() as session:
        found = {row.test_id: row.mail_from for row in probes.envelopes(session, changes.claim.run_id)}
    assert (rows[0].mail_from, "<other@sd.example>") == (found["T01"], found["T02"])


def test_what_relayed_before_is_known(changes: Changes) -> None:
    """What was seen on servers of the kind is preferred, and never spared."""
    with changes.store.writing() as session:
        formhistory.count(session, "exim", "T15")

    assert {"T15": 1000} == changes.weights("exim")
    assert [["T15"], []] == [sorted(changes.proven(platform)) for platform in ("exim", "postfix")]
    assert changes.relayed_last() is None
