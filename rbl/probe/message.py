"""The message that a test sends: short, plain, saying what it is, why it came and whom to ask.

Pure. The signed mark in it, and reading it again, is ``rbl.testmessage``. RFC 5322 (form),
RFC 3834 (Auto-Submitted), RFC 5321 §4.5.3.1.6 (lines).
"""

import re
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime

from rbl.probe.plan import Envelope, Identity
from rbl.terms import Address
from rbl.testmessage import MARK_FIELD, Marker, address_literal, mark

# RFC 5321 §4.5.3.1.6: 1,000 octets with CRLF. What an operator sets is cut far below.
_MAX_SETTING_OCTETS = 200
_NOT_PLAIN = re.compile(r"[^\x20-\x7e]")


@dataclass(frozen=True, slots=True)
class Occasion:
    """Why a message is sent, and whom its reader may turn to.

    *run* and *attempt* make the Message-ID: the same envelope sent again in another attempt is
    another message, sent again in the same attempt by a worker that died it is the same.
    """

    run: str
    attempt: int
    target: Address
    why: str  # "spam received through it was reported on 2 May 2026"
    lookup_url: str
    opt_out_url: str
    contact: str


def compose(
    envelope: Envelope, identity: Identity, occasion: Occasion, *, key: bytes, now: datetime
) -> bytes:
    """Return the message of *envelope*: ASCII, CRLF, under 4 KiB, no line that begins with a dot.

    *key* signs the mark by which the collector knows it again; *now* is its date.
    """
    marker = Marker(occasion.run, envelope.test, occasion.target)
    header = (
        ("From", f"Open relay test <{envelope.sender_token}@{identity.sender_domain}>"),
        ("To", f"<{envelope.recipient_token}@{identity.recipient_domain}>"),
        ("Date", format_datetime(now)),
        ("Message-ID", message_id(occasion, envelope.test, identity)),
        ("Subject", f"open relay test {occasion.run}-{envelope.test}"),
        (MARK_FIELD, mark(marker, key)),
        ("X-Envelope-Sender", envelope.mail_from),
        ("X-Envelope-Recipient", envelope.rcpt_to),
        ("Auto-Submitted", "auto-generated"),
        ("Precedence", "junk"),
        ("MIME-Version", "1.0"),
        ("Content-Type", "text/plain; charset=us-ascii"),
        ("Content-Transfer-Encoding", "7bit"),
    )
    lines = [f"{name}: {value}" for name, value in header] + ["", *_body(envelope, identity, occasion)]
    return ("\r\n".join(lines) + "\r\n").encode("ascii")


def message_id(occasion: Occasion, test: str, identity: Identity) -> str:
    """Return the Message-ID of *test*: the same for the same run, test and attempt."""
    return f"<rbl.{occasion.run}.{test}.{occasion.attempt}@{identity.ehlo_name}>"


def _body(envelope: Envelope, identity: Identity, occasion: Occasion) -> list[str]:
    return [
        "This is a test whether a mail server relays mail for strangers.",
        "",
        f"Tested server:  {address_literal(occasion.target)}",
        f"Test:           {envelope.test}, {envelope.title}",
        f"Tested by:      {identity.ehlo_name}",
        f"Reason:         {_plain(occasion.why)}",
        "",
        "The message is addressed to the tester itself. If it arrives, the server passes on",
        "mail from anybody to anybody, and spammers can use it. If you read this because it",
        "was returned to your postmaster, your server took it and could not deliver it:",
        "nothing is wrong with your mail, and the sender address at your own domain was part",
        "of the test. Each such form is tried once in a test.",
        "",
        "What is known of the server, the whole SMTP dialogue, how to close a relay, and a",
        "button to test again:",
        _plain(occasion.lookup_url),
        "",
        "Not to be tested any more:",
        _plain(occasion.opt_out_url),
        "",
        "A person reads mail to:",
        _plain(occasion.contact),
    ]


def _plain(setting: str) -> str:
    """Return *setting* fit for one line of the body: ASCII, short, not beginning with a dot."""
    return _NOT_PLAIN.sub("?", setting)[:_MAX_SETTING_OCTETS].lstrip(".")
