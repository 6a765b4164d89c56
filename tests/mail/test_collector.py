"""SMTP conversations with the running collector."""

import asyncio
import queue
import smtplib
import socket
import struct
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address, ip_network

import pytest
import uvloop

from rbl import config, testtoken
from rbl.attendance import Refusal
from rbl.config import Listen
from rbl.errors import ConfigError, Unavailable
from rbl.mail.collector import Collector
from rbl.mail.delivery import PostboxFull, Received, ReturnsFull
from rbl.mail.places import Limits
from rbl.mail.tokens import Tokens
from rbl.store.receipts import Standing
from rbl.terms import Network
from rbl.testmessage import TokenKind

DOMAIN = "relaytest.example"
KEY = b"k" * 32
TOKEN = testtoken.make(TokenKind.RECIPIENT, KEY)
TO = f"{TOKEN}@{DOMAIN}"
BOUNCE_TO = f"{testtoken.make(TokenKind.SENDER, KEY)}@{DOMAIN}"
WAIT_SECONDS = 20
LARGEST = 32 * 1024


class Mailbox:
    """What the collector delivers to: keeps messages, or fails as told."""

    def __init__(self) -> None:
        self.messages: queue.Queue[Received] = queue.Queue()
        self.fault: Exception | None = None
        self.called = threading.Event()
        self.go_on = threading.Event()
        self.go_on.set()
        self.standing: Standing | None = Standing.AWAITED  # of any token of ours; None: no database
        self.asked: list[str] = []
        self.refused: list[tuple[Refusal, Network | None]] = []

    def ask(self, token: str) -> Standing:
        self.asked.append(token)
        if self.standing is None:
            raise Unavailable("the database does not answer")
        return self.standing

    def note(self, why: Refusal, site: Network | None) -> None:
        self.refused.append((why, site))

    def deliver(self, received: Received) -> None:
        self.called.set()
        self.go_on.wait(WAIT_SECONDS)
        if self.fault:
            raise self.fault
        self.messages.put(received)

    def next(self) -> Received:
        return self.messages.get(timeout=WAIT_SECONDS)


class Running:
    """A collector in an event loop of its own thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.mailbox = Mailbox()
        self.collector: Collector | None = None

    def run(self, work: Awaitable[None]) -> None:
        async def whole() -> None:
            await work

        asyncio.run_coroutine_threadsafe(whole(), self.loop).result(WAIT_SECONDS)

    def start(
        self,
        limits: Limits | None = None,
        host: str = "127.0.0.1",
        listen: tuple[Listen, ...] | None = None,
    ) -> Listen:
        places = listen or (Listen(host, 0),)
        settings = config.Collector(listen=places, domain=DOMAIN, max_message_octets=LARGEST)
        box = self.mailbox
        self.collector = Collector(settings, box.deliver, Tokens(KEY, box.ask), box.note, limits)
        self.run(self.collector.start())
        return self.collector.bound[0]

    def stop(self) -> None:
        if self.collector:
            self.run(self.collector.stop())


class Line:
    """A raw connection: what is said goes out as it is, replies come back by line."""

    def __init__(self, listen: Listen) -> None:
        self.socket = socket.create_connection(listen, timeout=WAIT_SECONDS)
        self.replies = self.socket.makefile("rb")

    def say(self, octets: bytes) -> None:
        self.socket.sendall(octets)

    def reply(self) -> bytes:
        while True:
            line = self.replies.readline()
            if line[3:4] != b"-":
                return line

    def ask(self, octets: bytes) -> bytes:
        self.say(octets)
        return self.reply()

    def begin(self) -> None:
        """Go as far as 354."""
        self.reply()
        self.begin_again()
        assert b"354" == self.ask(b"DATA\r\n")[:3]

    def begin_again(self) -> None:
        """Say that something awaited is coming, after the greeting."""
        for command in (b"EHLO h.example", b"MAIL FROM:<a@b.example>", b"RCPT TO:<" + TO.encode() + b">"):
            assert b"250" == self.ask(command + b"\r\n")[:3]

    def close(self) -> None:
        self.replies.close()
        self.socket.close()


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def running(request: pytest.FixtureRequest) -> Iterator[Running]:
    make_loop: Callable[[], asyncio.AbstractEventLoop] = request.param
    loop = make_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    running = Running(loop)
    yield running
    running.mailbox.go_on.set()
    running.stop()
    running.run(loop.shutdown_default_executor())
    loop.call_soon_threadsafe(loop.stop)
    thread.join(WAIT_SECONDS)
    loop.close()


@pytest.fixture
def listen(running: Running) -> Listen:
    return running.start()


@pytest.fixture
def line(listen: Listen) -> Iterator[Line]:
    with closing(Line(listen)) as line:
        yield line


def client(listen: Listen) -> smtplib.SMTP:
    return smtplib.SMTP(listen.host, listen.port, "helo.example", WAIT_SECONDS)


def test_everything_is_recorded(running: Running, listen: Listen) -> None:
    """A message is delivered whole, with its envelope, its peer and the time, before 250 is said."""
    before = datetime.now(UTC)
    message = b"Subject: x\r\n\r\n.dot\r\n..\r\n\xff\x00\r\n"
    with client(listen) as smtp:
        smtp.sendmail(
            "Sender@b.example", [TO, BOUNCE_TO.upper()], b"Subject: x\r\n\r\n.dot\r\n..\r\n\xff\x00\r\n"
        )
    received = running.mailbox.next()

    assert (
        ip_address("127.0.0.1"),
        "helo.example",
        "Sender@b.example",
        (TO, BOUNCE_TO.upper()),
        message,
        True,
    ) == (
        received.peer,
        received.helo,
        received.mail_from,
        received.recipients,
        received.message,
        before <= received.received_at <= datetime.now(UTC),
    )


def test_ipv6(running: Running) -> None:
    """The collector serves IPv6 as well."""
    listen = running.start(host="::1")
    with client(listen) as smtp:
        smtp.sendmail("", [TO], "x")
    received = running.mailbox.next()

    assert (ip_address("::1"), "") == (received.peer, received.mail_from)


def test_both_families(running: Running) -> None:
    """One collector listens at addresses of both families, and its places and its end are for all."""
    both = (Listen("127.0.0.1", 0), Listen("::1", 0))
    running.start(listen=both)
    assert running.collector is not None
    for listen in running.collector.bound:
        with client(listen) as smtp:
            smtp.sendmail("", [TO], "x")
    peers = [running.mailbox.next().peer for _ in both]
    running.stop()
    refused = []
    for listen in running.collector.bound:
        with pytest.raises(ConnectionRefusedError) as why, socket.create_connection(listen):
            pass
        refused.append(why.type)

    assert [ip_address("127.0.0.1"), ip_address("::1")] == peers
    assert 2 == len(refused)


def test_all_addresses_that_cannot_be_bound_are_told(running: Running) -> None:
    """Of several each is named, and none stays open."""
    with socket.create_server(("127.0.0.1", 0)) as first, socket.create_server(("127.0.0.1", 0)) as second:
        taken = [Listen(*one.getsockname()) for one in (first, second)]
        with pytest.raises(ConfigError) as fault:
            running.start(listen=(*taken, Listen("127.0.0.1", 0)))

    assert [
        f"collector.listen: cannot listen on {one}: Address already in use" for one in taken
    ] == fault.value.faults


def test_several_messages_in_a_session(running: Running, listen: Listen) -> None:
    """A session may carry one message after the other."""
    with client(listen) as smtp:
        for number in range(8):
            smtp.sendmail(
                "a@b.example", [TO], b"%d" % number + b" " * 900 + b"\r\n" + (b"x" * 900 + b"\r\n") * 12
            )

    assert list(range(8)) == [int(running.mailbox.next().message[:1]) for _ in range(8)]


def test_offers(listen: Listen) -> None:
    """EHLO offers size, eight bits and UTF-8, and neither AUTH nor STARTTLS nor HELP."""
    with client(listen) as smtp:
        smtp.ehlo()

        assert {"size": str(LARGEST), "8bitmime": "", "smtputf8": ""} == smtp.esmtp_features


@pytest.mark.parametrize(
    "address",
    [
        "user@relaytest.example",
        "{made_up}@relaytest.example",
        "rab2ab2ab2ab2ab2ab2ab2ab2ab2ab2@relaytest.example",
        "postmaster@other.example",
        "hostmaster@relaytest.example",
        "{token}@other.example",
        "{token}@sub.relaytest.example",
        "{token}%other.example@relaytest.example",
        "{token}",
        "x{token}@relaytest.example",
        "",
    ],
)
def test_no_relaying(line: Line, address: str) -> None:
    """Anything but a token of ours at our domain is refused for good."""
    line.reply()
    line.ask(b"EHLO h\r\n")
    line.ask(b"MAIL FROM:<a@b>\r\n")

    made_up = testtoken.make(TokenKind.RECIPIENT, b"x" * 32)
    recipient = address.format(token=TOKEN, made_up=made_up)

    assert b"550 5.1.1 no such" == line.ask(f"RCPT TO:<{recipient}>\r\n".encode())[:17]
    assert b"503" == line.ask(b"DATA\r\n")[:3]


@pytest.mark.parametrize(
    ("commands", "reply"),
    [
        (["MAIL FROM:<a@b>"], b"503 5.5.1 say EHLO"),
        (["EHLO"], b"501"),
        (["EHLO h", "RCPT TO:<" + TO + ">"], b"503 5.5.1 say MAIL"),
        (["EHLO h", "MAIL FROM:<a@b>", "MAIL FROM:<a@b>"], b"503 5.5.1 a message"),
        (["EHLO h", "MAIL a@b"], b"501 5.5.4"),
        (["EHLO h", "MAIL"], b"501 5.5.4"),
        (["EHLO h", "MAIL FROM:<a@b> SIZE=32769"], b"552 5.3.4"),
        (["EHLO h", "MAIL FROM:<a@b> SIZE=32768 BODY=8BITMIME SMTPUTF8"], b"250"),
        (["EHLO h", "MAIL FROM:<a@b>", "RCPT TO:<a"], b"501 5.5.4"),
        (["EHLO h", "MAIL FROM:<a@b>", "RSET", "RCPT TO:<" + TO + ">"], b"503"),
        (["EHLO h", "AUTH PLAIN AGEAYg=="], b"502"),
        (["EHLO h", "STARTTLS"], b"502"),
        (["EHLO h", "VRFY a"], b"502"),
        (["EHLO h", "HELP"], b"502"),
        (["EHLO h", "NOOP"], b"250"),
        (["EHLO h", "XYZZY"], b"500"),
        (["EHLO " + "x" * 2000], b"500 Command line too long"),
        (["EHLO " + "x" * 100_000], b"500 Command line too long"),
        (["HELO h", "MAIL FROM:<>", "RCPT TO:<@a.example,@b.example:" + TO + ">"], b"250"),
    ],
)  # fmt: skip
def test_commands(line: Line, commands: list[str], reply: bytes) -> None:
    """Each command is answered as the state of the session demands."""
    line.reply()
    for command in commands:
        answer = line.ask(command.encode() + b"\r\n")

    assert reply == answer[: len(reply)]


@pytest.mark.parametrize(
    ("said", "noted"),
    [
        (b"<a b@c>", "a b@c"),
        (b"<local>", "local"),
        (b"<\xfcber@c>", "\\xfcber@c"),
        ("<über@c>".encode(), "über@c"),
        (b"<\x1b[2J@c>", "\\x1b[2J@c"),
        (b" a@c", "a@c"),
        (b"< >", ""),
    ],
)
def test_any_sender(running: Running, line: Line, said: bytes, noted: str) -> None:
    """No sender, however odd, costs a message; what is noted of him is readable."""
    line.reply()
    line.ask(b"EHLO m\xfcller\r\n")
    line.ask(b"MAIL FROM:" + said + b"\r\n")
    line.ask(f"RCPT TO:<{TO}>\r\n".encode())
    line.ask(b"DATA\r\n")
    line.ask(b"x\r\n.\r\n")
    received = running.mailbox.next()

    assert ("m\\xfcller", noted) == (received.helo, received.mail_from)


@pytest.mark.parametrize(
    "ending",
    [
        b"\n.\n",
        b"\n.\r\n",
        b"\r\n.\n",
        b"\r.\r",
        b"\r.\r\n",
        b"\r\n.\r",
        b"\n\n.\r\n",
        b"\r\n\x00.\r\n",
        b"\r\n.\r\r\n",
    ],
)
def test_smuggling(running: Running, line: Line, ending: bytes) -> None:
    """Only CRLF.CRLF ends a message: nothing else smuggles a second one in."""
    line.begin()
    smuggled = b"MAIL FROM:<evil@b>\r\nRCPT TO:<" + TO.encode() + b">\r\nDATA\r\nforged"
    answer = line.ask(b"first" + ending + smuggled + b"\r\n.\r\n")
    line.ask(b"NOOP\r\n")
    message = running.mailbox.next().message

    assert (b"250", True, True) == (
        answer[:3],
        message.endswith(b"forged\r\n"),
        running.mailbox.messages.empty(),
    )


def test_pipelining(running: Running, line: Line) -> None:
    """Commands that come at once are answered one by one."""
    transaction = b"MAIL FROM:<a@b>\r\nRCPT TO:<x@y>\r\nRCPT TO:<%b>\r\nDATA\r\nbody\r\n.\r\n" % TO.encode()
    line.say(b"EHLO h\r\n" + 2 * transaction + b"QUIT\r\n")
    codes = [line.reply()[:3] for _ in range(13)]

    assert [b"220", b"250", *2 * [b"250", b"550", b"250", b"354", b"250"], b"221"] == codes
    assert 2 * [b"body\r\n"] == [running.mailbox.next().message for _ in range(2)]


def test_long_lines(running: Running, line: Line) -> None:
    """Lines far over 998 octets are kept as they are."""
    line.begin()
    answer = line.ask(b"X-Long: " + b"x" * 12_000 + b"\r\n.\r\n")

    assert (b"250", 12_010) == (answer[:3], len(running.mailbox.next().message))


@pytest.mark.parametrize(
    ("text", "code"),
    [(b"x" * 80 + b"\r\n", b"552"), (b"x" * 40_000 + b"\r\n", b"552"), (b"x" * 70_000 + b"\r\n", b"500")],
)
def test_too_large(running: Running, line: Line, text: bytes, code: bytes) -> None:
    """A message over the limit is refused after its end, and the session goes on."""
    line.begin()
    answer = line.ask(text * (1 + LARGEST // len(text)) + b".\r\n")

    assert (code, b"250") == (answer[:3], line.ask(b"NOOP\r\n")[:3])
    assert running.mailbox.messages.empty()


def test_endless_line(line: Line) -> None:
    """A peer that never ends its line is cut off."""
    line.begin()

    with pytest.raises(ConnectionError):  # noqa: PT012 - which of the writes fails is up to the kernel
        while True:
            line.say(b"x" * 65536)


def test_too_many_recipients(running: Running, line: Line) -> None:
    """The eleventh recipient is for another message."""
    line.reply()
    line.ask(b"EHLO h\r\n")
    line.ask(b"MAIL FROM:<a@b>\r\n")
    recipients = [f"{testtoken.make(TokenKind.RECIPIENT, KEY)}@{DOMAIN}" for _ in range(12)]
    codes = [line.ask(f"RCPT TO:<{recipient}>\r\n".encode())[:3] for recipient in recipients]
    line.ask(b"DATA\r\n")
    line.ask(b"x\r\n.\r\n")

    assert [*10 * [b"250"], b"452", b"452"] == codes
    assert 10 == len(running.mailbox.next().recipients)


@pytest.mark.parametrize("fault", [Unavailable("the database does not answer"), RuntimeError("secret")])
def test_nothing_is_lost(running: Running, line: Line, fault: Exception) -> None:
    """While a message cannot be kept its sender is told to try again, and then succeeds."""
    running.mailbox.fault = fault
    line.begin()
    first = line.ask(b"x\r\n.\r\n")
    running.mailbox.fault = None
    line.ask(b"MAIL FROM:<a@b>\r\n")
    line.ask(f"RCPT TO:<{TO}>\r\n".encode())
    line.ask(b"DATA\r\n")
    second = line.ask(b"y\r\n.\r\n")

    assert (b"451", b"250", False) == (first[:3], second[:3], b"secret" in first)
    assert b"y\r\n" == running.mailbox.next().message


def test_connections_per_peer(running: Running) -> None:
    """One peer may not have more than its share of connections, until it closes one."""
    listen = running.start(Limits(connections_per_peer=2))
    with closing(Line(listen)) as first, closing(Line(listen)) as second, closing(Line(listen)) as third:
        replies = [line.reply() for line in (first, second, third)]
        second.ask(b"QUIT\r\n")
        assert b"" == second.reply()
        with closing(Line(listen)) as fourth:
            replies.append(fourth.reply())

    assert [b"220", b"220", b"421", b"220"] == [reply[:3] for reply in replies]
    assert b"your address" in replies[2]


def test_connections_in_all(running: Running) -> None:
    """There is a limit for all connections together; who brings something awaited is not sent away."""
    listen = running.start(Limits(connections=1))
    with closing(Line(listen)) as first:
        first.begin()
        with closing(Line(listen)) as second:
            refused = second.reply()
        kept = first.ask(b"x\r\n.\r\n")

    assert (b"421 4.3.2", b"250") == (refused[:9], kept[:3])
    assert [(Refusal.FULL, None)] == running.mailbox.refused


@pytest.mark.parametrize("transaction", ["none", "begun", "over", "late", "people"])
def test_who_names_no_awaited_recipient_makes_room(running: Running, transaction: str) -> None:
    """When all places are taken, who has named no recipient for longest leaves for the next."""
    if transaction == "late":
        running.mailbox.standing = Standing.LATE
    listen = running.start(Limits(connections=2))
    with closing(Line(listen)) as first:
        if transaction == "over":
            first.begin()
            first.ask(b"x\r\n.\r\n")
        else:
            first.reply()
        if transaction in {"begun", "late", "people"}:
            first.ask(b"EHLO h\r\n")
            first.ask(b"MAIL FROM:<a@b>\r\n")
        if transaction in {"late", "people"}:
            recipient = TO if transaction == "late" else f"postmaster@{DOMAIN}"
            assert b"250" == first.ask(f"RCPT TO:<{recipient}>\r\n".encode())[:3]
        with closing(Line(listen)) as second, closing(Line(listen)) as third:
            greetings = [second.reply(), third.reply()]
            ended = [first.reply(), first.reply()]

    assert ([b"220", b"220"], b"421 4.3.2", b"") == ([one[:3] for one in greetings], ended[0][:9], ended[1])
    assert [(Refusal.FULL, None)] == running.mailbox.refused


def test_hosts_under_test_have_places_of_their_own(running: Running) -> None:
    """A host whose test is awaited comes in when all places are taken, and nobody leaves for it."""
    listen = running.start(Limits(connections=1))
    assert running.collector is not None
    with closing(Line(listen)) as stranger:
        stranger.reply()
        running.collector.places.awaited = frozenset({ip_network("127.0.0.0/24")})
        with closing(Line(listen)) as host:
            host.begin()
            kept = host.ask(b"x\r\n.\r\n")
        there = stranger.ask(b"NOOP\r\n")

    assert (b"250", b"250", []) == (kept[:3], there[:3], running.mailbox.refused)


def test_a_host_under_test_that_is_refused_is_noted(running: Running) -> None:
    """A host under test that has too many connections is refused, and its test will know."""
    listen = running.start(Limits(connections_per_peer=1))
    assert running.collector is not None
    running.collector.places.awaited = frozenset({ip_network("127.0.0.0/24")})
    with closing(Line(listen)) as first, closing(Line(listen)) as second:
        replies = [first.reply(), second.reply()]

    assert [b"220", b"421"] == [reply[:3] for reply in replies]
    assert [(Refusal.FULL, ip_network("127.0.0.0/24"))] == running.mailbox.refused


def test_made_up_tokens_ask_nobody(running: Running, line: Line) -> None:
    """A token that we did not sign is refused without a look into the database, and soon the session is."""
    line.reply()
    line.ask(b"EHLO h\r\n")
    line.ask(b"MAIL FROM:<a@b>\r\n")
    made_up = [testtoken.make(TokenKind.SENDER, b"x" * 32) for _ in range(20)]
    codes = [line.ask(f"RCPT TO:<{token}@{DOMAIN}>\r\n".encode())[:3] for token in made_up]

    assert [*19 * [b"550"], b"421"] == codes
    assert [] == running.mailbox.asked


@pytest.mark.parametrize("standing", [Standing.OVER, Standing.UNKNOWN])
def test_a_token_that_is_over_is_refused_like_one_that_never_was(
    running: Running, line: Line, standing: Standing
) -> None:
    """Nobody hears whether there was ever such a test, and the database is asked once."""
    running.mailbox.standing = standing
    line.reply()
    line.ask(b"EHLO h\r\n")
    line.ask(b"MAIL FROM:<a@b>\r\n")
    asked = [TO, TO.upper(), f"{testtoken.make(TokenKind.SENDER, b'x' * 32)}@{DOMAIN}", f"nobody@{DOMAIN}"]
    replies = {line.ask(f"RCPT TO:<{recipient}>\r\n".encode()) for recipient in asked}

    assert [TOKEN] == running.mailbox.asked
    assert {b"550 5.1.1 no such recipient: only returns of relay tests are taken here\r\n"} == replies


def test_without_the_database_a_recipient_is_put_off(running: Running, line: Line) -> None:
    """Where nobody can say whether a token is awaited its mail is put off, and all tests will know."""
    running.mailbox.standing = None
    line.reply()
    line.ask(b"EHLO h\r\n")
    line.ask(b"MAIL FROM:<a@b>\r\n")

    assert b"451" == line.ask(f"RCPT TO:<{TO}>\r\n".encode())[:3]
    assert [(Refusal.STORE, None)] == running.mailbox.refused


@pytest.mark.parametrize("recipient", ["postmaster", f"Postmaster@{DOMAIN}", f"abuse@{DOMAIN}"])
def test_mail_to_people_is_taken(running: Running, line: Line, recipient: str) -> None:
    """RFC 5321 §4.5.1: there is a postmaster, also without a domain; and abuse is read, too."""
    line.reply()
    line.ask(b"EHLO h\r\n")
    line.ask(b"MAIL FROM:<>\r\n")
    line.ask(f"RCPT TO:<{recipient}>\r\n".encode())
    line.ask(f"RCPT TO:<{TO}>\r\n".encode())
    line.ask(b"DATA\r\n")
    kept = line.ask(b"x\r\n.\r\n")
    received = running.mailbox.next()

    assert (b"250", (recipient,), (TO,)) == (kept[:3], received.people, received.recipients)


TESTED = ip_address("198.51.100.7")


@pytest.mark.parametrize(
    ("fault", "reply", "refused"),
    [
        (PostboxFull("full"), b"452 4.2.2", []),
        (ReturnsFull("full", TESTED), b"452 4.3.1", [(Refusal.QUOTA, ip_network("198.51.100.0/24"))]),
        (Unavailable("no database"), b"451 4.3.0", [(Refusal.STORE, None)]),
        (RuntimeError("unforeseen"), b"451 4.3.0", [(Refusal.STORE, None)]),
    ],
)
def test_what_cannot_be_kept_is_put_off_and_noted(
    running: Running,
    line: Line,
    fault: Exception,
    reply: bytes,
    refused: list[tuple[Refusal, Network | None]],
) -> None:
    """The sender tries again, and the tests whose return it may have been know of it."""
    running.mailbox.fault = fault
    line.begin()

    assert reply == line.ask(b"x\r\n.\r\n")[: len(reply)]
    assert refused == running.mailbox.refused


def test_silent_peer(running: Running) -> None:
    """A peer that says nothing is disconnected."""
    listen = running.start(Limits(command_timeout=timedelta(seconds=0.05)))
    with closing(Line(listen)) as line:
        line.reply()

        assert b"" == line.reply()


def test_long_session(running: Running) -> None:
    """A session has an end, however lively it is."""
    listen = running.start(Limits(session_timeout=timedelta(seconds=0.05)))
    with closing(Line(listen)) as line:
        line.reply()

        assert b"421 4.4.2 session too long, closing\r\n" == line.reply()


def test_too_many_commands(line: Line) -> None:
    """A session that only makes noise is ended."""
    line.reply()
    line.ask(b"EHLO h\r\n")
    line.say(b"NOOP\r\n" * 1001)
    codes = [line.reply()[:3] for _ in range(1001)]

    assert (b"250", b"421") == (codes[-2], codes[-1])


def test_stop_without_sessions(running: Running, listen: Listen) -> None:
    """After a stop nothing listens; a second stop does nothing."""
    running.stop()
    running.stop()

    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(listen, timeout=WAIT_SECONDS)


def test_stop_lets_transactions_end(running: Running, listen: Listen) -> None:
    """A stop ends idle sessions with 421, refuses new ones, and waits for a message under way."""
    running.mailbox.go_on.clear()
    with closing(Line(listen)) as idle, closing(Line(listen)) as busy, closing(Line(listen)) as begun:
        idle.reply()
        begun.begin()
        busy.begin()
        busy.say(b"x\r\n.\r\n")
        assert running.mailbox.called.wait(WAIT_SECONDS)
        stopping = threading.Thread(target=running.stop)
        stopping.start()
        ended = idle.reply()
        with closing(Line(listen)) as late:
            refused = late.reply()
        running.mailbox.go_on.set()
        kept = [busy.reply(), busy.reply()]
        kept += [begun.ask(b"y\r\n.\r\n"), begun.reply(), begun.reply()]
        stopping.join(WAIT_SECONDS)

    assert [b"421", b"421"] == [ended[:3], refused[:3]]
    assert [b"250", b"421", b"250", b"421", b""] == [reply[:3] for reply in kept]


def test_stop_after_reset(running: Running, listen: Listen) -> None:
    """A transaction that is given up during a stop ends its session."""
    with closing(Line(listen)) as line, closing(Line(listen)) as idle:
        line.reply()
        line.ask(b"EHLO h\r\n")
        line.ask(b"MAIL FROM:<a@b>\r\n")
        idle.reply()
        stopping = threading.Thread(target=running.stop)
        stopping.start()
        idle.reply()

        assert [b"250", b"421"] == [line.ask(b"RSET\r\n")[:3], line.reply()[:3]]
        stopping.join(WAIT_SECONDS)


def test_stop_does_not_wait_for_ever(running: Running) -> None:
    """A transaction that does not end in time is cut off: its sender tries again."""
    listen = running.start(Limits(grace=timedelta(seconds=0.05)))
    with closing(Line(listen)) as line:
        line.begin()
        running.stop()

        assert b"" == line.reply()


def test_several_domains(running: Running) -> None:
    """Tokens, and the letters of people, are taken at each of its domains, and at no other."""
    second, third = "mail.tests.example.org", "relaytest.example.net"
    settings = config.Collector(listen=Listen("127.0.0.1", 0), domain=DOMAIN, domains=(second, third))
    box = running.mailbox
    running.collector = Collector(settings, box.deliver, Tokens(KEY, box.ask), box.note)
    running.run(running.collector.start())
    token = TO.partition("@")[0]
    replies = {}
    with client(running.collector.bound[0]) as smtp:
        smtp.ehlo()
        for domain in (DOMAIN, second.upper(), f"{third}.", "example.org", "tests.example.org"):
            smtp.mail("a@b.example")
            replies[domain] = [smtp.rcpt(f"{who}@{domain}")[0] for who in (token, "postmaster", "abuse")]
            smtp.rset()

    assert [[250] * 3] * 3 + [[550] * 3] * 2 == list(replies.values())


def test_address_in_use(running: Running, listen: Listen) -> None:
    """An address that is taken is a fault of the configuration."""
    box = running.mailbox
    settings = config.Collector(listen=listen, domain=DOMAIN)
    second = Collector(settings, box.deliver, Tokens(KEY, box.ask), box.note)

    with pytest.raises(ConfigError, match=str(listen)):
        running.run(second.start())


def test_peer_leaves_within_a_message(running: Running, listen: Listen) -> None:
    """A message that was never finished is not delivered, and the collector goes on."""
    with closing(Line(listen)) as line:
        line.begin()
        line.say(b"half a message\r\n")
    with client(listen) as smtp:
        smtp.sendmail("a@b.example", [TO], b"whole\r\n")

    assert b"whole\r\n" == running.mailbox.next().message


def test_peer_leaves_before_it_is_let_in(running: Running, listen: Listen) -> None:
    """A connection that is gone when its turn comes does no harm."""
    gone = threading.Event()
    running.loop.call_soon_threadsafe(gone.wait, WAIT_SECONDS)
    with socket.create_connection(listen, timeout=WAIT_SECONDS) as early:
        early.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    gone.set()
    with client(listen) as smtp:
        code, _ = smtp.noop()

    assert 250 == code
