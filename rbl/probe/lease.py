"""A worker's hold on its run while it talks to the host: renewed, looked at, and given up when lost.

Two looks: the worker's own clock before each command, which costs nothing and notices that it stood
still; and the database before each envelope, which knows whether another has the run. A session that
lost it says QUIT and no more.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta

from rbl.errors import Unavailable
from rbl.store import runs
from rbl.store.engine import Store
from rbl.store.runs import Claim

# Renewed so often that one renewal may fail.
_RENEWALS_PER_LEASE = 3


class Lease:
    """The hold of one worker on the run of one claim."""

    def __init__(
        self, store: Store, claim: Claim, length: timedelta, clock: Callable[[], datetime]
    ) -> None:
        """*length*: how long the lease is, from each renewal."""
        self._store = store
        self._claim = claim
        self._length = length
        self._clock = clock
        self._until = claim.lease_until

    def holds(self) -> bool:
        """Whether the run is ours by all that is known here: nothing is asked."""
        return self._clock() < self._until

    def is_held(self) -> bool:
        """Whether the run is ours, by what the database says too.

        Raises:
            Unavailable: it does not answer.
        """
        with self._store.reading() as session:
            return self.holds() and runs.is_held(session, self._claim, self._clock())

    async def keep(self) -> None:
        """Renew it until cancelled.

        Raises:
            Conflict: it was lost.
        """
        while True:
            await asyncio.sleep(self._length.total_seconds() / _RENEWALS_PER_LEASE)
            with suppress(Unavailable):  # the next renewal may succeed before the lease runs out
                await asyncio.to_thread(self._renew)

    def _renew(self) -> None:
        now = self._clock()
        with self._store.writing() as session:
            runs.renew(session, self._claim, now, self._length)
        self._until = now + self._length
