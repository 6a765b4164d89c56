"""The public story of an address: all that its page and the API tell everybody, and nothing else.

RFC 6471 §2.1.2 asks for a public audit trail. Never in it: the names of keys, nominators, operators
and workers, and the whole spam. The spam as published, envelopes and dialogues of a host are shown
from its first listing on: before that nothing is proven, and its address would be handed to
spammers. What was said in a test is in ``dialogues``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from ipaddress import ip_network

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from rbl.errors import NotFound
from rbl.lifecycle import Event
from rbl.store import (
    audit,
    dialogues,
    exemptions,
    hits,
    hosts,
    listings,
    nominations,
    probes,
    switches,
)
from rbl.store.audit import Deed
from rbl.store.dialogues import PublicEnvelope
from rbl.store.hits import HitsView
from rbl.store.hosts import HostView
from rbl.store.listings import ListingView
from rbl.store.probetables import ProbeRun
from rbl.store.tables import Host, Switch, Zone
from rbl.terms import (
    Address,
    EnvelopeResult,
    Network,
    Origin,
    Purpose,
    TranscriptLine,
    Verdict,
)

_MOST_RUNS = 20  # a host that was tested more often has older ones in the audit
_MOST_DEEDS = 200
# What every story begins with, in one question.
_BEGINNING = (
    select(Switch.on, Host)
    .select_from(Zone)
    .join(Switch, Switch.name == switches.PROBING)
    .outerjoin(Host, (Host.zone == Zone.apex) & (Host.address == bindparam("address")))
    .where(Zone.apex == bindparam("zone"))
)
_NEWEST_RUNS = (
    select(ProbeRun)
    .where(ProbeRun.host_id == bindparam("host_id"))
    .order_by(ProbeRun.id.desc())
    .limit(_MOST_RUNS)
)
# What a worker does on its way to a verdict: of no interest to a reader of the history.
_ON_THE_WAY = frozenset({Event.CLAIM, Event.AWAIT, Event.DEFER})
# What happens to hosts: whatever else the audit has of a subject that is written alike is not told.
_TOLD = frozenset(Event) - _ON_THE_WAY
# What a relayed message arrived as: from the host's other address it is linked only later.
_PROOF = frozenset({EnvelopeResult.RELAYED, EnvelopeResult.MULTIHOP})
_BY_OPERATORS = frozenset({Event.REJECT, Event.WITHDRAW})


@dataclass(frozen=True, slots=True)
class PublicListing:
    """A listing that covers the address; *ended_at* None: live.

    Its hits are those of its network, at any time, for any reason; of the network's addresses together.
    """

    network: Network
    reason: str
    text: str | None
    origin: Origin
    why: str
    listed_at: datetime
    expires_at: datetime | None
    ended_at: datetime | None
    ended_why: str | None
    hits: int
    first_hit_at: datetime | None
    last_hit_at: datetime | None


@dataclass(frozen=True, slots=True)
class PublicExemption:
    """An exemption that covers the address."""

    network: Network
    never_list: bool
    never_test: bool
    why: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Spam:
    """A spam that was received through the host; *published* None: not shown yet, see above.

    *retired_at*: it was kept long enough, and is there no more.
    """

    id: int
    received_at: datetime
    nominated_at: datetime
    published: str | None
    retired_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """One test of the host; *envelopes* is empty before the host was ever listed.

    *dialogue_retired_at*: what was said was kept long enough, and is there no more.
    """

    id: int
    purpose: Purpose
    verdict: Verdict | None
    why: str | None
    hostname: str | None
    platform: str | None
    created_at: datetime
    due_at: datetime
    finished_at: datetime | None
    envelopes: Sequence[PublicEnvelope]
    dialogue_retired_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Proof:
    """What a listing rests on: the envelope that relayed, and the dialogue in which it was taken."""

    run: Run
    envelope: PublicEnvelope
    returned_at: datetime | None
    lines: Sequence[TranscriptLine]


@dataclass(frozen=True, slots=True)
class PublicDeed:
    """One audited act without the name of who did it."""

    at: datetime
    who: str
    action: str
    was: str | None
    became: str | None
    why: str


@dataclass(frozen=True, slots=True)
class Story:
    """Everything the public is told about *address* in *zone*; *host* None: it has no story."""

    zone: str
    address: Address
    testing_paused: bool
    host: HostView | None = None
    listings: Sequence[PublicListing] = ()
    past: Sequence[PublicListing] = ()
    exemptions: Sequence[PublicExemption] = ()
    spams: Sequence[Spam] = ()
    runs: Sequence[Run] = ()
    proof: Proof | None = None
    history: Sequence[PublicDeed] = ()

    @property
    def listed(self) -> bool:
        """Whether DNS answers that the address is listed."""
        return bool(self.listings) and not any(each.never_list for each in self.exemptions)

    @property
    def current_run(self) -> Run | None:
        """The test that is due or under way, if any; a follow-up that only waits is none."""
        run = self.runs[0] if self.runs else None
        if run is None or run.finished_at is not None or run.purpose is Purpose.FOLLOW_UP:
            return None
        return run


def story(session: Session, zone: str, address: Address) -> Story:
    """Return everything the public is told about *address* in *zone*.

    Raises:
        NotFound: there is no such zone.
    """
    row = session.execute(_BEGINNING, {"zone": zone, "address": address}).one_or_none()
    if row is None:
        raise NotFound(f"there is no zone {zone}", code="no-such-zone")
    is_testing_on, host_row = row
    host = None if host_row is None else hosts.view(host_row)
    runs = () if host is None else _runs(session, host)
    live = listings.covering(session, zone, address)
    past = listings.past(session, zone, ip_network(address))
    asked = hits.of_subjects(session, zone, {each.subject for each in (*live, *past)})
    return Story(
        zone=zone,
        address=address,
        testing_paused=not is_testing_on,
        host=host,
        listings=[_listing(each, asked[each.subject]) for each in live],
        past=[_listing(each, asked[each.subject]) for each in past],
        exemptions=[
            PublicExemption(each.network, each.never_list, each.never_test, each.why, each.created_at)
            for each in exemptions.of_address(session, address)
        ],
        spams=() if host is None else _spams(session, host),
        runs=runs,
        proof=_proof(session, runs),
        history=_history(session, zone, address),
    )


def _listing(view: ListingView, asked: HitsView) -> PublicListing:
    return PublicListing(
        network=ip_network(view.subject),
        reason=view.reason,
        text=view.text,
        origin=view.origin,
        why=view.why,
        listed_at=view.listed_at,
        expires_at=view.expires_at,
        ended_at=view.ended_at,
        ended_why=view.ended_why,
        hits=asked.hits,
        first_hit_at=asked.first_hit_at,
        last_hit_at=asked.last_hit_at,
    )


def _spams(session: Session, host: HostView) -> Sequence[Spam]:
    shown = dialogues.are_public(host)
    return [
        Spam(
            each.id,
            each.received_at,
            each.created_at,
            each.published if shown and each.retired_at is None else None,
            each.retired_at,
        )
        for each in nominations.of_host(session, host.id)
    ]


def _runs(session: Session, host: HostView) -> Sequence[Run]:
    found = session.execute(_NEWEST_RUNS, {"host_id": host.id}).scalars().all()
    envelopes = dialogues.envelopes(session, found) if dialogues.are_public(host) else {}
    return [
        Run(
            id=row.id,
            purpose=row.purpose,
            verdict=row.verdict,
            why=row.why,
            hostname=row.hostname,
            platform=row.platform,
            created_at=row.created_at,
            due_at=row.due_at,
            finished_at=row.finished_at,
            envelopes=envelopes.get(row.id, ()),
            dialogue_retired_at=row.dialogue_retired_at,
        )
        for row in found
        if not dialogues.is_waiting_follow_up(row)
    ]


def _proof(session: Session, runs: Sequence[Run]) -> Proof | None:
    """Return the newest proof that the host relayed, or None where no test ever gave one."""
    for run in runs:
        for envelope in run.envelopes:
            if envelope.result is EnvelopeResult.RELAYED:
                returned = [
                    receipt.received_at
                    for receipt in probes.receipts(session, run.id)
                    if receipt.kind in _PROOF and receipt.test_id == envelope.test_id
                ]
                return Proof(
                    run=run,
                    envelope=envelope,
                    returned_at=min(returned, default=None),
                    lines=[line for _, line in dialogues.lines(session, run)],
                )
    return None


def _history(session: Session, zone: str, address: Address) -> Sequence[PublicDeed]:
    deeds = audit.deeds(session, subject=hosts.subject_of(zone, address), limit=_MOST_DEEDS)
    return [
        PublicDeed(deed.at, _who(deed), deed.action, deed.was, deed.became, deed.why)
        for deed in deeds
        if deed.action in _TOLD
    ]


def _who(deed: Deed) -> str:
    """Return what the public is told of who did it: a kind of person, never a name."""
    action, actor = deed.action, deed.actor
    if deed.key_id is not None:  # what a nominator's key is called says nothing of who he is
        by_number = actor.startswith(f"key {deed.key_id} (") or action in _BY_OPERATORS
        return "an operator" if by_number else "a nominator"
    if actor.startswith("key ") or action in _BY_OPERATORS:
        return "an operator"
    if actor == "public":
        return "somebody who asked"
    if actor == "timer":
        return "the timetable"
    return "a nominator" if action in (Event.NOMINATE, Event.QUEUE) else "our tester"
