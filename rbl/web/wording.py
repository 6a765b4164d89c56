"""What the pages and the progress of a test say in words: pure functions from a story to sentences.

The tone: the reader did nothing on purpose, is under pressure, and may not be the one who can act.
Facts first, no accusation, and always what happens next.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from ipaddress import IPv4Address

from rbl.lifecycle import RetestTime
from rbl.store.stories import Proof, PublicListing, Run, Story
from rbl.terms import Address, EnvelopeResult, Origin, Purpose, State, TranscriptLine, Verdict
from rbl.zone.answers import NOT_LISTED, Vocabulary
from rbl.zone.zonefile import ZoneFile

DAY = timedelta(days=1)  # RFC 6471 §3.6.2: no robot tests a host more often
_LONGEST_SHOWN = 16_384  # characters of a spam: enough to recognise it, and quick on a phone


class Standing(StrEnum):
    """How an address stands, as the page's first word and colour show it."""

    LISTED = "listed"  # a test proved it
    BY_HAND = "listed by hand"  # an operator, or another list, said so
    EXEMPT = "exempt"  # whatever else, DNS never says it is listed
    TEST_POINT = "a test point"  # every list answers for it, or never does (RFC 5782 §5)
    CLEAR = "not listed"


_STATES: Mapping[State, str] = {
    State.NOMINATED: "Spam was received through it; an operator will look before anything is tested.",
    State.REJECTED: "It was nominated, and an operator declined: nothing was tested.",
    State.QUEUED: "Spam was received through it; a test is waiting for its turn.",
    State.TESTING: "Our tester is talking to it right now.",
    State.DEFERRED: "The last test said nothing either way.",
    State.AWAITING_RETURN: "It took a test message; we wait to see whether the message comes back to us.",
    State.CLOSED: "It was tested and does not relay for strangers.",
    State.REVIEW: "Its test could not decide, so a person must. It is not listed for that.",
    State.PROVEN: "A test message came back through it; an operator decides whether to list it.",
    State.LISTED: "It is listed because one of our test messages came back through it.",
    State.RETEST_QUEUED: "A retest is queued and begins at its turn, as soon as a tester is free.",
    State.RETESTING: "Our tester is talking to your server right now.",
    State.RETEST_AWAITING: "Your server took a test message; we wait to see whether it comes back to us.",
    State.DELISTED: "It was listed, and a retest found it closed.",
    State.WITHDRAWN: "It was listed, and an operator took the listing back.",
}
_VERDICTS: Mapping[Verdict, str] = {
    Verdict.OPEN: "Open: a test message came back through the server.",
    Verdict.MULTIHOP: "A test message came back by way of another server: a person will look at the chain.",
    Verdict.CLOSED: "Closed: the server relayed none of our test messages.",
    Verdict.UNPROVEN: "The server took a test message, and we wait for it to come back.",
    Verdict.DEFERRED: "The server asked us to come back later.",
    Verdict.UNREACHABLE: "The server could not be reached.",
    Verdict.TESTER_BLOCKED: "The server refuses our tester, so the test says nothing about relaying.",
    Verdict.ERROR: "The test failed on our side.",
}
RESULTS: Mapping[EnvelopeResult | None, str] = {
    None: "not tried yet",
    EnvelopeResult.REFUSED: "refused",
    EnvelopeResult.REFUSED_DATA: "refused after the message",
    EnvelopeResult.DEFERRED: "told to come back later",
    EnvelopeResult.ACCEPTED: "recipient accepted, no message sent",
    EnvelopeResult.QUEUED: "message taken",
    EnvelopeResult.BOUNCED: "message taken, then bounced",
    EnvelopeResult.RELAYED: "relayed: the message came back to us",
    EnvelopeResult.MULTIHOP: "came back by way of another server",
    EnvelopeResult.AUTH_REQUIRED: "only for users who sign in",
    EnvelopeResult.DROPPED: "connection closed",
    EnvelopeResult.TIMEOUT: "no answer in time",
    EnvelopeResult.NOT_RUN: "not tried",
}
PURPOSES: Mapping[Purpose, str] = {
    Purpose.NOMINATION: "test after spam was received",
    Purpose.RETEST: "retest that was asked for",
    Purpose.PERIODIC: "retest of an old listing",
    Purpose.FOLLOW_UP: "second look after delisting",
}
_DEEDS: Mapping[str, str] = {
    "nominate": "Nominated: spam was received through it",
    "queue": "Test queued",
    "reject": "Nomination declined",
    "block": "Test ended without a verdict",
    "close": "Test: does not relay",
    "prove": "Test: relays for strangers",
    "list": "Listed",
    "ask-retest": "Retest asked for",
    "stay": "Retest ended without a verdict",
    "withdraw": "Listing withdrawn",
}


@dataclass(frozen=True, slots=True)
class Retest:
    """Whether the reader can ask for a retest now, and why not; *begins_at* is when it would begin."""

    possible: bool
    begins_at: datetime | None = None
    why_not: str = ""


def standing(story: Story, zone: ZoneFile) -> Standing:
    """Return how the address stands in the list of *zone*."""
    if any(each.never_list for each in story.exemptions):
        return Standing.EXEMPT
    if proven_listing(story) is not None:
        return Standing.LISTED
    if story.listings:
        return Standing.BY_HAND
    return Standing.CLEAR if test_point(zone, story.address) is None else Standing.TEST_POINT


def test_point(zone: ZoneFile, address: Address) -> bool | None:
    """Return whether *address* is a test point that the list answers for, or one that it never does.

    None: it is no test point (RFC 5782 §5).
    """
    if not isinstance(address, IPv4Address):
        return None
    number = Vocabulary(zone).test_points.get(int(address))
    return None if number is None else number != NOT_LISTED


def proven_listing(story: Story) -> PublicListing | None:
    """Return the listing that rests on a test of our own, if there is one."""
    return next((each for each in story.listings if each.origin is Origin.PROBE), None)


def hand_listings(story: Story) -> list[PublicListing]:
    """Return the listings that no test of ours decides about."""
    return [each for each in story.listings if each.origin is not Origin.PROBE]


def state(of: State) -> str:
    """Return in a sentence where a host in this state stands."""
    return _STATES[of]


def progress(of: State, verdict: Verdict | None, why: str | None) -> str:
    """Return in a sentence how far a test is, or how it ended."""
    if of in (State.RETESTING, State.RETEST_AWAITING, State.TESTING, State.AWAITING_RETURN, State.PROVEN):
        return _STATES[of]
    if verdict is None:
        return _STATES[of] if why is None else why.capitalize() + "."
    if of in (State.RETEST_QUEUED, State.QUEUED, State.DEFERRED):
        return f"{_VERDICTS[verdict]} The test goes on later by itself."
    return _VERDICTS[verdict]


def deed(action: str) -> str:
    """Return what *action* of the history is called for people."""
    return _DEEDS.get(action, action)


def retest(story: Story, time: RetestTime | None) -> Retest:
    """Return whether a retest can be asked for, and when it would begin: at *time*, by the policy."""
    host = story.host
    if host is None or time is None or not host.state.in_dns:
        return Retest(possible=False, why_not="It is not listed by a test, so there is nothing to retest.")
    if any(each.never_test for each in story.exemptions):
        return Retest(
            possible=False,
            why_not="Its owner asked us not to test it, so no test can end the listing: write to us.",
        )
    run = story.current_run
    if host.state is State.LISTED or (run is not None and time.at < run.due_at):
        return Retest(possible=True, begins_at=time.at)
    return Retest(possible=False, why_not="A retest is under way, or queued.")


def refuses_us(story: Story) -> bool:
    """Whether the last test that came to an end found that it is our tester whom the server refuses."""
    last = next((run for run in story.runs if run.finished_at is not None), None)
    return last is not None and last.verdict is Verdict.TESTER_BLOCKED


def ended(run: Run) -> str:
    """Return in a sentence what became of *run*."""
    if run.finished_at is None:
        return "Not over yet."
    if run.verdict is None:
        return f"Ended without a verdict: {run.why or 'it was stopped'}."
    return _VERDICTS[run.verdict]


def marked_lines(proof: Proof) -> Sequence[tuple[TranscriptLine, bool]]:
    """Return the dialogue, and of each line whether it is of the transaction that relayed."""
    lines = proof.lines
    recipient = f"RCPT TO:{proof.envelope.rcpt_to}"
    found = next(
        (at for at, line in enumerate(lines) if line.side == "us" and line.text.strip() == recipient), None
    )
    if found is None:
        return [(line, False) for line in lines]
    first = next((at for at in range(found, -1, -1) if _begins(lines[at])), found)
    last = next((at for at in range(found + 1, len(lines)) if _ends(lines[at])), len(lines))
    return [(line, first <= at < last) for at, line in enumerate(lines)]


def beginning(text: str) -> str:
    """Return what is shown of a long text."""
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}\n[…]"


def seconds(count: int) -> timedelta:
    """Return *count* seconds."""
    return timedelta(seconds=count)


def _begins(line: TranscriptLine) -> bool:
    return line.side == "us" and line.text.upper().startswith("MAIL FROM:")


def _ends(line: TranscriptLine) -> bool:
    return line.side == "us" and line.text.upper().startswith(("MAIL FROM:", "RSET", "QUIT"))
