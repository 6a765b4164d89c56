"""What a message at the collector means for the test whose token it carries.

A pure decision (``meaning``), and the one transaction that keeps the message. Proof is any of our
own signed marks where none but our message has it, arriving for the very token of that test, from the
tested host itself (or its neighbour on the same /24 or /64, as behind address translation). From
anywhere else it took a second hop, and a person looks at the chain. What the host itself sends to a
recipient that nobody else knows, and what is no answer by its own words, is our message or nobody can
tell: a person looks at that, too. The verdict is the worker's to say.

What says nothing any more (a bounce after the test's end) is looked at and not kept, without a
writing transaction: strangers know the tokens of tests that are over. Log event: ``returned``.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import structlog

from rbl.addresses import neighbourhood
from rbl.mail import answers, marks, source
from rbl.mail.answers import Answer
from rbl.mail.delivery import Received, ReturnsFull
from rbl.mail.marks import Marks
from rbl.store import receipts
from rbl.store.engine import Store
from rbl.store.receipts import Expected, Kept, NewReceipt, Quota, Standing
from rbl.terms import EnvelopeResult

# How long the sum of all that is kept is believed; what was added meanwhile is added to it.
_COUNTED_SECONDS = 60.0

_log = structlog.get_logger()


def meaning(received: Received, expected: Expected | None, key: bytes) -> EnvelopeResult | None:
    """Return RELAYED, MULTIHOP, UNCLEAR or BOUNCED, or None for what proves nothing and is only kept.

    *expected* is what is known of the token, None where it is none of ours.
    """
    if expected is None:
        return None
    outer = source.part(received.message)
    said = answers.read(outer)
    if said.delay and (expected.is_sender_token or not received.mail_from):
        return None  # the message is under way still
    if expected.is_sender_token or (said.report and not received.mail_from):
        return EnvelopeResult.BOUNCED
    found = marks.find(outer, received.mail_from, expected, key)
    if expected.standing is not Standing.AWAITED and not found.quoted:
        # The addresses of a test that is over are public: they tell no more of who wrote this.
        found = replace(found, author=False, envelope=False)
    if received.peer in neighbourhood(expected.tested):
        return _from_the_host(received.mail_from, said, found, expected)
    return _from_elsewhere(received.mail_from, said, found)


def _from_the_host(mail_from: str, said: Answer, found: Marks, expected: Expected) -> EnvelopeResult | None:
    """Return what a message of the tested host itself means, by what it says and bears.

    The answers of programs and people quote and attach our message, and no part of it stands where we put
    it. Some copy our header into theirs; only what has the test's own sender for its sender or author is
    ours whatever it says of itself.
    """
    has_sender = bool(mail_from) or expected.mail_from == "<>"  # the test's own sender is none: no bounce
    if found.envelope and not (expected.is_own_sender and said.answer):  # who answers there, answers as it
        return EnvelopeResult.RELAYED
    if said.sent_again and found.outside:
        return EnvelopeResult.UNCLEAR
    if found.author and has_sender:
        return EnvelopeResult.RELAYED
    if found.outside:
        is_plain = found.signed_header and not said.answer
        return EnvelopeResult.RELAYED if is_plain else EnvelopeResult.UNCLEAR
    if said.answer:
        return EnvelopeResult.BOUNCED if said.bounce and found.quoted and not mail_from else None
    if found.opens_text and has_sender:
        return EnvelopeResult.RELAYED
    if not mail_from and expected.is_own_sender:
        return EnvelopeResult.BOUNCED if found.quoted else None
    return EnvelopeResult.UNCLEAR


def _from_elsewhere(mail_from: str, said: Answer, found: Marks) -> EnvelopeResult | None:
    """Return what a message of another host means: only one that had our message in hand has marks of it.

    The addresses of a test are no secret from its host, so they alone say nothing here.
    """
    if found.signed_header or (found.quoted and (found.author or found.envelope)):
        return EnvelopeResult.MULTIHOP
    if found.opens_text and mail_from and not said.answer:
        return EnvelopeResult.MULTIHOP
    return EnvelopeResult.BOUNCED if found.quoted and not mail_from else None


def meaning_as_host(received: Received, expected: Expected, key: bytes) -> EnvelopeResult | None:
    """Return what the message means if its peer is the tested host by its address of the other family.

    Whether it is that is asked at the end of the step; None where the peer is of the same family.
    """
    if received.peer.version == expected.tested.version:
        return None
    return meaning(replace(received, peer=expected.tested), expected, key)


@dataclass(frozen=True, slots=True)
class _Arrival:
    """A message for one of its recipients."""

    recipient: str
    expected: Expected
    kind: EnvelopeResult | None
    as_host: EnvelopeResult | None = None  # if the peer proves to be the tested host by another address


class Returns:
    """Keeps returns in *store*, up to *quota*. Safe to share between threads."""

    def __init__(
        self, store: Store, key: bytes, quota: Quota, seconds: Callable[[], float] = time.monotonic
    ) -> None:
        self._store = store
        self._key = key
        self._quota = quota
        self._seconds = seconds
        self._lock = threading.Lock()
        self._octets = 0  # of all receipts
        self._counted_at: float | None = None

    def standing(self, token: str) -> Standing:
        """Return what *token* is worth.

        Raises:
            Unavailable: the database does not answer.
        """
        with self._store.reading() as session:
            expected = receipts.expected(session, token)
        return Standing.UNKNOWN if expected is None else expected.standing

    def keep(self, received: Received) -> None:
        """Store *received* for each of its recipients in one transaction, and wake the runs they belong to.

        Raises:
            Unavailable: the database does not answer: nothing was kept, and the sender must try again.
            ReturnsFull: there is no room for it: nothing was kept, and the test must know.
        """
        arrivals = self._arrivals(received)
        if arrivals:
            self._write(received, arrivals)

    def _arrivals(self, received: Received) -> list[_Arrival]:
        """Return for which recipients *received* may say something."""
        found: list[_Arrival] = []
        with self._store.reading() as session:
            for recipient in dict.fromkeys(received.recipients):
                expected = receipts.expected(session, _token(recipient))
                kind = meaning(received, expected, self._key)
                if expected is not None and receipts.says_something(kind, expected.standing):
                    as_host = meaning_as_host(received, expected, self._key)
                    found.append(
                        _Arrival(recipient, expected, kind, as_host if as_host is not kind else None)
                    )
        return found

    def _write(self, received: Received, arrivals: list[_Arrival]) -> None:
        told: list[tuple[_Arrival, Kept]] = []
        in_all = self._octets_kept()
        is_kept = False
        with self._store.writing() as session:
            for arrival in arrivals:
                new = _receipt(received, arrival)
                kept = receipts.keep(session, new, self._quota, in_all=in_all, again=is_kept)
                if kept is Kept.FULL:
                    raise ReturnsFull("no room for what may be a return", arrival.expected.tested)
                is_kept = is_kept or kept is Kept.KEPT
                told.append((arrival, kept))
        if is_kept:
            with self._lock:
                self._octets += len(received.message)  # more than it takes, until it is counted again
        for arrival, kept in told:
            _tell(received, arrival, kept)

    def _octets_kept(self) -> int:
        """Return how many octets all receipts take, as counted within the last minute."""
        now = self._seconds()
        with self._lock:
            if self._counted_at is not None and now - self._counted_at < _COUNTED_SECONDS:
                return self._octets
            self._counted_at = now
        with self._store.reading() as session:
            octets = receipts.octets_kept(session)
        with self._lock:
            self._octets = octets
        return octets


def _token(recipient: str) -> str:
    return recipient.partition("@")[0].lower()


def _receipt(received: Received, arrival: _Arrival) -> NewReceipt:
    return NewReceipt(
        token=_token(arrival.recipient),
        kind=arrival.kind,
        as_host=arrival.as_host,
        peer=received.peer,
        helo=received.helo,
        mail_from=received.mail_from,
        rcpt_to=arrival.recipient,
        message=received.message,
        received_at=received.received_at,
    )


def _tell(received: Received, arrival: _Arrival, kept: Kept) -> None:
    """Log what was kept; what is known already at debug only, since whoever knows a token may repeat it."""
    log = _log.info if kept is Kept.KEPT else _log.debug
    log(
        "returned",
        kind=arrival.kind.value if arrival.kind else "unknown",
        peer=str(received.peer),
        tested=str(arrival.expected.tested),
        run=arrival.expected.run_id,
        test=arrival.expected.test_id,
    )
