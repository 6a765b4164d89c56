"""The test message."""

import email
import email.policy
import re
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from ipaddress import ip_address

import pytest

from rbl.probe import phrases
from rbl.probe.message import Occasion, compose, message_id
from rbl.probe.plan import Envelope, Identity, plan
from rbl.testmessage import Place, code

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


def composed(envelope: Envelope = T15, occasion: Occasion = OCCASION, attempt: int | None = None) -> bytes:
    """Return the message of *envelope* as it looks in that attempt."""
    given = occasion if attempt is None else replace(occasion, attempt=attempt)
    return compose(envelope, IDENTITY, given, key=KEY, now=NOW)


LOOKS = [
    composed(replace(envelope, recipient_token=f"r{number:026}", sender_token=f"s{number:026}"))
    for number, envelope in enumerate(20 * [each for each in PLAN if not each.skipped])
]


def test_header() -> None:
    """The header says whose test of what this is, for people and for programs."""
    for attempt in range(30):
        message = email.message_from_bytes(composed(attempt=attempt), policy=email.policy.default)
        author, recipient = message["From"].addresses[0], message["To"].addresses[0]

        assert f"s{'0' * 26}@sd.example" == author.addr_spec
        assert author.display_name in phrases.NAMES
        assert f"r{'0' * 26}@td.example" == recipient.addr_spec
        assert "Mon, 04 May 2026 10:00:00 +0000" == message["Date"]
        assert "auto-generated" == message["Auto-Submitted"]
        assert re.search("relay|mail server", f"{message['Subject']} {author}", re.IGNORECASE)
        assert "text/plain" == message.get_content_type()
        assert len(message.keys()) == len(set(message.keys()))


def test_envelope_is_told() -> None:
    """In the header or in the text: how the message was addressed to the server."""
    for attempt in range(30):
        message = composed(attempt=attempt).decode()

        assert T15.mail_from in message
        assert T15.rcpt_to in message


def test_domains_are_those_of_the_envelope() -> None:
    """Where the forms of a plan have several, the message names those of its own form."""
    other = replace(T15, recipient_domain="td.other.example", sender_domain="sd.other.example")
    message = composed(other).decode()

    assert f"{other.recipient_token}@td.other.example" in message
    assert f"{other.sender_token}@sd.other.example" in message


# What a reader must find in each message, and what differs in each anyway.
MANDATORY = (
    *(
        OCCASION.why,
        OCCASION.lookup_url,
        OCCASION.opt_out_url,
        OCCASION.contact,
        "Auto-Submitted: auto-generated",
    ),
    *("[203.0.113.9]", "tester.example.net", "Mon, 04 May 2026 10:00:00 +0000"),
)


def unsigned(message: bytes) -> str:
    """Return *message* with what names the test or is mandatory taken out."""
    text = message.decode()
    for each in MANDATORY:
        text = text.replace(each, "*")
    return re.sub(r"\d+", "0", text)


def test_no_line_is_in_all_messages() -> None:
    """No line, no field but those of every letter, no four words in a row: nothing to filter by."""
    usual = {"From", "To", "Date", "Message-ID", "Subject", "*"}  # the last: Auto-Submitted
    lines, fields, words = [], [], []
    for look in LOOKS:
        text = unsigned(look)
        header, _, body = text.partition("\r\n\r\n")
        lines.append({line for line in text.split("\r\n") if line.strip("* ")})
        fields.append({line.partition(":")[0] for line in header.split("\r\n") if line[:1] not in " \t"})
        said = re.findall(r"[A-Za-z]{2,}", body)
        words.append({" ".join(said[at : at + 4]) for at in range(len(said) - 3)})

    assert set.intersection(*lines) <= {"Date: *", "*"}
    assert usual == set.intersection(*fields)
    assert set() == set.intersection(*words)


def test_no_line_is_in_many_messages() -> None:
    """What is not in all is not in nearly all either: each choice has its share."""
    text = [unsigned(look).split("\r\n") for look in LOOKS]
    counted = Counter(
        line for lines in text for line in set(lines) if line.strip("* ") and line != "Date: *"
    )
    counted -= Counter()  # nothing is left out
    common = {line: times for line, times in counted.items() if times > 0.75 * len(LOOKS)}

    assert {} == common


def test_order_of_fields_varies() -> None:
    """No field is always the first, and none the last."""
    orders = [
        [line.partition(b":")[0] for line in look.partition(b"\r\n\r\n")[0].split(b"\r\n")]
        for look in LOOKS
    ]

    assert len({order[0] for order in orders}) > 5
    assert len({order[-1] for order in orders}) > 5


def test_the_same_attempt_has_the_same_look() -> None:
    """A worker that takes the test up sends what the one before it sent."""
    assert composed() == composed()
    assert composed() != composed(attempt=3)
    assert composed() != compose(T15, IDENTITY, OCCASION, key=b"another", now=NOW)


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
    for attempt in range(30):
        assert said in composed(attempt=attempt).partition(b"\r\n\r\n")[2].decode()


@pytest.mark.parametrize("message", LOOKS)
def test_form_of_the_message(message: bytes) -> None:
    """Every message is ASCII, under 4 KiB, in CRLF lines of legal length that need no dot-stuffing."""
    lines = message.split(b"\r\n")

    assert message.isascii()
    assert len(message) < 4096
    assert max(len(line) for line in lines) <= 998
    assert not [line for line in lines if line.startswith(b".") or b"\n" in line or b"\r" in line]
    assert lines[-1] == b""


def test_settings_cannot_break_the_message() -> None:
    """A contact or reason with line ends, leading dots or other letters stays one ASCII line."""
    odd = Occasion("17", 1, TARGET, "a\r\n.\r\nb", "..é", "x" * 5000, ".")
    for attempt in range(50):
        message = composed(occasion=replace(odd, attempt=attempt))

        assert b": a??.??b\r\n" in message
        assert b"\r\n?\r\n" in message
        assert len(message) < 4096
        assert b"\r\n." not in message


def test_message_id_is_the_same_in_the_same_attempt() -> None:
    """A message sent again by the same attempt has the same Message-ID; another attempt's differs."""
    again = replace(OCCASION, attempt=3)
    own = message_id(T15, IDENTITY, OCCASION, key=KEY)

    assert f"Message-ID: {own}\r\n" in composed().decode()
    assert own != message_id(T15, IDENTITY, again, key=KEY)
    assert code(Place.MESSAGE_ID, T15.recipient_token, KEY) in own
