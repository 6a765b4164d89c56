"""The worker: takes due probe runs, several at once, and does what time alone brings about.

Sleeps until a commit may have made work, until the next run is due, or until one of its own steps is
done. Any number of workers share the runs of one database; the claim keeps them apart. A database
that does not answer is waited for. While it lives it says which addresses it can test from, and it takes
the runs that were drawn for them. Log events: ``worker_error``, ``test_postponed`` (nobody can reach the
host), and ``delisted``, one for all listings that expired at once.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta

import structlog

from rbl.config import Settings
from rbl.errors import Conflict, RblError, Unavailable
from rbl.probe.connection import Clock
from rbl.probe.runner import name_of, run_step
from rbl.probe.step import NameOf, Tools
from rbl.store import listings, retests, runs, vantages
from rbl.store.engine import Store
from rbl.store.hosts import ZonePolicy
from rbl.store.runs import Claim
from rbl.store.signal import ChangeSignal
from rbl.store.vantages import Prober
from rbl.terms import Address

_log = structlog.get_logger()

# How long a wait for a commit lasts at most, and so how long stopping may take.
_LISTEN = timedelta(seconds=0.5)
# Between two looks at the table: a burst of commits is one look, and a run that is due but whose
# neighbour is under test does not make the worker spin.
_PAUSE_SECONDS = 0.1
# Without having been told: signals may be lost.
_LONGEST_SLEEP = timedelta(seconds=30)
# Until the database is asked again after it did not answer.
_AFTER_FAULT = timedelta(seconds=1)
# Beyond its places, for retests alone: hosts that dawdle hold up no owner who closed his.
_RETEST_PLACES = 2
# How often listings are looked at that end, or are to be tested again, by their age.
_TIDY_EVERY_SECONDS = 60


class Worker:
    """Works until ``stop``. One for each process."""

    def __init__(
        self,
        store: Store,
        policies: Mapping[str, ZonePolicy],
        settings: Settings,
        mark_key: bytes,
        *,
        owner: str,
        clock: Clock,
        name_of: NameOf = name_of,
    ) -> None:
        """*policies* by apex; *owner* is a name that no other worker has."""
        self._tools = Tools(store, settings, mark_key, clock, name_of)
        self._policies = policies
        self._owner = owner
        self._steps: dict[asyncio.Task[None], Claim] = {}
        self._woken = asyncio.Event()
        self._living: Sequence[Address] = ()  # the vantages of all workers, as last seen
        self._stopping = False

    def stop(self) -> None:
        """Make ``run`` return soon: steps under way are broken off, and taken up by whoever comes next."""
        self._stopping = True
        self._woken.set()

    async def run(self) -> None:
        """Work until stopped."""
        await self._attend_once()
        attending = asyncio.create_task(self._attend())
        listening = asyncio.create_task(self._listen())
        tidying = asyncio.create_task(self._tidy())
        try:
            while not self._stopping:
                self._woken.clear()
                due = await self._take()
                await self._sleep_until(due)
        finally:
            self._stopping = True
            for task in (attending, tidying, *self._steps):
                task.cancel()
            broken_off = tuple(self._steps.values())
            await asyncio.gather(attending, listening, tidying, *self._steps, return_exceptions=True)
            await asyncio.to_thread(self._release, broken_off)

    async def _take(self) -> datetime | None:
        """Begin as many due runs as may be under way at once; return when the next is due."""
        try:
            places = self._tools.settings.probe.concurrency
            while len(self._steps) < places + _RETEST_PLACES and not self._stopping:
                is_full = len(self._steps) >= places
                claim = await asyncio.to_thread(self._claim, retests_only=is_full)
                if claim is None:
                    return None if is_full else await asyncio.to_thread(self._next_due)
                step = asyncio.create_task(self._step(claim))
                self._steps[step] = claim
                step.add_done_callback(self._done)
        except RblError as fault:
            _log.warning("worker_error", why=fault.message)
            return self._tools.clock() + _AFTER_FAULT
        except Exception:  # noqa: BLE001 — the rim: without it no test would go out any more, unseen
            _log.exception("worker_error", why="unforeseen")
            return self._tools.clock() + _AFTER_FAULT
        return None

    def _done(self, step: asyncio.Task[None]) -> None:
        self._steps.pop(step, None)
        self._woken.set()

    async def _sleep_until(self, due: datetime | None) -> None:
        await asyncio.sleep(_PAUSE_SECONDS)
        sleep = _LONGEST_SLEEP if due is None else min(due - self._tools.clock(), _LONGEST_SLEEP)
        seconds = max(sleep.total_seconds(), _PAUSE_SECONDS)
        try:
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        except TimeoutError:
            return

    async def _step(self, claim: Claim) -> None:
        try:
            await run_step(self._tools, claim, self._policies[claim.zone])
        except Conflict as lost:
            _log.info("worker_error", run=claim.run_id, why=lost.message)
        except RblError as fault:
            _log.warning("worker_error", run=claim.run_id, why=fault.message)
        except Exception:  # noqa: BLE001 — the rim: one run must not stop the others
            _log.exception("worker_error", run=claim.run_id)

    async def _listen(self) -> None:
        """Wake the worker at every commit that may have made work."""
        signal = ChangeSignal(self._tools.store, runs.CHANNEL)
        try:
            while not self._stopping:
                try:
                    if await asyncio.to_thread(signal.wait, _LISTEN):
                        self._woken.set()
                except Unavailable:
                    await asyncio.sleep(_LISTEN.total_seconds())
        finally:
            signal.close()

    async def _attend(self) -> None:
        """Say again and again that this worker lives, and where it can test from."""
        while True:
            await asyncio.sleep(self._tools.settings.probe.heartbeat.total_seconds())
            await self._attend_once()

    async def _attend_once(self) -> None:
        """Say it once; where others came or are gone since, look at once what is to be taken over."""
        try:
            living = await asyncio.to_thread(self._tell_vantages)
            if living != self._living:
                self._living = living
                self._woken.set()
        except RblError as fault:  # it is told again; until then its own runs are its own all the same
            _log.warning("worker_error", why=fault.message)
        except Exception:  # noqa: BLE001 — the rim: it is tried again
            _log.exception("worker_error", why="unforeseen")

    @property
    def _vantages(self) -> tuple[Address, ...]:
        probe = self._tools.settings.probe
        return probe.sources if probe.enabled else ()

    def _tell_vantages(self) -> Sequence[Address]:
        probe, now = self._tools.settings.probe, self._tools.clock()
        with self._tools.store.writing() as session:
            vantages.tell(session, self._owner, self._vantages, now, probe.heartbeat)
            return vantages.living(session, now)

    async def _tidy(self) -> None:
        """End expired listings and ask for the retests of old ones, again and again."""
        while True:
            try:
                await asyncio.to_thread(self._tidy_once)
            except RblError as fault:
                _log.warning("worker_error", why=fault.message)
            except Exception:  # noqa: BLE001 — the rim: it is tried again
                _log.exception("worker_error", why="unforeseen")
            await asyncio.sleep(_TIDY_EVERY_SECONDS)

    def _tidy_once(self) -> None:
        now = self._tools.clock()
        with self._tools.store.writing() as session:
            count = listings.end_expired(session, now)
        if count:
            _log.info("delisted", listings=count, why="the listing expired")
        for policy in self._policies.values():
            with self._tools.store.writing() as session:
                retests.queue_periodic(session, policy, now)
        with self._tools.store.writing() as session:
            retests.forget(session, now)

    def _claim(self, *, retests_only: bool) -> Claim | None:
        probe = self._tools.settings.probe
        with self._tools.store.writing() as session:
            return runs.claim(
                session,
                self._owner,
                self._tools.clock(),
                probe.lease,
                self._policies,
                outbound=probe.enabled,
                retests_only=retests_only,
                prober=Prober(frozenset(self._vantages), _tell_of_postponed),
            )

    def _release(self, claims: Iterable[Claim]) -> None:
        """Let other workers take up *claims*, and what is to come, at once; else leases run out."""
        for claim in claims:
            with suppress(RblError), self._tools.store.writing() as session:
                runs.release(session, claim)
        with suppress(RblError), self._tools.store.writing() as session:
            vantages.forget(session, self._owner)

    def _next_due(self) -> datetime | None:
        with self._tools.store.reading() as session:
            among = vantages.places(session, self._vantages, self._tools.clock())
            return runs.next_due(session, outbound=self._tools.settings.probe.enabled, among=among)


def _tell_of_postponed(address: Address, why: str) -> None:
    _log.warning("test_postponed", address=str(address), why=why)
