"""SMTP replies, out of whatever octets a server sends."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rbl.probe.replies import (
    MAX_LINES,
    MAX_REPLY_OCTETS,
    Garbled,
    Reply,
    ReplyBuffer,
    host_name,
    printable,
    server_name,
)


def first_of(octets: bytes) -> Reply | Garbled | None:
    """Return what a buffer that was fed *octets* gives first."""
    buffer = ReplyBuffer()
    buffer.feed(octets)
    return buffer.take("EHLO us.example")


@pytest.mark.parametrize(
    ("octets", "code", "lines", "why"),
    [
        (b"250 ok\r\n", 250, ("250 ok",), "one line"),
        (b"250-a\r\n250-b\r\n250 c\r\n", 250, ("250-a", "250-b", "250 c"), "several lines"),
        (b"250 ok\n", 250, ("250 ok",), "bare LF as line end"),
        (b"250\r\n", 250, ("250",), "no text at all"),
        (b"250 \r\n", 250, ("250 ",), "an empty text"),
        (b"550 n\x00o \xe9\x1b[2J\r\n", 550, ("550 n\\x00o \\xe9\\x1b[2J",), "NUL, 8 bit, escape codes"),
        (b"250 a\rb\r\n", 250, ("250 a\\x0db",), "bare CR inside"),
        (
            b"220-" + b"x" * 996 + b"\r\n220 y\r\n",
            220,
            ("220-" + "x" * 996, "220 y"),
            "a line as long as shown",
        ),
        (b"550 " + b"x" * 65_530 + b"\r\n", 550, ("550 " + "x" * 993 + "...",), "64 KiB in one line"),
        (b"250-x\r\n" * 511 + b"250 y\r\n", 250, ("250-x",) * 511 + ("250 y",), "512 lines"),
        (
            (b"550-" + b"x" * 58 + b"\r\n") * 511 + b"550 y\r\n",
            550,
            ("550-" + "x" * 58,) * 511 + ("550 y",),
            "512 lines of 64 octets",
        ),
    ],
)
def test_reply_is_read(octets: bytes, code: int, lines: tuple[str, ...], why: str) -> None:
    """A reply is read as far as RFC 5321 and the habits of servers allow."""
    assert Reply(code, lines, "EHLO us.example") == first_of(octets), why


@pytest.mark.parametrize(
    ("octets", "fault"),
    [
        (b"hello\r\n", "a line that is no SMTP reply"),
        (b"\r\n", "a line that is no SMTP reply"),
        (b"25x ok\r\n", "a line that is no SMTP reply"),
        (b"150 ok\r\n", "a line that is no SMTP reply"),
        (b"650 ok\r\n", "a line that is no SMTP reply"),
        (b"2500 ok\r\n", "a line that is no SMTP reply"),
        (b"250_ok\r\n", "a line that is no SMTP reply"),
        (b" 250 ok\r\n", "a line that is no SMTP reply"),
        (b"250-a\r\n550 b\r\n", "a reply whose code changes from line to line"),
        (b"250-x\r\n" * (MAX_LINES + 1), f"a reply of more than {MAX_LINES} lines"),
        ((b"250-" + b"x" * 330 + b"\r\n") * 200, "a reply of more than 64 KiB"),
        (b"250 " + b"x" * MAX_REPLY_OCTETS, "a reply of more than 64 KiB"),
    ],
)
def test_what_is_no_reply_is_garbled(octets: bytes, fault: str) -> None:
    """What breaks the form or the limits of a reply is named, not guessed at."""
    found = first_of(octets)

    assert isinstance(found, Garbled)
    assert fault == found.why


def test_reply_may_come_in_pieces() -> None:
    """A reply that comes octet by octet is given back once it is whole, and what follows is kept."""
    buffer = ReplyBuffer()
    seen = []
    for octet in b"250-a\r\n250 b\r\n4":
        buffer.feed(bytes((octet,)))
        seen.append(buffer.take("RSET"))

    assert [reply for reply in seen if reply] == [Reply(250, ("250-a", "250 b"), "RSET")]
    assert buffer.pending


def test_unfinished_lines_are_shown_once() -> None:
    """What was said before the connection ended is given back once, then forgotten."""
    buffer = ReplyBuffer()
    buffer.feed(b"250-a\r\n250")
    unanswered = buffer.take("RSET")

    assert unanswered is None
    assert buffer.unfinished() == ("250-a", "250")
    assert buffer.unfinished() == ()
    assert not buffer.pending


@given(chunks=st.lists(st.binary(max_size=1500), max_size=20))
def test_any_octets_give_bounded_printable_lines(chunks: list[bytes]) -> None:
    """Whatever a server sends, the lines kept of it are ASCII, bounded in length and in number."""
    buffer = ReplyBuffer()
    for chunk in chunks:
        buffer.feed(chunk)
        found = buffer.take("x")
        lines = found.lines if found else ()

        assert len(lines) <= MAX_LINES + 2
        assert all(line.isprintable() and line.isascii() and len(line) <= 1000 for line in lines)


@pytest.mark.parametrize(
    ("lines", "enhanced", "why"),
    [
        (("550 5.7.1 no",), "5.7.1", "the common form"),
        (("550-5.7.1 no", "550 5.7.1 no"), "5.7.1", "several lines"),
        (("550 5.7.1",), "5.7.1", "without text"),
        (("550 2.1.0 no",), None, "the class of another reply"),
        (("550 5.7.1.2 no",), None, "four numbers"),
        (("550 no 5.7.1",), None, "later in the text"),
        (("550",), None, "no text"),
    ],
)
def test_enhanced_code(lines: tuple[str, ...], enhanced: str | None, why: str) -> None:
    """The enhanced code is read where RFC 2034 puts it, and of the reply's class only."""
    assert enhanced == Reply(550, lines, "").enhanced, why


def test_classes_of_replies() -> None:
    """The first digit says whether a command was done, may be tried again, or was refused."""
    classes = [
        (r.positive, r.temporary, r.permanent) for r in (Reply(c, ("x",), "") for c in (250, 354, 450, 550))
    ]

    assert classes == [
        (True, False, False),
        (False, False, False),
        (False, True, False),
        (False, False, True),
    ]


def test_text_is_the_lines() -> None:
    """The text of a reply is its lines."""
    assert Reply(250, ("250-a", "250 b"), "").text == "250-a\n250 b"


def test_printable_is_cut_after_escaping() -> None:
    """Escapes do not make a line longer than the transcript allows."""
    shown = printable(b"\x00" * 1000)

    assert len(shown) == 1000
    assert shown.endswith("...")


@pytest.mark.parametrize(
    ("word", "name", "why"),
    [
        ("mail.example.com", "mail.example.com", "plain"),
        ("Mail.Example.COM.", "mail.example.com", "case and the root's dot"),
        ("my_host.example.com", "my_host.example.com", "underscores occur"),
        ("localhost", None, "one label means nothing elsewhere"),
        ("192.0.2.1", None, "an address"),
        ("[192.0.2.1]", None, "a literal"),
        ("a..example", None, "an empty label"),
        ("-a.example", None, "a hyphen at the edge"),
        ("x" * 64 + ".example", None, "a label too long"),
        ("a." * 130 + "example", None, "a name too long"),
        ("mail.example.com>\r\nRSET", None, "an injected command"),
        ("ma\x00il.example", None, "a NUL"),
        ("mäil.example", None, "not ASCII"),
        ("", None, "nothing"),
    ],
)
def test_host_name(word: str, name: str | None, why: str) -> None:
    """Only what is a host name may stand in our commands."""
    assert name == host_name(word), why


def reply(line: str) -> Reply:
    return Reply(int(line[:3]), (line,), "")


@pytest.mark.parametrize(
    ("banner", "hello", "name", "why"),
    [
        (
            "220 mail.example.com ESMTP",
            "250 other.example.com",
            "mail.example.com",
            "the greeting comes first",
        ),
        ("220 ESMTP ready", "250 mx.example.com Hello", "mx.example.com", "only EHLO names it"),
        ("220 us.example", "250 us.example", None, "it echoes our own name"),
        ("220 hi", "250 Hello you", None, "no name anywhere"),
        ("220", "250", None, "no text anywhere"),
        ("220 mail.example.com", None, "mail.example.com", "no EHLO answer"),
    ],
)
def test_server_name(banner: str, hello: str | None, name: str | None, why: str) -> None:
    """The server's name is the first word of its greeting, or else of its answer to EHLO."""
    assert name == server_name(reply(banner), reply(hello) if hello else None, "us.example"), why
