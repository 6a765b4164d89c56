"""Steps of a host's story, as the parts of the program take them: one transaction each."""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address, ip_network
from typing import TypeVar

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from rbl import lifecycle
from rbl.errors import RblError
from rbl.store import (
    attendance,
    audit,
    conclusions,
    hosts,
    journal,
    keys,
    nominations,
    probes,
    receipts,
    runs,
    switches,
)
from rbl.store.attendance import Report
from rbl.store.engine import Store
from rbl.store.hosts import HostView, ZonePolicy
from rbl.store.keys import NewKey
from rbl.store.nominations import NewNomination, NominationView
from rbl.store.probes import EnvelopeRow, Tried
from rbl.store.probetables import ProbeEnvelope, ProbeRun, Receipt
from rbl.store.receipts import Kept, NewReceipt, Quota
from rbl.store.runs import Claim
from rbl.store.tables import AuditRow, Host, JournalEntry, Listing
from rbl.terms import (
    Act,
    Change,
    EnvelopeResult,
    Evidence,
    EvidenceFormat,
    Listed,
    Nominator,
    Origin,
    Role,
    State,
    Trust,
    Verdict,
)

T = TypeVar("T")

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
LEASE = timedelta(minutes=2)
ZONE = "relays.example"
RELAY = "203.0.113.9"
NEIGHBOUR = "203.0.113.10"
ELSEWHERE = "198.51.100.7"
# The networks of documentation are reserved, and here they are what is tested.
TEST_NETWORKS = tuple(
    ip_network(network)
    for network in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32")
)
POLICY = ZonePolicy(ZONE, "relay", lifecycle.Policy(), TEST_NETWORKS)
APPROVING = replace(POLICY, times=lifecycle.Policy(approve_listings=True))
PEER = ip_address(RELAY)
ROOM = Quota(per_token=2**20, per_run=2**22, in_all=2**30)


def act(why: str = "seen to it", at: datetime = NOW) -> Act:
    """Return an operator's act."""
    return Act("operator", why, at)


def set_up(store: Store) -> None:
    """Make the list and the switches; a collector listens, and always will."""
    with store.writing() as session:
        switches.set_up(session, NOW)
        journal.open_zone(session, ZONE, NOW)
        attendance.note(session, Report("collector 1", NOW - DAY, NOW + 1000 * DAY, NOW + 1000 * DAY))


def nominator(store: Store, trust: Trust = Trust.NORMAL, name: str = "mx-admin") -> Nominator:
    """Make a key and return whose it is."""
    with store.writing() as session:
        secret, _ = keys.make(session, NewKey(name, Role.NOMINATOR, trust), actor="test", now=NOW)
        return keys.authenticate(session, secret)


def spam(address: str = RELAY, message_id: str = "<1@spam>") -> Evidence:
    """Return what a message proves."""
    return Evidence(
        address=ip_address(address),
        received_at=NOW - HOUR,
        format=EvidenceFormat.RFC822,
        message=f"Message-ID: {message_id}\r\n\r\nBuy {address}!\r\n".encode(),
        message_id=message_id,
        helo="relay.example",
        hop=f"from relay.example ([{address}]) by mx.example",
    )


def nomination(
    address: str = RELAY, message_id: str = "<1@spam>", idempotency_key: str | None = None
) -> NewNomination:
    """Return a nomination as the API reads it."""
    return NewNomination(
        evidence=spam(address, message_id),
        published="Message-ID: <x@spam>",
        request_sha256=f"of {address} {message_id}",
        idempotency_key=idempotency_key,
    )


def nominate(
    store: Store,
    who: Nominator,
    new: NewNomination | None = None,
    *,
    at: datetime = NOW,
    policy: ZonePolicy = POLICY,
) -> tuple[NominationView, bool]:
    """Hand a nomination in."""
    with store.writing() as session:
        return nominations.nominate(session, new or nomination(), who, policy, at)


def claim(
    store: Store,
    at: datetime = NOW,
    owner: str = "worker 1",
    *,
    outbound: bool = True,
    policy: ZonePolicy = POLICY,
) -> Claim | None:
    """Let a worker ask for a run."""
    with store.writing() as session:
        return runs.claim(session, owner, at, LEASE, {ZONE: policy}, outbound=outbound)


def must_claim(
    store: Store, at: datetime = NOW, owner: str = "worker 1", *, outbound: bool = True
) -> Claim:
    """Let a worker ask for a run that must be there."""
    claimed = claim(store, at, owner, outbound=outbound)
    assert claimed is not None
    return claimed


def plan(store: Store, claimed: Claim, count: int = 2) -> None:
    """Store *count* envelopes, with tokens made from the run and the test."""
    with store.writing() as session:
        probes.plan(
            session, claimed, [envelope(claimed.run_id, number) for number in range(1, count + 1)], None
        )


def envelope(run_id: int, number: int) -> EnvelopeRow:
    """Return an envelope that was not tried yet."""
    token = f"{run_id}x{number}"
    return EnvelopeRow(
        id=0,
        test_id=f"T{number:02}",
        token=f"r{token}",
        sender_token=f"s{token}",
        mail_from=f"s{token}@relaytest.example",
        rcpt_to=f"r{token}@relaytest.example",
        result=None,
        reply=None,
        sent_at=None,
    )


def take(
    store: Store, claimed: Claim, at: datetime, result: EnvelopeResult = EnvelopeResult.QUEUED
) -> None:
    """Record that the host took the first message."""
    sent_at = at if result is EnvelopeResult.QUEUED else None
    with store.writing() as session:
        probes.record(session, claimed, [Tried("T01", result, "250 ok", sent_at)], [])


def conclude(
    store: Store,
    claimed: Claim,
    verdict: Verdict,
    at: datetime = NOW,
    *,
    more: bool = False,
    policy: ZonePolicy = POLICY,
) -> State:
    """End a worker's step with *verdict*, and return the host's state."""
    with store.writing() as session:
        runs.held(session, claimed)
        return end_step(session, claimed, verdict, at, more=more, policy=policy)


def end_step(
    session: Session,
    claimed: Claim,
    verdict: Verdict,
    at: datetime,
    *,
    more: bool = False,
    policy: ZonePolicy = POLICY,
) -> State:
    """End a worker's step with *verdict* in an open transaction, and return the host's state."""
    sent = [row.sent_at for row in probes.envelopes(session, claimed.run_id) if row.sent_at is not None]
    until = max(sent) + policy.times.return_window if sent else None
    facts = conclusions.facts(session, claimed, verdict, at, more_envelopes=more, waited_until=until)
    outcome = lifecycle.after_step(verdict, facts, policy.times, at)
    return conclusions.end_step(session, claimed, verdict, outcome, policy, at)


def come_back(
    store: Store, run_id: int, at: datetime, kind: EnvelopeResult | None = EnvelopeResult.RELAYED
) -> None:
    """Let the message of a run's first envelope reach the collector."""
    message = f"Subject: open relay test\r\n\r\nsent {at}\r\n".encode()
    keep(store, replace(receipt(f"r{run_id}x1", at, kind), message=message))


def keep(store: Store, new: NewReceipt, quota: Quota = ROOM) -> Kept:
    """Let the collector keep a message."""
    with store.writing() as session:
        return receipts.keep(session, new, quota, in_all=receipts.octets_kept(session))


def receipt(token: str, at: datetime, kind: EnvelopeResult | None = EnvelopeResult.RELAYED) -> NewReceipt:
    """Return what the collector took."""
    return NewReceipt(
        token=token,
        kind=kind,
        peer=PEER,
        helo="relay.example",
        mail_from="<>",
        rcpt_to=f"{token}@relaytest.example",
        message=b"Subject: open relay test\r\n\r\n",
        received_at=at,
    )


def relay_once(store: Store, at: datetime = NOW) -> Claim:
    """Let a worker test a due host that relays, and return its claim."""
    claimed = must_claim(store, at)
    plan(store, claimed)
    take(store, claimed, at)
    come_back(store, claimed.run_id, at)
    conclude(store, claimed, Verdict.OPEN, at)
    return claimed


def results(store: Store, run_id: int) -> list[EnvelopeResult | None]:
    """Return what became of a run's envelopes."""
    with store.reading() as session:
        return [row.result for row in probes.envelopes(session, run_id)]


def make_listed(store: Store, at: datetime = NOW) -> Claim:
    """Nominate, test and list the relay, and return the claim of its test."""
    nominate(store, nominator(store), at=at)
    return relay_once(store, at)


def host(store: Store, address: str = RELAY) -> HostView:
    """Return how things stand with a host."""
    with store.reading() as session:
        found = hosts.find(session, ZONE, ip_address(address))
    assert found is not None
    return found


def changes(store: Store, zone: str = ZONE) -> list[tuple[Change, str]]:
    """Return what the journal says, in order."""
    with store.reading() as session:
        return [(entry.change, entry.subject) for entry in journal.entries_after(session, zone, 0, 1000)]


def at_once(count: int, work: Callable[[int], T]) -> Sequence[T | RblError]:
    """Return what *count* threads got that began *work* at the same moment, or the errors they met."""
    barrier = threading.Barrier(count)

    def one(number: int) -> T | RblError:
        barrier.wait()
        try:
            return work(number)
        except RblError as fault:
            return fault

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))


def until_one_waits(store: Store) -> None:
    """Return when a session of this PostgreSQL database waits for another's lock."""
    deadline = time.monotonic() + 60
    while True:
        with store.reading() as session:
            waiting = session.connection().exec_driver_sql(
                "SELECT count(*) FROM pg_stat_activity"
                " WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
            if waiting.scalar_one():
                return
        assert time.monotonic() < deadline, "nobody waits"


def replay(store: Store, zone: str = ZONE) -> set[Listed]:
    """Return what the journal's entries make of *zone*, applied one by one from the first."""
    found: set[Listed] = set()
    with store.reading() as session:
        for entry in journal.entries_after(session, zone, 0, 100_000):
            match entry.change:
                case Change.LISTED:
                    listed = Listed(entry.subject, entry.reason, entry.text, exempt=False)
                    assert listed not in found, f"listed twice: {entry}"
                    found.add(listed)
                case Change.DELISTED:
                    ended = {
                        one for one in found if (one.subject, one.reason) == (entry.subject, entry.reason)
                    }
                    assert len(ended) == 1, f"delisted what is not listed: {entry}"
                    found -= ended
                case Change.EXEMPTED:
                    found.add(Listed(entry.subject, "", None, exempt=True))
                case Change.UNEXEMPTED:
                    found.remove(Listed(entry.subject, "", None, exempt=True))
    return found


def snapshot(store: Store, zone: str = ZONE) -> set[Listed]:
    """Return what is in *zone* as a follower reads it whole."""
    reader = journal.JournalReader(store)
    _, rows = reader.snapshot(zone)
    found = list(rows)
    reader.close()
    assert len(found) == len(set(found)), "no entry twice"
    return set(found)


def check(store: Store) -> None:
    """Assert what must hold of the database at every moment, after whatever happened."""
    assert replay(store) == snapshot(store), "the journal gives the list"
    with store.reading() as session:
        for row in session.execute(select(Host)).scalars():
            live = session.execute(
                select(func.count(Listing.id)).where(Listing.host_id == row.id, Listing.ended_at.is_(None))
            ).scalar_one()
            assert live == int(row.state.in_dns), f"{row.address} is {row.state} and has {live} listings"
            unfinished = session.execute(
                select(func.count(ProbeRun.id)).where(
                    ProbeRun.host_id == row.id, ProbeRun.finished_at.is_(None)
                )
            ).scalar_one()
            assert unfinished <= 1
            if row.state in _UNDER_TEST:
                assert unfinished == 1, f"{row.address} is {row.state} and nothing will test it"
            if row.state.in_dns:
                relayed = session.execute(
                    select(func.count(Receipt.id))
                    .join(ProbeEnvelope, ProbeEnvelope.id == Receipt.envelope_id)
                    .join(ProbeRun, ProbeRun.id == ProbeEnvelope.run_id)
                    .where(ProbeRun.host_id == row.id, Receipt.kind == EnvelopeResult.RELAYED)
                ).scalar_one()
                assert relayed > 0, f"{row.address} is listed without proof"
        by_test = select(func.count(Listing.id)).where(
            Listing.host_id.is_(None), Listing.origin == Origin.PROBE
        )
        assert session.execute(by_test).scalar_one() == 0


def lengths(store: Store) -> tuple[int, int]:
    """Return how many entries the journal and the audit have; neither may ever shrink."""
    with store.reading() as session:
        entries = session.execute(select(func.count()).select_from(JournalEntry)).scalar_one()
        deeds = session.execute(select(func.count(AuditRow.id))).scalar_one()
    return entries, deeds


def actions(store: Store, subject: str) -> list[tuple[str, str | None, str | None]]:
    """Return what the audit says of *subject*, oldest first."""
    with store.reading() as session:
        found = audit.deeds(session, subject=subject)
    return [(deed.action, deed.was, deed.became) for deed in reversed(found)]


_UNDER_TEST = frozenset(
    {
        State.QUEUED,
        State.TESTING,
        State.AWAITING_RETURN,
        State.RETEST_QUEUED,
        State.RETESTING,
        State.RETEST_AWAITING,
    }
)
