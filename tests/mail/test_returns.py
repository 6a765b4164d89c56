"""What a message at the collector means, and that it is kept."""

import random
from dataclasses import replace
from datetime import UTC, datetime
from ipaddress import ip_address

import pytest
from sqlalchemy import delete, select

from rbl.mail import returns
from rbl.mail.delivery import Received, ReturnsFull
from rbl.store.engine import Store
from rbl.store.probetables import Receipt
from rbl.store.receipts import Expected, Quota, Standing
from rbl.terms import EnvelopeResult, State, Verdict
from rbl.testmessage import Marker, mark
from tests.store import steps

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


@pytest.mark.parametrize(
    ("content", "mail_from", "as_host", "why"),
    [
        (message(), "s1@x", EnvelopeResult.RELAYED, "our message"),
        (BOUNCE, "", EnvelopeResult.BOUNCED, "a bounce is one from either address"),
        (message(run="8"), "", None, "the message of another run"),
        (b"Subject: hello\r\n\r\nspam\r\n", "", None, "chatter"),
    ],
)
def test_meaning_if_the_peer_is_the_host(
    content: bytes, mail_from: str, as_host: EnvelopeResult | None, why: str
) -> None:
    """By its address of the other family a host proves what it would by the tested one, and no more."""
    by_other = received(content, "2001:db8::1", mail_from)
    by_tested = received(content, str(TESTED), mail_from)

    found = returns.meaning_as_host(by_other, EXPECTED, KEY)

    assert found is returns.meaning(by_tested, EXPECTED, KEY), why
    assert found is as_host or as_host is None, why
    assert (found is EnvelopeResult.RELAYED) is (as_host is EnvelopeResult.RELAYED), why


@pytest.mark.parametrize("peer", [str(TESTED), "203.0.113.5"])
def test_peers_of_the_same_family(peer: str) -> None:
    """Of those the network decides at once."""
    assert returns.meaning_as_host(received(peer=peer), EXPECTED, KEY) is None


def test_it_is_kept_with_the_message(store: Store) -> None:
    """Where it is another meaning than that of a stranger's message."""
    waiting(store)
    keeper = returns.Returns(store, KEY, steps.ROOM)
    keeper.keep(replace(arriving(ours(), "r1x1"), peer=ip_address("2001:db8::1")))
    keeper.keep(arriving(ours(), "r1x1"))
    with store.reading() as session:
        found = session.execute(select(Receipt.kind, Receipt.as_host).order_by(Receipt.id)).all()

    assert [
        (EnvelopeResult.MULTIHOP, EnvelopeResult.RELAYED),
        (EnvelopeResult.RELAYED, None),
    ] == [tuple(row) for row in found]


class Clock:
    """Seconds that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def waiting(store: Store) -> None:
    """Let a host have taken the first message of a test."""
    steps.set_up(store)
    steps.nominate(store, steps.nominator(store))
    claimed = steps.must_claim(store)
    steps.plan(store, claimed)
    steps.take(store, claimed, steps.NOW)
    steps.conclude(store, claimed, Verdict.UNPROVEN)


def over(store: Store) -> None:
    """End that test."""
    at = steps.NOW + 3 * steps.DAY
    steps.conclude(store, steps.must_claim(store, at), Verdict.CLOSED, at)


def arriving(content: bytes, *tokens: str) -> Received:
    """Return a message from the tested host."""
    recipients = tuple(f"{token}@relaytest.example" for token in tokens)
    return Received(steps.PEER, "relay.example", "", recipients, content, steps.NOW + steps.HOUR)


def ours(test: str = "T01") -> bytes:
    """Return our own message of that test."""
    return message("1", test, steps.RELAY)


def kinds(store: Store) -> list[EnvelopeResult | None]:
    """Return what is kept."""
    with store.reading() as session:
        return list(session.execute(select(Receipt.kind).order_by(Receipt.id)).scalars())


def test_a_message_is_kept_for_its_recipients_and_once(store: Store) -> None:
    """Proof for one recipient, chatter for another, one given twice; nothing for a token of nobody."""
    waiting(store)
    tokens = ("R1X1", "r1x2", "r9x9", "R1X1")
    returns.Returns(store, KEY, steps.ROOM).keep(arriving(ours(), *tokens))

    assert [EnvelopeResult.RELAYED, None] == kinds(store)
    with store.reading() as session:
        assert [True, False] == [
            bool(row) for row in session.execute(select(Receipt.message).order_by(Receipt.id)).scalars()
        ]


def test_the_standing_of_tokens(store: Store) -> None:
    """A token of nobody is unknown, one of a test what the test is."""
    waiting(store)
    keeper = returns.Returns(store, KEY, steps.ROOM)
    before = [keeper.standing(token) for token in ("r1x1", "s1x1", "r9x9")]
    over(store)

    assert [Standing.AWAITED, Standing.AWAITED, Standing.UNKNOWN] == before
    assert Standing.LATE is keeper.standing("s1x1")


def test_strangers_who_know_the_tokens_of_a_test_that_is_over_leave_nothing(store: Store) -> None:
    """Its tokens are public: nothing is kept, nothing is written, and the proof that comes late counts."""
    waiting(store)
    over(store)
    keeper = returns.Returns(store, KEY, steps.ROOM)
    with store.writing():  # on SQLite no second writer would come through
        for content in (BOUNCE, b"Subject: hello\r\n\r\nspam\r\n", message("1", "T02", steps.RELAY)):
            keeper.keep(arriving(content, "r1x1", "s1x1"))
    before = kinds(store), steps.host(store).state
    keeper.keep(arriving(ours(), "r1x1"))

    assert (([], State.CLOSED), [EnvelopeResult.RELAYED]) == (before, kinds(store))
    assert (EnvelopeResult.RELAYED, True) == (
        steps.results(store, 1)[0],
        steps.claim(store, steps.NOW + steps.HOUR) is not None,
    )


def test_what_has_no_room_is_told_with_its_test(store: Store) -> None:
    """Of a message for several recipients nothing is kept where one has no room."""
    waiting(store)
    keeper = returns.Returns(store, KEY, Quota(100, 100, 100))
    with pytest.raises(ReturnsFull) as full:
        keeper.keep(arriving(ours() + random.Random(1).randbytes(200), "r1x2", "r1x1"))

    assert (steps.PEER, []) == (full.value.tested, kinds(store))


def test_what_all_tests_keep_is_counted_now_and_then(store: Store) -> None:
    """What this process adds counts at once, what others delete within a minute."""
    waiting(store)
    clock = Clock()
    keeper = returns.Returns(store, KEY, Quota(10_000, 10_000, 3_000), clock)
    keeper.keep(arriving(ours() + random.Random(1).randbytes(2_000), "r1x1"))
    other = arriving(ours("T02") + random.Random(2).randbytes(1_000), "r1x2")
    with pytest.raises(ReturnsFull):
        keeper.keep(other)
    with store.writing() as session:
        session.execute(delete(Receipt))
    with pytest.raises(ReturnsFull):
        keeper.keep(other)
    clock.now += 60
    keeper.keep(other)

    assert [EnvelopeResult.RELAYED] == kinds(store)
