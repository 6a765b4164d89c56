"""The mark that makes a message ours, and what a message that comes back with it means.

The tester (``probe``) signs the mark into the header of every test message; the collector (``mail``)
reads it again. Only the *outer* header counts: a bounce carries our message in its body or in an
attached part, and a bounce proves the opposite of relaying. Reads hostile octets, raises nothing.
Header fields as in RFC 5322 §2.2, bounces as in RFC 3461 §6 and RFC 6522.
"""

import hmac
import re
from dataclasses import dataclass
from enum import StrEnum

from rbl.addresses import parse_address
from rbl.errors import BadInput
from rbl.terms import Address

MARK_FIELD = "X-Relay-Test"

# 64 KiB: sixteen times our whole message; what relays add to a header is far less.
_MAX_HEADER_OCTETS = 64 * 1024
_MARK = re.compile(
    r"v1; ?run=(?P<run>[0-9A-Za-z_-]{1,40}); ?id=(?P<test>T[0-9]{2}); ?"
    r"input=\[(?:IPv6:)?(?P<target>[0-9A-Fa-f.:]{2,45})\]; ?sig=(?P<sig>[0-9a-f]{64})"
)
_RUN = re.compile(r"[0-9A-Za-z_-]{1,40}")
_TEST = re.compile(r"T[0-9]{2}")
_REPORT = re.compile(rb"multipart/report\b", re.IGNORECASE)


class TokenKind(StrEnum):
    """Which of a test's two addresses a message is addressed to; the first letter of its local part."""

    RECIPIENT = "r"  # where a relay would deliver the test
    SENDER = "s"  # where a server sends the bounce of the test


class Return(StrEnum):
    """What a message at the collector means for the test that its token names."""

    RELAYED = "relayed"  # our own message: somebody delivered it here, which proves relaying
    BOUNCE = "bounce"  # the server took the message and gave it back to its sender
    UNKNOWN = "unknown"  # neither: kept, and changes nothing


@dataclass(frozen=True, slots=True)
class Marker:
    """What the signed mark says: this message is test *test* of run *run* of the host *target*.

    Raises:
        BadInput: *run* or *test* could not be read back from a header.
    """

    run: str
    test: str
    target: Address

    def __post_init__(self) -> None:
        if not (_RUN.fullmatch(self.run) and _TEST.fullmatch(self.test)):
            raise BadInput(f"{self.run!r} and {self.test!r} cannot stand in a test message's mark")


def address_literal(address: Address) -> str:
    """Return *address* as mail writes it: ``[192.0.2.1]`` or ``[IPv6:2001:db8::1]`` (RFC 5321 §4.1.3)."""
    return f"[{address}]" if address.version == 4 else f"[IPv6:{address}]"


def mark(marker: Marker, key: bytes) -> str:
    """Return the body of the ``X-Relay-Test`` field for *marker*, folded, signed with *key*.

    HMAC-SHA256 over the fields before the signature: nobody without the key can make our message.
    """
    return f"{_signed_part(marker)};\r\n sig={_signature(marker, key)}"


def read_marker(message: bytes, key: bytes) -> Marker | None:
    """Return the marker in the outer header of *message*, or None where it has none signed with *key*.

    The inverse of ``mark``. A message with two such fields was tampered with and has none.
    """
    fields = [value for name, value in _header(message)[0] if name == MARK_FIELD.lower().encode()]
    if len(fields) != 1:
        return None
    found = _MARK.fullmatch(fields[0].decode("ascii", "replace").strip())
    if found is None:
        return None
    try:
        marker = Marker(found["run"], found["test"], parse_address(found["target"]))
    except BadInput:
        return None
    return marker if hmac.compare_digest(_signature(marker, key), found["sig"]) else None


def classify(message: bytes, mail_from: str, kind: TokenKind, key: bytes) -> Return:
    """Return what *message*, sent from *mail_from* ("" for ``<>``) to a token of *kind*, means.

    The caller has looked the token up, and still has to see that a relayed message's marker names
    the run and the test of that token: this function says only that the message is one of ours.
    """
    if kind is TokenKind.SENDER:
        return Return.BOUNCE
    fields, body = _header(message)
    if not mail_from and _is_report(fields):
        return Return.BOUNCE  # ours is text/plain: whatever else its header says, this is a report
    if read_marker(message, key) is not None:
        return Return.RELAYED
    if not mail_from and f"{MARK_FIELD}:".lower().encode() in body.lower():
        return Return.BOUNCE  # the bounce of a test whose sender is its recipient, or a qmail bounce
    return Return.UNKNOWN


def _signed_part(marker: Marker) -> str:
    return f"v1; run={marker.run}; id={marker.test}; input={address_literal(marker.target)}"


def _signature(marker: Marker, key: bytes) -> str:
    return hmac.digest(key, _signed_part(marker).encode(), "sha256").hex()


def _is_report(fields: list[tuple[bytes, bytes]]) -> bool:
    return any(name == b"content-type" and _REPORT.match(value.lstrip()) for name, value in fields)


def _header(message: bytes) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """Return the outer header as (lower-case name, unfolded value) pairs, and the rest of *message*.

    Own code, since a general parser takes a bare CR for a line end, by which a bounce could carry
    a field of ours into its own header. The header ends at the first empty line, or at the first
    line that is no field, or at 64 KiB.
    """
    fields: list[tuple[bytes, bytes]] = []
    start = 0
    while start < min(len(message), _MAX_HEADER_OCTETS):
        end = message.find(b"\n", start)
        after = len(message) if end < 0 else end + 1
        line = message[start:after].removesuffix(b"\n").removesuffix(b"\r")
        name, colon, value = line.partition(b":")
        if line[:1] in (b" ", b"\t") and fields:
            fields[-1] = (fields[-1][0], fields[-1][1] + b" " + line.strip())
        elif colon and name.strip() and b" " not in name.strip():
            fields.append((name.strip().lower(), value.strip()))
        else:
            break
        start = after
    return fields, message[start:]
