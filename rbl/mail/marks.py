"""Where in a message that came in the marks of a test stand: as ours, or as somebody else quotes them.

What a relay does to our message on its way must not hide them: fields taken out, stamps, footers, text
wrapped anew, in another encoding or character set, as HTML, or in MIME parts. What that proves is for
``returns``. Reads hostile octets: the parts and their depth have the limits of ``source``, no octet is
decoded more than once for each level, and nothing is raised.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from rbl.mail import source
from rbl.mail.source import Source
from rbl.store.receipts import Expected
from rbl.testmessage import MARK_FIELD, OPENINGS, Marker, Place, code, read_marker

_MESSAGE_TYPES = frozenset(
    {"message/rfc822", "message/global", "message/rfc822-headers", "text/rfc822-headers"}
)
_TEXT_TYPES = frozenset({"text/plain", "text/html"})
_MAX_DEPTH = 4  # of messages in messages
_MAX_TEXTS = 200  # parts that are looked at, in all of them
_TAG = re.compile(rb"<[^<>]*+>|&#?[A-Za-z0-9]{1,8};")  # and what HTML writes for a character
# Of a text's beginning: our first line is far shorter, and stands before all else.
_OPENING_OCTETS = 4_000
_BYTE_ORDER_MARK = re.compile(rb"\xef\xbb\xbf|\xff\xfe|\xfe\xff")
# In a text: the header of a test message that is quoted whole, as qmail does.
_OLD_MARK = f"{MARK_FIELD}: v1;".lower().encode()
_NOT_WORD = re.compile(rb"[^a-z0-9]+")


@dataclass(frozen=True, slots=True)
class Marks:
    """Which marks of the test that a message came for stand where.

    All but *quoted* are where only our own message has them. None that is false excludes another.
    """

    signed_header: bool  # a signed field or a signed Message-ID, in the outer header
    author: bool  # From names the test's sender, whose token nobody else has as an author
    envelope: bool  # sent from the test's sender to the test's recipient: our envelope
    opens_text: bool  # the text begins with our first line: nothing precedes and nothing quotes it
    quoted: bool  # somewhere: below other text, in an attachment, in any field

    @property
    def outside(self) -> bool:
        """Whether one stands where no bounce and no answer of a mail program has it."""
        return self.signed_header or self.author or self.envelope


def find(outer: Source, mail_from: str, expected: Expected, key: bytes) -> Marks:
    """Return the marks of the test *expected* in the message *outer*, sent from *mail_from*."""
    codes = {place: code(place, expected.token, key).encode() for place in Place}
    author = expected.sender_token.lower()
    sender = expected.token.lower() if expected.is_own_sender else author
    texts = list(islice(_texts(outer), _MAX_TEXTS))
    return Marks(
        signed_header=_is_signed(outer, codes) or _bears_marker(outer.octets, expected, key),
        author=bool(author) and author.encode() in outer.first(b"from").lower(),
        envelope=bool(sender) and sender in mail_from.lower(),
        opens_text=_opens(texts, codes[Place.BODY]),
        quoted=_stands_in(texts, codes, expected, key),
    )


@dataclass(frozen=True, slots=True)
class _Text:
    """What is read of one part, decoded."""

    content_type: str
    octets: bytes
    is_ours: bool  # a part of the outer message itself, not of one that is attached


def _is_signed(outer: Source, codes: dict[Place, bytes]) -> bool:
    """Whether a field bears the code of the header, or the Message-ID its own."""
    return any(
        codes[Place.MESSAGE_ID if field.name == b"message-id" else Place.HEADER] in _bare(field.value)
        for field in outer.fields
    )


def _bears_marker(octets: bytes, expected: Expected, key: bytes) -> bool:
    """Whether a message has the mark that names run, test and host in its header, and it is this test's."""
    return read_marker(octets, key) == Marker(str(expected.run_id), expected.test_id, expected.tested)


def _texts(message: Source, depth: int = _MAX_DEPTH) -> Iterator[_Text]:
    """Yield the decoded parts of *message*, and of the messages attached to it; headers of those, too."""
    for leaf in source.walk(message):
        decoded = leaf.decoded(len(leaf.body))
        if leaf.content_type not in _MESSAGE_TYPES:
            yield _Text(leaf.content_type, decoded.replace(b"\0", b""), depth == _MAX_DEPTH)
            continue
        yield _Text(leaf.content_type, decoded, is_ours=False)
        if depth:
            yield from _texts(source.part(decoded), depth - 1)


def _opens(texts: list[_Text], mark: bytes) -> bool:
    """Whether the first text of the message begins with one of our openings and *mark*."""
    first = next((text for text in texts if text.is_ours and text.content_type in _TEXT_TYPES), None)
    if first is None or not first.octets or texts[0] is not first:
        return False
    beginning = first.octets
    mark_of_order = _BYTE_ORDER_MARK.match(beginning)
    beginning = beginning[mark_of_order.end() if mark_of_order else 0 :].lstrip()
    if first.content_type == "text/html":
        body = beginning.lower().find(b"<body")
        written = beginning[max(body, 0) :][:_OPENING_OCTETS]
        beginning = b"" if b"<blockquote" in written.lower() else _TAG.sub(b" ", written).lstrip()
    if not beginning[:1].isalpha():  # "> " and the like: quoted
        return False
    bare = _bare(beginning[:_OPENING_OCTETS])
    return any(bare.startswith(_bare(opening.encode()) + mark) for opening in OPENINGS)


def _stands_in(texts: list[_Text], codes: dict[Place, bytes], expected: Expected, key: bytes) -> bool:
    """Whether a mark stands anywhere in *texts*: those are quoted, if they are not found outside."""
    for text in texts:
        bare = _bare(text.octets)
        if any(mark in bare for mark in codes.values()) or _OLD_MARK in text.octets.lower():
            return True
        if not text.is_ours and _bears_marker(text.octets, expected, key):
            return True
    return False


def _bare(octets: bytes) -> bytes:
    """Return the letters and digits of *octets*, lower case: as they are whoever wraps the lines."""
    return _NOT_WORD.sub(b"", octets.lower())
