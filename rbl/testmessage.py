"""The marks that make a message ours: in its header, in its Message-ID, and in the first line of its text.

The tester (``probe``) signs them into every test message; the collector (``mail.marks``) looks for them.
Each is a code of its own for the place where it stands and for the token of the one recipient that the
message is for: who read one of them in a reply or a bounce cannot write it elsewhere, and none is worth
anything at another test's token. Some messages bear in their header, instead of the code, a mark that
names run, test and host. Pure. Header fields as in RFC 5322 §2.2.
"""

import base64
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
_CODE_OCTETS = 15  # 120 bits: 24 letters of base32 without padding
# What may stand before the code in the first line of the text. The collector knows a text of ours that
# nothing precedes by it, and so tells it from one that somebody quotes.
OPENINGS = (
    "Relay test",
    "Open relay test",
    "This is a relay test, number",
    "Test of a mail relay, number",
    "This message is a test of a mail server:",
    "A mail server is being tested:",
    "Mail server test",
    "Number of this test:",
    "A test message for a mail server:",
    "To whom it may concern: relay test",
    "Check of a mail server, number",
    "An automatic test of a mail server:",
)


class TokenKind(StrEnum):
    """Which of a test's two addresses a message is addressed to; the first letter of its local part."""

    RECIPIENT = "r"  # where a relay would deliver the test
    SENDER = "s"  # where a server sends the bounce of the test


class Place(StrEnum):
    """Where in a message a code stands."""

    HEADER = "header"  # in some field of the header, whatever its name
    MESSAGE_ID = "message-id"  # in the local part of the Message-ID
    BODY = "body"  # in the first line of the text


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
    fields = [value for name, value in _header(message) if name == MARK_FIELD.lower().encode()]
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


def code(place: Place, token: str, key: bytes) -> str:
    """Return the code at *place* of the message for the recipient *token*: 24 lower-case characters.

    Cut from an HMAC-SHA256: nobody without the key can make it, not even from those of the other places.
    """
    signed = hmac.digest(key, f"mark {place.value} {token}".encode(), "sha256")[:_CODE_OCTETS]
    return base64.b32encode(signed).decode("ascii").lower()


def _signed_part(marker: Marker) -> str:
    return f"v1; run={marker.run}; id={marker.test}; input={address_literal(marker.target)}"


def _signature(marker: Marker, key: bytes) -> str:
    return hmac.digest(key, _signed_part(marker).encode(), "sha256").hex()


def _header(message: bytes) -> list[tuple[bytes, bytes]]:
    """Return the outer header of *message* as (lower-case name, unfolded value) pairs.

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
    return fields
