"""A gate before a server on a Unix socket: all passes, or nothing, as in a network that drops packets."""

import asyncio
import threading
from collections.abc import Coroutine
from contextlib import suppress
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
        self._writers: list[asyncio.StreamWriter] = []
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
        await asyncio.sleep(0)  # whoever has just come in is begun with, and then ended like all others
        going = asyncio.all_tasks() - {asyncio.current_task()}
        for task in going:
            task.cancel()
        await asyncio.gather(*going, return_exceptions=True)
        for writer in self._writers:
            writer.transport.abort()
        for writer in self._writers:
            with suppress(OSError):
                await writer.wait_closed()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        with suppress(asyncio.CancelledError):
            await self._open.wait()
            back, forth = await asyncio.open_unix_connection(str(self._server))
            self._writers.append(forth)
            await asyncio.gather(self._copy(reader, forth), self._copy(back, writer))

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
