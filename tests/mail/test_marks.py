"""Where the marks of a test stand in a message."""

import base64
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rbl.mail import marks, source
from rbl.mail.marks import Marks
from rbl.testmessage import OPENINGS, Place, code
from tests.mail import returned

TEST = returned.made("T08")
BODY = code(Place.BODY, TEST.envelope.recipient_token, returned.KEY)
NONE = Marks(signed_header=False, author=False, envelope=False, opens_text=False, quoted=False)


def found(message: bytes, mail_from: str = "x@relay.example") -> Marks:
    """Return the marks of the test in *message*."""
    return marks.find(source.part(message), mail_from, TEST.expected, returned.KEY)


def text(*lines: str, kind: str = "text/plain") -> bytes:
    """Return a message of *lines*."""
    return "\r\n".join((f"Content-Type: {kind}", "", *lines, "")).encode()


def test_our_own_message_has_all() -> None:
    """As it is sent, the marks stand where they belong."""
    assert all(getattr(found(TEST.message, TEST.sender), name) for name in Marks.__slots__)


@pytest.mark.parametrize("opening", OPENINGS)
def test_each_opening_is_known(opening: str) -> None:
    """With the code behind it, in groups or in one piece."""
    groups = "-".join(BODY[at : at + 4] for at in range(0, len(BODY), 4))

    assert found(text(f"{opening} {BODY}", "More.")).opens_text
    assert found(text(f"{opening} {groups}.", "More.")).opens_text


@pytest.mark.parametrize(
    ("message", "why"),
    [
        (text(f"Hello. Relay test {BODY}"), "something precedes it"),
        (text("Hello.", f"Relay test {BODY}"), "in a line before"),
        (text(f"> Relay test {BODY}"), "quoted"),
        (text(f"<blockquote>Relay test {BODY}</blockquote>", kind="text/html"), "quoted in HTML"),
        (
            b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
            b"--b\r\nContent-Type: text/plain\r\n\r\nSee:\r\n"
            b"--b\r\nContent-Type: message/rfc822\r\n\r\n" + TEST.message + b"\r\n--b--\r\n",
            "attached",
        ),
        (
            b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: message/rfc822\r\n"
            b"Content-Transfer-Encoding: base64\r\n\r\n"
            + base64.encodebytes(TEST.message)
            + b"\r\n--b--\r\n",
            "attached and encoded",
        ),
    ],
)
def test_what_somebody_quotes_is_told_apart(message: bytes, why: str) -> None:
    """It stands somewhere, and nowhere where we put it."""
    told = found(message)

    assert (told.opens_text, told.outside, told.quoted) == (False, False, True), why


def test_a_message_without_marks_has_none() -> None:
    """Also one of another test."""
    assert NONE == found(b"")
    assert NONE == found(b"Subject: hello\r\n\r\nhello\r\n", "")
    assert NONE == found(returned.made("T08", run=10).message)


@given(message=st.binary(), mail_from=st.text())
def test_any_octets_are_read(message: bytes, mail_from: str) -> None:
    """Whatever arrives, reading it raises nothing and finds nothing of ours."""
    assert NONE == found(message, mail_from)


@pytest.mark.parametrize(
    "unit",
    [
        b"--b\r\n\r\n",
        b"--b\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n",
        b"--b\r\nContent-Type: message/rfc822\r\n\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n",
        b"<a",
        b"=\r\n",
        b"a: b\r\n",
    ],
)
def test_a_large_hostile_message_is_read_in_a_moment(unit: bytes) -> None:
    """The parts and their depth are limited, and no octet is looked at often."""
    for kind in (b"multipart/mixed; boundary=b", b"text/html", b"text/plain"):
        message = b"Content-Type: " + kind + b"\r\n\r\n" + unit * (256 * 1024 // len(unit))
        started = time.thread_time()
        found(message)

        assert time.thread_time() - started < 2
