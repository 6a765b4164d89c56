"""Messages inside messages: a spam forwarded as attachment, or in an abuse report.

Finds them and says whether a report keeps the rules of its format; whether the outer message may
be believed to hold somebody else's is for ``evidence``. RFC 2046 §5.2.1 (message/rfc822), RFC 5965
(abuse reports), RFC 6522 (multipart/report). Pure; logs nothing.
"""

import re
from collections import Counter
from dataclasses import dataclass
from typing import NoReturn

from rbl.addresses import parse_address
from rbl.errors import BadInput
from rbl.mail import source
from rbl.mail.source import Source
from rbl.terms import Address, EvidenceFormat

_MESSAGE_TYPES = frozenset({"message/rfc822", "message/global"})
_ONCE = (b"feedback-type", b"user-agent", b"version")  # RFC 5965 §3.1
_AT_MOST_ONCE = (  # RFC 5965 §3.2
    b"arrival-date",
    b"incidents",
    b"original-envelope-id",
    b"original-mail-from",
    b"reporting-mta",
    b"source-ip",
)
_VERSIONS = frozenset({b"1", b"0.1"})  # RFC 5965 §3.1; 0.1 is what senders of the draft still write
# Reports that do not complain of spam: RFC 6430, RFC 6591, and the draft's request to unsubscribe.
_NO_COMPLAINT = frozenset({b"not-spam", b"auth-failure", b"opt-out", b"opt-out-list"})
# What mail programs put before a message that they quote, in the languages they most often speak.
_INLINE_FORWARD = re.compile(
    rb"^[> \t]*(?:Received:[ \t]|-{3,} ?(?:Forwarded|Original) message|Begin forwarded message:"
    rb"|-{3,} ?(?:Urspr\S{1,4}ngliche Nachricht|Weitergeleitete Nachricht|Message (?:d'origine|transf))"
    rb"|-{3,} ?Mensaje (?:original|reenviado))",
    re.IGNORECASE | re.MULTILINE,
)
_FORWARD_SUBJECT = re.compile(rb"(?:fwd?|wg|tr|rv|i|doorst)[ \t]*:", re.IGNORECASE)
_INLINE_SEARCH_OCTETS = 64 * 1024


@dataclass(frozen=True, slots=True)
class Wrapped:
    """What is inside: the messages, in what form, and the address a report claims."""

    form: EvidenceFormat
    messages: tuple[Source, ...]
    claim: Address | None = None
    fault: BadInput | None = None  # why the report is malformed


def find(outer: Source) -> Wrapped | None:
    """Return what *outer* wraps, or None where it wraps nothing."""
    report_type = outer.parameter("report-type").lower()
    if outer.content_type == "multipart/report" and report_type == "feedback-report":
        try:
            return _report(outer)
        except BadInput as fault:
            return Wrapped(EvidenceFormat.ARF, (), fault=fault)
    attached = [leaf for leaf in source.walk(outer) if leaf.content_type in _MESSAGE_TYPES]
    messages = tuple(_content(leaf) for leaf in attached)
    return Wrapped(EvidenceFormat.ATTACHED, messages) if messages else None


def only_message(found: Wrapped) -> Source:
    """Return the one message in *found*.

    Raises:
        BadInput: the report is malformed, or several messages are attached.
    """
    if found.fault:
        raise found.fault
    if len(found.messages) > 1:
        raise BadInput(
            f"{len(found.messages)} messages are attached: send each spam as evidence of its own.",
            code="several-messages",
        )
    return found.messages[0]


def is_inline_forward(message: Source) -> bool:
    """Whether *message* looks like a forward that has the other message in its text."""
    return bool(
        _FORWARD_SUBJECT.match(message.first(b"subject"))
        or _INLINE_FORWARD.search(message.body[:_INLINE_SEARCH_OCTETS])
    )


def _report(outer: Source) -> Wrapped:
    """Return the one message of an abuse report and its Source-IP, held to the MUSTs of RFC 5965 §2, §3."""
    inside = source.parts(outer)
    if len(inside) != 3:
        _malformed(f"it must have three parts and has {len(inside)}")
    text, facts, message = inside
    if not text.content_type.startswith("text/") and not text.content_type.startswith("multipart/"):
        _malformed("its first part must be text for people")
    if facts.content_type != "message/feedback-report":
        _malformed(f"its second part must be message/feedback-report and is {facts.content_type}")
    if message.content_type not in {*_MESSAGE_TYPES, "text/rfc822-headers"}:
        _malformed(
            f"its third part must be message/rfc822 or text/rfc822-headers and is {message.content_type}"
        )
    return Wrapped(EvidenceFormat.ARF, (_content(message),), claim=_claim(_content(facts)))


def _claim(facts: Source) -> Address | None:
    """Return the Source-IP that the second part names, once its fields are found to be in order."""
    counts = Counter(field.name for field in facts.fields)
    for name in _ONCE:
        if counts[name] != 1:
            _malformed(f"it must have one {_name(name)} field and has {counts[name]}")
    for name in _AT_MOST_ONCE:
        if counts[name] > 1:
            _malformed(f"it must not have more than one {_name(name)} field")
    if counts[b"received-date"] > 1 or (counts[b"received-date"] and counts[b"arrival-date"]):
        _malformed("it must have one of Arrival-Date and the older Received-Date")
    if facts.first(b"version") not in _VERSIONS:
        _malformed("its Version must be 1")
    kind = facts.first(b"feedback-type").lower()
    if kind in _NO_COMPLAINT:
        raise BadInput(
            f"A report of type {kind.decode()} does not complain of spam, so it nominates nobody.",
            code="not-a-complaint",
        )
    if not counts[b"source-ip"]:
        return None
    written = facts.first(b"source-ip").decode("latin-1")
    try:
        return parse_address(written.removeprefix("[").removesuffix("]").removeprefix("IPv6:"))
    except BadInput:
        _malformed(f"its Source-IP {written[:60]!a} is no address")


def _content(leaf: Source) -> Source:
    """Return the message in *leaf*; an encoding is undone, although RFC 2046 §5.2.1 allows none."""
    return source.read(leaf.decoded(len(leaf.body)))


def _name(field: bytes) -> str:
    return {
        b"feedback-type": "Feedback-Type",
        b"source-ip": "Source-IP",
        b"reporting-mta": "Reporting-MTA",
    }.get(field, field.decode().title())


def _malformed(why: str) -> NoReturn:
    raise BadInput(f"The abuse report does not keep to RFC 5965: {why}.", code="malformed-report")
