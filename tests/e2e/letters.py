"""One letter handed to a mail server by a made-up host, and what the server said to it."""

import smtplib
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import EmailMessage

from tests.e2e.hosts import Host


@dataclass(frozen=True, slots=True)
class Reply:
    """The reply that decided: the first refusal, or the one after the letter."""

    command: str  # MAIL, RCPT or DATA
    code: int
    text: str


def letter(sender: str, recipient: str, headers: Mapping[str, str] | None = None) -> bytes:
    """Return a short letter as it goes over the wire."""
    message = EmailMessage()
    for name, value in {"From": sender, "To": recipient, "Subject": "made up", **(headers or {})}.items():
        message[name] = value
    message.set_content("Buy made-up things.\n")
    return message.as_bytes()


def hand_over(
    source: Host, server: str, sender: str, recipient: str, content: bytes | None = None
) -> Reply:
    """Return how *server* (an address) answers *source*'s attempt to send *content*."""
    return source.call(lambda: _dialogue(source, server, sender, recipient, content))


def _dialogue(source: Host, server: str, sender: str, recipient: str, content: bytes | None) -> Reply:
    with smtplib.SMTP(
        server, 25, local_hostname=f"{source.name}.example", timeout=30, source_address=(source.address, 0)
    ) as client:
        client.ehlo()
        code, text = client.mail(sender)
        if code >= 400:
            return Reply("MAIL", code, text.decode("utf-8", "replace"))
        code, text = client.rcpt(recipient)
        if code >= 400:
            return Reply("RCPT", code, text.decode("utf-8", "replace"))
        try:
            code, text = client.data(content or letter(sender, recipient))
        except smtplib.SMTPDataError as refusal:
            code, text = refusal.smtp_code, _octets(refusal.smtp_error)
        return Reply("DATA", code, text.decode("utf-8", "replace"))


def _octets(text: bytes | str) -> bytes:
    return text.encode() if isinstance(text, str) else text
