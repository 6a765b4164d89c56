"""Receipts: every message at the collector is kept; one that belongs to a test marks it and wakes it."""

import zlib

import pytest
from sqlalchemy import select

from rbl.store import probes, receipts, retests, runs
from rbl.store.engine import Store
from rbl.store.probetables import Receipt
from rbl.store.receipts import Expected
from rbl.terms import EnvelopeResult, Purpose, State, Verdict
from tests.store import steps
from tests.store.steps import DAY, HOUR, MINUTE, NOW, PEER, POLICY

RELAYED, BOUNCED = EnvelopeResult.RELAYED, EnvelopeResult.BOUNCED


@pytest.fixture
def waiting(opened: Store) -> Store:
    """A host that took the first of two messages and is waited for."""
    steps.nominate(opened, steps.nominator(opened))
    claimed = steps.must_claim(opened)
    steps.plan(opened, claimed)
    steps.take(opened, claimed, NOW)
    steps.conclude(opened, claimed, Verdict.UNPROVEN)
    return opened


def keep(store: Store, token: str, kind: EnvelopeResult | None) -> None:
    """Keep a message for *token*, an hour after it was sent."""
    with store.writing() as session:
        receipts.keep(session, steps.receipt(token, NOW + HOUR, kind))


def next_due(store: Store) -> object:
    """Return when the next run is due."""
    with store.reading() as session:
        return runs.next_due(session)


@pytest.mark.parametrize(
    ("token", "expected"),
    [
        ("r1x1", Expected(1, 1, "T01", PEER, is_sender_token=False)),
        ("s1x2", Expected(2, 1, "T02", PEER, is_sender_token=True)),
        ("r9x9", None),
        ("", None),
    ],
)
def test_a_token_tells_what_it_was_made_for(waiting: Store, token: str, expected: Expected | None) -> None:
    """Recipient and sender tokens name the envelope, the test and the host; any other names nothing."""
    with waiting.reading() as session:
        assert expected == receipts.expected(session, token)


@pytest.mark.parametrize(
    ("token", "kind", "result", "woken", "reason"),
    [
        ("r1x1", RELAYED, RELAYED, True, "proof"),
        ("s1x1", BOUNCED, BOUNCED, True, "a bounce comes to the sender's token"),
        ("r1x1", EnvelopeResult.MULTIHOP, EnvelopeResult.MULTIHOP, True, "from another host"),
        ("r1x1", None, EnvelopeResult.QUEUED, False, "without our mark it proves nothing"),
        ("r9x9", None, EnvelopeResult.QUEUED, False, "a token of nobody"),
    ],
)
def test_what_a_message_does_to_its_test(
    waiting: Store,
    token: str,
    kind: EnvelopeResult | None,
    *,
    result: EnvelopeResult,
    woken: bool,
    reason: str,
) -> None:
    """A message that says something marks its envelope and makes the run due now."""
    keep(waiting, token, kind)

    assert result is steps.results(waiting, 1)[0], reason
    assert (NOW + HOUR if woken else NOW + 3 * DAY) == next_due(waiting), reason


def test_every_message_is_kept_whole(waiting: Store) -> None:
    """Also one that proves nothing, and one for a token of nobody."""
    for token, kind in (("r1x1", RELAYED), ("r1x1", None), ("r9x9", None)):
        keep(waiting, token, kind)
    with waiting.reading() as session:
        rows = session.execute(select(Receipt).order_by(Receipt.id)).scalars().all()
        messages = [zlib.decompress(row.message) for row in rows]
        judged = probes.receipts(session, 1)

    assert [b"Subject: open relay test\r\n\r\n"] * 3 == messages
    assert [("T01", RELAYED, PEER, NOW + HOUR)] == [
        (row.test_id, row.kind, row.peer, row.received_at) for row in judged
    ]


@pytest.mark.parametrize("kinds", [(RELAYED, BOUNCED), (BOUNCED, RELAYED)])
def test_proof_is_not_undone_by_a_bounce(waiting: Store, kinds: tuple[EnvelopeResult, ...]) -> None:
    """Whichever comes first, a message that was relayed was relayed."""
    for kind in kinds:
        keep(waiting, "r1x1", kind)

    assert RELAYED is steps.results(waiting, 1)[0]


def test_proof_is_not_undone_by_a_bounce_at_the_same_moment(waiting: Store) -> None:
    """Whatever order two messages are kept in, the proof stays, and neither fails."""
    kinds = (BOUNCED, RELAYED, BOUNCED, BOUNCED)
    outcomes = steps.at_once(4, lambda number: keep(waiting, "r1x1", kinds[number]))

    assert ([None] * 4, RELAYED) == (outcomes, steps.results(waiting, 1)[0])


def test_a_late_bounce_opens_nothing(waiting: Store) -> None:
    """After the test is over only proof opens it again."""
    claimed = steps.must_claim(waiting, NOW + 3 * DAY)
    steps.conclude(waiting, claimed, Verdict.CLOSED, NOW + 3 * DAY)
    keep(waiting, "r1x1", BOUNCED)

    assert None is next_due(waiting)


def test_a_late_proof_opens_the_last_test_and_not_an_older_one(waiting: Store) -> None:
    """A newer test that has begun knows better: the older one stays closed, its receipt is kept."""
    steps.conclude(waiting, steps.must_claim(waiting, NOW + 3 * DAY), Verdict.CLOSED, NOW + 3 * DAY)
    new = steps.nomination(message_id="<2@spam>")
    steps.nominate(waiting, steps.nominator(waiting, name="other"), new, at=NOW + 5 * DAY)
    steps.come_back(waiting, 1, NOW + 5 * DAY)  # the newer one is due
    second = steps.must_claim(waiting, NOW + 5 * DAY)
    steps.conclude(waiting, second, Verdict.CLOSED, NOW + 5 * DAY)
    steps.come_back(waiting, 1, NOW + 5 * DAY + HOUR)  # the newer one is over

    assert (2, None, State.CLOSED) == (second.run_id, next_due(waiting), steps.host(waiting).state)
    steps.check(waiting)


def retested_closed(store: Store) -> int:
    """List the host, find it closed in a retest that took a message, and return the retest's run."""
    steps.make_listed(store)
    with store.writing() as session:
        retests.ask(session, POLICY, PEER, "public", NOW + DAY)
    claimed = steps.must_claim(store, NOW + DAY)
    steps.plan(store, claimed)
    steps.take(store, claimed, NOW + DAY)
    steps.conclude(store, claimed, Verdict.CLOSED, NOW + DAY)
    return claimed.run_id


def test_a_follow_up_that_waits_gives_way_to_a_late_proof(opened: Store) -> None:
    """A message of the retest that comes back after the delisting lists the host again, at once."""
    run_id = retested_closed(opened)
    steps.come_back(opened, run_id, NOW + DAY + MINUTE)
    again = steps.must_claim(opened, NOW + DAY + MINUTE)
    became = steps.conclude(opened, again, Verdict.OPEN, NOW + DAY + MINUTE)

    assert (run_id, State.LISTED, None) == (again.run_id, became, next_due(opened))
    steps.check(opened)


def test_a_follow_up_under_way_is_not_ended_by_a_late_proof(opened: Store) -> None:
    """The test that a worker holds says how the host is now."""
    run_id = retested_closed(opened)
    follow_up = steps.must_claim(opened, NOW + 2 * DAY)
    steps.come_back(opened, run_id, NOW + 2 * DAY)

    assert Purpose.FOLLOW_UP is follow_up.purpose
    assert State.DELISTED is steps.conclude(opened, follow_up, Verdict.CLOSED, NOW + 2 * DAY)
