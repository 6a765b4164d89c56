"""Whether a message answers another one: a bounce, a reply of a program, a reply of a person.

Each is told by what it says of itself in its outer header, and a bounce by what its kind of mail server
writes into its text: whoever wrote it may quote or attach what he answers. A relay adds none of this to
what it relays. Pure. RFC 3464 and RFC 6522 (reports), RFC 3834 (Auto-Submitted), RFC 5322 §3.6.4.
"""

import re
from dataclasses import dataclass

from rbl.mail import source
from rbl.mail.source import Source

# What a report says of a message that is tried on, or was handed on (RFC 3464 §2.3.3).
_NOT_FAILED = frozenset({b"delayed", b"delivered", b"relayed", b"expanded"})
_ACTION = re.compile(rb"^action[ \t]*:[ \t]*([a-z]{1,20})", re.IGNORECASE | re.MULTILINE)
# Reports of temporary trouble that are no multipart/report: Exim's, and Sendmail's before 8.8.
_DELAYED_SUBJECT = re.compile(
    rb"warning: (?:message \S{1,100} delayed|could not send message for past)", re.IGNORECASE
)
_ANSWERING_FIELDS = frozenset(
    (
        *(b"in-reply-to", b"references", b"x-failed-recipients", b"x-autoreply", b"x-autorespond"),
        *(b"x-autoresponse", b"x-auto-reply", b"x-autoreply-from", b"x-mail-autoreply", b"x-vacation"),
    )
)
_ANSWERING_SUBJECT = re.compile(
    rb"(?:re|aw|sv|antw|auto|autoreply|automatic reply|out of (?:the )?office|abwesenheits\S{0,20})"
    rb"[ \t]*(?::|$)|undeliver|failure notice|returned mail|mail delivery|vacation"
    rb"|delivery (?:status|failure|report)",
    re.IGNORECASE,
)
_ANSWERING_PRECEDENCE = frozenset({b"auto_reply", b"auto-reply"})
_DAEMONS = re.compile(
    rb"(?:^|[<\s])(?:mailer-daemon|mail-daemon|mdaemon|postmaster|mailerdaemon)[@>\s]", re.IGNORECASE
)
# The beginning of bounces that say it nowhere else (qmail: https://cr.yp.to/proto/qsbmf.txt).
_BOUNCE_TEXT = re.compile(
    rb"Hi\. This is the |This message was created automatically by mail delivery software"
)
_TEXT_OCTETS = 2_000


@dataclass(frozen=True, slots=True)
class Answer:
    """What a message says of itself."""

    report: bool = False  # multipart/report: of a delivery, a disposition
    bounce: bool = False  # a report, or what mail servers write in plain text
    delay: bool = False  # of a message that is tried on, or was handed on: nothing is given up
    answer: bool = False  # any of these, or any other sign of a reply, whoever wrote it
    sent_again: bool = False  # Resent- fields: a person had it, and sent it on (RFC 5322 §3.6.6)


def read(outer: Source) -> Answer:
    """Return what the message *outer* says of itself."""
    report = outer.content_type == "multipart/report"
    daemon = bool(_DAEMONS.search(outer.first(b"from")[:_TEXT_OCTETS]))
    bounce = report or daemon or bool(outer.values(b"x-failed-recipients")) or _is_plain_bounce(outer)
    return Answer(
        report=report,
        bounce=bounce,
        delay=_is_of_delay(outer),
        answer=bounce or _is_answer(outer),
        sent_again=any(field.name.startswith(b"resent-") for field in outer.fields),
    )


def _is_answer(outer: Source) -> bool:
    if any(field.name in _ANSWERING_FIELDS for field in outer.fields):
        return True
    automatic = outer.first(b"auto-submitted").partition(b";")[0].strip().lower()
    if automatic.startswith((b"auto-replied", b"auto-notified")):
        return True
    if outer.first(b"precedence").strip().lower() in _ANSWERING_PRECEDENCE:
        return True
    return bool(_ANSWERING_SUBJECT.match(outer.first(b"subject")))


def _is_plain_bounce(outer: Source) -> bool:
    return bool(_BOUNCE_TEXT.match(outer.body[:_TEXT_OCTETS].lstrip()))


def _is_of_delay(outer: Source) -> bool:
    """Whether the message reports that another one is delayed, or was handed on, and not given up."""
    if _DELAYED_SUBJECT.match(outer.first(b"subject")):
        return True
    actions = {
        action.lower()
        for leaf in source.walk(outer)
        if leaf.content_type in ("message/delivery-status", "message/global-delivery-status")
        for action in _ACTION.findall(leaf.decoded(len(leaf.body)))
    }
    return bool(actions) and actions <= _NOT_FAILED
