"""A message that the collector took, and why one cannot be kept: what its parts hand each other."""

from dataclasses import dataclass
from datetime import datetime

from rbl.errors import Unavailable
from rbl.terms import Address


@dataclass(frozen=True, slots=True)
class Received:
    """One message that was taken, and everything known of how it came.

    *recipients* are as the peer wrote them, each ``token@domain`` of this collector in any case, and
    *people* those that are read by people (``postmaster@``, ``abuse@``); *mail_from* is empty for
    ``<>``; *message* has CRLF line ends as sent, dots unstuffed.
    """

    peer: Address
    helo: str
    mail_from: str
    recipients: tuple[str, ...]
    message: bytes
    received_at: datetime
    people: tuple[str, ...] = ()


class ReturnsFull(Unavailable):
    """There is no room for a message that may be a return of a test of *tested* (None: of any test)."""

    def __init__(self, message: str, tested: Address | None) -> None:
        super().__init__(message, code="returns-full")
        self.tested = tested


class PostboxFull(Unavailable):
    """There is no room for mail to people."""
