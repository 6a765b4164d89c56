"""The outgoing half of one step of a probe run: up to four sessions, and every result recorded at once.

Before each envelope it looks whether it may go on: the lease, the kill switch, the do-not-test list, a
message that came back meanwhile, the step's time. What the host does is recorded, never raised. It
concludes nothing; ``runner`` does. Log event: ``probed``, once for a step.

A host gets one message at a time, until it is known whether that comes back. A listed one is first
offered the form that relayed last: where it is still open, that comes back and is all. Next come the
controls, to see whether it takes anything from us. A session that the host ends after it answered some
forms is followed by another; those left are for a later step. Forms whose messages are waited for are
offered again where somebody asked for a look, in ``again``: what is refused by now was closed.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial

import structlog

from rbl import testtoken
from rbl.config import Settings
from rbl.probe import control, identity, linking, message, platforms
from rbl.probe import plan as planning
from rbl.probe.changes import Changes
from rbl.probe.connection import Clock
from rbl.probe.course import Course
from rbl.probe.dialogue import REFUSALS, Contact, EnvelopeOutcome, StepEnd
from rbl.probe.lease import Lease
from rbl.probe.leave import Leave
from rbl.probe.linking import AddressesOf, NameOf
from rbl.probe.meaning import asks_for_patience
from rbl.probe.occasion import occasion
from rbl.probe.plan import Envelope, Identity
from rbl.probe.rows import envelope_of, planned_row, tried_row
from rbl.probe.smtp import Session
from rbl.probe.turns import next_turn
from rbl.store import probes, runs
from rbl.store.engine import Store
from rbl.store.probes import EnvelopeRow
from rbl.store.runs import Claim
from rbl.terms import Address, EnvelopeResult, Purpose
from rbl.testmessage import TokenKind

_log = structlog.get_logger()

# At most three connections after the first one: a host that drops us more often wants us gone.
MAX_SESSIONS = 4
# What needs no further try of the form.
_FOR_GOOD = REFUSALS | {EnvelopeResult.QUEUED}
# Of a host that has reason to refuse the tester.
_WITH_CONTROLS = frozenset({Purpose.RETEST, Purpose.PERIODIC, Purpose.FOLLOW_UP})
_SHUT_OUT = frozenset({Contact.UNREACHABLE, Contact.SILENT, Contact.BLOCKED})

_Choose = Callable[[Session], Awaitable[list[Envelope]]]
_Offer = Callable[[Session, list[Envelope]], Awaitable[int]]


@dataclass(frozen=True, slots=True)
class Tools:
    """What every step needs: the database, the settings, the key that signs messages, clock and DNS."""

    store: Store
    settings: Settings
    mark_key: bytes
    clock: Clock
    name_of: NameOf
    addresses_of: AddressesOf = linking.addresses_of


class Step:
    """The sessions of one step. Make a new one for each; ``run`` it once."""

    def __init__(self, tools: Tools, claim: Claim, first_wait: timedelta, lease: Lease) -> None:
        """*first_wait*: how long messages under way are waited for before more are sent."""
        self._tools = tools
        self._lease = lease
        self._claim = claim
        self._leave = Leave(tools.store, tools.settings.probe, claim, lease, tools.clock)
        self._first_wait = first_wait
        self._probe = tools.settings.probe
        self._identity: Identity  # as soon as it is known what the host has seen
        self._deadline = asyncio.get_running_loop().time() + self._probe.run_timeout.total_seconds()
        self._began = tools.clock()
        self._messages = 0
        self._most_messages = self._probe.messages_per_step if claim.steps_done else 1
        self._sessions = 0
        self._stopped = False
        self._course: Course  # by this identity
        self._changes = Changes(tools.store, claim)
        self._hostname = claim.hostname
        self._went_on = False  # some form was answered for good
        self._answered = False  # it answered some envelope, in this step or an earlier one
        self._contact: Contact | None = None

    async def run(self) -> StepEnd:
        """Try what has not been tried yet and return how that went.

        Raises:
            Conflict: the run is this worker's no more.
            Unavailable: the database does not answer.
        """
        rows = await asyncio.to_thread(self._changes.rows)
        self._identity = await asyncio.to_thread(
            identity.of_step, self._tools.store, self._tools.settings, self._claim.host_id, rows
        )
        self._probe = self._probe.model_copy(update={"ehlo_name": self._identity.ehlo_name or None})
        self._course = Course(self._identity)
        self._answered = any(row.result not in {None, EnvelopeResult.NOT_RUN} for row in rows)
        if self._claim.look_again:
            await self._again()
            rows = await asyncio.to_thread(self._changes.rows)
        while await self._wants_session(rows):
            await self._session(partial(self._untried, rows=rows), self._offer)
            if self._contact is not Contact.GREETED:
                break
            rows = await asyncio.to_thread(self._changes.rows)
        await self._must_hold()
        if self._contact in _SHUT_OUT and not self._answered:
            await self._try_second_source()
        _log.info(
            "probed",
            address=str(self._claim.address),
            run=self._claim.run_id,
            sessions=self._sessions,
            messages=self._messages,
            contact=self._contact.value if self._contact else None,
        )
        return StepEnd(self._contact, self._went_on)

    async def _again(self) -> None:
        """Offer the forms whose messages are waited for once more, until one is still not refused."""
        told: frozenset[str] = frozenset()
        while not self._stopped and await self._may_connect():
            rows = await asyncio.to_thread(self._changes.rows)
            here = {"", probes.from_vantage(self._claim.vantage)}
            awaited = [
                envelope_of(row)
                for row in rows
                if row.result is EnvelopeResult.QUEUED and row.vantage in here and row.test_id not in told
            ]
            if not awaited:
                await asyncio.to_thread(self._changes.ask_controls_again)
                return
            turn = next_turn(awaited, self._probe.envelopes_per_session)
            told |= {envelope.test for envelope in turn}
            await self._session(partial(_given, envelopes=turn), self._offer_again)
            if self._contact is not Contact.GREETED:
                self._stopped = True

    async def _wants_session(self, rows: list[EnvelopeRow]) -> bool:
        """Whether some envelope is left to try, and it may be tried now."""
        left = not rows or any(row.result is None for row in rows)
        return left and not self._stopped and not self._too_soon(rows) and await self._may_connect()

    def _too_soon(self, rows: list[EnvelopeRow]) -> bool:
        """Whether messages of an earlier step may come back any moment: the run was woken by another."""
        since = self._began - self._first_wait
        return any(
            row.result is EnvelopeResult.QUEUED and row.sent_at and since < row.sent_at < self._began
            for row in rows
        )

    async def _session(self, choose: _Choose, offer: _Offer) -> None:
        """Connect, and *offer* the envelopes that *choose* says."""
        self._sessions += 1
        async with Session.open(
            self._claim.address,
            self._probe,
            source=self._claim.vantage,
            deadline=self._deadline,
            clock=self._tools.clock,
            may_speak=self._lease.holds,
        ) as session:
            self._contact = session.greeting.contact
            told = 0
            if self._contact is Contact.GREETED:
                envelopes = await choose(session)
                told = await offer(session, next_turn(envelopes, self._probe.envelopes_per_session))
        await self._must_hold()
        await asyncio.to_thread(self._record, [], session, told)

    async def _offer(self, session: Session, envelopes: list[Envelope]) -> int:
        """Offer *envelopes* one by one; return how many lines of the transcript are recorded."""
        told = 0
        platform = platforms.recognise(session.greeting.text)
        for envelope in envelopes:
            offered = self._course.next(envelope.test)
            if offered is None:
                continue
            if session.tires or not await self._may_go_on():
                break
            is_control = control.is_control(offered.test)
            outcome = await session.try_envelope(offered, None if is_control else self._message(offered))
            if outcome.result is EnvelopeResult.NOT_RUN:
                break
            others = self._course.from_others(offered, outcome)
            await asyncio.to_thread(self._changes.readdress, others)
            if any(other.test == offered.test for other in others):
                continue  # it has its turn in the next session, from another
            self._answered = True
            self._went_on |= outcome.result in _FOR_GOOD
            self._messages += outcome.sent_at is not None
            spared = [
                *self._course.learn(outcome, platform, (line.text for line in session.transcript)),
                *self._course.strike(control.spared(outcome, envelopes)),
            ]
            told = await asyncio.to_thread(self._record, [outcome, *spared], session, told)
            await asyncio.to_thread(
                self._changes.widen, outcome, self._identity, self._hostname, self._new_token
            )
            if self._messages >= self._most_messages or asks_for_patience(outcome):
                self._stopped = True
                break
        return told

    async def _offer_again(self, session: Session, envelopes: list[Envelope]) -> int:
        """Offer *envelopes* that were taken before, as long as they are refused now; return the same."""
        told = 0
        for envelope in envelopes:
            if session.tires or not await self._may_go_on():
                break
            outcome = await session.try_envelope(envelope, self._message(envelope))
            if outcome.result not in REFUSALS:  # it is as before, or nobody can tell: the wait goes on
                self._messages += outcome.sent_at is not None
                self._stopped = outcome.result is not EnvelopeResult.NOT_RUN
                break
            refused = replace(outcome, result=EnvelopeResult.REFUSED, sent_at=None)
            told = await asyncio.to_thread(self._record, [refused], session, told)
            self._went_on = True
        return told

    async def _untried(self, session: Session, rows: list[EnvelopeRow]) -> list[Envelope]:
        """Return the envelopes that are left, after making and storing the plan where there is none."""
        if not rows:
            await self._plan(session)
            rows = await asyncio.to_thread(self._changes.rows)
        here = {"", probes.from_vantage(self._claim.vantage)}
        of_here = [row for row in rows if row.result is None or row.vantage in here]
        platform = platforms.recognise(session.greeting.text)
        return self._course.read(of_here, await asyncio.to_thread(self._changes.proven, platform))

    async def _plan(self, session: Session) -> None:
        """Make and store the plan."""
        greeting = session.greeting
        platform = platforms.recognise(greeting.text)
        told = greeting.text
        if platform is None:  # a bare greeting: some servers are known by their HELP
            told = f"{greeting.text}\n{await session.help()}"
            platform = platforms.recognise(told)
        hostname = greeting.hostname or await self._tools.name_of(self._claim.address)
        self._hostname = hostname
        planned = planning.plan(
            self._claim.address,
            self._identity,
            hostname,
            self._new_token,
            extensions=planning.suggested(platform, frozenset()),
            first=await asyncio.to_thread(self._changes.relayed_last),
            seen=await asyncio.to_thread(self._changes.weights, platform),
        )
        if self._claim.purpose in _WITH_CONTROLS:
            known = await asyncio.to_thread(self._changes.known_name)
            asked = control.controls(self._identity, hostname, known, self._new_token)
            planned = (*planned[:1], *asked, *planned[1:])
        await asyncio.to_thread(self._store_plan, planned, hostname, told, platform)

    async def _try_second_source(self) -> None:
        """See whether a host that shuts us out greets somebody else: then it is us whom it refuses."""
        used = self._claim.vantage or self._probe.source_for(self._claim.address)
        source = self._probe.source_for(self._claim.address, but=used)
        if source is None or not await self._may_connect(source):
            return
        async with Session.open(
            self._claim.address,
            self._probe,
            source=source,
            deadline=self._deadline,
            clock=self._tools.clock,
        ) as session:
            if session.greeting.contact is Contact.GREETED:
                self._contact = Contact.BLOCKED
        await asyncio.to_thread(self._record, [], session, 0, source)

    async def _must_hold(self) -> None:
        """See that the run is still ours.

        Raises:
            Conflict: it is not.
        """
        if not await asyncio.to_thread(self._lease.is_held):
            raise runs.lost(self._claim)

    async def _may_connect(self, source: Address | None = None) -> bool:
        """Whether another session may begin, which is counted; from *source*, by default the vantage."""
        may = self._sessions < MAX_SESSIONS + (self._contact in _SHUT_OUT) and await self._may_go_on()
        if may and not await asyncio.to_thread(self._leave.connect, source):
            _log.warning("probe_error", address=str(self._claim.address), why="connected too often today")
            self._stopped, may = True, False
        return may

    async def _may_go_on(self) -> bool:
        """Whether another envelope may be offered; the step ends where not."""
        in_time = asyncio.get_running_loop().time() < self._deadline
        self._stopped = self._stopped or not in_time or await asyncio.to_thread(self._leave.is_over)
        return not self._stopped

    def _store_plan(
        self, planned: tuple[Envelope, ...], hostname: str | None, told: str, platform: str | None
    ) -> None:
        with self._tools.store.writing() as session:
            probes.plan(
                session,
                self._claim,
                [planned_row(each, self._identity.ehlo_name) for each in planned],
                hostname,
            )
            probes.greeted(session, self._claim, told, platform)

    def _record(
        self,
        outcomes: list[EnvelopeOutcome],
        dialogue: Session,
        told: int,
        source: Address | None = None,
    ) -> int:
        """Store *outcomes* and the lines of *dialogue* after the first *told*; return how many it has."""
        lines = dialogue.transcript
        with self._tools.store.writing() as session:
            tried = [tried_row(one) for one in outcomes]
            probes.record(session, self._claim, tried, lines[told:], vantage=source)
        return len(lines)

    def _new_token(self, kind: TokenKind) -> str:
        return testtoken.make(kind, self._tools.mark_key)

    def _message(self, envelope: Envelope) -> bytes:
        tools = self._tools
        why = occasion(self._claim, tools.settings)
        return message.compose(envelope, self._identity, why, key=tools.mark_key, now=tools.clock())


async def _given(_session: Session, envelopes: list[Envelope]) -> list[Envelope]:
    return envelopes
