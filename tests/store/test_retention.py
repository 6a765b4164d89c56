"""What is kept for a time only: it goes when its time is over, and never while something rests on it."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from ipaddress import ip_address, ip_network

import pytest
from sqlalchemy import func, select

from rbl.errors import NotFound
from rbl.lifecycle import Event
from rbl.store import (
    audit,
    decisions,
    dialogues,
    exemptions,
    hosts,
    journal,
    keys,
    listings,
    nominations,
    retention,
    retests,
    stories,
)
from rbl.store.engine import Store
from rbl.store.keys import NewKey
from rbl.store.listings import NewListing
from rbl.store.probetables import ProbeEnvelope, Receipt, TranscriptRow
from rbl.store.retention import Kind
from rbl.store.tables import AuditRow, EvidenceItem, Nomination
from rbl.terms import Act, Role, Trust
from tests.store import steps
from tests.store.steps import DAY, ELSEWHERE, NOW, PEER, POLICY, RELAY, ZONE

YEAR = timedelta(days=365)
LATER = NOW + 2 * YEAR  # everything that happened at NOW is a year too old
UNTIL = LATER - YEAR


def let_go(
    store: Store, kind: Kind, until: datetime = UNTIL, *, limit: int = 100, now: datetime = LATER
) -> int:
    """Go through a kind to its end, and return how many were let go."""
    retired, position, is_over = 0, None, False
    while not is_over:
        with store.writing() as session:
            step = retention.step(session, kind, until, now, position, limit)
        retired += step.retired
        position, is_over = step.position, step.position is None
    return retired


def counts(store: Store) -> dict[str, int]:
    """Return how much there is of each kind."""
    with store.reading() as session:
        kept = select(func.count(EvidenceItem.id)).where(EvidenceItem.octets > 0)
        return {
            "evidence": session.execute(kept.where(EvidenceItem.retired_at.is_(None))).scalar_one(),
            "dialogues": session.execute(select(func.count(TranscriptRow.seq))).scalar_one(),
            "receipts": session.execute(select(func.count(Receipt.id))).scalar_one(),
            "audit": session.execute(select(func.count(AuditRow.id))).scalar_one(),
        }


def withdraw(store: Store, at: datetime = NOW) -> None:
    """Take the host's listing back."""
    with store.writing() as session:
        decisions.withdraw(session, POLICY, PEER, steps.act(at=at))


def end_of(kind: Kind, store: Store) -> None:
    """See that nothing more of *kind* goes, whatever its age."""
    before = counts(store)
    assert (0, before) == (let_go(store, kind), counts(store))


def listed(store: Store) -> None:
    """A host that is listed."""
    steps.make_listed(store)


def under_retest(store: Store) -> None:
    """A host that is listed and under retest."""
    steps.make_listed(store)
    with store.writing() as session:
        retests.ask(session, POLICY, PEER, "public", NOW)


def withdrawn_lately(store: Store) -> None:
    """A host whose listing ended within the year."""
    steps.make_listed(store)
    withdraw(store, UNTIL + DAY)


def waiting_for_an_operator(store: Store) -> None:
    """A host that was nominated on trial, and nobody looked."""
    steps.nominate(store, steps.nominator(store, Trust.TRIAL))


def waiting_for_its_test(store: Store) -> None:
    """A host whose test is due."""
    steps.nominate(store, steps.nominator(store))


RESTING = [listed, under_retest, withdrawn_lately, waiting_for_an_operator, waiting_for_its_test]


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("story", RESTING)
def test_what_something_rests_on_is_kept(opened: Store, story: Callable[[Store], None], kind: Kind) -> None:
    """A live listing, a test that is due or under way, a decision that waits, a story of this year."""
    story(opened)
    before = counts(opened)
    told = len(steps.actions(opened, f"{ZONE} {RELAY}"))

    let_go(opened, kind)

    if kind is not Kind.AUDIT:
        assert before == counts(opened)
    assert told == len(steps.actions(opened, f"{ZONE} {RELAY}"))


def test_spam_is_let_go_of(opened: Store) -> None:
    """The nomination and the spam's digest stay; whoever asks for it is told since when it is gone."""
    listed(opened)
    withdraw(opened)
    with opened.reading() as session:
        before = session.execute(select(EvidenceItem)).scalar_one()
        digest, octets = before.sha256, before.octets

    assert 1 == let_go(opened, Kind.EVIDENCE)
    with opened.reading() as session:
        after = session.execute(select(EvidenceItem.__table__)).one()
        story = stories.story(session, ZONE, PEER)
    with opened.writing() as session, pytest.raises(NotFound, match=f"SHA-256 is left, {digest}"):
        nominations.evidence_of(session, 1, steps.act())
    assert (digest, octets, "", LATER) == (after.sha256, after.octets, after.published, after.retired_at)
    assert len(after.message) < 20
    assert [(None, LATER)] == [(spam.published, spam.retired_at) for spam in story.spams]
    end_of(Kind.EVIDENCE, opened)


def test_spam_that_is_handed_in_again_is_there_again(opened: Store) -> None:
    """The same octets make the same row."""
    steps.nominate(opened, steps.nominator(opened, Trust.TRIAL))
    with opened.writing() as session:
        decisions.reject(session, POLICY, PEER, steps.act())
    let_go(opened, Kind.EVIDENCE)
    with opened.writing() as session:
        session.execute(select(Nomination)).scalar_one().fingerprint = "of another spam"
    view, _ = steps.nominate(opened, steps.nominator(opened, name="second"))
    with opened.writing() as session:
        kept = nominations.evidence_of(session, view.id, steps.act())

    assert (steps.spam().message, None) == (kept, view.retired_at)


def test_one_spam_of_two_hosts_is_kept_for_the_listed_one(opened: Store) -> None:
    """It is one row, and somebody is listed for it."""
    listed(opened)
    other = replace(steps.spam(ELSEWHERE), message=steps.spam().message)
    new = replace(steps.nomination(ELSEWHERE), evidence=other)
    steps.nominate(opened, steps.nominator(opened, Trust.TRIAL, name="second"), new)
    with opened.writing() as session:
        decisions.reject(session, POLICY, other.address, steps.act())

    assert 0 == let_go(opened, Kind.EVIDENCE)
    withdraw(opened)
    assert 1 == let_go(opened, Kind.EVIDENCE)


def test_a_dialogue_is_let_go_of(opened: Store) -> None:
    """The test, its forms and its verdict stay."""
    listed(opened)
    with opened.writing() as session:  # as the worker writes it
        session.add(TranscriptRow(run_id=1, seq=99, at=NOW, side="them", text="220 relay"))
        session.execute(select(ProbeEnvelope)).scalars().first().reply = "250 Ok"  # type: ignore[union-attr]
    withdraw(opened)

    assert 1 == let_go(opened, Kind.DIALOGUES)
    with opened.reading() as session:
        story = stories.story(session, ZONE, PEER)
        lines = session.execute(select(TranscriptRow)).scalars().all()
        with pytest.raises(NotFound, match="the dialogue of test 1 was kept until") as caught:
            dialogues.transcript(session, ZONE, PEER, 1)
    assert "dialogue-retired" == caught.value.code
    assert ([], LATER) == (lines, story.runs[0].dialogue_retired_at)
    assert {None} == {envelope.reply for envelope in story.runs[0].envelopes}
    assert story.proof is not None
    assert [] == list(story.proof.lines)
    end_of(Kind.DIALOGUES, opened)


def test_receipts_are_let_go_of(opened: Store) -> None:
    """Those of a test whose host is at rest, and those of no test, once they are old."""
    listed(opened)
    with opened.writing() as session:
        for at in (NOW, UNTIL + DAY):
            stray = {"peer": PEER, "helo": "", "mail_from": "", "rcpt_to": "", "message": b""}
            session.add(Receipt(envelope_id=None, kind=None, received_at=at, **stray))

    assert 1 == let_go(opened, Kind.RECEIPTS)  # the stray one: the host is listed
    withdraw(opened)
    assert counts(opened)["receipts"] - 1 == let_go(opened, Kind.RECEIPTS)
    assert 1 == counts(opened)["receipts"]


def test_the_audit_is_let_go_of(opened: Store) -> None:
    """But for what still holds: listings, exemptions, keys and hosts that are not at rest."""
    listed(opened)  # with the key mx-admin
    with opened.writing() as session:
        for text in ("8.8.8.0/28", "8.8.4.0/28"):
            listings.start(session, NewListing(ZONE, ip_network(text), "relay"), steps.act())
        listings.end(session, ZONE, ip_network("8.8.4.0/28"), "relay", steps.act())
        for text in ("192.0.2.0/24", "198.51.100.0/24"):
            exemptions.add(session, ip_network(text), never_list=False, never_test=True, act=steps.act())
        exemptions.end(session, ip_network("198.51.100.0/24"), steps.act())
        keys.make(session, NewKey("gone", Role.OPERATOR), steps.act())
        keys.revoke(session, 2, steps.act())
        audit.write(session, "import", ZONE, steps.act())
        session.flush()  # the audit is written in the order of its rows
        keys.make(session, NewKey("young", Role.OPERATOR), steps.act(at=UNTIL))
        keys.revoke(session, 3, steps.act(at=UNTIL))
    let_go(opened, Kind.AUDIT)
    with opened.reading() as session:
        subjects = {deed.subject for deed in audit.deeds(session)}

    assert {f"{ZONE} {RELAY}", f"{ZONE} 8.8.8.0/28", "192.0.2.0/24", "mx-admin", "young"} == subjects
    end_of(Kind.AUDIT, opened)
    withdraw(opened)
    assert let_go(opened, Kind.AUDIT) > 0


@pytest.mark.parametrize("kind", Kind)
def test_it_goes_on_where_it_was(opened: Store, kind: Kind) -> None:
    """Row by row, with what is kept between; nothing is gone over for ever, nothing is left out."""
    for number in range(1, 6):
        address = f"203.0.113.{number}"
        who = steps.nominator(opened, name=f"isp {number}")
        steps.nominate(opened, who, steps.nomination(address, f"<{number}@spam>"))
        claimed = steps.relay_once(opened)
        with opened.writing() as session:
            session.add(TranscriptRow(run_id=claimed.run_id, seq=1, at=NOW, side="us", text="QUIT"))
            if number % 2:
                decisions.withdraw(session, POLICY, ip_address(address), steps.act())
    whole = counts(opened)[kind.value]
    by_one = let_go(opened, kind, limit=1)

    assert (by_one, 0) == (whole - counts(opened)[kind.value], let_go(opened, kind))
    assert counts(opened)[kind.value] > 0
    assert by_one >= 3


def test_the_journal_is_whole_afterwards(opened: Store) -> None:
    """DNS is told all that ever was; only who said why, in the audit, has an end."""
    listed(opened)
    withdraw(opened)
    with opened.reading() as session:
        before = journal.entries_after(session, ZONE, 0, 100)
    for kind in Kind:
        let_go(opened, kind)
    with opened.reading() as session:
        assert before == journal.entries_after(session, ZONE, 0, 100)


def test_two_workers_let_go_of_the_same_at_once(opened: Store) -> None:
    """Neither fails, and nothing is counted twice."""
    listed(opened)
    withdraw(opened)
    before = counts(opened)["audit"]
    outcomes = steps.at_once(4, lambda _: let_go(opened, Kind.AUDIT))

    assert before - counts(opened)["audit"] == sum(int(str(one)) for one in outcomes)


def test_a_host_is_tested_and_listed_after_all_was_let_go(opened: Store) -> None:
    """Its story begins anew."""
    listed(opened)
    withdraw(opened)
    for kind in Kind:
        let_go(opened, kind)
    act = Act("x", "x", LATER)
    with opened.writing() as session:
        host = hosts.lock(session, ZONE, PEER)
        hosts.happen(session, host, Event.QUEUE, act, POLICY)

    assert [("queue", "withdrawn", "queued")] == steps.actions(opened, f"{ZONE} {RELAY}")
