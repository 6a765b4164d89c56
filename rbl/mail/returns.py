"""What a message at the collector means for the test whose token it carries.

A pure decision (``meaning``), and the one transaction that keeps the message. Proof is our own
signed mark in the outer header, arriving for the very token of that test, from the tested host
itself (or its neighbour on the same /24 or /64, as behind address translation). From anywhere else
it took a second hop, and a person looks at the chain. The verdict is the worker's to say.

What says nothing any more (a bounce after the test's end) is looked at and not kept, without a
writing transaction: strangers know the tokens of tests that are over. Log event: ``returned``.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import structlog

from rbl import testmessage
from rbl.addresses import neighbourhood
from rbl.mail.delivery import Received, ReturnsFull
from rbl.store import receipts
from rbl.store.engine import Store
from rbl.store.receipts import Expected, Kept, NewReceipt, Quota, Standing
from rbl.terms import EnvelopeResult
from rbl.testmessage import Return, TokenKind

# How long the sum of all that is kept is believed; what was added meanwhile is added to it.
_COUNTED_SECONDS = 60.0

_log = structlog.get_logger()


def meaning(received: Received, expected: Expected | None, key: bytes) -> EnvelopeResult | None:
    """Return RELAYED, MULTIHOP or BOUNCED, or None for what proves nothing and is only kept.

    *expected* is what is known of the token, None where it is none of ours.
    """
    if expected is None:
        return None
    kind = TokenKind.SENDER if expected.is_sender_token else TokenKind.RECIPIENT
    match testmessage.classify(received.message, received.mail_from, kind, key):
        case Return.BOUNCE:
            return EnvelopeResult.BOUNCED
        case Return.UNKNOWN:
            return None
        case Return.RELAYED:
            pass
    marker = testmessage.read_marker(received.message, key)
    of_this_test = (str(expected.run_id), expected.test_id, expected.tested)
    if marker is None or (marker.run, marker.test, marker.target) != of_this_test:
        return None  # a message of another test, sent to this token by somebody who knows both
    if received.peer in neighbourhood(expected.tested):
        return EnvelopeResult.RELAYED
    return EnvelopeResult.MULTIHOP


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
