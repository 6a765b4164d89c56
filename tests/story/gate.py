"""A gate before a server on a Unix socket: all passes, or nothing, as in a network that drops packets."""

import asyncio
import threading
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

_T = TypeVar("_T")


class Gate:
    """Listens on loopback, in a thread, and passes on what it is sent while it is open."""

    def __init__(self, server: Path) -> None:
        self._server = server
        self._loop = asyncio.new_event_loop()
        self._open = asyncio.Event()
        self._open.set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._listener = self._run(asyncio.start_server(self._pass, "127.0.0.1", 0))
        self.port = self._listener.sockets[0].getsockname()[1]

    def shut(self) -> None:
        """Pass nothing on from now on, in neither direction; connections are taken, and hear nothing."""
        self._loop.call_soon_threadsafe(self._open.clear)

    def lift(self) -> None:
        """Pass on again, also what waited."""
        self._loop.call_soon_threadsafe(self._open.set)

    def close(self) -> None:
        """Cut every connection and end."""
        self._run(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _end(self) -> None:
        self._listener.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._open.wait()
        back, forth = await asyncio.open_unix_connection(str(self._server))
        ways = [asyncio.create_task(self._copy(*way)) for way in ((reader, forth), (back, writer))]
        self._tasks.update(ways)
        for way in ways:
            way.add_done_callback(self._tasks.discard)

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while octets := await reader.read(65_536):
                await self._open.wait()
                writer.write(octets)
                await writer.drain()
        except OSError:
            pass  # the other end is gone: so is this one
        finally:
            writer.close()

    def _run(self, work: Coroutine[Any, Any, _T]) -> _T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()
