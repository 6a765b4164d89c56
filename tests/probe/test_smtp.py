"""The SMTP session with a host under test, against servers with a script and a real one."""

import asyncio
import socket
from collections.abc import Coroutine
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address, ip_network
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP
from aiosmtpd.smtp import Envelope as Received
from aiosmtpd.smtp import Session as Peer
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from rbl.config import Probe
from rbl.probe.dialogue import Contact, EnvelopeOutcome, Greeting
from rbl.probe.plan import Envelope
from rbl.probe.smtp import Session, dot_stuffed, not_allowed
from rbl.terms import EnvelopeResult, TranscriptLine
from tests.probe.scripted import Do, Now, Pause, Script, ScriptedServer, Step, settings

HOST = ip_address("127.0.0.1")
MESSAGE = b"Subject: test\r\n\r\n.a dot\r\n"
ENVELOPE = Envelope("T01", "plain", "<s@sd.example>", "<r@td.example>", "r", "s")
LIKE = Envelope("T33", "of the same sender", "<s2@sd.example>", "<r2@td.example>", "r2", "s2")
OTHER = Envelope("T03", "of another", "<>", "<r3@td.example>", "r3", "s3")
HELLO: tuple[Step, ...] = (b"220 mx.example ESMTP\r\n", b"250-mx.example\r\n250 SIZE 1\r\n")
OK = b"250 2.0.0 Ok\r\n"
GO = b"354 go on\r\n"
BYE = b"221 bye\r\n"


def run(story: Coroutine[Any, Any, None]) -> None:
    """Run *story* to its end."""
    asyncio.run(story)


async def tried(
    server: ScriptedServer,
    message: bytes | None = MESSAGE,
    times: int = 1,
    within: float = 30,
    **changed: object,
) -> tuple[Greeting, list[EnvelopeOutcome], tuple[TranscriptLine, ...]]:
    """Return the greeting, the outcomes of *times* envelopes, and the transcript of one session."""
    async with (
        server.running(),
        Session.open(HOST, settings(server.port, timeout=within, **changed)) as session,
    ):
        outcomes = [await session.try_envelope(ENVELOPE, message) for _ in range(times)]
    return session.greeting, outcomes, session.transcript


@pytest.mark.parametrize(
    ("script", "result", "why"),
    [
        ((OK, OK, GO, OK, BYE), EnvelopeResult.QUEUED, "taken"),
        ((OK, b"251 will forward\r\n", GO, b"250-a\r\n250 b\r\n", BYE), EnvelopeResult.QUEUED, "251"),
        ((b"550 no\r\n", BYE), EnvelopeResult.REFUSED, "refused at MAIL"),
        ((OK, b"554 5.7.1 Relay access denied\r\n", BYE), EnvelopeResult.REFUSED, "refused at RCPT"),
        (
            (OK, b"454 4.7.1 <r1@a.example>: Relay access denied\r\n", BYE),
            EnvelopeResult.REFUSED,
            "a closed Postfix by its defaults: it never takes it later",
        ),
        ((OK, b"521 no mail here\r\n", BYE), EnvelopeResult.REFUSED, "RFC 7504"),
        ((OK, OK, b"554 no\r\n", BYE), EnvelopeResult.REFUSED_DATA, "refused at DATA"),
        ((OK, OK, GO, b"554 no\r\n", BYE), EnvelopeResult.REFUSED_DATA, "refused after the message"),
        ((b"450 later\r\n", BYE), EnvelopeResult.DEFERRED, "greylisting at MAIL"),
        ((OK, b"450 4.7.1 later\r\n", BYE), EnvelopeResult.DEFERRED, "greylisting at RCPT"),
        (
            (OK, b"450 4.7.1 Relaying temporarily denied. Cannot resolve PTR record\r\n", BYE),
            EnvelopeResult.DEFERRED,
            "Sendmail, which may take it once our name resolves",
        ),
        ((OK, OK, b"451 later\r\n", BYE), EnvelopeResult.DEFERRED, "at DATA"),
        ((OK, OK, GO, b"452 full\r\n", BYE), EnvelopeResult.DEFERRED, "after the message"),
        ((b"530 5.7.0 Authentication required\r\n", BYE), EnvelopeResult.AUTH_REQUIRED, "530 at MAIL"),
        ((OK, b"530 log in\r\n", BYE), EnvelopeResult.AUTH_REQUIRED, "530 at RCPT"),
        ((b"421 bye\r\n",), EnvelopeResult.DEFERRED, "goodbye at MAIL"),
        ((OK, OK, GO, b"421 bye\r\n"), EnvelopeResult.DEFERRED, "goodbye after the message"),
        ((Do.CLOSE,), EnvelopeResult.DROPPED, "closed at MAIL"),
        ((OK, Do.RESET), EnvelopeResult.DROPPED, "reset at RCPT"),
        ((OK, OK, GO, Do.CLOSE), EnvelopeResult.DROPPED, "closed after the message"),
        ((Now(b"250 half a li"), Do.CLOSE), EnvelopeResult.DROPPED, "closed in the middle of a reply"),
        ((Now(b"250-one\r\n"), Do.CLOSE), EnvelopeResult.DROPPED, "closed between two lines"),
        ((b"250-a\r\n550 b\r\n",), EnvelopeResult.DROPPED, "code changes within the reply"),
        ((b"\x00\xff\r\n",), EnvelopeResult.DROPPED, "no SMTP"),
        ((b"250 " + b"x" * 70_000,), EnvelopeResult.DROPPED, "a line without end"),
        ((b"250-x\r\n" * 513,), EnvelopeResult.DROPPED, "too many lines"),
        ((b"550-x\r\n" * 511 + b"550 x\r\n", BYE), EnvelopeResult.REFUSED, "512 lines"),
        ((b"354 go on\r\n",), EnvelopeResult.DROPPED, "354 to MAIL is out of step"),
        ((OK, OK, b"250 Ok\r\n", BYE), EnvelopeResult.DROPPED, "250 to DATA is out of step"),
        ((OK, OK, b"354 go\r\n250 taken\r\n"), EnvelopeResult.DROPPED, "takes what was not sent"),
        ((b"250 Ok\r\n250 Ok\r\n250 Ok\r\n",), EnvelopeResult.DROPPED, "answers before it was asked"),
        (
            (b"250 ok\n", b"250 ok\n", b"354 go\n", b"250 ok\n", b"221 bye\n"),
            EnvelopeResult.QUEUED,
            "bare LF",
        ),
        ((b"250 \xf0\x00\x1b\r\n", OK, GO, OK, BYE), EnvelopeResult.QUEUED, "8 bit and NUL in the text"),
    ],
)
def test_what_the_server_says_is_the_outcome(script: Script, result: EnvelopeResult, why: str) -> None:
    """Whatever the server answers, or does instead, one envelope has one documented result."""

    async def story() -> None:
        server = ScriptedServer((*HELLO, *script))
        greeting, [outcome], _ = await tried(server)

        assert greeting.contact is Contact.GREETED
        assert result == outcome.result, why
        assert outcome.why

    run(story())


@pytest.mark.parametrize(
    ("script", "result", "was_sent", "why"),
    [
        ((Do.HANG,), EnvelopeResult.TIMEOUT, False, "silent at MAIL"),
        ((Do.DRIP,), EnvelopeResult.TIMEOUT, False, "a line that never ends"),
        ((OK, b"250-more\r\n", Do.HANG), EnvelopeResult.TIMEOUT, False, "silent at RCPT"),
        ((OK, OK, GO, Do.HANG), EnvelopeResult.TIMEOUT, True, "silent after the message: it may be taken"),
    ],
)
def test_silence_is_a_timeout(script: Script, result: EnvelopeResult, was_sent: bool, why: str) -> None:  # noqa: FBT001
    """A server that does not answer in time ends the session and proves nothing."""

    async def story() -> None:
        server = ScriptedServer((*HELLO, *script))
        _, [outcome, after], _ = await tried(server, times=2, within=0.2)

        assert (result, was_sent) == (outcome.result, outcome.sent_at is not None), why
        assert after.result is EnvelopeResult.NOT_RUN

    run(story())


@pytest.mark.parametrize(
    ("script", "contact", "why"),
    [
        ((b"220 x\r\n", b"250 x\r\n", BYE), Contact.GREETED, "the shortest hello"),
        ((b"220 x\r\n", b"502 what?\r\n", OK, BYE), Contact.GREETED, "HELO where EHLO is unknown"),
        ((Now(b"220-x\r\n"), b"220 y\r\n", OK, BYE), Contact.GREETED, "a greeting in two pieces"),
        ((b"554 go away\r\n", BYE), Contact.BLOCKED, "a greeting that refuses us"),
        ((b"521 no mail\r\n", BYE), Contact.BLOCKED, "RFC 7504"),
        ((b"220 x\r\n", b"550 you\r\n", b"550 you\r\n", BYE), Contact.BLOCKED, "EHLO and HELO refused"),
        ((Do.CLOSE,), Contact.BLOCKED, "closed without a word"),
        ((Do.RESET,), Contact.BLOCKED, "reset without a word"),
        ((b"421 too many\r\n",), Contact.DEFERRED, "goodbye instead of a greeting"),
        ((b"450 later\r\n", BYE), Contact.DEFERRED, "not now"),
        ((b"220 x\r\n", b"450 later\r\n", BYE), Contact.DEFERRED, "not now, to EHLO"),
        ((b"220 x\r\n", b"421 bye\r\n"), Contact.DEFERRED, "goodbye to EHLO"),
        ((b"220 x\r\n", Do.CLOSE), Contact.BROKEN, "closed at EHLO"),
        ((b"220 x\r\n", b"500 ?\r\n", Do.CLOSE), Contact.BROKEN, "closed at HELO"),
        ((b"250 x\r\n", BYE), Contact.BROKEN, "another code than 220"),
        ((b"HTTP/1.1 400 Bad Request\r\n",), Contact.BROKEN, "another protocol"),
        ((Now(b"220 x"), Do.CLOSE), Contact.BROKEN, "closed in the greeting"),
        ((b"\x16\x03\x01" * 1000,), Contact.BROKEN, "octets without a line end"),
    ],
)
def test_how_a_session_begins(script: Script, contact: Contact, why: str) -> None:
    """How far a session came is told apart, and no envelope follows a bad start."""

    async def story() -> None:
        server = ScriptedServer(script)
        async with server.running(), Session.open(HOST, settings(server.port, timeout=2)) as session:
            assert contact == session.greeting.contact, why
            assert (contact is not Contact.GREETED) == session.over
            if session.over:
                assert (await session.try_envelope(ENVELOPE, None)).result is EnvelopeResult.NOT_RUN
                assert await session.help() == ""

    run(story())


@pytest.mark.parametrize(
    ("step", "contact"), [(Do.HANG, Contact.SILENT), (Do.DRIP, Contact.BROKEN)], ids=["silent", "dripping"]
)
def test_greeting_that_does_not_come(step: Step, contact: Contact) -> None:
    """A server that connects and says nothing is silent; one that drips octets is broken."""

    async def story() -> None:
        server = ScriptedServer((step,))
        greeting, _, _ = await tried(server, within=0.2)

        assert contact == greeting.contact

    run(story())


def test_commands_are_sent_exactly_so() -> None:
    """A session says EHLO, MAIL, RCPT, DATA, RSET and QUIT, letter for letter, and nothing else."""

    async def story() -> None:
        server = ScriptedServer((*HELLO, OK, OK, GO, OK, OK, OK, b"550 no\r\n", OK, BYE))
        async with server.running(), Session.open(HOST, settings(server.port)) as session:
            await session.try_envelope(ENVELOPE, MESSAGE)
            await session.try_envelope(ENVELOPE, MESSAGE)
            await session.try_envelope(ENVELOPE, None)
        mail, rcpt = "MAIL FROM:<s@sd.example>", "RCPT TO:<r@td.example>"

        assert [
            ["EHLO tester.example.net", mail, rcpt, "DATA", "RSET", mail, rcpt, rcpt, "QUIT"]
        ] == server.heard
        assert server.messages == [b"Subject: test\r\n\r\n..a dot\r\n.\r\n"]

    run(story())


def test_greeting_tells_what_the_server_says_of_itself() -> None:
    """The greeting keeps the server's name, its extensions and the text to recognise it by."""

    async def story() -> None:
        hello = b"250-mx.example Hello\r\n250-size 1\r\n250-\r\n250 PIPELINING\r\n"
        server = ScriptedServer((b"220 MX.Example ESMTP Postfix\r\n", hello, BYE))
        greeting, _, _ = await tried(server, times=0)

        assert greeting.hostname == "mx.example"
        assert greeting.keywords == ("SIZE", "PIPELINING")
        assert greeting.text.splitlines()[0] == "220 MX.Example ESMTP Postfix"

    run(story())


def test_transcript_has_every_line_and_no_message() -> None:
    """The transcript keeps every line of both sides, escaped, and of the message its size."""
    at = datetime(2026, 5, 4, tzinfo=UTC)

    async def story() -> None:
        server = ScriptedServer((*HELLO, b"250 \x1b\r\n", OK, GO, OK, BYE))
        async with (
            server.running(),
            Session.open(HOST, settings(server.port), clock=lambda: at) as session,
        ):
            await session.try_envelope(ENVELOPE, MESSAGE)

        assert {at} == {line.at for line in session.transcript}
        assert [f"{line.side}: {line.text}" for line in session.transcript[2:]] == [
            "them: 220 mx.example ESMTP",
            "us: EHLO tester.example.net",
            "them: 250-mx.example",
            "them: 250 SIZE 1",
            "us: MAIL FROM:<s@sd.example>",
            "them: 250 \\x1b",
            "us: RCPT TO:<r@td.example>",
            "them: 250 2.0.0 Ok",
            "us: DATA",
            "them: 354 go on",
            "note: message of 29 octets",
            "us: .",
            "them: 250 2.0.0 Ok",
            "us: QUIT",
            "them: 221 bye",
            "note: connection closed",
        ]

    run(story())


def test_outcome_carries_its_evidence() -> None:
    """An outcome has the command, the reply with its enhanced code, and when the message was out."""
    at = datetime(2026, 5, 4, tzinfo=UTC)

    async def story() -> None:
        server = ScriptedServer(
            (*HELLO, OK, b"550-5.7.1 no\r\n550 5.7.1 relay\r\n", OK, OK, OK, OK, GO, OK, BYE)
        )
        async with (
            server.running(),
            Session.open(HOST, settings(server.port), clock=lambda: at) as session,
        ):
            refused = await session.try_envelope(ENVELOPE, MESSAGE)
            queued = await session.try_envelope(ENVELOPE, MESSAGE)
        assert refused.reply is not None

        assert (refused.reply.command, refused.reply.code) == ("RCPT TO:<r@td.example>", 550)
        assert refused.reply.enhanced == "5.7.1"
        assert refused.why == "550 5.7.1 relay"
        assert (refused.sent_at, queued.sent_at) == (None, at)

    run(story())


def test_without_a_message_it_stops_after_rcpt() -> None:
    """Where no message is given, an accepted recipient is as far as it goes."""

    async def story() -> None:
        server = ScriptedServer((*HELLO, OK, OK, BYE))
        _, [outcome], _ = await tried(server, message=None)

        assert outcome.result is EnvelopeResult.ACCEPTED
        assert server.messages == []

    run(story())


@pytest.mark.parametrize(
    ("reset", "why"),
    [
        (b"554 Too many nonmail commands\r\n", "Exim's limit"),
        (b"421 bye\r\n", "goodbye"),
        (Do.CLOSE, "closed"),
    ],
)
def test_envelope_after_a_failed_reset_had_no_turn(reset: Step, why: str) -> None:
    """A server that does not reset ended the session, which says nothing of the next envelope."""

    async def story() -> None:
        server = ScriptedServer((*HELLO, OK, b"550 no\r\n", reset))
        async with server.running(), Session.open(HOST, settings(server.port)) as session:
            results = [
                (await session.try_envelope(one, MESSAGE)).result for one in (ENVELOPE, OTHER, ENVELOPE)
            ]

        assert results == [EnvelopeResult.REFUSED, EnvelopeResult.NOT_RUN, EnvelopeResult.NOT_RUN], why

    run(story())


NO = b"550 5.7.1 Relaying denied\r\n"


@pytest.mark.parametrize(
    ("script", "result", "heard", "why"),
    [
        (
            (NO, BYE),
            EnvelopeResult.REFUSED,
            ["RCPT TO:<r2@td.example>", "QUIT"],
            "a refusal is the form's answer, whoever's sender stands there",
        ),
        (
            (OK, OK, OK, OK, GO, OK, BYE),
            EnvelopeResult.QUEUED,
            [
                *("RCPT TO:<r2@td.example>", "RSET"),
                *("MAIL FROM:<s2@sd.example>", "RCPT TO:<r2@td.example>", "DATA", "QUIT"),
            ],
            "what is taken is offered anew, alone and from its own sender, whom the bounce will name",
        ),
        (
            (b"503 5.5.1 Bad sequence: MAIL first\r\n", OK, OK, NO, BYE),
            EnvelopeResult.REFUSED,
            [
                *("RCPT TO:<r2@td.example>", "RSET"),
                *("MAIL FROM:<s2@sd.example>", "RCPT TO:<r2@td.example>", "QUIT"),
            ],
            "a server that forgets the sender after a refusal has not answered",
        ),
        (
            (b"550 Too many failed recipients\r\n", OK, OK, OK, GO, OK, BYE),
            EnvelopeResult.QUEUED,
            [
                *("RCPT TO:<r2@td.example>", "RSET"),
                *("MAIL FROM:<s2@sd.example>", "RCPT TO:<r2@td.example>", "DATA", "QUIT"),
            ],
            "refused for the recipient before, and taken alone",
        ),
        (
            (b"550 Too many failed recipients\r\n", OK, OK, b"550 Too many failed recipients\r\n", BYE),
            EnvelopeResult.NOT_RUN,
            [
                *("RCPT TO:<r2@td.example>", "RSET"),
                *("MAIL FROM:<s2@sd.example>", "RCPT TO:<r2@td.example>", "QUIT"),
            ],
            "refused for what went before: another session may take it",
        ),
        (
            (b"450 4.7.1 <r2@td.example>: try again\r\n", BYE),
            EnvelopeResult.DEFERRED,
            ["RCPT TO:<r2@td.example>", "QUIT"],
            "greylisted",
        ),
        ((Do.CLOSE,), EnvelopeResult.NOT_RUN, ["RCPT TO:<r2@td.example>"], "dropped after a refusal"),
        (
            (b"421 4.5.0 Too many errors, bye\r\n",),
            EnvelopeResult.NOT_RUN,
            ["RCPT TO:<r2@td.example>"],
            "chasquid says it instead of its third refusal",
        ),
    ],
)
def test_envelopes_of_one_sender_share_its_mail(
    script: Script, result: EnvelopeResult, heard: list[str], why: str
) -> None:
    """A second recipient costs one command while recipients are refused, and its answer is its own."""

    async def story() -> None:
        server = ScriptedServer((*HELLO, OK, NO, *script))
        async with server.running(), Session.open(HOST, settings(server.port)) as session:
            first = await session.try_envelope(ENVELOPE, MESSAGE)
            second = await session.try_envelope(LIKE, MESSAGE)

        assert (EnvelopeResult.REFUSED, result) == (first.result, second.result), why
        assert server.heard[0][3:] == heard, why

    run(story())


@pytest.mark.parametrize(
    ("script", "why"),
    [
        (
            (NO + b"421 4.7.0 mx.example Error: too many errors\r\n",),
            "Postfix with smtpd_hard_error_limit=1",
        ),
        ((Now(NO), Do.CLOSE), "closed at once"),
        ((NO, b"421 bye\r\n"), "goodbye to the next command"),
    ],
)
def test_refusal_before_the_end_counts(script: Script, why: str) -> None:
    """A server that refuses and hangs up has refused the one, and the next had no turn."""

    async def story() -> None:
        server = ScriptedServer((*HELLO, OK, *script))
        async with server.running(), Session.open(HOST, settings(server.port)) as session:
            results = [(await session.try_envelope(one, MESSAGE)).result for one in (ENVELOPE, OTHER)]

        assert [EnvelopeResult.REFUSED, EnvelopeResult.NOT_RUN] == results, why

    run(story())


def test_answers_that_grow_slower_are_waited_for() -> None:
    """A tarpit's next answer may take longer than the time for one: it is waited for by the last one's."""

    async def story() -> None:
        server = ScriptedServer((*HELLO, OK, Pause(1.2), NO, Pause(2.6), NO, Do.HANG))
        async with server.running(), Session.open(HOST, settings(server.port, timeout=2)) as session:
            results = [(await session.try_envelope(one, MESSAGE)).result for one in (ENVELOPE, LIKE)]
            tires = session.tires

        assert [EnvelopeResult.REFUSED] * 2 == results
        assert tires
        assert [("us", "QUIT")] == [(line.side, line.text) for line in session.transcript][-1:]

    run(story())


def test_a_session_that_is_slow_from_its_start_does_not_tire() -> None:
    """A server that takes its time for everybody is no quicker in another session."""

    async def story() -> None:
        server = ScriptedServer((HELLO[0], Pause(0.3), *HELLO[1:], Pause(0.3), OK, Pause(0.3), NO, BYE))
        async with server.running(), Session.open(HOST, settings(server.port, timeout=1)) as session:
            await session.try_envelope(ENVELOPE, MESSAGE)

            assert not session.tires

    run(story())


def test_of_a_very_long_reply_some_lines_are_kept() -> None:
    """The transcript keeps the first lines and the last, and says how many there were between."""
    reply = b"550-policy\r\n" * 200 + b"550 end\r\n"

    async def story() -> None:
        server = ScriptedServer((*HELLO, OK, reply, BYE))
        _, [outcome], transcript = await tried(server)
        lines = [f"{line.side}: {line.text}" for line in transcript]
        at = lines.index("note: 137 more lines of the same reply")

        assert outcome.result is EnvelopeResult.REFUSED
        assert (["them: 550-policy"] * 63, "them: 550 end") == (lines[at - 63 : at], lines[at + 1])

    run(story())


@pytest.mark.parametrize(
    ("script", "says_quit", "why"),
    [
        ((b"550 no\r\n", BYE), True, "after a refusal"),
        ((b"250-a\r\n550 b\r\n", Do.HANG), True, "after nonsense"),
        ((b"421 bye\r\n", BYE), False, "after a goodbye nothing more is said"),
    ],
)
def test_quit_is_always_said(script: Script, says_quit: bool, why: str) -> None:  # noqa: FBT001
    """Every session ends with QUIT, except one that the server ended itself."""

    async def story() -> None:
        server = ScriptedServer((*HELLO, *script))
        _, _, transcript = await tried(server)

        assert says_quit == (("us", "QUIT") in [(line.side, line.text) for line in transcript]), why

    run(story())


def test_server_that_talks_without_end_is_cut_off() -> None:
    """Replies that are each within the limits still end the session when they are far too much together."""
    reply = (b"250-" + b"x" * 990 + b"\r\n") * 63 + b"250 x\r\n"

    async def story() -> None:
        server = ScriptedServer((b"220 x\r\n", *(reply,) * 60))
        _, outcomes, transcript = await tried(server, message=None, times=16)

        assert [EnvelopeResult.ACCEPTED, EnvelopeResult.NOT_RUN] == [
            outcomes[0].result,
            outcomes[-1].result,
        ]
        assert "the server says far too much" in [line.text for line in transcript]

    run(story())


TLS_FIRST = b"530 5.7.0 Must issue a STARTTLS command first\r\n"


@pytest.mark.parametrize(
    ("script", "result", "why"),
    [
        (
            (TLS_FIRST, Now(b"220 go\r\n"), Do.START_TLS, OK, OK, OK, GO, OK, BYE),
            EnvelopeResult.QUEUED,
            "demanded",
        ),
        (
            (OK, TLS_FIRST, Now(b"220 go\r\n"), Do.START_TLS, OK, OK, OK, GO, OK, BYE),
            EnvelopeResult.QUEUED,
            "at RCPT",
        ),
        (
            (TLS_FIRST, Now(b"220 go\r\n"), Do.START_TLS, OK, TLS_FIRST, BYE),
            EnvelopeResult.AUTH_REQUIRED,
            "demanded again within TLS",
        ),
        ((TLS_FIRST, b"454 not now\r\n", BYE), EnvelopeResult.DEFERRED, "TLS not available now"),
        ((TLS_FIRST, b"502 unknown\r\n", BYE), EnvelopeResult.DROPPED, "demanded and not offered"),
        ((TLS_FIRST, b"421 bye\r\n"), EnvelopeResult.DEFERRED, "goodbye"),
        ((TLS_FIRST, Do.CLOSE), EnvelopeResult.DROPPED, "closed at STARTTLS"),
        (
            (TLS_FIRST, Now(b"220 go\r\n"), Do.HEAR, b"no TLS at all\r\n" * 100),
            EnvelopeResult.DROPPED,
            "no TLS after 220",
        ),
        ((TLS_FIRST, Now(b"220 go\r\n"), Do.HEAR, Do.CLOSE), EnvelopeResult.DROPPED, "closed in TLS"),
        ((TLS_FIRST, b"220 go\r\n250 sneaked in\r\n"), EnvelopeResult.DROPPED, "plain text after 220"),
        (
            (TLS_FIRST, Now(b"220 go\r\n"), Do.START_TLS, Do.CLOSE),
            EnvelopeResult.DROPPED,
            "closed within TLS",
        ),
        (
            (TLS_FIRST, Now(b"220 go\r\n"), Do.START_TLS, b"550 no\r\n", b"550 no\r\n", BYE),
            EnvelopeResult.DROPPED,
            "EHLO refused within TLS",
        ),
    ],
)
def test_tls_where_it_is_demanded(script: Script, result: EnvelopeResult, why: str) -> None:
    """TLS is begun when the server demands it, whatever its certificate, and never proves anything."""

    async def story() -> None:
        server = ScriptedServer((*HELLO, *script))
        _, [outcome], _ = await tried(server, within=10)

        assert result == outcome.result, why

    run(story())


def test_tls_that_is_offered_is_not_used() -> None:
    """A server that merely offers STARTTLS is tested in clear text, as relays are abused."""

    async def story() -> None:
        server = ScriptedServer((HELLO[0], b"250-mx.example\r\n250 STARTTLS\r\n", b"550 no\r\n", BYE))
        await tried(server)

        assert "STARTTLS" not in server.heard[0]

    run(story())


def test_help_is_asked_once() -> None:
    """HELP gives the text by which some servers are known; a server that closes instead gives none."""

    async def story() -> None:
        server = ScriptedServer(
            (*HELLO, b"214 qmail home page: http://pobox.com/~djb/qmail.html\r\n", Do.CLOSE)
        )
        async with server.running(), Session.open(HOST, settings(server.port)) as session:
            assert (await session.help()).startswith("214 qmail home page")
            assert await session.help() == ""

    run(story())


def test_nobody_listens() -> None:
    """A port where nobody listens makes the host unreachable."""

    async def story() -> None:
        async with ScriptedServer(()).running() as server:
            port = server.port
        async with Session.open(HOST, settings(port)) as session:
            assert session.greeting.contact is Contact.UNREACHABLE
            assert session.greeting.why == "no connection: Connection refused"
            assert session.over

    run(story())


def test_connection_that_is_not_answered_in_time() -> None:
    """A host that does not answer the connection attempt is unreachable."""

    async def story() -> None:
        with socket.create_server(("127.0.0.1", 0), backlog=0) as silent:
            port = silent.getsockname()[1]
            with socket.create_connection(("127.0.0.1", port)):  # this one fills the backlog
                async with Session.open(HOST, settings(port, timeout=0.2)) as session:
                    contact = session.greeting.contact

        assert contact is Contact.UNREACHABLE

    run(story())


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"enabled": False}, "probing is off"),
        ({"allow_reserved": ()}, "the loopback address is reserved"),
        ({"source_address": ip_address("::1")}, "a source address of the other family"),
        ({"source_address": ip_address("192.0.2.1")}, "a source address this machine does not have"),
    ],
)
def test_our_own_fault_is_not_the_hosts(changed: dict[str, object], why: str) -> None:
    """Where the tester cannot or may not connect, the host is not called unreachable and hears nothing."""

    async def story() -> None:
        server = ScriptedServer((*HELLO, BYE))
        greeting, [outcome], _ = await tried(server, MESSAGE, 1, 30, **changed)

        assert greeting.contact is Contact.OUR_FAULT, why
        assert outcome.result is EnvelopeResult.NOT_RUN
        assert server.heard == []

    run(story())


def test_second_source_address() -> None:
    """A session may come from another source address than the usual one."""

    async def story() -> None:
        server = ScriptedServer((*HELLO, BYE))
        async with (
            server.running(),
            Session.open(HOST, settings(server.port), source=ip_address("127.0.0.2")) as session,
        ):
            assert "connected from 127.0.0.2" in [line.text for line in session.transcript]

    run(story())


@pytest.mark.parametrize("script", [(), (Do.HANG,)], ids=["before connecting", "before the greeting"])
def test_run_out_of_time_is_our_fault(script: Script) -> None:
    """A run whose own time is over does not call the host unreachable or silent."""

    async def story() -> None:
        server = ScriptedServer(script)
        now = asyncio.get_running_loop().time()
        deadline = now + 0.2 if script else now
        async with (
            server.running(),
            Session.open(HOST, settings(server.port), deadline=deadline) as session,
        ):
            assert session.greeting.contact is Contact.OUR_FAULT

    run(story())


def test_cancelled_session_is_closed_at_once() -> None:
    """A cancelled session ends without waiting for the server, and the cancellation goes on."""

    async def story() -> None:
        server = ScriptedServer((*HELLO, Do.HANG))
        begun = asyncio.Event()

        async def session_without_end() -> None:
            async with Session.open(HOST, settings(server.port)) as session:
                begun.set()
                await session.try_envelope(ENVELOPE, None)

        async with server.running():
            task = asyncio.create_task(session_without_end())
            await begun.wait()
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

            assert task.cancelled()

    run(story())


def test_server_that_does_not_close_is_left() -> None:
    """A server that hangs at QUIT does not hold the session for longer than a command."""

    async def story() -> None:
        server = ScriptedServer((*HELLO, Do.HANG))
        greeting, _, transcript = await tried(server, times=0, within=0.2)

        assert greeting.contact is Contact.GREETED
        assert transcript[-1].text == "connection closed"

    run(story())


def test_closing_twice_is_closing_once() -> None:
    """A session that was closed already is not closed again at its end."""

    async def story() -> None:
        server = ScriptedServer((*HELLO, BYE))
        async with server.running(), Session.open(HOST, settings(server.port)) as session:
            await session.close()

        assert server.heard == [["EHLO tester.example.net", "QUIT"]]

    run(story())


def test_politeness_between_commands() -> None:
    """A pause is kept before each command after the first."""

    async def story() -> None:
        server = ScriptedServer((*HELLO, b"550 no\r\n", BYE))
        loop = asyncio.get_running_loop()
        began = loop.time()
        await tried(server, command_delay=timedelta(seconds=0.05))

        assert loop.time() - began >= 2 * 0.05  # before MAIL and QUIT; there is no upper bound

    run(story())


@pytest.mark.parametrize(
    ("message", "sent", "why"),
    [
        (b"a\r\n", b"a\r\n.\r\n", "nothing to do"),
        (b"a", b"a\r\n.\r\n", "the last line gets its end"),
        (b".\r\n..b\r\n", b"..\r\n...b\r\n.\r\n", "dots at line starts are doubled"),
        (b"a\nb\rc\r\n", b"a\r\nb\r\nc\r\n.\r\n", "bare LF and CR become line ends"),
        (b"a\n.\r\n", b"a\r\n..\r\n.\r\n", "a bare LF cannot smuggle the end"),
        (b"", b".\r\n", "nothing"),
    ],
)
def test_dot_stuffing(message: bytes, sent: bytes, why: str) -> None:
    """A message is sent with CRLF line ends and doubled dots, so that none of it is a command."""
    assert sent == dot_stuffed(message), why


@pytest.mark.parametrize(
    ("address", "allowed", "reserved_is_allowed"),
    [
        ("93.184.215.14", True, False),
        ("127.0.0.1", False, False),
        ("127.0.0.1", True, True),
        ("10.0.0.1", False, True),
        ("224.0.0.1", False, True),
        ("2002:a00:1::1", False, True),
        ("64:ff9b::a00:1", False, True),
        ("::ffff:10.0.0.1", False, True),
    ],
)
def test_reserved_addresses_are_never_connected_to(
    address: str,
    allowed: bool,  # noqa: FBT001
    reserved_is_allowed: bool,  # noqa: FBT001
) -> None:
    """Only plain global unicast is connected to, and what the settings allow by name."""
    networks = (ip_network("127.0.0.0/8"),) if reserved_is_allowed else ()
    probe: Probe = settings(25, allow_reserved=networks)

    assert allowed == (not_allowed(ip_address(address), probe) is None)


class TakesAll:
    """An open relay that keeps what it took."""

    def __init__(self) -> None:
        self.taken: list[tuple[str | None, list[str], bytes]] = []

    async def handle_DATA(self, _server: SMTP, _session: Peer, envelope: Received) -> str:  # noqa: N802
        assert isinstance(envelope.original_content, bytes)
        self.taken.append((envelope.mail_from, envelope.rcpt_tos, envelope.original_content))
        return "250 2.0.0 Queued"


def test_real_server_takes_the_message_unchanged() -> None:
    """A real SMTP server gets the message octet for octet, with the envelope as it was sent."""

    async def story() -> None:
        relay = TakesAll()
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: SMTP(relay, hostname="mx.example"), "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with server, Session.open(HOST, settings(port)) as session:
            outcomes = [await session.try_envelope(ENVELOPE, MESSAGE) for _ in range(2)]

        assert [outcome.result for outcome in outcomes] == [EnvelopeResult.QUEUED] * 2
        assert relay.taken == [("s@sd.example", ["r@td.example"], MESSAGE)] * 2
        assert session.greeting.hostname == "mx.example"

    run(story())


ANY_STEP = st.one_of(
    st.binary(max_size=200),
    st.sampled_from([OK, GO, b"550 no\r\n", TLS_FIRST, b"250-a\r\n", b"421 x\r\n", b"220 x\r\n"]),
    st.sampled_from([Do.CLOSE, Do.RESET]),
)


@hypothesis_settings(deadline=None, max_examples=60)
@given(script=st.lists(ANY_STEP, max_size=12), greets=st.booleans())
def test_any_server_yields_an_outcome(script: list[Step], greets: bool) -> None:  # noqa: FBT001
    """Whatever octets a server sends, each envelope has a documented outcome, and none is proof."""
    possible = set(EnvelopeResult) - {
        EnvelopeResult.RELAYED,
        EnvelopeResult.MULTIHOP,
        EnvelopeResult.BOUNCED,
    }

    async def story() -> None:
        server = ScriptedServer((*(HELLO if greets else ()), *script))
        greeting, outcomes, transcript = await tried(server, times=3, within=0.3)

        assert {outcome.result for outcome in outcomes} <= possible
        assert greeting.contact not in {Contact.OUR_FAULT, Contact.UNREACHABLE}
        assert all(len(line.text) <= 1000 and line.text.isascii() for line in transcript)

    run(story())
