"""What a message at the collector means, and that it is kept."""

from dataclasses import replace
from datetime import UTC, datetime
from ipaddress import ip_address

import pytest
from sqlalchemy import select

from rbl.mail import returns
from rbl.mail.collector import Received
from rbl.store import receipts
from rbl.store.engine import Store
from rbl.store.probetables import Receipt
from rbl.store.receipts import Expected
from rbl.terms import EnvelopeResult
from rbl.testmessage import Marker, mark

KEY = b"k" * 32
NOW = datetime(2026, 3, 5, 12, 0, tzinfo=UTC)
TESTED = ip_address("198.51.100.7")
EXPECTED = Expected(envelope_id=1, run_id=9, test_id="T15", tested=TESTED, is_sender_token=False)


def message(run: str = "9", test: str = "T15", target: str = "198.51.100.7", key: bytes = KEY) -> bytes:
    field = mark(Marker(run, test, ip_address(target)), key)
    return f"Received: from x by y\r\nX-Relay-Test: {field}\r\nSubject: test\r\n\r\nbody\r\n".encode()


def received(content: bytes | None = None, peer: str = "198.51.100.7", mail_from: str = "s1@x") -> Received:
    return Received(
        peer=ip_address(peer),
        helo="relay.example",
        mail_from=mail_from,
        recipients=("Rtoken@relaytest.example",),
        message=message() if content is None else content,
        received_at=NOW,
    )


BOUNCE = (
    b"Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n"
    b"--b\r\nContent-Type: message/rfc822\r\n\r\n" + message() + b"\r\n--b--\r\n"
)


@pytest.mark.parametrize(
    ("arrival", "expected", "meaning", "why"),
    [
        (received(), EXPECTED, EnvelopeResult.RELAYED, "our message, from the tested host"),
        (received(peer="198.51.100.99"), EXPECTED, EnvelopeResult.RELAYED, "a neighbour on its /24"),
        (received(peer="203.0.113.5"), EXPECTED, EnvelopeResult.MULTIHOP, "another host delivered it"),
        (received(peer="2001:db8::1"), EXPECTED, EnvelopeResult.MULTIHOP, "the other family"),
        (
            received(BOUNCE, mail_from=""),
            EXPECTED,
            EnvelopeResult.BOUNCED,
            "our header only inside a report",
        ),
        (
            received(),
            replace(EXPECTED, is_sender_token=True),
            EnvelopeResult.BOUNCED,
            "back to the test's sender",
        ),
        (received(message(run="8")), EXPECTED, None, "the message of another run"),
        (received(message(test="T01")), EXPECTED, None, "the message of another form"),
        (received(message(target="203.0.113.5")), EXPECTED, None, "the message of another host's test"),
        (received(message(key=b"x" * 32)), EXPECTED, None, "not our signature"),
        (received(b"Subject: hello\r\n\r\nspam\r\n"), EXPECTED, None, "no mark at all"),
        (received(), None, None, "a token that is none of ours"),
    ],
)
def test_meaning(
    arrival: Received, expected: Expected | None, meaning: EnvelopeResult | None, why: str
) -> None:
    """Only our own signed message for this very test proves relaying."""
    assert meaning == returns.meaning(arrival, expected, KEY), why


def test_ipv6_site_is_a_slash_64() -> None:
    """A peer in the tested host's /64 is the same site, one outside is a second hop."""
    tested = replace(EXPECTED, tested=ip_address("2001:db8::7"))
    arrival = received(message(target="2001:db8::7"), peer="2001:db8::99")

    assert EnvelopeResult.RELAYED == returns.meaning(arrival, tested, KEY)
    other = replace(arrival, peer=ip_address("2001:db8:0:1::7"))
    assert EnvelopeResult.MULTIHOP == returns.meaning(other, tested, KEY)


def test_message_for_an_unknown_token_is_kept(store: Store) -> None:
    """What proves nothing is kept all the same, for a person to look at."""
    returns.keep(store, KEY, received())

    with store.reading() as session:
        assert receipts.expected(session, "rtoken") is None
        assert [None] == session.execute(select(Receipt.kind)).scalars().all()
