"""SMTP replies taken out of whatever octets a server sends, and the host name in them.

Octets in, replies out; no socket, no clock. A server under test may be broken or hostile: what is
no reply within the limits becomes ``Garbled``, never an exception. RFC 5321 §4.2 (replies),
RFC 3463 and RFC 2034 (enhanced codes). Limits: a reply of 512 lines and 64 KiB, which some servers
fill with their policy; shown of it are as many lines of 1,000 characters as anybody reads.
"""

import re
from dataclasses import dataclass

MAX_LINES = 512
MAX_REPLY_OCTETS = 64 * 1024
MAX_SHOWN = 1000  # characters of a line; so many octets at most has one of RFC 5321 §4.5.3.1.5, with room

_LINE = re.compile(rb"([2-5][0-9]{2})(?:([ -]).*)?", re.DOTALL)
_ENHANCED = re.compile(r"[0-9]{3}[ -](?P<code>[245]\.[0-9]{1,3}\.[0-9]{1,3})(?![0-9.])")
# Postfix: "450 4.7.1 Error: too many recipients from 192.0.2.1" (smtpd_client_recipient_rate_limit).
_OF_THE_RATE = re.compile(
    r"too (?:many|much|fast|often)|slow down|\b(?:rate|limit)\b|exceed|throttl", re.IGNORECASE
)
# Exim's "550 Sender verify failed", Postfix's "Sender address rejected", and what checks SPF at RCPT.
_OF_THE_SENDER = re.compile(
    r"\bsender\b|\bspf\b|\b(?:mail|envelope) from\b|\b(?:return|reverse).?path", re.IGNORECASE
)
_TOO_LONG = f"a reply of more than {MAX_REPLY_OCTETS // 1024} KiB"
_LABEL = re.compile(r"[0-9A-Za-z_](?:[0-9A-Za-z_-]{0,61}[0-9A-Za-z_])?")


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply of the server: *lines* as received, code and all, made printable."""

    code: int
    lines: tuple[str, ...]
    command: str  # what it answers, as sent; "" for the greeting

    @property
    def text(self) -> str:
        """Return the lines as one text."""
        return "\n".join(self.lines)

    @property
    def enhanced(self) -> str | None:
        """Return the enhanced status code (RFC 3463), such as "5.7.1", where the first line has one.

        A code of another class than the reply's own is none (RFC 2034 §4).
        """
        found = _ENHANCED.match(self.lines[0])
        return found["code"] if found and found["code"][0] == self.lines[0][0] else None

    @property
    def positive(self) -> bool:
        """Whether the command was done (2yz)."""
        return 200 <= self.code < 300

    @property
    def temporary(self) -> bool:
        """Whether the command may succeed another time (4yz)."""
        return 400 <= self.code < 500

    @property
    def permanent(self) -> bool:
        """Whether the command was refused for good (5yz)."""
        return self.code >= 500


@dataclass(frozen=True, slots=True)
class Garbled:
    """What came was no reply: *why* in words, *lines* what could be read of it, made printable."""

    why: str
    lines: tuple[str, ...]


class ReplyBuffer:
    """Collects octets and gives back whole replies."""

    def __init__(self) -> None:
        self._octets = bytearray()
        self._lines: list[str] = []
        self._code = b""
        self._octets_taken = 0  # of the reply being read

    @property
    def pending(self) -> bool:
        """Whether octets wait that belong to no reply yet given back."""
        return bool(self._octets or self._lines)

    def feed(self, octets: bytes) -> None:
        """Add what was read from the server."""
        self._octets += octets

    def take(self, command: str) -> Reply | Garbled | None:
        """Return the next reply, as an answer to *command*, or None while it is not complete."""
        while (end := self._octets.find(b"\n")) >= 0:
            line = bytes(self._octets[:end]).removesuffix(b"\r")
            del self._octets[: end + 1]
            self._octets_taken += end + 1
            self._lines.append(printable(line))
            if (why := self._fault(line)) is not None:
                return self._garbled(why)
            if line[3:4] != b"-":
                reply = Reply(int(line[:3]), tuple(self._lines), command)
                self._forget()
                return reply
        if self._octets_taken + len(self._octets) > MAX_REPLY_OCTETS:
            return self._garbled(_TOO_LONG)
        return None

    def unfinished(self) -> tuple[str, ...]:
        """Return what is left when no more octets will come, made printable, and forget it."""
        lines = tuple(self._lines) + ((printable(bytes(self._octets)),) if self._octets else ())
        self._forget()
        self._octets.clear()
        return lines

    def _forget(self) -> None:
        self._lines.clear()
        self._octets_taken = 0

    def _fault(self, line: bytes) -> str | None:
        """Return why *line* cannot be the next line of the reply being read, or None."""
        found = _LINE.fullmatch(line)
        if self._octets_taken > MAX_REPLY_OCTETS:
            return _TOO_LONG
        if found is None:
            return "a line that is no SMTP reply"
        if len(self._lines) > MAX_LINES:
            return f"a reply of more than {MAX_LINES} lines"
        if len(self._lines) > 1 and found[1] != self._code:
            return "a reply whose code changes from line to line"
        self._code = found[1]
        return None

    def _garbled(self, why: str) -> Garbled:
        return Garbled(why, self.unfinished())


def asks_for_patience(text: str) -> bool:
    """Whether a reply with *text* puts off not the envelope but everybody who asks so often."""
    return _OF_THE_RATE.search(text) is not None


def is_of_sender(reply: Reply) -> bool:
    """Whether *reply* is to the sender, whatever command it answers: nobody looked at the recipient."""
    return reply.command.startswith("MAIL") or _OF_THE_SENDER.search(reply.text) is not None


def printable(octets: bytes) -> str:
    r"""Return *octets* as ASCII for people, everything else as ``\xNN``, at most 1,000 characters."""
    shown = "".join(
        chr(octet) if 0x20 <= octet < 0x7F else f"\\x{octet:02x}" for octet in octets[: MAX_SHOWN + 1]
    )
    return shown if len(shown) <= MAX_SHOWN else shown[: MAX_SHOWN - 3] + "..."


def host_name(word: str) -> str | None:
    """Return *word* as a lower-case host name of two labels or more, or None where it is none.

    What a server calls itself goes into commands and messages of ours: nothing else may pass.
    """
    labels = word.rstrip(".").split(".")
    if len(word) > 253 or len(labels) < 2 or labels[-1].isdecimal():
        return None
    return ".".join(labels).lower() if all(_LABEL.fullmatch(label) for label in labels) else None


def server_name(banner: Reply, hello: Reply | None, our_name: str) -> str | None:
    """Return the name the server gives itself in its greeting, or else in its answer to EHLO.

    RFC 5321 §4.2 and §4.1.1.1: the first word of either. *our_name* is ours, echoed by some.
    """
    for reply in (banner, hello):
        words = reply.lines[0][4:].split(None, 1) if reply is not None else []
        name = host_name(words[0]) if words else None
        if name is not None and name != our_name:
            return name
    return None
