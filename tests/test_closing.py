"""What must hold before a test that proved nothing closes a host."""

from dataclasses import replace
from datetime import timedelta

import pytest

from rbl.closing import FOLLOW_UPS, ClosingFacts, close, next_look
from rbl.lifecycle import DAY, Event, Outcome
from tests.store.steps import NOW

CLOSED = Outcome(Event.CLOSE, None, "the host relayed none of our test messages")
HOUR = timedelta(hours=1)
# A listed host of which nothing else is known, as one vantage sees it.
PLAIN = ClosingFacts(
    listed=True,
    discarded=False,
    newest_spam_at=NOW - 3 * HOUR,
    proven_at=NOW - 2 * HOUR,
    left_at=None,
    confirmed=False,
    can_confirm=False,
)
SPAM_SINCE = replace(PLAIN, newest_spam_at=NOW - HOUR)
RELAPSED = replace(PLAIN, left_at=NOW - 29 * DAY)


@pytest.mark.parametrize(
    ("facts", "event", "why"),
    [
        (PLAIN, Event.CLOSE, "one vantage, and nothing against it"),
        (replace(PLAIN, can_confirm=True), None, "another vantage is asked first"),
        (replace(PLAIN, confirmed=True, can_confirm=True), Event.CLOSE, "it was"),
        (SPAM_SINCE, Event.BLOCK, "spam since the proof, and one vantage"),
        (replace(SPAM_SINCE, can_confirm=True), None, "the other vantage first"),
        (replace(SPAM_SINCE, confirmed=True), Event.CLOSE, "two vantages outweigh the spam"),
        (replace(SPAM_SINCE, discarded=True, confirmed=True), Event.BLOCK, "not of who took our mail"),
        (replace(SPAM_SINCE, discarded=True, can_confirm=True), Event.BLOCK, "nor need it be asked"),
        (replace(PLAIN, discarded=True), Event.CLOSE, "taken, lost, and no spam since"),
        (RELAPSED, Event.BLOCK, "listed again within a month"),
        (replace(RELAPSED, left_at=NOW - 30 * DAY), Event.CLOSE, "that was long ago"),
        (replace(RELAPSED, confirmed=True), Event.CLOSE, "two vantages outweigh it"),
        (replace(SPAM_SINCE, listed=False), Event.CLOSE, "it is not in DNS: there is nothing to end"),
        (replace(SPAM_SINCE, listed=False, discarded=True), Event.BLOCK, "but it took our mail"),
        (replace(PLAIN, listed=False, discarded=True, proven_at=None), Event.CLOSE, "it never relayed"),
        (replace(PLAIN, newest_spam_at=None), Event.CLOSE, "imported, with no spam of ours"),
    ],
)
def test_closing(facts: ClosingFacts, event: Event | None, why: str) -> None:
    """A robot ends a listing on two vantages' word, or on one's where nothing speaks against it."""
    found = close(CLOSED, facts, NOW)

    assert event == (None if found is None else found.event), why
    assert found is None or event is not Event.BLOCK or "a person must decide" in found.why


def test_looks_at_growing_distances_and_at_no_known_hour() -> None:
    """Each at least as long after the last as the table says, and half a day more at most; then no more."""
    earliest = [next_look(done, 0.0) for done in range(len(FOLLOW_UPS) + 1)]
    latest = [next_look(done, 1.0) for done in range(len(FOLLOW_UPS))]

    assert [*FOLLOW_UPS, None] == earliest
    assert sorted(FOLLOW_UPS) == list(FOLLOW_UPS)
    assert [each + 12 * HOUR for each in FOLLOW_UPS] == latest
