"""One TCP connection to a host under test: commands out, replies in, every line kept.

The I/O under ``smtp``, which knows what to say. Connects to an IP literal and nothing else; never
raises for what the host does. Log events: none; the transcript is the record.
"""

import asyncio
import errno
import os
import ssl
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from socket import AF_INET, AF_INET6, SOCK_STREAM, socket
from typing import Self

from rbl.probe.dialogue import Contact
from rbl.probe.replies import MAX_REPLY_OCTETS, Garbled, Reply, ReplyBuffer
from rbl.terms import Address, EnvelopeResult, TranscriptLine

# Forty replies of the longest that are read: a session has hardly more.
MAX_SESSION_OCTETS = 40 * MAX_REPLY_OCTETS
# Of a longer reply so many lines stand in the transcript, which is kept for years.
_SHOWN_LINES = 64
_READ_OCTETS = 4096
# What connect() and bind() say when the fault is this machine's.
_OUR_FAULTS = frozenset(
    {
        errno.EACCES,
        errno.EADDRINUSE,
        errno.EADDRNOTAVAIL,
        errno.EAFNOSUPPORT,
        errno.EINVAL,
        errno.EMFILE,
        errno.ENETDOWN,
        errno.ENETUNREACH,
        errno.ENFILE,
        errno.ENOBUFS,
        errno.EPERM,
    }
)

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """Return the time now, the clock of everything that is not a test."""
    return datetime.now(UTC)


class Transcript:
    """The lines of a dialogue, in order, with their times."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.lines: list[TranscriptLine] = []

    def add(self, side: str, text: str) -> None:
        """Add a line of *side*: us, them, or note."""
        self.lines.append(TranscriptLine(self.clock(), side, text))


@dataclass(frozen=True, slots=True)
class Ended:
    """The connection is of no more use: dropped or timed out, and *why* in words.

    *listening*: the server may still hear us, so that a QUIT is due.
    """

    result: EnvelopeResult
    why: str
    listening: bool


@dataclass(frozen=True, slots=True)
class NoConnection:
    """There is no connection: unreachable, or a fault of ours."""

    contact: Contact
    why: str


class Connection:
    """An open connection. After an ``Ended`` everything asked of it gives the same again."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        transcript: Transcript,
        deadline: float,
    ) -> None:
        """*deadline* is in the event loop's time: no wait goes beyond it."""
        self._reader = reader
        self._writer = writer
        self._transcript = transcript
        self._deadline = deadline
        self._buffer = ReplyBuffer()
        self._octets_read = 0
        self._in_message = False
        self.ended: Ended | None = None

    @classmethod
    async def to(
        cls,
        end: tuple[Address, int],
        source: Address | None,
        within: timedelta,
        deadline: float,
        transcript: Transcript,
    ) -> Self | NoConnection:
        """Return a connection from *source* to the address and port *end*, or why there is none."""
        target, port = end
        transcript.add("note", f"connecting to {target} port {port}")
        if source is None or source.version != target.version:
            return NoConnection(Contact.OUR_FAULT, f"no source address of IPv{target.version} is set")
        loop = asyncio.get_running_loop()
        if loop.time() >= deadline:
            return NoConnection(Contact.OUR_FAULT, "the time of the run is over")
        family = AF_INET if target.version == 4 else AF_INET6
        with ExitStack() as until_connected:
            try:
                end_socket = until_connected.enter_context(socket(family, SOCK_STREAM))
                end_socket.settimeout(0)
                end_socket.bind((str(source), 0))
                async with asyncio.timeout_at(min(loop.time() + within.total_seconds(), deadline)):
                    await loop.sock_connect(end_socket, (str(target), port))
                reader, writer = await asyncio.open_connection(sock=end_socket, limit=_READ_OCTETS)
            except OSError as fault:  # TimeoutError is one
                # A wait cut short by the run's own deadline says nothing of the host either.
                ours = fault.errno in _OUR_FAULTS or loop.time() >= deadline
                why = os.strerror(fault.errno) if fault.errno else f"no answer in {_seconds(within)}"
                contact = Contact.OUR_FAULT if ours else Contact.UNREACHABLE
                return NoConnection(contact, f"no connection: {why}")
            until_connected.pop_all()  # the transport closes it from now on
        transcript.add("note", f"connected from {writer.get_extra_info('sockname')[0]}")
        return cls(reader, writer, transcript, deadline)

    @property
    def out_of_time(self) -> bool:
        """Whether the run's own deadline has passed, so that a time-out says nothing of the host."""
        return asyncio.get_running_loop().time() >= self._deadline

    async def ask(self, command: str, within: timedelta) -> Reply | Ended:
        """Send *command* and return the reply that comes *within* this time."""
        if self.ended is not None:
            return self.ended
        if self._buffer.pending:
            return self.give_up("the server spoke out of turn")
        self._transcript.add("us", command)
        self._in_message = command == "DATA"  # until it was refused, or the message is out
        reply = await self._exchange(f"{command}\r\n".encode("ascii"), command, within)
        self._in_message = self._in_message and isinstance(reply, Reply) and reply.code == 354
        return reply

    async def send_message(self, octets: bytes, within: timedelta) -> tuple[Reply | Ended, datetime | None]:
        """Send dot-stuffed *octets* and return the reply to them, and when the last octet was out."""
        if self._buffer.pending:
            return self.give_up("the server spoke out of turn"), None
        self._transcript.add("us", ".")
        sent: list[datetime] = []

        def out(at: datetime) -> None:
            self._in_message = False
            sent.append(at)

        reply = await self._exchange(octets, "message", within, out)
        return reply, sent[0] if sent else None

    async def greeting(self, within: timedelta) -> Reply | Ended:
        """Return the greeting, sending nothing: who speaks first is taken for a spammer."""
        return await self._exchange(b"", "", within)

    async def start_tls(self, within: timedelta) -> Ended | None:
        """Go on inside TLS, whoever the certificate says the server is; None where it worked."""
        if self._buffer.pending:
            return self.give_up("the server spoke out of turn")
        try:
            async with asyncio.timeout_at(self._until(within)):
                await self._writer.start_tls(_any_certificate())
        except OSError as fault:  # ssl.SSLError and TimeoutError are
            return self._lost(f"TLS could not be started: {_words(fault)}")
        self._transcript.add("note", "TLS started")
        return None

    def give_up(self, why: str) -> Ended:
        """End it from our side: whatever comes next means nothing. Says why in the transcript."""
        return self._end(Ended(EnvelopeResult.DROPPED, why, listening=True))

    def abandon(self, why: str) -> Ended:
        """End it since it is ours no more: with QUIT, or without a word where a message would follow."""
        return self._end(Ended(EnvelopeResult.DROPPED, why, listening=not self._in_message))

    def goodbye(self) -> Ended:
        """End it since the server said goodbye (421, RFC 5321 §3.8): nothing more is said to it."""
        return self._lost("the server said goodbye (421)")

    def abort(self) -> None:
        """Close at once, without a word and without waiting."""
        self._writer.transport.abort()

    def leave(self) -> None:
        """Say QUIT and close, without waiting for an answer; within a message there is only closing."""
        if self._in_message or self._writer.transport.is_closing():
            self.abort()
            return
        self._transcript.add("us", "QUIT")
        self._writer.write(b"QUIT\r\n")
        self._writer.close()

    async def close(self, within: timedelta) -> None:
        """Close the connection and wait until it is closed, but not longer than *within*.

        A server that lost our attention, but may still listen, hears QUIT first.
        """
        if self.ended is not None and self.ended.listening:
            self._transcript.add("us", "QUIT")
            self._writer.write(b"QUIT\r\n")
        self._writer.close()
        try:
            async with asyncio.timeout(within.total_seconds()):
                await self._writer.wait_closed()
        except OSError:
            self.abort()
        self._transcript.add("note", "connection closed")

    async def _exchange(
        self,
        octets: bytes,
        command: str,
        within: timedelta,
        on_sent: Callable[[datetime], object] = lambda _: None,
    ) -> Reply | Ended:
        try:
            async with asyncio.timeout_at(self._until(within)):
                if octets:
                    self._writer.write(octets)
                    await self._writer.drain()
                    on_sent(self._transcript.clock())
                return await self._reply(command)
        except TimeoutError:
            why = f"no whole answer in {_seconds(within)}"
            return self._end(Ended(EnvelopeResult.TIMEOUT, why, listening=True))
        except OSError as fault:
            return self._lost(f"the connection broke: {_words(fault)}")

    async def _reply(self, command: str) -> Reply | Ended:
        while (reply := self._buffer.take(command)) is None:
            octets = await self._reader.read(_READ_OCTETS)
            if not octets:
                return self._lost("the server closed the connection")
            self._octets_read += len(octets)
            if self._octets_read > MAX_SESSION_OCTETS:
                return self.give_up("the server says far too much")
            self._buffer.feed(octets)
        self._show(reply.lines)
        if isinstance(reply, Garbled):
            return self.give_up(f"the server sent {reply.why}")
        return reply

    def _until(self, within: timedelta) -> float:
        return min(asyncio.get_running_loop().time() + within.total_seconds(), self._deadline)

    def _show(self, lines: tuple[str, ...]) -> None:
        left_out = lines[_SHOWN_LINES - 1 : -1]
        for line in lines[: _SHOWN_LINES - 1]:
            self._transcript.add("them", line)
        if left_out:
            self._transcript.add("note", f"{len(left_out)} more lines of the same reply")
        for line in lines[_SHOWN_LINES - 1 :][-1:]:
            self._transcript.add("them", line)

    def _lost(self, why: str) -> Ended:
        return self._end(Ended(EnvelopeResult.DROPPED, why, listening=False))

    def _end(self, ended: Ended) -> Ended:
        self._show(self._buffer.unfinished())
        self._transcript.add("note", ended.why)
        self.ended = ended
        return ended


def _seconds(within: timedelta) -> str:
    return f"{within.total_seconds():g} s"


def _words(fault: OSError) -> str:
    """Return what the operating system or TLS says of *fault*, short, without addresses."""
    return fault.strerror or type(fault).__name__


def _any_certificate() -> ssl.SSLContext:
    """Return a TLS context for talking to anybody: nothing secret is said, and old servers count."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    with suppress(ssl.SSLError):  # an OpenSSL built without security levels
        context.set_ciphers("ALL:@SECLEVEL=0")
    return context
