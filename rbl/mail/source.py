"""A message taken apart, octet for octet: its header fields, its body, the parts of its body.

Own code where the octets matter: the standard library's parser takes a bare CR, a form feed or a
NEL for a line end, by which the text of a spam could start a header field of its own, and it does
not give an attached message back as it was. The library reads the parameters of a Content-Type,
which no verdict rests on. RFC 5322 §2.2 (fields), RFC 2046 §5.1 (parts). Pure; logs nothing.
"""

import base64
import quopri
import re
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import Message
from email.policy import compat32

# A Content-Type longer than this is read as text/plain; real ones stay below 200 octets.
_MAX_PARAMETER_OCTETS = 2_000
# Parts of one message and depth of nesting that are looked at; mail people write stays below ten.
_MAX_PARTS = 100
_MAX_DEPTH = 4

_FIELD_NAME = re.compile(
    rb"[!-9;-~]+[ \t]*", re.ASCII
)  # RFC 5322 §3.6.8, and §4.5's space before the colon
_MBOX_LINE = re.compile(rb">?From [^\n]*\n?")
_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,60}/[a-z0-9][a-z0-9!#$&^_.+-]{0,60}")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Field:
    """One header field: lower-case name, and the value unfolded, without the space around it."""

    name: bytes
    value: bytes


@dataclass(frozen=True, slots=True)
class Source:
    """A message or a MIME part as it was written; *octets* is the whole of it."""

    octets: bytes
    fields: tuple[Field, ...]
    body: bytes

    def values(self, name: bytes) -> list[bytes]:
        """Return the values of every field called *name* (lower case), from the top."""
        return [field.value for field in self.fields if field.name == name]

    def first(self, name: bytes) -> bytes:
        """Return the value of the topmost field called *name*, or nothing."""
        return next(iter(self.values(name)), b"")

    @property
    def content_type(self) -> str:
        """The type in lower case; text/plain where none is given, or it is nonsense (RFC 2045 §5.2)."""
        written = self.first(b"content-type").partition(b";")[0].strip().lower().decode("latin-1")
        return written if _TYPE.fullmatch(written) else "text/plain"

    def parameter(self, name: str) -> str:
        """Return the Content-Type parameter *name*, or nothing where it is absent or unreadable."""
        value = self.first(b"content-type")
        if len(value) > _MAX_PARAMETER_OCTETS:
            return ""
        reader = Message(policy=compat32)
        reader["Content-Type"] = value.decode("latin-1")
        try:
            found = reader.get_param(name)
        except (ValueError, TypeError, LookupError):  # RFC 2231 continuations that contradict each other
            return ""
        return found if isinstance(found, str) else ""

    def decoded(self, limit: int) -> bytes:
        """Return at most the first *limit* octets of the body, its transfer encoding undone."""
        encoding = self.first(b"content-transfer-encoding").lower()
        if encoding == b"base64":
            letters = re.sub(rb"[^A-Za-z0-9+/]", b"", self.body[: 2 * limit])
            if len(letters) % 4 == 1:  # six bits are no octet: the text was cut
                letters = letters[:-1]
            return base64.b64decode(letters + b"=" * (-len(letters) % 4))[:limit]
        if encoding == b"quoted-printable":
            return quopri.decodestring(self.body[: 3 * limit])[:limit]
        return self.body[:limit]


def read(octets: bytes) -> Source:
    """Return *octets* taken apart. What mail programs put before a message is left out of it.

    That is a byte order mark, empty lines, and the ``From`` line of an mbox file, quoted or not.
    The header ends at the first empty line, or at the first line that is no field: mail servers
    do the same, and what follows such a line was never header.
    """
    octets = octets.removeprefix(_BYTE_ORDER_MARK).lstrip(b"\r\n")
    mbox = _MBOX_LINE.match(octets)
    return part(octets[mbox.end() :] if mbox else octets)


def part(octets: bytes) -> Source:
    """Return *octets*, which nothing precedes, taken apart."""
    fields: list[tuple[bytes, list[bytes]]] = []
    start = 0
    while start < len(octets):
        end = octets.find(b"\n", start) + 1 or len(octets)
        line = octets[start:end].removesuffix(b"\n").removesuffix(b"\r")
        name, colon, value = line.partition(b":")
        if not line:
            start = end
            break
        if line[:1] in b" \t" and fields:
            fields[-1][1].append(line)
        elif colon and _FIELD_NAME.fullmatch(name):
            fields.append((name.rstrip().lower(), [value]))
        else:
            break
        start = end
    unfolded = tuple(Field(name, b"".join(lines).strip(b" \t")) for name, lines in fields)
    return Source(octets, unfolded, octets[start:])


def parts(source: Source) -> list[Source]:
    """Return the parts directly below a multipart *source*, in order, at most 100.

    A message that breaks off before its closing delimiter gives the parts that are there.
    """
    boundary = source.parameter("boundary").rstrip(" \t").encode("latin-1", "replace")
    if not source.content_type.startswith("multipart/") or not 0 < len(boundary) <= 200:
        return []
    delimiter = re.compile(rb"(?:\A|\r?\n)--" + re.escape(boundary) + rb"(--)?[ \t]*(?=\r?\n|\Z)")
    found: list[Source] = []
    start: int | None = None
    for mark in delimiter.finditer(source.body):
        if start is not None:
            found.append(_part_between(source.body, start, mark.start()))
        start = None if mark[1] else mark.end()
        if start is None or len(found) == _MAX_PARTS:
            return found
    if start is not None:
        found.append(_part_between(source.body, start, len(source.body)))
    return found


def walk(source: Source, depth: int = _MAX_DEPTH) -> Iterator[Source]:
    """Yield the leaves of *source* in order; attached messages are leaves, and not looked into."""
    below = parts(source) if depth else []
    if not below:
        yield source
    for each in below:
        yield from walk(each, depth - 1)


def _part_between(body: bytes, start: int, end: int) -> Source:
    """Return the part whose first line begins after the line end at *start*."""
    first = body.find(b"\n", start, end) + 1 or end
    return part(body[first:end])
