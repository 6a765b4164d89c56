"""Receipts: what says something of a test is kept, within a quota; it marks the test and wakes it."""

import random
import zlib
from dataclasses import replace
from ipaddress import ip_address

import pytest
from sqlalchemy import select

from rbl.store import probes, receipts, retests, runs
from rbl.store.engine import Store
from rbl.store.probetables import ProbeEnvelope, Receipt
from rbl.store.receipts import Expected, Kept, NewReceipt, Quota, Standing
from rbl.terms import EnvelopeResult, Purpose, State, Verdict
from tests.store import steps
from tests.store.steps import DAY, HOUR, MINUTE, NOW, PEER, POLICY

RELAYED, BOUNCED = EnvelopeResult.RELAYED, EnvelopeResult.BOUNCED
UNCLEAR = EnvelopeResult.UNCLEAR


@pytest.fixture
def waiting(opened: Store) -> Store:
    """A host that took the first of two messages and is waited for."""
    steps.nominate(opened, steps.nominator(opened))
    claimed = steps.must_claim(opened)
    steps.plan(opened, claimed)
    steps.take(opened, claimed, NOW)
    steps.conclude(opened, claimed, Verdict.UNPROVEN)
    return opened


def keep(store: Store, token: str, kind: EnvelopeResult | None) -> Kept:
    """Keep a message for *token*, an hour after it was sent."""
    return steps.keep(store, steps.receipt(token, NOW + HOUR, kind))


def next_due(store: Store) -> object:
    """Return when the next run is due."""
    with store.reading() as session:
        return runs.next_due(session)


def expected_of(number: int, *, is_sender_token: bool) -> Expected:
    """Return what is known of the tokens of an envelope that ``steps`` made."""
    row = steps.envelope(1, number)
    tokens = (row.token, row.sender_token, row.mail_from)
    return Expected(number, 1, row.test_id, PEER, is_sender_token, Standing.AWAITED, *tokens)


@pytest.mark.parametrize(
    ("token", "expected"),
    [
        ("r1x1", expected_of(1, is_sender_token=False)),
        ("s1x2", expected_of(2, is_sender_token=True)),
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


def test_every_message_of_a_test_is_kept_whole(waiting: Store) -> None:
    """Also one that proves nothing; one for a token of nobody is not."""
    kept = [
        keep(waiting, token, kind) for token, kind in (("r1x1", RELAYED), ("r1x1", None), ("r9x9", None))
    ]
    with waiting.reading() as session:
        rows = session.execute(select(Receipt).order_by(Receipt.id)).scalars().all()
        messages = [zlib.decompress(row.message) for row in rows]
        judged = probes.receipts(session, 1)

    assert [Kept.KEPT, Kept.KEPT, Kept.DROPPED] == kept
    assert [b"Subject: open relay test\r\n\r\n"] * 2 == messages
    assert [("T01", RELAYED, PEER, NOW + HOUR)] == [
        (row.test_id, row.kind, row.peer, row.received_at) for row in judged
    ]


@pytest.mark.parametrize(
    ("first", "then", "result"),
    [
        (UNCLEAR, BOUNCED, UNCLEAR),
        (BOUNCED, UNCLEAR, UNCLEAR),
        (UNCLEAR, RELAYED, RELAYED),
        (RELAYED, UNCLEAR, RELAYED),
        (EnvelopeResult.MULTIHOP, UNCLEAR, EnvelopeResult.MULTIHOP),
    ],
)
def test_what_weighs_more_stays(
    waiting: Store, first: EnvelopeResult, then: EnvelopeResult, result: EnvelopeResult
) -> None:
    """In whatever order they come: no bounce and no answer covers what may be our message."""
    for number, kind in enumerate((first, then)):
        steps.keep(waiting, different(number, kind))

    assert result is steps.results(waiting, 1)[0]


def different(number: int, kind: EnvelopeResult | None, octets: int = 0) -> NewReceipt:
    """Return a message unlike any other, of so many octets that do not compress."""
    padding = random.Random(number).randbytes(octets)
    return replace(steps.receipt("r1x1", NOW + HOUR, kind), message=b"%d" % number + padding)


def octets_kept(store: Store) -> int:
    """Return how many octets all messages take."""
    with store.reading() as session:
        assert receipts.octets_kept(session) == sum(
            len(row) for row in session.execute(select(Receipt.message)).scalars()
        )
        return receipts.octets_kept(session)


@pytest.mark.parametrize("kind", [RELAYED, BOUNCED, EnvelopeResult.MULTIHOP, None])
def test_the_same_message_is_kept_once(waiting: Store, kind: EnvelopeResult | None) -> None:
    """A sender who did not hear our 250 sends again: nothing is kept twice. Another peer is news."""
    new = different(1, kind)
    kept = [steps.keep(waiting, each) for each in (new, new, replace(new, peer=ip_address("192.0.2.9")))]

    assert [Kept.KEPT, Kept.KNOWN, Kept.KEPT] == kept


def test_repetitions_end(waiting: Store) -> None:
    """Of each kind twenty messages are kept for a token, and a proof is kept after any number of others."""
    chatter = [steps.keep(waiting, different(number, None)) for number in range(25)]
    proof = steps.keep(waiting, different(99, RELAYED))

    assert [Kept.KEPT] * 20 + [Kept.KNOWN] * 5 + [Kept.KEPT] == [*chatter, proof]


@pytest.mark.parametrize(
    "quota", [Quota(10_000, 10**6, 10**6), Quota(10**6, 10_000, 10**6), Quota(10**6, 10**6, 10_000)]
)
def test_what_is_kept_has_a_quota(waiting: Store, quota: Quota) -> None:
    """For a token, a test and in all: chatter takes a part of it, bounces another, and a proof has room."""
    found = [
        steps.keep(waiting, different(number, kind, octets=3_500), quota)
        for number, kind in enumerate((None, None, BOUNCED, BOUNCED, RELAYED, RELAYED))
    ]

    assert [Kept.KEPT, Kept.KNOWN, Kept.FULL, Kept.FULL, Kept.KEPT, Kept.KNOWN] == found
    assert 7_000 < octets_kept(waiting) < 10_000
    assert RELAYED is steps.results(waiting, 1)[0]


def test_a_proof_without_room_is_told(waiting: Store) -> None:
    """Nothing is marked or kept, and whoever asked hears that it is so."""
    found = steps.keep(waiting, different(1, RELAYED, octets=20_000), Quota(10**6, 10**6, 10_000))

    assert (Kept.FULL, 0, EnvelopeResult.QUEUED) == (
        found,
        octets_kept(waiting),
        steps.results(waiting, 1)[0],
    )


def test_a_message_for_several_is_kept_once(waiting: Store) -> None:
    """The second recipient's receipt points to the first one's message."""
    with waiting.writing() as session:
        for token, again in (("r1x1", False), ("r1x2", True)):
            receipts.keep(session, replace(different(7, None), token=token, rcpt_to=token), again=again)
    with waiting.reading() as session:
        rows = session.execute(select(Receipt).order_by(Receipt.id)).scalars().all()
        messages = [receipts.message_of(session, row) for row in rows]
        kept = [bool(row.message) for row in rows]

    assert ([b"7", b"7"], [True, False]) == (messages, kept)


@pytest.mark.parametrize("token", ["r1x2", "s1x2"])
def test_a_bounce_of_what_was_never_sent_says_nothing(waiting: Store, token: str) -> None:
    """Whoever saw a token can write to it: the test of a form that was refused stays as it is."""
    steps.keep(waiting, steps.receipt(token, NOW + HOUR, BOUNCED))

    assert (None, NOW + 3 * DAY) == (steps.results(waiting, 1)[1], next_due(waiting))


def test_a_bounce_that_is_faster_than_our_own_note_counts(opened: Store) -> None:
    """A server may give a message back before the worker has noted that it was taken."""
    steps.nominate(opened, steps.nominator(opened))
    claimed = steps.must_claim(opened)
    steps.plan(opened, claimed)
    steps.keep(opened, steps.receipt("s1x1", NOW, BOUNCED))
    before = steps.results(opened, 1)
    steps.take(opened, claimed, NOW)

    assert ([None, None], [BOUNCED, None]) == (before, steps.results(opened, 1))


@pytest.mark.parametrize("kind", [BOUNCED, EnvelopeResult.MULTIHOP, None])
@pytest.mark.parametrize("token", ["r1x1", "s1x1", "r1x2"])
def test_after_the_end_only_proof_changes_what_is_public(
    waiting: Store, token: str, kind: EnvelopeResult | None
) -> None:
    """The tokens of a test that is over are public, and mail to them leaves its record as it is."""
    claimed = steps.must_claim(waiting, NOW + 3 * DAY)
    steps.conclude(waiting, claimed, Verdict.CLOSED, NOW + 3 * DAY)
    before = steps.results(waiting, 1)
    kept = steps.keep(waiting, steps.receipt(token, NOW + 4 * DAY, kind))

    assert (Kept.DROPPED, before, None) == (kept, steps.results(waiting, 1), next_due(waiting))
    assert 0 == octets_kept(waiting)


def test_the_standing_of_a_token(waiting: Store) -> None:
    """Awaited while its test lasts, late afterwards, and over once a newer test has begun."""

    def standing() -> Standing | None:
        with waiting.reading() as session:
            found = receipts.expected(session, "s1x1")
            return None if found is None else found.standing

    found = [standing()]
    steps.conclude(waiting, steps.must_claim(waiting, NOW + 3 * DAY), Verdict.CLOSED, NOW + 3 * DAY)
    found.append(standing())
    new = steps.nomination(message_id="<2@spam>")
    steps.nominate(waiting, steps.nominator(waiting, name="other"), new, at=NOW + 5 * DAY)
    found.append(standing())
    steps.conclude(waiting, steps.must_claim(waiting, NOW + 5 * DAY), Verdict.CLOSED, NOW + 5 * DAY)
    found.append(standing())

    assert [Standing.AWAITED, Standing.LATE, Standing.OVER, Standing.OVER] == found


def test_tokens_of_the_old_form_are_expected_while_a_test_has_them(waiting: Store) -> None:
    """After an upgrade that is so until the last such test is over."""

    def expected() -> bool:
        with waiting.reading() as session:
            return receipts.expect_unsigned(session)

    found = [expected()]
    with waiting.writing() as session:
        envelope = session.execute(select(ProbeEnvelope).where(ProbeEnvelope.token == "r1x2")).scalar_one()
        envelope.token = "r" + "0" * 32
    found.append(expected())
    steps.conclude(waiting, steps.must_claim(waiting, NOW + 3 * DAY), Verdict.CLOSED, NOW + 3 * DAY)
    found.append(expected())

    assert [False, True, False] == found


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

    assert ({Kept.KEPT, Kept.KNOWN}, RELAYED) == (set(outcomes), steps.results(waiting, 1)[0])


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
