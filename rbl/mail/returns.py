"""What a message at the collector means for the test whose token it carries.

A pure decision (``meaning``), and the one transaction that keeps the message. Proof is our own
signed mark in the outer header, arriving for the very token of that test, from the tested host
itself (or its neighbour on the same /24 or /64, as behind address translation). From anywhere else
it took a second hop, and a person looks at the chain. The verdict is the worker's to say.

Log event: ``returned``.
"""

import structlog

from rbl import testmessage
from rbl.addresses import neighbourhood
from rbl.mail.collector import Received
from rbl.store import receipts
from rbl.store.engine import Store
from rbl.store.receipts import Expected, NewReceipt
from rbl.terms import EnvelopeResult
from rbl.testmessage import Return, TokenKind

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


def keep(store: Store, key: bytes, received: Received) -> None:
    """Store *received* for each of its recipients in one transaction, and wake the runs they belong to.

    Raises:
        Unavailable: the database does not answer: nothing was kept, and the sender must try again.
    """
    with store.writing() as session:
        for recipient in received.recipients:
            token = recipient.partition("@")[0].lower()
            expected = receipts.expected(session, token)
            kind = meaning(received, expected, key)
            receipts.keep(
                session,
                NewReceipt(
                    token=token,
                    kind=kind,
                    peer=received.peer,
                    helo=received.helo,
                    mail_from=received.mail_from,
                    rcpt_to=recipient,
                    message=received.message,
                    received_at=received.received_at,
                ),
            )
            _log.info(
                "returned",
                kind=kind.value if kind else "unknown",
                peer=str(received.peer),
                tested=str(expected.tested) if expected else None,
                run=expected.run_id if expected else None,
                test=expected.test_id if expected else None,
            )
