"""Customer keys: the label between an address and the apex by which a list knows who asks.

``7.100.51.198.<key>.<apex>`` is looked up by who holds the key (a resolver passes it on unchanged,
whoever asks it). A label is 26 letters and digits: 128 random bits in base32 (RFC 4648 §6), which is
no octet, no nibble and no top-level domain. Whoever sees the query sees the key, so it can be
revoked in a second; everywhere but in the customer's own configuration it is kept as its SHA-256.
"""

import base64
import hashlib
import secrets

_OCTETS = 16
LABEL_OCTETS = 26
_DIGITS = frozenset(b"abcdefghijklmnopqrstuvwxyz234567")


def new_label() -> str:
    """Return a new key."""
    return base64.b32encode(secrets.token_bytes(_OCTETS)).decode().rstrip("=").lower()


def is_key(label: bytes) -> bool:
    """Whether the lower-case *label* has the form of a key."""
    return len(label) == LABEL_OCTETS and _DIGITS.issuperset(label)


def digest_of(label: bytes) -> str:
    """Return what the lower-case *label* is kept as: 64 hexadecimal digits, the journal's subject."""
    return hashlib.sha256(label).hexdigest()
