"""Accepting connections: as long as there are file descriptors, and patiently where there are none.

An event loop's own way reports each failure to accept, and fails again at once: a full table of files
then costs a core, and a line of log each time. Log event: ``accept_paused``, once for each shortage.
"""

import asyncio
import errno
import os
import socket
from collections.abc import Callable

import structlog

# Of accept(2): no descriptor for the process or the machine, no memory for a socket.
_SHORTAGES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_PAUSE_SECONDS = 0.2
_QUIET_SECONDS = 60.0  # a shortage that comes again sooner is the same one
_AT_ONCE = 64  # then other events of the loop have their turn

_log = structlog.get_logger()


class Door:
    """Accepts what comes to the listening socket *listener* and serves it with a protocol of *make*."""

    def __init__(self, listener: socket.socket, make: Callable[[], asyncio.Protocol], what: str) -> None:
        self._listener = listener
        self._make = make
        self._what = what
        self._loop = asyncio.get_running_loop()
        self._again: asyncio.TimerHandle | None = None
        self._short_at: float | None = None
        self._entering: set[asyncio.Task[None]] = set()

    def open(self) -> None:
        """Accept from now on."""
        self._again = None
        self._loop.add_reader(self._listener, self._accept)

    def close(self) -> None:
        """Accept no more, and close the listening socket."""
        if self._again is not None:
            self._again.cancel()
        self._loop.remove_reader(self._listener)
        self._listener.close()

    def _accept(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                accepted, _ = self._listener.accept()
            except BlockingIOError:
                return
            except OSError as fault:
                if fault.errno in _SHORTAGES:
                    self._pause(fault.errno)
                    return
                continue  # one that was gone before we came: of others accept(2) knows none
            accepted.settimeout(0)
            task = self._loop.create_task(self._let_in(accepted))
            self._entering.add(task)
            task.add_done_callback(self._entering.discard)

    async def _let_in(self, accepted: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._make, accepted)
        except OSError:
            accepted.close()  # it has gone

    def _pause(self, number: int | None) -> None:
        self._loop.remove_reader(self._listener)
        self._again = self._loop.call_later(_PAUSE_SECONDS, self.open)
        now = self._loop.time()
        if self._short_at is None or now - self._short_at > _QUIET_SECONDS:
            _log.error("accept_paused", part=self._what, why=os.strerror(number or 0))
        self._short_at = now
