"""One step of a probe run, from the claim to the conclusion: test, see what came back, judge, store.

The lease is renewed while sessions are under way; a worker that lost it stops at once and writes no
more. The conclusion is one transaction with the run locked, so that a message that arrives meanwhile
is either seen by it or wakes the run. Log events: ``verdict``, ``listed``, ``delisted``.
"""

import asyncio
import socket
from datetime import datetime, timedelta

import structlog

from rbl import lifecycle
from rbl.config import Probe
from rbl.errors import RblError
from rbl.lifecycle import Event
from rbl.probe.dialogue import Contact
from rbl.probe.lease import Lease
from rbl.probe.step import Step, Tools
from rbl.probe.verdict import Offered, Returned, verdict
from rbl.store import conclusions, probes, runs
from rbl.store.hosts import ZonePolicy
from rbl.store.probes import EnvelopeRow
from rbl.store.runs import Claim
from rbl.terms import Address, EnvelopeResult, State, Verdict

_log = structlog.get_logger()

# A resolver answers within this or not at all; the name is only a help.
_NAME_TIMEOUT_SECONDS = 10


async def run_step(tools: Tools, claim: Claim, policy: ZonePolicy) -> Verdict:
    """Do what is due in the run of *claim*, store what follows from it, and return the verdict.

    Raises:
        Conflict: the run is this worker's no more.
        Unavailable: the database does not answer; the lease runs out and the run is taken up again.
    """
    contact = await _under_lease(tools, claim, policy.times.first_wait) if claim.may_connect else None
    return await asyncio.to_thread(conclude, tools, claim, policy, contact)


def conclude(tools: Tools, claim: Claim, policy: ZonePolicy, contact: Contact | None) -> Verdict:
    """Judge the run by all that is known of it, and store what the verdict means for the host.

    Raises:
        Conflict: the run is this worker's no more.
    """
    now = tools.clock()
    with tools.store.writing() as session:
        runs.held(session, claim)
        rows = probes.envelopes(session, claim.run_id)
        window = policy.times.return_window
        offered = [_offered(row, window, now) for row in rows]
        returned = [Returned(one.kind, one.peer) for one in probes.receipts(session, claim.run_id)]
        found = verdict(claim.address, offered, returned, contact, _names(tools.settings.probe))
        more = any(row.result is None for row in rows)
        facts = conclusions.facts(session, claim, found, now, more_envelopes=more)
        outcome = lifecycle.after_step(found, facts, policy.times, now)
        if outcome.event is Event.DEFER and outcome.next_due is not None:
            probes.try_again(session, claim)
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


async def _under_lease(tools: Tools, claim: Claim, first_wait: timedelta) -> Contact | None:
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


async def _sessions(tools: Tools, claim: Claim, first_wait: timedelta, lease: Lease) -> Contact | None:
    """Return how the last session of the step began; a fault of the program is nobody else's."""
    try:
        return await Step(tools, claim, first_wait, lease).run()
    except RblError:
        raise
    except Exception:  # noqa: BLE001 — the rim: the run must end, and not be tried for ever
        _log.exception("probe_error", address=str(claim.address), run=claim.run_id)
        return Contact.OUR_FAULT


def _offered(row: EnvelopeRow, window: timedelta, now: datetime) -> Offered:
    return Offered(
        test=row.test_id,
        result=row.result,
        reply=row.reply or "",
        taken=row.sent_at is not None,
        awaited=_is_awaited(row, window, now),
    )


def _is_awaited(row: EnvelopeRow, window: timedelta, now: datetime) -> bool:
    return row.result is EnvelopeResult.QUEUED and row.sent_at is not None and now < row.sent_at + window


def _names(probe: Probe) -> tuple[str, ...]:
    """Return the names by which a host may refuse the tester."""
    return tuple(str(name) for name in (probe.ehlo_name, probe.source_address) if name is not None)


def _tell(claim: Claim, found: Verdict, why: str, state: State, *, was_listed: bool) -> None:
    where = {"address": str(claim.address), "zone": claim.zone, "run": claim.run_id}
    _log.info("verdict", **where, verdict=found.value, state=state.value, why=why)
    if state.in_dns is not was_listed:
        _log.info("listed" if state.in_dns else "delisted", **where, why=why)
