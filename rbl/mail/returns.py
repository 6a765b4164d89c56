"""What a message at the collector means for the test whose token it carries.

A pure decision (``meaning``), and the one transaction that keeps the message. Proof is our own
signed mark in the outer header, arriving for the very token of that test, from the tested host
itself (or its neighbour on the same /24 or /64, as behind address translation). From anywhere else
it took a second hop, and a person looks at the chain. The verdict is the worker's to say.

Log event: ``returned``.
"""

from dataclasses import dataclass
from datetime import datetime
from ipaddress import IPv4Address, ip_network

import structlog

from rbl import testmessage
from rbl.store import receipts
from rbl.store.engine import Store
from rbl.store.receipts import Expected, NewReceipt
from rbl.terms import Address, EnvelopeResult
from rbl.testmessage import Return, TokenKind

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Arrival:
    """One message for one token, as the collector took it; addresses as the peer wrote them."""

    token: str  # the recipient's local part, lower case
    peer: Address
    helo: str
    mail_from: str
    rcpt_to: str
    message: bytes
    received_at: datetime


def meaning(arrival: Arrival, expected: Expected | None, key: bytes) -> EnvelopeResult | None:
    """Return RELAYED, MULTIHOP or BOUNCED, or None for what proves nothing and is only kept.

    *expected* is what is known of the token, None where it is none of ours.
    """
    if expected is None:
        return None
    kind = TokenKind.SENDER if expected.is_sender_token else TokenKind.RECIPIENT
    match testmessage.classify(arrival.message, arrival.mail_from, kind, key):
        case Return.BOUNCE:
            return EnvelopeResult.BOUNCED
        case Return.UNKNOWN:
            return None
        case Return.RELAYED:
            pass
    marker = testmessage.read_marker(arrival.message, key)
    of_this_test = (str(expected.run_id), expected.test_id, expected.tested)
    if marker is None or (marker.run, marker.test, marker.target) != of_this_test:
        return None  # a message of another test, sent to this token by somebody who knows both
    if _same_site(arrival.peer, expected.tested):
        return EnvelopeResult.RELAYED
    return EnvelopeResult.MULTIHOP


def keep(store: Store, key: bytes, arrivals: list[Arrival]) -> None:
    """Store every arrival of one message in one transaction, and wake the runs they belong to.

    Raises:
        Unavailable: the database does not answer: nothing was kept, and the sender must try again.
    """
    with store.writing() as session:
        for arrival in arrivals:
            expected = receipts.expected(session, arrival.token)
            kind = meaning(arrival, expected, key)
            receipts.keep(
                session,
                NewReceipt(
                    token=arrival.token,
                    kind=kind,
                    peer=arrival.peer,
                    helo=arrival.helo,
                    mail_from=arrival.mail_from,
                    rcpt_to=arrival.rcpt_to,
                    message=arrival.message,
                    received_at=arrival.received_at,
                ),
            )
            _log.info(
                "returned",
                kind=kind.value if kind else "unknown",
                peer=str(arrival.peer),
                tested=str(expected.tested) if expected else None,
                run=expected.run_id if expected else None,
                test=expected.test_id if expected else None,
            )


def _same_site(peer: Address, tested: Address) -> bool:
    bits = 24 if isinstance(tested, IPv4Address) else 64
    return peer in ip_network((tested, bits), strict=False)
