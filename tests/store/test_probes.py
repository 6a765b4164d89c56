"""What is inside a run: envelopes in their order, the dialogue line by line, and what became of each."""

from dataclasses import replace

import pytest

from rbl.store import probes
from rbl.store.engine import Store
from rbl.store.probes import Names, Tried
from rbl.store.runs import Claim
from rbl.terms import EnvelopeResult, TranscriptLine
from tests.store import steps
from tests.store.steps import MINUTE, NOW

STAYING = [
    EnvelopeResult.RELAYED,
    EnvelopeResult.BOUNCED,
    EnvelopeResult.MULTIHOP,
    EnvelopeResult.UNCLEAR,
]


@pytest.fixture
def claimed(opened: Store) -> Claim:
    """A run with three planned envelopes, held by a worker."""
    steps.nominate(opened, steps.nominator(opened))
    claimed = steps.must_claim(opened)
    with opened.writing() as session:
        rows = [steps.envelope(claimed.run_id, number) for number in (3, 1, 2)]
        probes.plan(session, claimed, rows, "mail.example")
    return claimed


def test_envelopes_keep_the_order_of_the_plan(opened: Store, claimed: Claim) -> None:
    """They are tried in the order in which they were planned, which is not that of their numbers."""
    with opened.reading() as session:
        found = probes.envelopes(session, claimed.run_id)
        none = probes.envelopes(session, 77)

    assert (["T03", "T01", "T02"], []) == ([row.test_id for row in found], list(none))
    assert ("r1x3", "s1x3", "s1x3@relaytest.example", None) == (
        found[0].token,
        found[0].sender_token,
        found[0].mail_from,
        found[0].result,
    )


def test_the_name_of_the_server_is_known_to_the_next_worker(opened: Store, claimed: Claim) -> None:
    """The name that the plan was made with comes with the next claim."""
    assert "mail.example" == steps.must_claim(opened, NOW + 5 * MINUTE, "worker 2").hostname


def test_the_dialogue_is_numbered_through(opened: Store, claimed: Claim) -> None:
    """Lines of later sessions follow those before, and a reader may ask for what is new."""
    lines = [
        TranscriptLine(NOW, side, text)
        for side, text in (("them", "220 hi"), ("us", "EHLO"), ("note", "bye"))
    ]
    for part in (lines[:2], [], lines[2:]):
        with opened.writing() as session:
            probes.record(session, claimed, [], part)
    with opened.reading() as session:
        everything = probes.transcript(session, claimed.run_id)
        new = probes.transcript(session, claimed.run_id, after=2)

    assert (list(enumerate(lines, start=1)), [(3, lines[2])]) == (list(everything), list(new))


def test_what_became_of_an_envelope_is_recorded(opened: Store, claimed: Claim) -> None:
    """Result, reply and the time the message was taken; a later word without a time does not forget it."""
    with opened.writing() as session:
        probes.record(session, claimed, [Tried("T01", EnvelopeResult.QUEUED, "250 ok", NOW)], [])
        probes.record(session, claimed, [Tried("T01", EnvelopeResult.DROPPED, "x" * 9999, None)], [])
    with opened.reading() as session:
        row = probes.envelopes(session, claimed.run_id)[1]

    assert (EnvelopeResult.DROPPED, "x" * 2000, NOW) == (row.result, row.reply, row.sent_at)


@pytest.mark.parametrize("kind", STAYING)
def test_what_a_receipt_said_stays(opened: Store, claimed: Claim, kind: EnvelopeResult) -> None:
    """A worker that records later than the message came back does not overwrite what that proved."""
    steps.come_back(opened, claimed.run_id, NOW, kind)
    steps.take(opened, claimed, NOW)

    assert kind is steps.results(opened, claimed.run_id)[1]


def test_names_that_a_host_has_seen_are_told(opened: Store, claimed: Claim) -> None:
    """The latest last, each once; what was not offered, or does not apply, the host has not seen."""
    a, b, c = (Names(f"{letter}.example", "s.example", "t.example") for letter in "abc")
    rows = [
        replace(steps.envelope(7, number), names=names)
        for number, names in enumerate((a, b, None, a, c), start=10)
    ]
    rows += [replace(steps.envelope(7, 20), names=c, result=EnvelopeResult.NOT_RUN, reply="not applicable")]
    with opened.writing() as session:
        probes.plan(session, claimed, rows, None)
        refused = [Tried(row.test_id, EnvelopeResult.REFUSED, "554", None) for row in rows[:4]]
        probes.record(session, claimed, refused, [])
    with opened.reading() as session:
        seen = probes.names_seen(session, claimed.host_id)
        stored = [row.names for row in probes.envelopes(session, claimed.run_id)]

    assert [b, None, a] == seen
    assert [a, b, None, a, c, c] == stored[-6:]


def test_temporary_results_are_forgotten_for_the_next_try(opened: Store, claimed: Claim) -> None:
    """Only what a host put off is tried again; what it refused or took is known."""
    kept, forgotten = EnvelopeResult.REFUSED, [EnvelopeResult.DEFERRED, EnvelopeResult.TIMEOUT]
    with opened.writing() as session:
        tried = zip(("T03", "T01", "T02"), [kept, *forgotten], strict=True)
        probes.record(session, claimed, [Tried(test, result, "", None) for test, result in tried], [])
        probes.try_again(session, claimed)

    assert [kept, None, None] == steps.results(opened, claimed.run_id)


def test_a_host_introduces_itself(opened: Store, claimed: Claim) -> None:
    """A greeting is kept up to a limit, with whatever octets it has."""
    with opened.writing() as session:
        probes.greeted(session, claimed, "220 \x00" + "x" * 9999, "Postfix")
    with opened.reading() as session:
        ((banner, platform),) = session.connection().exec_driver_sql(
            "SELECT banner, platform FROM probe_runs"
        )

    assert ("220 \ufffd" + "x" * 1995, "Postfix") == (banner, platform)
