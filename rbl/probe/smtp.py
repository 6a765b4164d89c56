"""An SMTP session with a host under test, driven envelope by envelope.

Says no more than a relay needs to hear: EHLO or HELO, MAIL, RCPT, DATA, RSET, QUIT, STARTTLS where
the server demands it, and HELP once at most; never AUTH, VRFY, EXPN or two commands at once.
Whatever the host does is an outcome; nothing it does raises. Sends raw lines, since libraries
re-quote the very addresses that matter here. RFC 5321, RFC 3207. Log events: none; the transcript
is the record.

Envelopes whose senders differ in nothing but their tokens share one MAIL, as one more RCPT, for as
long as recipients are refused; what is accepted so is offered anew, alone and under its own sender.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Self

from rbl.addresses import reserved_reason
from rbl.config import Probe
from rbl.probe.connection import Clock, Connection, Ended, NoConnection, Transcript, utc_now
from rbl.probe.dialogue import Contact, EnvelopeOutcome, Greeting
from rbl.probe.meaning import (
    MAX_TEXT,
    demands_tls,
    is_of_session,
    keywords,
    outcome_of,
    puts_off,
    turned_away,
)
from rbl.probe.plan import Envelope
from rbl.probe.replies import Reply, server_name
from rbl.terms import Address, EnvelopeResult, TranscriptLine

# Answers that came so much later than the first are a tarpit's, which grows until the session ends;
# Courier's pauses go from 8 to 128 seconds.
_GROWN = 3
# Of the time for one answer: beyond it another session is quicker.
_TIRING_SHARE = 6
_LINE_END = re.compile(rb"\r\n|\r|\n")


def _always() -> bool:
    return True


class Session:
    """One connection, from the greeting to QUIT. Open it with ``async with Session.open(...)``."""

    def __init__(
        self,
        probe: Probe,
        transcript: Transcript,
        connection: Connection | None,
        may_speak: Callable[[], bool],
    ) -> None:
        self._probe = probe
        self._may_speak = may_speak
        self._is_silenced = False
        self._transcript = transcript
        self._connection = connection
        self._in_tls = False
        self._open = False  # a sender was taken: RSET comes before the next
        self._row: str | None = None  # whose it was, as long as no recipient was taken with it
        self._answered = 0  # how many envelopes were refused or taken
        self._first_seconds: float | None = None  # until the first and the last answer to a command came
        self._last_seconds = 0.0
        self.greeting = Greeting(Contact.OUR_FAULT, "not begun")

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        target: Address,
        probe: Probe,
        *,
        source: Address | None = None,
        deadline: float = float("inf"),
        clock: Clock = utc_now,
        may_speak: Callable[[], bool] = _always,
    ) -> AsyncIterator[Self]:
        """Connect to *target* and greet it; ``greeting`` says how far that came.

        From *source*, by default the first of the probe's of that family. No wait goes beyond *deadline*,
        in the event loop's time. Before each command but QUIT *may_speak* is asked; once it says no,
        nothing more is said. Ends with QUIT, except within a message; when cancelled without waiting.
        """
        transcript = Transcript(clock)
        found = await _connect(target, probe, source or probe.source_for(target), deadline, transcript)
        if isinstance(found, NoConnection):
            transcript.add("note", found.why)
            session = cls(probe, transcript, None, may_speak)
            session.greeting = Greeting(found.contact, found.why)
            yield session
            return
        session = cls(probe, transcript, found, may_speak)
        try:
            session.greeting = await session._greet(found)
            yield session
            await session.close()
        except BaseException:
            found.leave()
            raise

    @property
    def over(self) -> bool:
        """Whether no further envelope can be tried in this session."""
        greeted = self.greeting.contact is Contact.GREETED
        return self._connection is None or self._connection.ended is not None or not greeted

    @property
    def transcript(self) -> tuple[TranscriptLine, ...]:
        """Return every line said so far, by both sides."""
        return tuple(self._transcript.lines)

    @property
    def tires(self) -> bool:
        """Whether its answers have become so slow that another session is quicker."""
        patience = self._probe.command_timeout.total_seconds() / _TIRING_SHARE
        grown = self._first_seconds is not None and self._last_seconds > _GROWN * self._first_seconds
        return self._answered > 0 and grown and self._last_seconds > patience

    async def try_envelope(self, envelope: Envelope, message: bytes | None) -> EnvelopeOutcome:
        """Offer *envelope*, and *message* where its recipient is taken; None: stop after RCPT.

        NOT_RUN where the session ended over it after it had answered others: some end after a few
        refusals, whatever is refused. What a session ends over first is the envelope's own answer.
        """
        connection = self._connection
        if connection is None or self.over:
            return EnvelopeOutcome(envelope.test, EnvelopeResult.NOT_RUN, "the session was over")
        outcome = await self._offer(connection, envelope, message)
        if not self.over and not self._in_tls and demands_tls(outcome.reply):
            problem = await self._start_tls(connection, envelope.test)
            outcome = problem or await self._offer(connection, envelope, message)
        if self._is_silenced or self._had_no_turn(connection, outcome):
            return EnvelopeOutcome(envelope.test, EnvelopeResult.NOT_RUN, outcome.why, outcome.reply)
        self._answered += 1
        return outcome

    def _had_no_turn(self, connection: Connection, outcome: EnvelopeOutcome) -> bool:
        """Whether *outcome* says nothing of its envelope, but of the session or of our own time."""
        if outcome.sent_at is not None:
            return False
        if self._answered and outcome.result is EnvelopeResult.REFUSED and is_of_session(outcome.reply):
            connection.give_up("the server refuses for what went before")
        return connection.ended is not None and (self._answered > 0 or connection.out_of_time)

    async def help(self) -> str:
        """Return the answer to HELP, by which some servers are known whose greeting is bare."""
        if self._connection is None or self.over:
            return ""
        reply = await self._ask(self._connection, "HELP")
        return "" if isinstance(reply, Ended) else reply.text[:MAX_TEXT]

    async def close(self) -> None:
        """Say QUIT, whatever went before, and close. Without effect on a closed session."""
        connection, self._connection = self._connection, None
        if connection is not None:
            if self.tires:
                connection.leave()
                return
            await self._ask(connection, "QUIT")
            await connection.close(self._probe.command_timeout)

    async def _greet(self, connection: Connection) -> Greeting:
        banner = self._heard(connection, await connection.greeting(self._probe.banner_timeout))
        if isinstance(banner, Ended):
            return self._no_banner(connection, banner)
        if banner.code != 220:
            return turned_away(banner)
        hello = await self._say_hello(connection)
        if isinstance(hello, Ended):
            return Greeting(Contact.BROKEN, f"after the greeting: {hello.why}", banner, text=banner.text)
        if not hello.positive:
            return turned_away(hello)
        return Greeting(
            Contact.GREETED,
            "it takes commands",
            hello,
            keywords=keywords(hello),
            hostname=server_name(banner, hello, self._probe.ehlo_name or ""),
            text=f"{banner.text}\n{hello.text}"[:MAX_TEXT],
        )

    async def _say_hello(self, connection: Connection) -> Reply | Ended:
        """Return the answer to EHLO, or to HELO where the server does not know EHLO (RFC 5321 §3.2)."""
        first = await connection.ask(f"EHLO {self._probe.ehlo_name}", self._probe.command_timeout)
        hello = self._heard(connection, first)
        if isinstance(hello, Reply) and hello.permanent:
            return await self._ask(connection, f"HELO {self._probe.ehlo_name}")
        return hello

    def _no_banner(self, connection: Connection, ended: Ended) -> Greeting:
        """Return what it means that no whole greeting came."""
        if connection.out_of_time:
            return Greeting(Contact.OUR_FAULT, "the time of the run was over before the greeting")
        if any(line.side == "them" for line in self._transcript.lines):
            return Greeting(Contact.BROKEN, f"in the greeting: {ended.why}")
        contact = Contact.SILENT if ended.result is EnvelopeResult.TIMEOUT else Contact.BLOCKED
        return Greeting(contact, f"without a greeting: {ended.why}")

    async def _ask(self, connection: Connection, command: str) -> Reply | Ended:
        """Return the answer to *command*, sent after the polite pause."""
        if connection.ended is None:
            await asyncio.sleep(self._probe.command_delay.total_seconds())
            self._fall_silent(connection)
        loop = asyncio.get_running_loop()
        began = loop.time()
        within = max(self._probe.command_timeout, timedelta(seconds=_GROWN * self._last_seconds))
        reply = await connection.ask(command, within)
        self._last_seconds = loop.time() - began
        if self._first_seconds is None:
            self._first_seconds = self._last_seconds
        return self._heard(connection, reply)

    def _fall_silent(self, connection: Connection) -> None:
        """End the session where nothing more may be said, since the test is another's now."""
        if connection.ended is None and not self._may_speak():
            self._is_silenced = True
            connection.abandon("the time of this tester is over: another may have taken its place")

    def _heard(self, connection: Connection, reply: Reply | Ended) -> Reply | Ended:
        """Return *reply*, after which no more is said where it was a goodbye."""
        if isinstance(reply, Reply) and reply.code == 421:
            connection.goodbye()
        return reply

    async def _offer(
        self, connection: Connection, envelope: Envelope, message: bytes | None
    ) -> EnvelopeOutcome:
        if self._row == envelope.sender_form:
            shared = await self._offer_shared(connection, envelope, message)
            if shared is not None:
                return shared
        return await self._offer_alone(connection, envelope, message)

    async def _offer_shared(
        self, connection: Connection, envelope: Envelope, message: bytes | None
    ) -> EnvelopeOutcome | None:
        """Return what became of *envelope* with the sender of another; None: it is to be offered alone."""
        rcpt = await self._ask(connection, f"RCPT TO:{envelope.rcpt_to}")
        if isinstance(rcpt, Ended) or not (rcpt.positive or is_of_session(rcpt) or puts_off(rcpt)):
            return outcome_of(connection, envelope.test, rcpt, EnvelopeResult.REFUSED)
        self._row = None
        if rcpt.positive and message is None:
            return EnvelopeOutcome(envelope.test, EnvelopeResult.ACCEPTED, rcpt.lines[-1], rcpt)
        return None

    async def _offer_alone(
        self, connection: Connection, envelope: Envelope, message: bytes | None
    ) -> EnvelopeOutcome:
        test = envelope.test
        if self._open and (not_reset := await self._reset(connection)) is not None:
            return EnvelopeOutcome(test, EnvelopeResult.NOT_RUN, *not_reset)
        mail = await self._ask(connection, f"MAIL FROM:{envelope.mail_from}")
        if isinstance(mail, Ended) or not mail.positive:
            return outcome_of(connection, test, mail, EnvelopeResult.REFUSED)
        self._open, self._row = True, envelope.sender_form
        rcpt = await self._ask(connection, f"RCPT TO:{envelope.rcpt_to}")
        if isinstance(rcpt, Ended) or not rcpt.positive:
            return outcome_of(connection, test, rcpt, EnvelopeResult.REFUSED)
        self._row = None
        if message is None:
            return EnvelopeOutcome(test, EnvelopeResult.ACCEPTED, rcpt.lines[-1], rcpt)
        data = await self._ask(connection, "DATA")
        if isinstance(data, Ended) or data.code != 354:
            return outcome_of(connection, test, data, EnvelopeResult.REFUSED_DATA)
        self._fall_silent(connection)
        if connection.ended is not None:
            return outcome_of(connection, test, connection.ended, EnvelopeResult.REFUSED_DATA)
        octets = dot_stuffed(message)
        self._transcript.add("note", f"message of {len(octets)} octets")
        answer, sent_at = await connection.send_message(octets, self._probe.data_timeout)
        taken = self._heard(connection, answer)
        if isinstance(taken, Reply) and taken.positive:
            return EnvelopeOutcome(test, EnvelopeResult.QUEUED, taken.lines[-1], taken, sent_at)
        return outcome_of(connection, test, taken, EnvelopeResult.REFUSED_DATA, sent_at)

    async def _reset(self, connection: Connection) -> tuple[str, Reply | None] | None:
        """Forget the envelope before; None where it worked, else why and the answer.

        What the server says here concerns the session and not the next envelope: Exim ends a
        session after ten commands that send no mail.
        """
        reply = await self._ask(connection, "RSET")
        if isinstance(reply, Ended):
            return reply.why, None
        if not reply.positive:
            if connection.ended is None:
                connection.give_up("the server refuses RSET")
            return reply.lines[-1], reply
        self._open = False
        return None

    async def _start_tls(self, connection: Connection, test: str) -> EnvelopeOutcome | None:
        """Begin TLS and greet again (RFC 3207 §4.2); None where it worked, else what *test* came to."""
        self._in_tls = True
        self._open, self._row = False, None  # RFC 3207 §4.2: all that was said before is forgotten
        answer = await self._ask(connection, "STARTTLS")
        if isinstance(answer, Reply) and answer.code == 220:
            begun = await connection.start_tls(self._probe.command_timeout)
            hello = begun or await self._say_hello(connection)
            if isinstance(hello, Reply) and hello.positive:
                return None
            answer = hello
        if isinstance(answer, Reply) and connection.ended is None:
            connection.give_up("the server demands TLS and does not begin it")
        deferred = isinstance(answer, Reply) and answer.temporary
        result = EnvelopeResult.DEFERRED if deferred else EnvelopeResult.DROPPED
        if isinstance(answer, Ended):
            return EnvelopeOutcome(test, answer.result, answer.why)
        return EnvelopeOutcome(test, result, answer.lines[-1], answer)


def not_allowed(target: Address, probe: Probe) -> str | None:
    """Return why *target* may not be connected to, or None: the last look before any packet leaves."""
    if not probe.enabled or probe.ehlo_name is None:
        return "probing is turned off: the tester has no identity"
    reserved = reserved_reason(target)
    if reserved is not None and not any(target in network for network in probe.allow_reserved):
        return f"{target} is never tested: {reserved}"
    return None


def dot_stuffed(message: bytes) -> bytes:
    """Return *message* as DATA sends it, with the final dot: CRLF, dots doubled (RFC 5321 §4.5.2)."""
    lines = _LINE_END.split(message)
    if not lines[-1]:
        lines.pop()
    return b"".join((b"." if line.startswith(b".") else b"") + line + b"\r\n" for line in lines) + b".\r\n"


async def _connect(
    target: Address, probe: Probe, source: Address | None, deadline: float, transcript: Transcript
) -> Connection | NoConnection:
    why = not_allowed(target, probe)
    if why is not None:
        return NoConnection(Contact.OUR_FAULT, why)
    return await Connection.to((target, probe.port), source, probe.connect_timeout, deadline, transcript)
