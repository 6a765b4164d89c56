"""The test message."""

import email
import email.policy
from datetime import UTC, datetime
from ipaddress import ip_address

import pytest

from rbl.probe.message import Occasion, compose, message_id
from rbl.probe.plan import Envelope, Identity, plan
from rbl.testmessage import Marker, Return, TokenKind, classify, read_marker

KEY = b"a key of the tester"
NOW = datetime(2026, 5, 4, 10, 0, tzinfo=UTC)
IDENTITY = Identity("tester.example.net", "td.example", "sd.example")
TARGET = ip_address("203.0.113.9")
OCCASION = Occasion(
    run="17",
    attempt=2,
    target=TARGET,
    why="spam received through it was reported on 2026-05-03",
    lookup_url="https://list.example/lookup?ip=203.0.113.9",
    opt_out_url="https://list.example/opt-out",
    contact="abuse@list.example",
)
PLAN = plan(TARGET, IDENTITY, "mail.example.com", lambda kind: kind.value + "0" * 26)
T15 = next(envelope for envelope in PLAN if envelope.test == "T15")


def composed(envelope: Envelope = T15, occasion: Occasion = OCCASION) -> bytes:
    return compose(envelope, IDENTITY, occasion, key=KEY, now=NOW)


def test_header() -> None:
    """The header says whose test of what this is, for people and for programs."""
    message = email.message_from_bytes(composed(), policy=email.policy.default)
    fields = {name: value for name, value in message.items() if name != "X-Relay-Test"}

    assert fields == {
        "From": f"Open relay test <s{'0' * 26}@sd.example>",
        "To": f"r{'0' * 26}@td.example",
        "Date": "Mon, 04 May 2026 10:00:00 +0000",
        "Message-ID": "<rbl.17.T15.2@tester.example.net>",
        "Subject": "open relay test 17-T15",
        "X-Envelope-Sender": f"<s{'0' * 26}@mail.example.com>",
        "X-Envelope-Recipient": f"<r{'0' * 26}%td.example@mail.example.com>",
        "Auto-Submitted": "auto-generated",
        "Precedence": "junk",
        "MIME-Version": "1.0",
        "Content-Type": 'text/plain; charset="us-ascii"',
        "Content-Transfer-Encoding": "7bit",
    }
    assert message["X-Relay-Test"].startswith("v1; run=17; id=T15; input=[203.0.113.9]; sig=")


@pytest.mark.parametrize(
    "said",
    [
        "[203.0.113.9]",
        OCCASION.why,
        OCCASION.lookup_url,
        OCCASION.opt_out_url,
        OCCASION.contact,
        "T15, percent",
    ],
)
def test_body_says_what_why_and_whom_to_ask(said: str) -> None:
    """The body names the host, the reason, where to look it up, how to opt out, and a person."""
    assert said in composed().partition(b"\r\n\r\n")[2].decode()


@pytest.mark.parametrize("envelope", [e for e in PLAN if not e.skipped], ids=lambda envelope: envelope.test)
def test_form_of_the_message(envelope: Envelope) -> None:
    """Every message is ASCII, under 4 KiB, in CRLF lines of legal length that need no dot-stuffing."""
    message = composed(envelope)
    lines = message.split(b"\r\n")

    assert message.isascii()
    assert len(message) < 4096
    assert max(len(line) for line in lines) <= 998
    assert not [line for line in lines if line.startswith(b".") or b"\n" in line or b"\r" in line]
    assert lines[-1] == b""


@pytest.mark.parametrize("envelope", [e for e in PLAN if not e.skipped], ids=lambda envelope: envelope.test)
def test_message_is_known_again(envelope: Envelope) -> None:
    """Every message carries the mark by which the collector knows run, test and host."""
    message = composed(envelope)

    assert read_marker(message, KEY) == Marker("17", envelope.test, TARGET)
    assert classify(message, "", TokenKind.RECIPIENT, KEY) is Return.RELAYED


def test_settings_cannot_break_the_message() -> None:
    """A contact or reason with line ends, leading dots or other letters stays one ASCII line."""
    odd = Occasion("17", 1, TARGET, "a\r\n.\r\nb", "..é", "x" * 5000, ".")
    message = composed(occasion=odd)

    assert b"a??.??b\r\n" in message
    assert b"\r\n?\r\n" in message
    assert len(message) < 4096
    assert b"\r\n." not in message


def test_message_id_is_the_same_in_the_same_attempt() -> None:
    """A message sent again by the same attempt has the same Message-ID; another attempt's differs."""
    again = Occasion("17", 3, TARGET, "", "", "", "")

    assert message_id(OCCASION, "T15", IDENTITY) in composed().decode()
    assert message_id(OCCASION, "T15", IDENTITY) != message_id(again, "T15", IDENTITY)
