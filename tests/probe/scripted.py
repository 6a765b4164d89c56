"""Servers with a script, to be tested for open relay."""

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from ipaddress import ip_address, ip_network

from rbl.config import Probe


class Do(Enum):
    """What a server may do instead of an answer."""

    CLOSE = "close"
    RESET = "reset"
    HANG = "hang"
    DRIP = "drip"  # one octet after another, without end
    START_TLS = "start-tls"
    HEAR = "hear"  # some octets that are no command, such as those by which TLS begins


class Now(bytes):
    """Octets after which the server goes on with its script without waiting for a command."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Pause:
    """How many seconds the server lets pass before its next answer, as tarpits do."""

    seconds: float


Step = bytes | Do | Pause
Script = Sequence[Step]


class ScriptedServer:
    """Gives the next step of its script for the greeting and for every command it hears.

    Each connection gets a script of its own; the last one serves all further connections. A message
    after a 354 counts as one command. When a script is over, the connection is closed.
    """

    def __init__(self, *scripts: Script) -> None:
        self._scripts = scripts
        self._clients: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._over = asyncio.Event()
        self.port = 0
        self.heard: list[list[str]] = []  # a list for each connection
        self.messages: list[bytes] = []

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._clients.add(task)
        self._writers.add(writer)
        script = self._scripts[min(len(self.heard), len(self._scripts) - 1)]
        heard: list[str] = []
        self.heard.append(heard)
        try:
            for step in script:
                if step is Do.HEAR:
                    await reader.read(1)
                    continue
                await self._do(step, writer)
                if isinstance(step, Now | Pause):
                    continue
                if isinstance(step, bytes) and step.startswith(b"354"):
                    self.messages.append(await reader.readuntil(b"\r\n.\r\n"))
                    continue
                if not (command := await reader.readline()):
                    return
                heard.append(command.decode("latin-1").removesuffix("\r\n"))
        except (OSError, asyncio.IncompleteReadError):
            pass  # the tester went away, or the script said so
        finally:
            writer.transport.abort()

    @asynccontextmanager
    async def running(self) -> AsyncIterator["ScriptedServer"]:
        """Listen on a free port of the loopback address."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            self._over.set()
            for writer in self._writers:
                writer.transport.abort()
            await asyncio.gather(*self._clients)

    async def _do(self, step: Step, writer: asyncio.StreamWriter) -> None:
        match step:
            case bytes():
                writer.write(step)
                await writer.drain()
            case Pause():
                await asyncio.sleep(step.seconds)
            case Do.CLOSE | Do.RESET:
                if step is Do.RESET:  # to close with a linger time of 0 sends RST
                    end = writer.get_extra_info("socket")
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                raise ConnectionAbortedError
            case Do.HANG:
                await self._over.wait()
            case Do.DRIP:
                while not self._over.is_set():
                    writer.write(b"2")
                    await writer.drain()
                    await asyncio.sleep(0.01)
            case Do.START_TLS:
                await writer.start_tls(_without_certificate())


def _without_certificate() -> ssl.SSLContext:
    """Return a server's context that needs no key: anonymous key exchange, which ends with TLS 1.2."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("AECDH:@SECLEVEL=0")
    return context


def settings(port: int, *, timeout: float = 30, **changed: object) -> Probe:
    """Return the tester's settings for a server at *port* of the loopback address."""
    limit = timedelta(seconds=timeout)
    values: dict[str, object] = {
        "enabled": True,
        "acknowledge": True,
        "ehlo_name": "tester.example.net",
        "contact": "abuse@tester.example.net",
        "source_address": ip_address("127.0.0.1"),
        "port": port,
        "allow_reserved": (ip_network("127.0.0.0/8"),),
        "command_delay": timedelta(0),
        "connect_timeout": limit,
        "banner_timeout": limit,
        "command_timeout": limit,
        "data_timeout": limit,
    }
    return Probe.model_validate(values | changed)
