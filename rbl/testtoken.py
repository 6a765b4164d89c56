"""The tokens of a test: the local parts of its two addresses, and whether we made one.

A token carries a keyed signature over its own random part, so that the collector tells a made-up one
without asking anybody, however many strangers make up. What a token was made for is in the database
alone. Letters and digits only, since the forms of a test give every other character a meaning, and
lower case, since mail servers change it. Pure but for the random numbers.
"""

import base64
import hmac
import re
import secrets
from enum import StrEnum

from rbl.testmessage import TokenKind

# 96 random bits and 80 bits of signature: 22 octets are 36 letters of base32 without padding.
_NONCE_OCTETS = 12
_SIGNATURE_OCTETS = 10
_SIGNED = re.compile(r"[rs][a-z2-7]{36}")
# The tokens that were sent out before they were signed: a letter and 128 random bits in hexadecimal.
UNSIGNED_LENGTH = 33
_UNSIGNED = re.compile(r"[rs][0-9a-f]{32}")


class Make(StrEnum):
    """What a token tells of itself."""

    OURS = "ours"  # made with our key
    UNSIGNED = "unsigned"  # of the old form: only the database knows whether it is ours
    MADE_UP = "made-up"  # by somebody without our key


def make(kind: TokenKind, key: bytes) -> str:
    """Return a new token of *kind*, signed with *key*: the whole local part of an address."""
    nonce = secrets.token_bytes(_NONCE_OCTETS)
    octets = nonce + _signature(kind, nonce, key)
    return kind.value + base64.b32encode(octets).decode("ascii").rstrip("=").lower()


def maker_of(token: str, key: bytes) -> Make:
    """Return who made *token* (in lower case), in the same time whatever its signature is."""
    if _UNSIGNED.fullmatch(token):
        return Make.UNSIGNED
    if not _SIGNED.fullmatch(token):
        return Make.MADE_UP
    octets = base64.b32decode(token[1:].upper() + "====")
    nonce, signature = octets[:_NONCE_OCTETS], octets[_NONCE_OCTETS:]
    ours = hmac.compare_digest(_signature(TokenKind(token[0]), nonce, key), signature)
    return Make.OURS if ours else Make.MADE_UP


def _signature(kind: TokenKind, nonce: bytes, key: bytes) -> bytes:
    """Return the signature of *nonce*; no mark (``testmessage``) has one that begins with these words."""
    return hmac.digest(key, f"token {kind.value} ".encode() + nonce, "sha256")[:_SIGNATURE_OCTETS]
