"""DNS over TCP: an event loop in a thread of its own, limits against clients that hold connections.

RFC 7766: several queries on one connection, answered in their order (§6.2.1.1, pipelining); an idle
time of seconds (§6.2.3); limits for each client and in all (§6.2.2); length and message in one write
(§8). A client that reads or writes slowly holds only its own connection. Logs nothing.
"""

import asyncio
import socket
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import IPv4Address, IPv6Network

from rbl.responder.client import Client, client_at
from rbl.responder.codes import Transport
from rbl.responder.counters import Counters
from rbl.terms import Address

_LENGTH_OCTETS = 2  # RFC 1035 §4.2.2
# Of the event loop at a stop: a connection and the query on it, which the system has but the loop has
# not seen, are accepted, made, registered and read in four.
_LAST_PASSES = 10
_GONE = "0.0.0.0"  # noqa: S104  # stands for a client who has gone before he was looked at
_SUBSCRIBER_PREFIX = 64  # an IPv6 client has a whole network of this length


@dataclass(frozen=True, slots=True)
class TcpLimits:
    """What one client and all of them may take."""

    idle: timedelta = timedelta(seconds=10)  # for the next whole query, and for reading an answer
    connections: int = 500  # half of the 1,024 files that a process may usually have open
    connections_of_client: int = 20
    largest_query: int = 4096  # a query is some 100 octets, with room for options and TSIG


class TcpServer:
    """Answers what comes over connections to bound, listening *sockets*, which it closes at the end."""

    def __init__(
        self,
        sockets: Sequence[socket.socket],
        answer: Callable[[bytes, Client], bytes | None],
        counters: Counters,
        limits: TcpLimits,
    ) -> None:
        self._sockets = sockets
        self._answer = answer
        self._counters = counters
        self._limits = limits
        self._loop = asyncio.new_event_loop()
        self._stopping = asyncio.Event()
        self._grace = timedelta(0)
        self._open: dict[asyncio.Task[None], tuple[asyncio.StreamReader, asyncio.StreamWriter]] = {}
        self._of_client: Counter[Address | IPv6Network] = Counter()
        self._thread = threading.Thread(target=self._run, name="dns-tcp", daemon=True)

    def start(self) -> None:
        """Answer from now on, in a thread."""
        self._thread.start()

    def stop(self, grace: timedelta) -> None:
        """Accept nothing more, answer what has arrived within *grace*, close everything."""
        self._grace = grace
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        # A reader holds two queries of the largest size before the client has to wait.
        servers = [
            await asyncio.start_server(self._connected, sock=bound, limit=self._limits.largest_query)
            for bound in self._sockets
        ]
        await self._stopping.wait()
        for _ in range(_LAST_PASSES):
            await asyncio.sleep(0)
        for server in servers:
            server.close()
        for reader, writer in self._open.values():
            # What has arrived is answered, and then the connection ends as if the client had ended it.
            transport = writer.transport
            assert isinstance(transport, asyncio.Transport)
            transport.pause_reading()
            reader.feed_eof()
        if self._open:
            await asyncio.wait(tuple(self._open), timeout=self._grace.total_seconds())
        for task in tuple(self._open):
            task.cancel()
        if self._open:
            await asyncio.wait(tuple(self._open))

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection until it ends, or close it at once where a limit is reached."""
        client = _client(writer)
        subscriber = _subscriber(client.address)
        if len(self._open) >= self._limits.connections:
            self._counters.refused_total.inc()
            writer.transport.abort()
            return
        if self._of_client[subscriber] >= self._limits.connections_of_client:
            self._counters.refused_client.inc()
            writer.transport.abort()
            return
        task = asyncio.current_task()
        assert task is not None
        self._open[task] = (reader, writer)
        self._of_client[subscriber] += 1
        self._counters.connections.inc()
        try:
            await self._converse(reader, writer, client)
        except (OSError, EOFError, TimeoutError):
            pass  # the client went away or is too slow: what it was owed it has, or cannot get
        except asyncio.CancelledError:
            pass  # the server stops, and the grace is over
        finally:
            self._counters.connections.dec()
            del self._open[task]
            self._of_client[subscriber] -= 1
            if not self._of_client[subscriber]:
                del self._of_client[subscriber]
            _close(writer)

    async def _converse(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, client: Client
    ) -> None:
        """Answer query after query; EOFError at the end of what the client sends."""
        idle_seconds = self._limits.idle.total_seconds()
        writer.transport.set_write_buffer_limits(high=0)  # drain() waits until all is sent
        while True:
            async with asyncio.timeout(idle_seconds):
                length = int.from_bytes(await reader.readexactly(_LENGTH_OCTETS))
                if length > self._limits.largest_query:
                    return
                packet = await reader.readexactly(length)
            reply = self._answer(packet, client)
            if reply is not None:
                writer.write(len(reply).to_bytes(_LENGTH_OCTETS) + reply)
                async with asyncio.timeout(idle_seconds):
                    await writer.drain()
            # With queries waiting nothing above gives way: let the other connections have their turn.
            await asyncio.sleep(0)


def _client(writer: asyncio.StreamWriter) -> Client:
    """Return who is at the other end."""
    peer = writer.get_extra_info("peername") or (_GONE,)
    return client_at(str(peer[0]), Transport.TCP)


def _subscriber(address: Address) -> Address | IPv6Network:
    """Return whom a connection is counted for: an IPv4 address or an IPv6 /64."""
    if isinstance(address, IPv4Address):
        return address
    return IPv6Network((address, _SUBSCRIBER_PREFIX), strict=False)


def _close(writer: asyncio.StreamWriter) -> None:
    """Close, and throw away what the client has not read in all the idle time."""
    if writer.transport.get_write_buffer_size():
        writer.transport.abort()
    else:
        writer.close()
