"""What a message at the collector means, and that it is kept."""

import random
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import delete, select

from rbl.mail import returns
from rbl.mail.delivery import Received, ReturnsFull
from rbl.store.engine import Store
from rbl.store.probetables import Receipt
from rbl.store.receipts import Expected, Quota, Standing
from rbl.terms import EnvelopeResult, State, Verdict
from rbl.testmessage import Marker, Place, code, mark
from tests.mail import returned
from tests.mail.returned import Test
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
        (received(message(run="8")), EXPECTED, EnvelopeResult.UNCLEAR, "the message of another run"),
        (received(message(test="T01")), EXPECTED, EnvelopeResult.UNCLEAR, "the message of another form"),
        (
            received(message(target="203.0.113.5")),
            EXPECTED,
            EnvelopeResult.UNCLEAR,
            "the message of another host's test",
        ),
        (received(message(key=b"x" * 32)), EXPECTED, EnvelopeResult.UNCLEAR, "not our signature"),
        (
            received(b"Subject: hello\r\n\r\nspam\r\n"),
            EXPECTED,
            EnvelopeResult.UNCLEAR,
            "no mark, from the host to whom alone the recipient was told",
        ),
        (
            received(b"Subject: hello\r\n\r\nspam\r\n", peer="203.0.113.5"),
            EXPECTED,
            None,
            "no mark, and from somebody else",
        ),
        (received(), None, None, "a token that is none of ours"),
    ],
)
def test_meaning(
    arrival: Received, expected: Expected | None, meaning: EnvelopeResult | None, why: str
) -> None:
    """Only our own signed message for this very test proves relaying; what the host sends is something."""
    assert meaning == returns.meaning(arrival, expected, KEY), why


def test_ipv6_site_is_a_slash_64() -> None:
    """A peer in the tested host's /64 is the same site, one outside is a second hop."""
    tested = replace(EXPECTED, tested=ip_address("2001:db8::7"))
    arrival = received(message(target="2001:db8::7"), peer="2001:db8::99")

    assert EnvelopeResult.RELAYED == returns.meaning(arrival, tested, KEY)
    other = replace(arrival, peer=ip_address("2001:db8:0:1::7"))
    assert EnvelopeResult.MULTIHOP == returns.meaning(other, tested, KEY)


def came(test: Test, message: bytes, mail_from: str, peer: str = str(TESTED)) -> Received:
    """Return *message* as it arrives for the recipient of *test*."""
    recipient = f"{test.envelope.recipient_token}@relaytest.example"
    return Received(ip_address(peer), "relay.example", mail_from, (recipient,), message, NOW)


def judged(
    test: Test, message: bytes, mail_from: str = "gateway@relay.example", peer: str = str(TESTED)
) -> EnvelopeResult | None:
    """Return what that means."""
    return returns.meaning(came(test, message, mail_from, peer), test.expected, KEY)


FORMS = [f"T{number:02}" for number in range(1, 26)]


@pytest.mark.parametrize("form", FORMS)
def test_a_relay_that_takes_fields_out_is_known(form: str) -> None:
    """By our envelope, without X- fields, by the Message-ID or the author or the text alone: proof."""
    for attempt in range(12):  # each looks different
        test = returned.made(form, attempt)
        sender, gateway = test.sender, "gateway@relay.example" if test.sender else ""
        stamped = returned.STAMP + test.message
        found = {
            "as it was": judged(test, stamped, sender),
            "X- fields": judged(test, returned.without(stamped, "X-.*"), sender),
            "X- fields, sender": judged(test, returned.without(stamped, "X-.*"), gateway),
            "all but the Message-ID": judged(
                test, returned.without(stamped, "X-.*|Comments|Keywords|From|Subject"), gateway
            ),
            "all but the author": judged(
                test, returned.without(stamped, "X-.*|Comments|Keywords|Message-ID"), gateway
            ),
            "all but the text": judged(test, returned.without(stamped, returned.BARE), gateway),
        }

        assert dict.fromkeys(found, EnvelopeResult.RELAYED) == found


@pytest.mark.parametrize("rewrite", returned.REWRITES)
def test_a_relay_that_rewrites_is_known(rewrite: str) -> None:
    """The text's mark is read whatever its lines, encoding, character set or parts have become."""
    for attempt in range(8):
        test = returned.made("T01", attempt)
        message = returned.REWRITES[rewrite](test.message)

        assert EnvelopeResult.RELAYED is judged(test, message), message
        assert EnvelopeResult.MULTIHOP is judged(test, message, peer="203.0.113.5")


def test_our_envelope_is_enough() -> None:
    """From the test's sender to its recipient, handed over by the host: whatever is in it was relayed."""
    test = returned.made("T08")
    rewritten = f"SRS0=hHhh=TT=relay.example={test.envelope.sender_token}@forward.example"
    nothing = b"Subject: removed\r\n\r\nThis message was removed by a filter.\r\n"

    assert EnvelopeResult.RELAYED is judged(test, nothing, test.sender)
    assert EnvelopeResult.RELAYED is judged(test, nothing, rewritten)
    assert judged(test, nothing, test.sender, peer="203.0.113.5") is None  # its addresses are no secret


@pytest.mark.parametrize("form", ["T01", "T02", "T03", "T15"])
def test_a_filter_that_attaches_our_message_is_no_bounce(form: str) -> None:
    """As SpamAssassin does: with our fields on top it is proof, without them a person looks."""
    test = returned.made(form)
    wrapped = returned.report_safe(test.message)
    anonymous = returned.in_parts(
        test.message, returned.PLAIN_PART + b"Spam?", returned.ATTACHED_PART + test.message
    )

    assert EnvelopeResult.RELAYED is judged(test, wrapped, test.sender)
    assert EnvelopeResult.RELAYED is judged(test, wrapped, "filter@relay.example")
    assert EnvelopeResult.UNCLEAR is judged(test, anonymous, "filter@relay.example")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("mta", returned.BOUNCES)
def test_no_bounce_is_taken_for_our_message(mta: str, form: str) -> None:
    """To the sender's address it is a bounce; to the recipient's, which may be the sender, never proof."""
    test = returned.made(form)
    bounce = returned.BOUNCES[mta](test.message)
    to_sender = replace(test.expected, is_sender_token=True)
    found = judged(test, bounce, "")

    assert EnvelopeResult.BOUNCED is returns.meaning(came(test, bounce, ""), to_sender, KEY)
    if form == "T02":
        assert EnvelopeResult.BOUNCED is found
    assert found in {EnvelopeResult.BOUNCED, EnvelopeResult.UNCLEAR}
    assert judged(test, bounce, "postmaster@relay.example") in {None, EnvelopeResult.UNCLEAR}


@pytest.mark.parametrize("form", ["T01", "T02", "T03", "T10", "T15"])
@pytest.mark.parametrize("kind", returned.ANSWERS)
def test_no_answer_is_taken_for_our_message(kind: str, form: str) -> None:
    """A program or a person that answers and quotes us proves and changes nothing.

    Who answers as the recipient, to a test whose sender that is, has our envelope: a person looks at it.
    """
    test = returned.made(form)
    answer = returned.ANSWERS[kind](test.message)

    as_recipient = judged(test, answer, f"{test.envelope.recipient_token}@relaytest.example")

    assert [None, None] == [judged(test, answer, sender) for sender in ("", "jane@relay.example")]
    assert (EnvelopeResult.UNCLEAR if form == "T02" else None) is as_recipient


@pytest.mark.parametrize("quote", [b"> ", b"| ", b"  > ", b"On Thursday you wrote:\r\n", b"<blockquote>"])
def test_a_quoted_text_is_not_ours(quote: bytes) -> None:
    """With no other word that it is an answer, a person must look."""
    test = returned.made()
    text = returned.head_and_text(test.message)[1]
    kind = b"text/html" if quote.startswith(b"<") else b"text/plain"
    quoted = quote + text.replace(b"\r\n", b"\r\n" + quote)

    assert EnvelopeResult.UNCLEAR is judged(test, returned.with_text(test.message, quoted, kind))


def test_a_message_sent_again_by_a_person_is_looked_at() -> None:
    """Who found it in a mailbox of the host and sent it on did not relay for a stranger."""
    test = returned.made()
    again = b"Resent-From: <jane@relay.example>\r\n" + test.message

    assert EnvelopeResult.UNCLEAR is judged(test, again, "jane@relay.example")


def test_a_header_that_is_copied_into_an_answer_is_looked_at() -> None:
    """Some programs copy fields that they do not know into what they answer."""
    for attempt in range(20):
        test = returned.made(attempt=attempt)
        head = returned.without(test.message, "From|Auto-Submitted|Subject")
        copied = b"From: <jane@relay.example>\r\nAuto-Submitted: auto-replied\r\n" + head

        assert EnvelopeResult.UNCLEAR is judged(test, copied)


@pytest.mark.parametrize("report", [returned.postfix, returned.sendmail])
def test_a_report_of_delay_is_no_bounce(report: Callable[..., bytes]) -> None:
    """The message is under way still, and may come back any day."""
    test = returned.made("T02")
    delayed = report(test.message, b"delayed")
    to_sender = replace(test.expected, is_sender_token=True)
    warning = returned.exim_warning(test.message)

    assert [None] * 3 == [
        judged(test, delayed, ""),
        returns.meaning(came(test, delayed, ""), to_sender, KEY),
        returns.meaning(came(test, warning, ""), to_sender, KEY),
    ]


@pytest.mark.parametrize("form", ["T01", "T02", "T03", "T15"])
def test_marks_of_another_test_are_worth_nothing(form: str) -> None:
    """Whoever has the message of one test proves nothing for another, nor for another host."""
    test, other = returned.made(form), returned.made(form, tested="203.0.113.9", run=10)
    same_run = returned.made("T04")

    for mine in (test, same_run):
        found = judged(other, mine.message, mine.sender, peer="203.0.113.9")
        assert found is EnvelopeResult.UNCLEAR or (found is None and not mine.sender)
        assert judged(other, mine.message, mine.sender) is None
        assert judged(other, mine.message, "", peer="192.0.2.77") is None


def test_addresses_that_are_public_prove_nothing() -> None:
    """A test that is over shows its addresses to all, and so to the neighbours of the host."""
    test = returned.made()
    late = replace(test.expected, standing=Standing.LATE)
    forged = b"From: <%s@x.example>\r\n\r\nNow it is listed!\r\n" % test.envelope.sender_token.encode()

    assert EnvelopeResult.RELAYED is not returns.meaning(came(test, forged, test.sender), late, KEY)
    assert EnvelopeResult.RELAYED is returns.meaning(came(test, forged, test.sender), test.expected, KEY)
    real = came(test, returned.without(test.message, "X-.*"), test.sender)
    assert EnvelopeResult.RELAYED is returns.meaning(real, late, KEY)


def test_a_mark_moved_to_another_place_is_none() -> None:
    """What is quoted in answers, as the Message-ID is, makes no first line and no field."""
    test = returned.made()
    signed = code(Place.MESSAGE_ID, test.envelope.recipient_token, KEY)
    forged = f"From: <x@relay.example>\r\nX-Relay-Test: {signed}\r\n\r\nRelay test {signed}\r\n".encode()

    assert EnvelopeResult.UNCLEAR is judged(test, forged)


@given(message=st.binary(max_size=2_000), mail_from=st.text(max_size=50))
def test_nobody_without_the_key_makes_a_relayed_message(message: bytes, mail_from: str) -> None:
    """Whatever octets the host sends, they are never taken for a relayed message of ours."""
    assert judged(ANY, message, mail_from) is not EnvelopeResult.RELAYED


ANY = returned.made("T15")


@given(
    chosen=st.lists(
        st.sampled_from([*returned.BOUNCES.values(), returned.report_safe]), min_size=1, max_size=3
    ),
    form=st.sampled_from(FORMS),
)
def test_bounces_of_bounces_are_no_proof(chosen: list[Callable[[bytes], bytes]], form: str) -> None:
    """However often it was wrapped on its way: the outermost says what it is."""
    test = returned.made(form)
    message = test.message
    for wrap in chosen:
        try:
            message = wrap(message)
        except AssertionError:  # a bounce without the fields that a filter keeps
            return
    if chosen[-1] is not returned.report_safe:
        assert judged(test, message, "") is not EnvelopeResult.RELAYED


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
    """Proof for one recipient, unclear for another, one given twice; nothing for a token of nobody."""
    waiting(store)
    tokens = ("R1X1", "r1x2", "r9x9", "R1X1")
    returns.Returns(store, KEY, steps.ROOM).keep(arriving(ours(), *tokens))

    assert [EnvelopeResult.RELAYED, EnvelopeResult.UNCLEAR] == kinds(store)
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
