"""One step of a probe run, from the claim to the conclusion: test, see what came back, judge, store.

The lease is renewed while sessions are under way; a worker that lost it stops at once and writes no
more. The conclusion is one transaction with the run locked, so that a message that arrives meanwhile
is either seen by it or wakes the run. Log events: ``verdict``,
``confirming`` (it goes on from another vantage), ``listed``, ``delisted``.
"""

import asyncio
import secrets
import socket
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

import structlog

from rbl import lifecycle, testtoken
from rbl.attendance import Attendance, waited_until, was_missed
from rbl.config import Probe
from rbl.errors import RblError
from rbl.lifecycle import Event, RunFacts
from rbl.probe import confirmation, identity, linking
from rbl.probe.dialogue import Contact, Offered, StepEnd
from rbl.probe.lease import Lease
from rbl.probe.linking import Links
from rbl.probe.plan import Identity, TokenSource
from rbl.probe.replies import asks_for_patience
from rbl.probe.step import Step, Tools
from rbl.probe.verdict import Returned, settled, verdict
from rbl.store import attendance, closings, conclusions, links, probes, runs
from rbl.store.closings import Elsewhere
from rbl.store.hosts import ZonePolicy
from rbl.store.probes import EnvelopeRow, Names
from rbl.store.runs import Claim
from rbl.terms import Address, EnvelopeResult, State, Verdict

_log = structlog.get_logger()

# A resolver answers within this or not at all; the name is only a help.
_NAME_TIMEOUT_SECONDS = 10
# At who handed messages back, while more of them come.
_MOST_LOOKS = 3
_LONGEST_LOOK = timedelta(seconds=10)
_ASKED_ELSEWHERE = "it relayed nothing: another address of ours asks once more before the listing ends"


async def run_step(tools: Tools, claim: Claim, policy: ZonePolicy) -> Verdict:
    """Do what is due in the run of *claim*, store what follows from it, and return the verdict.

    Raises:
        Conflict: the run is this worker's no more.
        Unavailable: the database does not answer; the lease runs out and the run is taken up again.
    """
    end = StepEnd(None)
    if claim.may_connect:
        end = await _under_lease(tools, claim, policy.times.first_wait)
    found = None
    patience = min(_LONGEST_LOOK, tools.settings.probe.lease / (2 * (_MOST_LOOKS + 1)))  # else it is lost
    for is_last in (*(False,) * _MOST_LOOKS, True):
        own = await linking.look(tools.store, claim, tools.addresses_of, tools.name_of, patience)
        judge = partial(conclude, tools, claim, policy, end, own, as_it_is=is_last)
        found = await asyncio.to_thread(judge)
        if found is not None:
            break
    assert found is not None, "the last look is judged as it is"
    return found


def conclude(
    tools: Tools, claim: Claim, policy: ZonePolicy, end: StepEnd, own: Links, *, as_it_is: bool
) -> Verdict | None:
    """Judge the run by all that is known of it, and store what the verdict means for the host.

    None: since it was looked who of those that handed messages back are the host itself (*own*), others
    did, and nothing was done. *as_it_is*: they are others, then.

    Raises:
        Conflict: the run is this worker's no more.
    """
    now = tools.clock()
    with tools.store.writing() as session:
        runs.held(session, claim)
        if not (as_it_is or own.seen.issuperset(links.handed_back(session, claim.run_id))):
            return None
        by_itself = links.prove(session, claim, own.addresses)
        rows = probes.envelopes(session, claim.run_id)
        heard = attendance.heard(session, claim.address, _first_sent(rows) or now, now)
        offered = [_offered(row, heard, policy.times) for row in rows]
        returned = [Returned(kind, claim.address) for kind in by_itself]
        returned += [
            Returned(one.kind, one.peer)
            for one in probes.receipts(session, claim.run_id)
            if one.peer not in own.addresses
        ]
        if claim.retries_done >= len(policy.times.retries):
            offered = list(settled(offered, probes.relayed_last(session, claim.host_id)))
        confirms = None if claim.confirms is None else str(claim.confirms)
        names = _names(tools.settings.probe, rows)
        found = verdict(claim.address, offered, returned, end.contact, names, confirms)
        more = any(row.result is None for row in rows)
        until = [_waited_until(row, heard, policy.times) for row in rows]
        facts = conclusions.facts(
            session,
            claim,
            found,
            now,
            more_envelopes=more,
            waited_until=max((one for one in until if one is not None), default=None),
        )
        facts = replace(facts, went_on=end.went_on, slowed=any(_was_slowed(row) for row in rows))
        outcome = lifecycle.after_step(found, facts, policy.times, now)
        if found is Verdict.OPEN and own.words:
            outcome = replace(outcome, why=f"{outcome.why} ({own.words})")
        if outcome.event is Event.CLOSE:
            discarded = any(form.result is EnvelopeResult.QUEUED and form.taken for form in offered)
            ending = closings.weigh(session, claim, outcome, now, listed=facts.listed, discarded=discarded)
            if isinstance(ending, Elsewhere):
                seen = probes.names_seen(session, claim.host_id)
                again = confirmation.rows(claim.address, ending, rows, *_new(tools, seen))
                probes.widen(session, claim, again)
                conclusions.go_on(session, claim, ending.vantage, _ASKED_ELSEWHERE, now)
                _log.info("confirming", address=str(claim.address), run=claim.run_id, why=_ASKED_ELSEWHERE)
                return Verdict.UNPROVEN
            outcome = ending
        if outcome.event is Event.DEFER and outcome.next_due is not None and _is_turn_over(facts):
            probes.try_again(session, claim, [form.test for form in offered if form.unheard])
        state = conclusions.end_step(session, claim, found, outcome, policy, now)
    _tell(claim, found, outcome.why, state, was_listed=facts.listed)
    return found


async def name_of(address: Address) -> str | None:
    """Return the host name that the reverse DNS gives *address*, or None."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(_NAME_TIMEOUT_SECONDS):
            name, _ = await loop.getnameinfo((str(address), 0), socket.NI_NAMEREQD)
    except OSError:  # no name, no resolver, no answer in time
        return None
    return name


async def _under_lease(tools: Tools, claim: Claim, first_wait: timedelta) -> StepEnd:
    """Return how the step's sessions went, with the lease renewed all the while."""
    lease = Lease(tools.store, claim, tools.settings.probe.lease, tools.clock)
    sessions = asyncio.create_task(_sessions(tools, claim, first_wait, lease))
    renewals = asyncio.create_task(lease.keep())
    try:
        await asyncio.wait({sessions, renewals}, return_when=asyncio.FIRST_COMPLETED)
        if not sessions.done():
            await renewals  # raises what ended it
        return await sessions
    finally:
        for task in (sessions, renewals):
            task.cancel()
        await asyncio.gather(sessions, renewals, return_exceptions=True)


async def _sessions(tools: Tools, claim: Claim, first_wait: timedelta, lease: Lease) -> StepEnd:
    """Return how the sessions of the step went; a fault of the program is nobody else's."""
    try:
        return await Step(tools, claim, first_wait, lease).run()
    except RblError:
        raise
    except Exception:  # noqa: BLE001 — the rim: the run must end, and not be tried for ever
        _log.exception("probe_error", address=str(claim.address), run=claim.run_id)
        return StepEnd(Contact.OUR_FAULT)


def _is_turn_over(facts: RunFacts) -> bool:
    """Whether the forms that were put off have their turn in the next step: after all the others."""
    return facts.slowed or not (facts.went_on and facts.more_envelopes)


def _was_slowed(row: EnvelopeRow) -> bool:
    return row.result is EnvelopeResult.DEFERRED and asks_for_patience(row.reply or "")


def _new(tools: Tools, seen: Sequence[Names | None]) -> tuple[Identity, TokenSource]:
    """Return by which names the test of a host that has *seen* some goes on, and its tokens' source."""
    names = identity.choose(tools.settings, seen, secrets.SystemRandom())
    return names, partial(testtoken.make, key=tools.mark_key)


def _offered(row: EnvelopeRow, heard: Attendance, times: lifecycle.Policy) -> Offered:
    until = _waited_until(row, heard, times)
    return Offered(
        test=row.test_id,
        result=row.result,
        reply=row.reply or "",
        taken=row.sent_at is not None,
        awaited=until is not None and heard.known_until < until,
        unheard=until is not None
        and row.sent_at is not None
        and was_missed(row.sent_at, heard, times.first_wait),
        vantage=row.vantage,
        mail_from=row.mail_from,
        answered=row.answered,
    )


def _waited_until(row: EnvelopeRow, heard: Attendance, times: lifecycle.Policy) -> datetime | None:
    """Return until when the message of *row* is waited for, None where it is not in a queue."""
    if row.result is not EnvelopeResult.QUEUED or row.sent_at is None:
        return None
    return waited_until(row.sent_at, heard, times.return_window, times.first_wait)


def _first_sent(rows: Sequence[EnvelopeRow]) -> datetime | None:
    """Return when the first of the messages that did not come back yet was taken."""
    queued = (row.sent_at for row in rows if row.result is EnvelopeResult.QUEUED)
    return min((sent_at for sent_at in queued if sent_at is not None), default=None)


def _names(probe: Probe, rows: Sequence[EnvelopeRow]) -> tuple[str, ...]:
    """Return the names by which a host may refuse the tester: also of workers elsewhere that offered."""
    of_here = (*probe.tester_names, *map(str, probe.sources))
    said = [name for row in rows for name in (row.vantage, row.names.ehlo_name if row.names else "")]
    return tuple(dict.fromkeys(name for name in (*of_here, *said) if name))


def _tell(claim: Claim, found: Verdict, why: str, state: State, *, was_listed: bool) -> None:
    where = {"address": str(claim.address), "zone": claim.zone, "run": claim.run_id}
    _log.info("verdict", **where, verdict=found.value, state=state.value, why=why)
    if state.in_dns is not was_listed:
        _log.info("listed" if state.in_dns else "delisted", **where, why=why)
