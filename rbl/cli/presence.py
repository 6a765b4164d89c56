"""This process tells the others of itself, by way of the database: that it runs, and where its DNS stands.

Every ten seconds, and at once when something is held back or is not ready any more. While the database
does not answer nothing is told, and the others see that. Log event: ``presence_not_told`` (with traceback).
"""

import asyncio
import os
import secrets
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from rbl import __version__
from rbl.cli.opening import now
from rbl.errors import RblError

if TYPE_CHECKING:
    from rbl.cli.parts import Built
    from rbl.store.processes import ListStanding, ProcessView

_EVERY = timedelta(seconds=10)
_LOOK_EVERY_SECONDS = 1.0

_log = structlog.get_logger()


class Presence:
    """What this process, which runs *parts*, says of itself; *ready* says which of them are."""

    def __init__(
        self, built: "Built", parts: frozenset[str], ready: Callable[[], Mapping[str, bool]]
    ) -> None:
        self._built = built
        self._parts = tuple(sorted(parts))
        self._ready = ready
        self._name = secrets.token_hex(8)
        self._started_at = now()
        self._told_at = self._started_at - _EVERY
        self._told: object = None

    def tell(self) -> None:
        """Write it down where there is something to say."""
        view = self._view()
        changed = (dict(view.ready), {apex: _shown(standing) for apex, standing in view.lists.items()})
        if changed == self._told and view.seen_at < self._told_at + _EVERY:
            return
        from rbl.store import processes  # noqa: PLC0415 — see rbl.cli

        try:
            with self._built.store.writing() as session:
                processes.tell(session, view)
        except RblError:
            return  # whoever watches sees that nothing is told
        except Exception:  # noqa: BLE001 — the rim: the next time may be better
            _log.exception("presence_not_told")
            return
        self._told, self._told_at = changed, view.seen_at

    def forget(self) -> None:
        """Take it away: this process ends as it should."""
        from rbl.store import processes  # noqa: PLC0415 — see rbl.cli

        with suppress(RblError), self._built.store.writing() as session:
            processes.forget(session, self._name)

    def _view(self) -> "ProcessView":
        from rbl.store.processes import ListStanding, ProcessView  # noqa: PLC0415 — see rbl.cli

        standings = {
            apex: standing
            for follower in self._built.followers
            for apex, standing in follower.standings().items()
        }
        return ProcessView(
            name=self._name,
            host=socket.gethostname(),
            pid=os.getpid(),
            parts=self._parts,
            version=__version__,
            started_at=self._started_at,
            seen_at=now(),
            ready=self._ready(),
            lists={
                apex: ListStanding(each.serial, each.newest, each.lag_seconds, each.held)
                for apex, each in standings.items()
            },
        )


def _shown(standing: "ListStanding") -> tuple[str | None, int | None, bool]:
    """Return what others are told of at once when it changes."""
    return standing.held, standing.newest if standing.held else None, standing.serial is None


@asynccontextmanager
async def present(presence: Presence) -> AsyncIterator[None]:
    """Tell of this process now and then, and take it back at the end."""
    telling = asyncio.create_task(_tell_on(presence))
    try:
        yield
    finally:
        telling.cancel()
        with suppress(asyncio.CancelledError):
            await telling
        await asyncio.to_thread(presence.forget)


async def _tell_on(presence: Presence) -> None:
    while True:
        await asyncio.to_thread(presence.tell)
        await asyncio.sleep(_LOOK_EVERY_SECONDS)
