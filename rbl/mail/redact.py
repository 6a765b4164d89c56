"""What the public sees of a spam: enough to find it in a log, nothing that names its recipient.

Kept: the header fields that say how the message travelled, and the beginning of its text. Taken
out: the local part of every address, senders and Message-IDs included, since recipients are
encoded there too; what ``recipients`` finds of who received it, as it is written and in the ways
it may be coded; and what identifies a recipient in a link (query, parts of host and path that are
no words). What cannot be told apart is cut (decision 0023). RFC 6471 §2.1.2: an audit trail may be
redacted. HTML is shown as its source, never rendered: to escape it is the page's part. Pure; logs
nothing.
"""

import base64
import html
import re
from collections.abc import Iterable
from urllib.parse import unquote

from rbl.mail import greetings, readable, recipients, source
from rbl.mail.recipients import ATOM, FOR_CLAUSE, RECIPIENT_FIELDS, Traces
from rbl.mail.source import Field

# Together with the marks below 8 KiB.
_MAX_HEADER_OCTETS = 3_900
_MAX_BODY_OCTETS = 4_096

_CUT = "[cut]"
_REDACTED = "[redacted]"
# Around what somebody registered in a link: no text has these, since readable leaves none in.
_KEPT, _END = "\ue000", "\ue001"

_SHOWN_FIELDS = {
    name.lower().encode(): name
    for name in (
        *(
            "Received",
            "Return-Path",
            "From",
            "Sender",
            "Reply-To",
            "To",
            "Cc",
            "Delivered-To",
            "X-Original-To",
        ),
        *("Subject", "Date", "Message-ID", "MIME-Version", "Content-Type", "X-Mailer", "User-Agent"),
        *("X-Originating-IP", "Received-SPF"),
    )
}
# A quoted local part has 64 octets (RFC 5321 §4.5.3.1.1), each of which may be quoted, and some patience.
_LOCAL_PART = re.compile(rf"(?:\"(?:[^\"\\\n]|\\.){{0,400}}+\"|(?<!{ATOM}){ATOM}++)(?=[@＠])")
# The at sign as a URL writes it, where no scheme shows that this is one.
_CODED_LOCAL_PART = re.compile(r"(?<![^\s<>()\"@=&?/])(?:[^\s<>()\"@=&?/%]|%(?!40))+(?=%40)")
_URL = re.compile(
    r"(?P<scheme>\b[a-z][a-z0-9+.-]{0,15}://|(?<![^\s<>(\"'=])(?=(?:[a-z0-9-]{1,63}\.){1,10}[a-z]{2,24}/))"
    r"(?P<authority>[^\s<>\"/?#]*+)(?P<path>[^\s<>\"?#]*+)(?P<rest>[?#][^\s<>\"]*+)?",
    re.IGNORECASE,
)
_KEPT_SPAN = re.compile(f"{_KEPT}[^{_KEPT}{_END}]*{_END}")

# A part of a link's host or path that is words: "cheap-pills.html", "v2". Anything else may be a token.
_LONGEST_SEGMENT = 40
_LONGEST_WORD = 16
_WORDS = re.compile(r"[-_.~+]")
_UNSPOKEN = re.compile(r"[bcdfghjklmnpqrstvwxz]{5}", re.IGNORECASE)
_MAX_DIGITS, _MAX_DIGITS_OF_WORD = 3, 2

# Octets in other octets' clothes: each run of letters and digits is looked into.
_RUN = re.compile(r"(?<![A-Za-z0-9+/_-])[A-Za-z0-9+/_-]{6,}+={0,2}")
_SHORTEST_MIXED = 10
_HEXADECIMAL = re.compile(r"[0-9a-f]+", re.IGNORECASE)
_TURNS = re.compile(r"[a-z][A-Z]|[0-9][A-Za-z]|[A-Za-z][0-9]")
_FEW_TURNS, _SHORTEST_TURNING = 2, 8
# Words of a text that may be something coded; of a text that is made of them the rest is cut.
_MAX_TRIED = 1_500
_MAX_WRITTEN_OUT = 300
_WRITTEN_OUT = re.compile(r"(?:%|=|\\x|\\u00|&#x)([0-9a-f]{2});?|&#([0-9]{2,3});?", re.IGNORECASE)
_SOMEBODY_AT = re.compile(r"[^\s\]]@")
_STRETCH = re.compile(r"[^\s<>\"]+")


def published(message: bytes, mx_names: Iterable[str] = ()) -> str:
    """Return what may be published of *message*: at most 8 KiB, no control characters but line ends.

    *mx_names* are the hosts that take mail for whoever nominates: nothing of them is shown.
    """
    spam = source.read(message)
    own = [name.strip(".").lower() for name in mx_names]
    text = readable.body(spam)
    subjects = [readable.value(field) for field in spam.fields if field.name == b"subject"]
    traces = recipients.traces(spam.fields, [*subjects, text], own)
    shown = (_shown_field(field, traces) for field in spam.fields if field.name in _SHOWN_FIELDS)
    header = _joined(shown)
    body = _limited(_redacted(text, traces), _MAX_BODY_OCTETS)
    return f"{header}\n\n{body.strip()}".strip() + "\n"


def _shown_field(field: Field, traces: Traces) -> str:
    """Return one field: of recipients only how many, of a Content-Type only the type."""
    value = readable.value(field)
    if field.name in RECIPIENT_FIELDS:
        value = ", ".join([_REDACTED] * min(max(value.count("@"), 1), 20))
    elif field.name == b"content-type":
        value = _redacted(value.partition(";")[0], traces)
    elif field.name == b"received":  # host names may be like somebody's name, and are what counts here
        value = FOR_CLAUSE.sub(rf"\1{_REDACTED}", value)
        value = _without(_LOCAL_PART.sub(_REDACTED, value), traces, hosts_count=True)
    else:
        value = _redacted(value, traces)
    return f"{_SHOWN_FIELDS[field.name]}: {_limited(' '.join(value.split()), readable.MAX_VALUE_OCTETS)}"


def _redacted(text: str, traces: Traces) -> str:
    """Return *text* without local parts, *traces*, and tokens."""
    text = _URL.sub(_short_url, text)
    text = _LOCAL_PART.sub(_REDACTED, text)
    text = _CODED_LOCAL_PART.sub(_REDACTED, text)
    return _without(text, traces).replace(_KEPT, "").replace(_END, "")


def _without(text: str, traces: Traces, *, hosts_count: bool = False) -> str:
    """Return *text* with everything in it that tells of the recipient marked as redacted."""
    kept = [] if hosts_count else [found.span() for found in _KEPT_SPAN.finditer(text)]
    found = list(traces.found(text, hosts_count=hosts_count))
    spans = [(start, end) for start, end, word in found if not word]
    spans += _outside(sorted((start, end) for start, end, word in found if word), kept)
    if not hosts_count:
        spans += greetings.greeted(text)
        spans += _outside(_coded(text, traces), kept)
    shown: list[str] = []
    done = 0
    for start, end in sorted(spans):
        if start >= done:
            shown += [text[done:start], _REDACTED]
        done = max(done, end)
    return "".join([*shown, text[done:]])


def _outside(spans: list[tuple[int, int]], kept: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return those of *spans* that do not lie in one of *kept*; both are in order."""
    outside: list[tuple[int, int]] = []
    at = 0
    for start, end in spans:
        while at < len(kept) and kept[at][1] <= start:
            at += 1
        if at == len(kept) or end <= kept[at][0]:
            outside.append((start, end))
    return outside


def _coded(text: str, traces: Traces) -> list[tuple[int, int]]:
    """Return where *text* has a token, or the recipient coded in some way."""
    found: list[tuple[int, int]] = []
    tried = 0
    for run in _RUN.finditer(text):
        token = _is_token(run[0])
        tried += not token
        if token or tried > _MAX_TRIED or _decoded(run[0], traces):
            found.append(run.span())
    tried = 0
    for stretch in _STRETCH.finditer(text):
        if any(sign in stretch[0] for sign in "%=\\&"):
            plain = _WRITTEN_OUT.sub(_written, stretch[0])
            if plain != stretch[0]:
                tried += 1
                if tried > _MAX_WRITTEN_OUT or _tells(plain, traces):
                    found.append(stretch.span())
    return sorted(found)


def _tells(plain: str, traces: Traces) -> bool:
    return bool(_SOMEBODY_AT.search(plain)) or traces.betrayed(html.unescape(unquote(plain)))


def _written(code: re.Match[str]) -> str:
    return chr(int(code[1], 16) if code[1] else int(code[2]))


def _is_token(run: str) -> bool:
    """Return whether *run* looks drawn by lot: letters and digits mixed, or capitals inside."""
    for piece in re.split(r"[-_/+=]", run):
        mixed = not piece.isdigit() and any(map(str.isdigit, piece))
        if mixed and len(piece) >= _SHORTEST_MIXED:
            return True
        if len(piece) >= _SHORTEST_TURNING and len(_TURNS.findall(piece)) > _FEW_TURNS:
            return True
    return False


def _decoded(run: str, traces: Traces) -> bool:
    """Return whether *run* is base64 or hexadecimal for something that tells of the recipient."""
    letters = run.rstrip("=").replace("-", "+").replace("_", "/").encode()
    letters = letters[: len(letters) - (len(letters) % 4 == 1)]
    octets = base64.b64decode(letters + b"=" * (-len(letters) % 4))
    if octets.isascii() and traces.betrayed(octets.decode()):
        return True
    if not _HEXADECIMAL.fullmatch(run):
        return False
    return traces.betrayed(bytes.fromhex(run[: len(run) & ~1]).decode("utf-8", "replace"))


def _short_url(url: re.Match[str]) -> str:
    """Return a link without what may tell who clicks it; what somebody registered is marked as kept."""
    authority = url["authority"].rpartition("@")[2]
    host = authority.partition(":")[0]
    if host.replace(".", "").isdigit():
        shown = authority
    else:
        own = recipients.registrable(host)
        below = host[: len(host) - len(own)].rstrip(".")
        kept = f"{_KEPT}{authority[len(host) - len(own) :]}{_END}"
        shown = ".".join([*map(_short, below.split(".") if below else []), kept])
    path = "/".join(_short(segment) for segment in url["path"].split("/"))
    rest = f"{url['rest'][0]}{_CUT}" if url["rest"] else ""
    return f"{url['scheme']}{shown}{path}{rest}"


def _short(segment: str) -> str:
    """Return a part of a link's host or path, or a mark where it may be a token."""
    segment, end = segment.rstrip(").,;:!'"), segment[len(segment.rstrip(").,;:!'")) :]
    words = _WORDS.split(segment)
    spoken = len(segment) <= _LONGEST_SEGMENT and all(map(_is_word, words))
    few = sum(map(str.isdigit, segment)) <= _MAX_DIGITS
    return (segment if spoken and few and not _UNSPOKEN.search(segment) else _CUT) + end


def _is_word(piece: str) -> bool:
    word = piece.rstrip("0123456789")
    letters = not word or (word.isalpha() and len(word) <= _LONGEST_WORD)
    few = len(piece) - len(word) <= _MAX_DIGITS_OF_WORD
    return letters and few and word in (word.lower(), word.capitalize())


def _joined(lines: Iterable[str]) -> str:
    """Return *lines* up to the limit of the header, and a mark where some are left out."""
    shown: list[str] = []
    octets = 0
    for line in lines:
        octets += len(line.encode()) + 1
        if octets > _MAX_HEADER_OCTETS:
            return "\n".join([*shown, _CUT])
        shown.append(line)
    return "\n".join(shown)


def _limited(text: str, limit: int) -> str:
    """Return the beginning of *text* in at most *limit* octets of UTF-8, marked where it is cut."""
    octets = text.encode()
    if len(octets) <= limit:
        return text
    return octets[: limit - len(_CUT) - 1].decode("utf-8", "ignore") + " " + _CUT
