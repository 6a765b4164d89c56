"""Our test messages, and what mail servers and people make of them: relayed, changed, bounced, answered.

The bounces are those that the servers named write, with the words, fields and parts that they use.
"""

import base64
import hashlib
import itertools
import quopri
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_address

from rbl.probe.message import Occasion, compose
from rbl.probe.plan import Envelope, Identity, plan
from rbl.store.receipts import Expected
from rbl.testmessage import TokenKind

KEY = b"k" * 32
NOW = datetime(2026, 3, 5, 12, 0, tzinfo=UTC)
TESTED = ip_address("198.51.100.7")
IDENTITY = Identity("tester.example.net", "relaytest.example", "senders.example")
STAMP = (
    b"Received: from tester.example.net (tester.example.net [192.0.2.1])\r\n"
    b"\tby mail.relay.example with ESMTP id 4F2; Thu, 5 Mar 2026 12:00:01 +0000\r\n"
)


@dataclass(frozen=True, slots=True)
class Test:
    """One form of a test: its envelope, its message, and what the database knows of it."""

    __test__ = False

    envelope: Envelope
    message: bytes
    expected: Expected

    @property
    def sender(self) -> str:
        """The sender as a relay hands it on."""
        return self.envelope.mail_from.strip("<>")


def made(form: str = "T01", attempt: int = 1, run: int = 9, tested: str = str(TESTED)) -> Test:
    """Return a test of *form*, with tokens of its own; the same for the same arguments."""
    target = ip_address(tested)
    numbers = itertools.count()

    def token(kind: TokenKind) -> str:
        octets = hashlib.sha256(f"{next(numbers)} {attempt} {run} {tested}".encode()).digest()[:22]
        return kind.value + base64.b32encode(octets).decode().rstrip("=").lower()

    planned = plan(target, IDENTITY, "mail.relay.example", token)
    envelope = next(each for each in planned if each.test == form)
    occasion = Occasion(
        str(run), attempt, target, "spam", "http://l.example/a", "http://l.example/p", "p@l.example"
    )
    return Test(
        envelope,
        compose(envelope, IDENTITY, occasion, key=KEY, now=NOW),
        Expected(
            1,
            run,
            form,
            target,
            is_sender_token=False,
            token=envelope.recipient_token,
            sender_token=envelope.sender_token,
            mail_from=envelope.mail_from,
        ),
    )


def head_and_text(message: bytes) -> tuple[bytes, bytes]:
    """Return the header with its last line end, and the text."""
    head, _, text = message.partition(b"\r\n\r\n")
    return head + b"\r\n", text


def without(message: bytes, fields: str) -> bytes:
    """Return *message* without the fields whose names match *fields*."""
    head, text = head_and_text(message)
    kept = re.sub(rb"(?im)^(?:%s):.*\r\n(?:[ \t].*\r\n)*" % fields.encode(), b"", head)
    return kept + b"\r\n" + text


def field(message: bytes, name: str) -> bytes:
    """Return the value of the field *name*."""
    found = re.search(rb"(?im)^%s: (.*)\r$" % name.encode(), head_and_text(message)[0])
    assert found
    return found[1]


# All marks of the header gone: the code's field, the Message-ID, the author.
BARE = "X-.*|Comments|Keywords|Message-ID|From"


def with_text(message: bytes, text: bytes, kind: bytes = b"text/plain", encoding: bytes = b"8bit") -> bytes:
    """Return *message* with no mark in its header and another text."""
    head, _ = head_and_text(without(message, f"{BARE}|MIME-Version|Content-.*"))
    fields = b"MIME-Version: 1.0\r\nContent-Type: %s\r\nContent-Transfer-Encoding: %s\r\n" % (
        kind,
        encoding,
    )
    return head + b"From: <gateway@relay.example>\r\n" + fields + b"\r\n" + text


def in_parts(message: bytes, *parts: bytes, kind: bytes = b"multipart/mixed") -> bytes:
    """Return *message* with no mark in its header and *parts*, each with its own fields."""
    body = b"".join(b"--b\r\n" + part + b"\r\n" for part in parts) + b"--b--\r\n"
    return with_text(message, body, kind + b"; boundary=b", b"7bit")


PLAIN_PART = b"Content-Type: text/plain\r\n\r\n"
ATTACHED_PART = b"Content-Type: message/rfc822\r\nContent-Disposition: attachment\r\n\r\n"


def _text(message: bytes) -> bytes:
    return head_and_text(message)[1]


# What relays and their filters do to a message, with no mark left but that of the text.
REWRITES: dict[str, Callable[[bytes], bytes]] = {
    "nothing but the header's marks": lambda m: with_text(m, _text(m)),
    "a footer": lambda m: with_text(m, _text(m) + b"--\r\nScanned by Example Antivirus\r\n"),
    "quoted-printable": lambda m: with_text(
        m,
        quopri.encodestring(_text(m)).replace(b"e", b"=65"),
        b"text/plain; charset=utf-8",
        b"quoted-printable",
    ),
    "quoted-printable in lower case": lambda m: with_text(
        m, quopri.encodestring(_text(m)), b"text/plain", b"Quoted-Printable"
    ),
    "base64": lambda m: with_text(m, base64.encodebytes(_text(m)), b"text/plain; charset=utf-8", b"BASE64"),
    "UTF-16": lambda m: with_text(
        m,
        base64.encodebytes(_text(m).decode().encode("utf-16")),
        b"text/plain; charset=utf-16",
        b"base64",
    ),
    "wrapped anew": lambda m: with_text(m, re.sub(rb"(?<=\S{30}) ?", b"\r\n", _text(m))),
    "one line": lambda m: with_text(m, b" ".join(_text(m).split())),
    "bare line feeds": lambda m: with_text(m, _text(m)).replace(b"\r\n", b"\n"),
    "capital letters": lambda m: with_text(m, _text(m).upper()),
    "made HTML": lambda m: with_text(
        m,
        b"<html><head><title>x</title></head>\r\n<body><pre>\r\n" + _text(m) + b"</pre></body></html>",
        b"text/html",
    ),
    "made HTML with the spaces kept": lambda m: with_text(
        m, b"<div>" + _text(m).replace(b" ", b"&nbsp;").replace(b"-", b"&#45;") + b"</div>", b"text/html"
    ),
    "a part and a footer's part": lambda m: in_parts(
        m, PLAIN_PART + _text(m), b"Content-Type: text/plain\r\n\r\nA footer of the mailing system."
    ),
    "plain and HTML": lambda m: in_parts(
        m,
        PLAIN_PART + _text(m),
        b"Content-Type: text/html\r\n\r\n<p>the same</p>",
        kind=b"multipart/alternative",
    ),
    "signed by the gateway": lambda m: in_parts(
        m,
        b"Content-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\n" + PLAIN_PART + _text(m) + b"\r\n--c--",
        b"Content-Type: application/pkcs7-signature\r\n\r\nMIIB",
        kind=b"multipart/signed",
    ),
}


def report_safe(message: bytes) -> bytes:
    """Return what SpamAssassin makes of spam (report_safe 1): its report, and the message attached."""
    kept = [
        b"%s: %s\r\n" % (n.encode(), field(message, n)) for n in ("From", "To", "Subject", "Message-ID")
    ]
    report = b"Spam detection software has identified this incoming email as possible spam.\r\n"
    return (
        STAMP
        + b"".join(kept)
        + b"X-Spam-Flag: YES\r\nMIME-Version: 1.0\r\n"
        + b'Content-Type: multipart/mixed; boundary="----------=_5E"\r\n\r\n'
        + b"------------=_5E\r\nContent-Type: text/plain; charset=iso-8859-1\r\n\r\n"
        + report
        + b"\r\n------------=_5E\r\nContent-Type: message/rfc822; x-spam-type=original\r\n\r\n"
        + message
        + b"\r\n------------=_5E--\r\n"
    )


def _dsn(
    message: bytes, author: bytes, subject: bytes, text: bytes, action: bytes, original: bytes
) -> bytes:
    return (
        b"From: %s\r\nSubject: %s\r\nTo: <x@relaytest.example>\r\nAuto-Submitted: auto-replied\r\n"
        % (author, subject)
        + b"MIME-Version: 1.0\r\n"
        + b"Content-Type: multipart/report;\r\n\treport-type=delivery-status; boundary=B\r\n"
        + b"\r\nThis is a MIME-encapsulated message.\r\n\r\n--B\r\nContent-Type: text/plain\r\n\r\n"
        + text
        + b"\r\n--B\r\nContent-Type: message/delivery-status\r\n\r\n"
        + b"Reporting-MTA: dns; mail.relay.example\r\n\r\n"
        + b"Final-Recipient: rfc822; x@relaytest.example\r\nAction: %s\r\nStatus: 5.0.0\r\n\r\n--B\r\n"
        % action
        + original
        + b"\r\n\r\n"
        + message
        + b"\r\n--B--\r\n"
    )


def postfix(message: bytes, action: bytes = b"failed") -> bytes:
    """Return Postfix's bounce."""
    author, subject = (
        b"MAILER-DAEMON@mail.relay.example (Mail Delivery System)",
        b"Undelivered Mail Returned to Sender",
    )
    text = b"This is the mail system at host mail.relay.example.\r\n\r\nI'm sorry to have to inform you\r\n"
    return _dsn(
        message,
        author,
        subject,
        text,
        action,
        b"Content-Description: Undelivered Message\r\nContent-Type: message/rfc822",
    )


def sendmail(message: bytes, action: bytes = b"failed") -> bytes:
    """Return Sendmail's bounce, or with the action "delayed" its warning."""
    subject = b"Returned mail: see transcript for details"
    if action == b"delayed":
        subject = b"Warning: could not send message for past 4 hours"
    text = b"The original message was received at Thu, 5 Mar 2026 12:00:00 GMT\r\n"
    return _dsn(
        message,
        b"Mail Delivery Subsystem <MAILER-DAEMON@mail.relay.example>",
        subject,
        text,
        action,
        b"Content-Type: message/rfc822",
    )


def exim(message: bytes) -> bytes:
    """Return Exim's bounce of 4.85 and later."""
    text = b"This message was created automatically by mail delivery software.\r\n"
    author = b"Mail Delivery System <Mailer-Daemon@mail.relay.example>"
    subject = b"Mail delivery failed: returning message to sender"
    made = _dsn(message, author, subject, text, b"failed", b"Content-type: message/rfc822")
    return b"X-Failed-Recipients: x@relaytest.example\r\n" + made


def old_exim(message: bytes) -> bytes:
    """Return Exim's bounce of before that, in plain text."""
    return (
        b"X-Failed-Recipients: x@relaytest.example\r\nAuto-Submitted: auto-replied\r\n"
        b"From: Mail Delivery System <Mailer-Daemon@mail.relay.example>\r\n"
        b"Subject: Mail delivery failed: returning message to sender\r\n\r\n"
        b"This message was created automatically by mail delivery software.\r\n\r\n"
        b"------ This is a copy of the message, including all the headers. ------\r\n\r\n" + message
    )


def exim_warning(message: bytes) -> bytes:
    """Return Exim's warning that it is still trying."""
    del message
    return (
        b"Auto-Submitted: auto-replied\r\nFrom: Mail Delivery System <Mailer-Daemon@mail.relay.example>\r\n"
        b"Subject: Warning: message 1m4oxG-0002fS-8H delayed 24 hours\r\n\r\n"
        b"This message was created automatically by mail delivery software.\r\n"
    )


def qmail(message: bytes) -> bytes:
    """Return qmail's bounce (QSBMF), without MIME and with the message as it was."""
    return (
        b"From: MAILER-DAEMON@mail.relay.example\r\nSubject: failure notice\r\n\r\n"
        b"Hi. This is the qmail-send program at mail.relay.example.\r\n"
        b"I'm afraid I wasn't able to deliver your message to the following addresses.\r\n\r\n"
        b"<x@relaytest.example>:\r\nSorry, I couldn't find any host by that name. (#4.1.2)\r\n\r\n"
        b"--- Below this line is a copy of the message.\r\n\r\nReturn-Path: <x@relaytest.example>\r\n"
        + message
    )


def bare_qmail(message: bytes) -> bytes:
    """Return the same, as a rewriting host leaves it: another author and subject."""
    return (
        qmail(message)
        .partition(b"\r\n\r\n")[2]
        .join((b"From: <mail@relay.example>\r\nSubject: mail\r\n\r\n", b""))
    )


def exchange(message: bytes) -> bytes:
    """Return the report of Exchange."""
    text = b"Delivery has failed to these recipients or groups:\r\n"
    author = b'"Microsoft Outlook" <MicrosoftExchange329e71ec88ae4615bbc36ab6ce41109e@relay.example>'
    made = _dsn(message, author, b"Undeliverable: test", text, b"failed", b"Content-Type: message/rfc822")
    return b"In-Reply-To: %s\r\nReferences: %s\r\n" % ((field(message, "Message-ID"),) * 2) + made


def old_exchange(message: bytes) -> bytes:
    """Return the report of Exchange 5.5, which has a sender."""
    return (
        b"From: System Administrator <postmaster@relay.example>\r\nSubject: Undeliverable: test\r\n"
        b'MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\n'
        b"Content-Type: text/plain\r\n\r\nYour message did not reach some of the intended recipients.\r\n"
        b"--b\r\nContent-Type: message/rfc822\r\n\r\n" + message + b"\r\n--b--\r\n"
    )


def courier(message: bytes) -> bytes:
    """Return Courier's bounce."""
    text = b"This is a delivery status notification from mail.relay.example,\r\nrunning Courier.\r\n"
    subject, original = b"NOTICE: mail delivery status.", b"Content-Type: message/rfc822"
    return _dsn(message, b'"Courier mail server" <@>', subject, text, b"failed", original)


BOUNCES: dict[str, Callable[[bytes], bytes]] = {
    "Postfix": postfix,
    "Sendmail": sendmail,
    "Exim": exim,
    "Exim before 4.85": old_exim,
    "qmail": qmail,
    "qmail, rewritten": bare_qmail,
    "Exchange": exchange,
    "Exchange 5.5": old_exchange,
    "Courier": courier,
}


def _answer(fields: bytes, text: bytes) -> bytes:
    return b"From: Jane <jane@relay.example>\r\n" + fields + b"\r\n" + text


ANSWERS: dict[str, Callable[[bytes], bytes]] = {
    "vacation, quoting all": lambda m: _answer(
        b"Auto-Submitted: auto-replied (vacation)\r\nSubject: away\r\n", b"I am away.\r\n\r\n" + m
    ),
    "vacation, our text first": lambda m: _answer(
        b"Auto-Submitted: auto-replied\r\n", _text(m) + b"I am away\r\n"
    ),
    "out of office of Exchange": lambda m: _answer(
        b"In-Reply-To: %s\r\nSubject: Automatic reply: test\r\n" % field(m, "Message-ID"), b"I am away.\r\n"
    ),
    "vacation of old": lambda m: _answer(b"Precedence: auto_reply\r\nSubject: away\r\n", _text(m)),
    "a responder that says so in a field of its own": lambda m: _answer(b"X-Autoreply: yes\r\n", _text(m)),
    "a person's reply": lambda m: _answer(
        b"References: %s\r\nSubject: your test\r\n" % field(m, "Message-ID"), _text(m) + b"Stop it.\r\n"
    ),
    "a person's reply from a web mailer": lambda m: _answer(
        b"Subject: Re: test\r\n", _text(m) + b"Stop it.\r\n"
    ),
}
