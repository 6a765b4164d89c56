"""DNS over TCP: an event loop in a thread of its own, limits against clients that hold connections.

RFC 7766: several queries on one connection, answered in their order (§6.2.1.1, pipelining); an idle
time of seconds (§6.2.3); limits for each client and in all (§6.2.2); length and message in one write
(§8). A client that reads or writes slowly holds only its own connection, and where a limit is reached
the connection that has been idle longest makes room for the new one: nobody is turned away for those who
only hold on. Logs nothing.
"""

import asyncio
import socket
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from rbl.addresses import subscriber_of
from rbl.responder.binding import BACKLOG
from rbl.responder.client import Client, client_at
from rbl.responder.codes import Transport
from rbl.responder.counters import Counters
from rbl.terms import Network

_LENGTH_OCTETS = 2  # RFC 1035 §4.2.2
# Of the event loop at a stop: a connection and the query on it, which the system has but the loop has
# not seen, are accepted, made, registered and read in four.
_LAST_PASSES = 10
# Connections that are taken before those that are there are read again: few, beside half of all places, so
# that nobody has to make room whose query has arrived.
_ACCEPTED_AT_ONCE = 32
_GONE = "0.0.0.0"  # noqa: S104  # stands for a client who has gone before he was looked at


@dataclass(frozen=True, slots=True)
class TcpLimits:
    """What one client and all of them may take."""

    idle: timedelta = timedelta(seconds=10)  # for the next whole query, and for reading an answer
    # The same while another process has taken over the address: for what is on its way.
    last_idle: timedelta = timedelta(seconds=1)
    connections: int = 500  # half of the 1,024 files that a process may usually have open
    connections_of_client: int = 20
    largest_query: int = 4096  # a query is some 100 octets, with room for options and TSIG


@dataclass(slots=True, eq=False)
class _Connection:
    """One connection, from its beginning until it is forgotten."""

    client: Client
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    task: "asyncio.Task[None]"
    waiting: asyncio.Timeout | None = None  # for the next query, while it is waited for

    def pause_reading(self) -> None:
        """Take what has arrived for all there will be."""
        transport = self.writer.transport
        assert isinstance(transport, asyncio.Transport)
        transport.pause_reading()
        self.reader.feed_eof()


@dataclass(slots=True)
class _Order:
    """Connections in the order in which they may have to make room, the next one first."""

    silent: OrderedDict[_Connection, None] = field(default_factory=OrderedDict)  # no whole query yet
    asked: OrderedDict[_Connection, None] = field(default_factory=OrderedDict)  # by their last query

    def __len__(self) -> int:
        return len(self.silent) + len(self.asked)

    def add(self, connection: _Connection) -> None:
        self.silent[connection] = None

    def note_query(self, connection: _Connection) -> None:
        self.silent.pop(connection, None)
        self.asked[connection] = None
        self.asked.move_to_end(connection)

    def remove(self, connection: _Connection) -> None:
        self.silent.pop(connection, None)
        self.asked.pop(connection, None)

    def first(self) -> _Connection:
        """Return the one that has been idle longest: of those that never asked, while they are the half.

        Else of those that did: whoever fills the places with connections that asked once leaves the
        other half to clients whose first query is still on its way.
        """
        half = len(self) // 2
        return next(iter(self.silent if len(self.silent) > half or not self.asked else self.asked))


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
        self._idle = limits.idle
        self._loop = asyncio.new_event_loop()
        self._stopping = asyncio.Event()
        self._grace = timedelta(0)
        self._finishing = False
        self._open = _Order()
        self._of_client: dict[Network, _Order] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._run, name="dns-tcp", daemon=True)

    def start(self) -> None:
        """Answer from now on, in a thread."""
        self._thread.start()

    def stop(self, grace: timedelta, *, finishing: bool = False) -> None:
        """Accept nothing more, answer what has arrived within *grace*, close everything.

        With *finishing* a client may go on asking on an open connection until he pauses or *grace* is over.
        """
        self._grace = grace
        self._finishing = finishing
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        # A reader holds two queries of the largest size before the client has to wait.
        servers = [
            await asyncio.start_server(
                self._connected, sock=bound, limit=self._limits.largest_query, backlog=_ACCEPTED_AT_ONCE
            )
            for bound in self._sockets
        ]
        for bound in self._sockets:
            bound.listen(BACKLOG)
        await self._stopping.wait()
        for _ in range(_LAST_PASSES):
            await asyncio.sleep(0)
        for server in servers:
            server.close()
        for connection in (*self._open.silent, *self._open.asked):
            if self._finishing:
                self._hurry(connection)
            else:
                # What has arrived is answered, and then it ends as if the client had ended it.
                connection.pause_reading()
        if self._tasks:
            await asyncio.wait(tuple(self._tasks), timeout=self._grace.total_seconds())
        for task in tuple(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(tuple(self._tasks))

    def _hurry(self, connection: _Connection) -> None:
        """Wait for another query as long as one may be on its way."""
        self._idle = self._limits.last_idle
        if connection.waiting is not None:
            last = self._loop.time() + self._idle.total_seconds()
            connection.waiting.reschedule(min(last, connection.waiting.when() or last))

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection until it ends, or until it is the one that makes room."""
        task = asyncio.current_task()
        assert task is not None
        connection = _Connection(_client(writer), reader, writer, task)
        self._make_room(subscriber_of(connection.client.address))
        self._note(connection)
        try:
            await self._converse(connection)
        except (OSError, EOFError, TimeoutError):
            pass  # the client went away or is too slow: what it was owed it has, or cannot get
        except asyncio.CancelledError:
            pass  # it makes room for another, or the server stops and the grace is over
        finally:
            self._tasks.discard(task)
            self._forget(connection)
            _close(writer)

    def _make_room(self, subscriber: Network) -> None:
        """End what has been idle longest, of this client or of all, where a limit is reached."""
        own = self._of_client.get(subscriber, ())
        if isinstance(own, _Order) and len(own) >= self._limits.connections_of_client:
            self._counters.displaced_client.inc()
            self._end(own.first())
        elif len(self._open) >= self._limits.connections:
            self._counters.displaced_total.inc()
            self._end(self._open.first())

    def _end(self, connection: _Connection) -> None:
        self._forget(connection)
        connection.task.cancel()

    def _note(self, connection: _Connection) -> None:
        self._tasks.add(connection.task)
        self._open.add(connection)
        self._of_client.setdefault(subscriber_of(connection.client.address), _Order()).add(connection)
        self._counters.connections.set(len(self._open))

    def _forget(self, connection: _Connection) -> None:
        """Count *connection* no more; once or again."""
        self._open.remove(connection)
        subscriber = subscriber_of(connection.client.address)
        own = self._of_client.get(subscriber)
        if own is not None:
            own.remove(connection)
            if not own:
                del self._of_client[subscriber]
        self._counters.connections.set(len(self._open))

    async def _converse(self, connection: _Connection) -> None:
        """Answer query after query; EOFError at the end of what the client sends."""
        reader, writer, client = connection.reader, connection.writer, connection.client
        own = self._of_client[subscriber_of(client.address)]
        writer.transport.set_write_buffer_limits(high=0)  # drain() waits until all is sent
        while True:
            async with asyncio.timeout(self._idle.total_seconds()) as connection.waiting:
                length = int.from_bytes(await reader.readexactly(_LENGTH_OCTETS))
                if length > self._limits.largest_query:
                    return
                packet = await reader.readexactly(length)
            connection.waiting = None
            self._open.note_query(connection)
            own.note_query(connection)
            reply = self._answer(packet, client)
            if reply is not None:
                writer.write(len(reply).to_bytes(_LENGTH_OCTETS) + reply)
                async with asyncio.timeout(self._idle.total_seconds()):
                    await writer.drain()
            # With queries waiting nothing above gives way: let the other connections have their turn.
            await asyncio.sleep(0)


def _client(writer: asyncio.StreamWriter) -> Client:
    """Return who is at the other end."""
    peer = writer.get_extra_info("peername") or (_GONE,)
    return client_at(str(peer[0]), Transport.TCP)


def _close(writer: asyncio.StreamWriter) -> None:
    """Close, and throw away what the client has not read in all the idle time."""
    if writer.transport.get_write_buffer_size():
        writer.transport.abort()
    else:
        writer.close()
