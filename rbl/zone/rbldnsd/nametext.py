"""Domain names as rbldnsd's files write them, and as keys: their labels as on the wire, lower case.

Any octet may stand in a label, after a backslash or as three digits; empty labels are passed over.
"""

import re
from collections.abc import Iterable

from rbl.names import Name

# The labels of a name, each after its length, without the root's zero octet.
Key = bytes

_ESCAPE = re.compile(rb"\\(\d{1,3}|.)", re.DOTALL)
_PLAIN = frozenset(range(0x21, 0x7F)) - frozenset(b'".;\\@$')
_LONGEST_LABEL = 63  # RFC 1035 §2.3.4
_LONGEST_KEY = 254  # RFC 1035 §2.3.4, without the root's octet


def parse_name(text: bytes) -> Name | None:
    """Return the labels of the name that *text* writes, case kept, or None where it writes none."""
    if b"\\" in text:
        labels = _unescaped(text)
        if labels is None:
            return None
    else:
        labels = tuple(label for label in text.split(b".") if label)
    if any(len(label) > _LONGEST_LABEL for label in labels) or len(key_of(labels)) > _LONGEST_KEY:
        return None
    return labels


def key_of(labels: Iterable[bytes]) -> Key:
    """Return the key of *labels*, which are lower case where it is compared."""
    return b"".join([bytes((len(label),)) + label for label in labels])


def lower_key(labels: Name) -> Key:
    """Return the key of the name of *labels* in whatever case."""
    return key_of(label.lower() for label in labels)


def parents(key: Key) -> Iterable[Key]:
    """Yield the names above *key*, nearest first, the empty one last."""
    while key:
        key = key[key[0] + 1 :]
        yield key


def text_of(key: Key) -> bytes:
    """Return *key* as text, with odd octets escaped (RFC 1035 §5.1)."""
    labels = []
    at = 0
    while at < len(key):
        end = at + 1 + key[at]
        labels.append(b"".join(map(_shown, key[at + 1 : end])))
        at = end
    return b".".join(labels)


def _shown(octet: int) -> bytes:
    if octet in _PLAIN:
        return bytes((octet,))
    return b"\\%c" % octet if 0x20 < octet < 0x7F else b"\\%03d" % octet


def _unescaped(text: bytes) -> Name | None:
    labels: list[bytes] = []
    label = bytearray()
    at = 0
    while at < len(text):
        octet = text[at]
        if octet == 0x5C:  # a backslash
            found = _ESCAPE.match(text, at)
            if found is None:
                break
            escaped = found[1]
            number = int(escaped) if escaped.isdigit() else escaped[0]
            if number > 255:
                return None
            label.append(number)
            at = found.end()
            continue
        if octet == 0x2E:  # a dot
            labels.append(bytes(label))
            label.clear()
        else:
            label.append(octet)
        at += 1
    labels.append(bytes(label))
    return tuple(each for each in labels if each)
