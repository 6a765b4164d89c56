"""What the public sees of a spam: enough to find it in a log, nothing that names its recipient.

Kept: the header fields that say how the message travelled, and the beginning of its text. Taken
out: the local part of every address, senders and Message-IDs included, since recipients are
encoded there too; the recipients' local parts wherever else they stand, and their names; and what
identifies a recipient in a link (query, long or numbered parts of host and path). RFC 6471 §2.1.2:
an audit trail may be redacted. HTML is shown as its source, never rendered: to escape it is the
page's part. Pure; logs nothing.
"""

import codecs
import html
import quopri
import re
import unicodedata
from collections.abc import Iterable

from rbl.mail import source
from rbl.mail.source import Field, Source

# Together with the marks below 8 KiB.
_MAX_HEADER_OCTETS = 3_900
_MAX_BODY_OCTETS = 4_096
_MAX_VALUE_OCTETS = 1_000
# Read of each text before redaction makes it shorter.
_MAX_READ_OCTETS = 16 * 1024
_MAX_NAMES = 50
_LONGEST_NAME = 64  # RFC 5321 §4.5.3.1.1; the beginning of a longer one is enough

_CUT = "[cut]"
_REDACTED = "[redacted]"

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
_RECIPIENT_FIELDS = frozenset(
    (
        *(b"to", b"cc", b"bcc", b"delivered-to", b"x-original-to", b"envelope-to", b"x-envelope-to"),
        *(b"apparently-to", b"x-rcpt-to", b"x-delivered-to", b"resent-to", b"resent-cc", b"resent-bcc"),
    )
)
_FOR_CLAUSE = re.compile(r"(\bfor\s+<?)([^\s<>;()@]+)", re.IGNORECASE)

# No repetition of these is tried from more than one place: a spam may be made of what they look for. A
# quoted local part has 64 octets (RFC 5321 §4.5.3.1.1), each of which may be quoted, and some patience.
_ATOM = r"[^\s<>()\[\],;:\"@＠]"
_LOCAL_PART = re.compile(rf"(?:\"(?:[^\"\\\n]|\\.){{0,400}}+\"|(?<!{_ATOM}){_ATOM}++)(?=[@＠])")
_ADDRESS = re.compile(rf"(?<!{_ATOM})({_ATOM}++)[@＠]({_ATOM}*+)")
# The at sign as a URL writes it, where no scheme shows that this is one.
_CODED_LOCAL_PART = re.compile(r"(?<![^\s<>()\"@=&?/])(?:[^\s<>()\"@=&?/%]|%(?!40))+(?=%40)")
_ENCODED_WORD = re.compile(
    r"=\?([^\s?*]{1,40})(?:\*[^\s?]*)?\?([bq])\?([^\s?]*)\?=(?:\s+(?==\?))?", re.IGNORECASE
)
_URL = re.compile(
    r"(?P<scheme>\b[a-z][a-z0-9+.-]{0,15}://|(?<![^\s<>(\"'=])(?=(?:[a-z0-9-]{1,63}\.){1,10}[a-z]{2,24}/))"
    r"(?P<authority>[^\s<>\"/?#]*+)(?P<path>[^\s<>\"?#]*+)(?P<rest>[?#][^\s<>\"]*+)?",
    re.IGNORECASE,
)
_LONGEST_SEGMENT = 16
# Four digits in a row, or a digit among eight characters and more: "20240305" as well as "am9obkB4".
_NUMBERED = re.compile(r"\d{4}|\A(?=.{8})\D*\d")

# Charsets that mail is written in. Python knows others that are slow, or no charsets at all.
_CHARSETS = re.compile(
    r"utf-8|ascii|iso8859-\d+|cp\d+|koi8-[rtu]|big5(?:hkscs)?|gb(?:k|2312|18030)|euc_(?:jp|kr)"
    r"|shift_jis(?:x0213|_2004)?|iso2022_(?:jp|kr)\w*|tis-620|mac-\w+"
)


def published(message: bytes) -> str:
    """Return what may be published of *message*: at most 8 KiB, no control characters but line ends."""
    spam = source.read(message)
    names = _recipients(spam.fields)
    shown = (_shown_field(field, names) for field in spam.fields if field.name in _SHOWN_FIELDS)
    body = _limited(_redacted(_readable_body(spam), names), _MAX_BODY_OCTETS)
    return f"{_joined(shown)}\n\n{body.strip()}".strip() + "\n"


def _recipients(fields: Iterable[Field]) -> re.Pattern[str] | None:
    """Return a pattern for the local parts of the message's recipients, or None where there are none."""
    found: set[str] = set()
    for field in fields:
        value = _readable_value(field)
        if field.name in _RECIPIENT_FIELDS:
            found.update(local for local, _ in _ADDRESS.findall(value))
            if "@" not in value:
                found.add(value.strip())
        elif field.name == b"received":
            found.update(local for _, local in _FOR_CLAUSE.findall(value))
    found |= {local.partition("+")[0] for local in found}
    # Shorter ones would blank out half of the text, and tell nothing.
    found = {name[:_LONGEST_NAME] for name in found}
    names = sorted((name for name in found if len(name) >= 3), key=len, reverse=True)[:_MAX_NAMES]
    if not names:
        return None
    return re.compile(rf"(?<![^\W_])(?:{'|'.join(map(re.escape, names))})(?![^\W_])", re.IGNORECASE)


def _shown_field(field: Field, names: re.Pattern[str] | None) -> str:
    """Return one field: of recipients only the domains, of a Content-Type only the type."""
    value = _readable_value(field)
    if field.name in _RECIPIENT_FIELDS:
        domains = [domain for _, domain in _ADDRESS.findall(value)]
        value = ", ".join(f"{_REDACTED}@{domain}" for domain in domains) or _REDACTED
    elif field.name == b"content-type":
        value = value.partition(";")[0]
    elif field.name == b"received":  # host names may be like somebody's name, and are what counts here
        value = _FOR_CLAUSE.sub(rf"\1{_REDACTED}", value)
        names = None
    value = " ".join(_redacted(value, names).split())
    return f"{_SHOWN_FIELDS[field.name]}: {_limited(value, _MAX_VALUE_OCTETS)}"


def _readable_value(field: Field) -> str:
    return _without_controls(_decoded_words(_text(field.value[: 4 * _MAX_VALUE_OCTETS], "")))


def _readable_body(spam: Source) -> str:
    """Return the texts of *spam* one after the other, and a line for what is no text."""
    shown: list[str] = []
    octets = 0
    for leaf in source.walk(spam):
        attached = leaf.first(b"content-disposition").lower().startswith(b"attachment")
        if attached or not leaf.content_type.startswith("text/"):
            shown.append(f"[{leaf.content_type}, {len(leaf.body)} octets]")
        else:
            text = _text(leaf.decoded(_MAX_READ_OCTETS), leaf.parameter("charset"))
            if len(leaf.body) > _MAX_READ_OCTETS:
                text = text[: _last_space(text)]  # what was cut in the middle is not recognised any more
            shown.append(html.unescape(text) if leaf.content_type == "text/html" else text)
        octets += len(shown[-1])
        if octets > _MAX_READ_OCTETS:
            break
    return "\n\n".join(shown)


def _redacted(text: str, names: re.Pattern[str] | None) -> str:
    """Return *text* without control characters, local parts, *names*, and tokens in links."""
    text = _without_controls(text)
    text = _URL.sub(_short_url, text)
    text = _LOCAL_PART.sub(_REDACTED, text)
    text = _CODED_LOCAL_PART.sub(_REDACTED, text)
    return names.sub(_REDACTED, text) if names else text


def _short_url(url: re.Match[str]) -> str:
    """Return a link without what may tell who clicks it."""
    labels = url["authority"].rpartition("@")[2].split(".")
    host = ".".join([*map(_short, labels[:-2]), *labels[-2:]])
    path = "/".join(_short(segment) for segment in url["path"].split("/"))
    rest = f"{url['rest'][0]}{_CUT}" if url["rest"] else ""
    return f"{url['scheme']}{host}{path}{rest}"


def _short(segment: str) -> str:
    """Return a part of a link's host or path, or a mark where it may be a token."""
    coded = "@" in segment or "%" in segment or _NUMBERED.search(segment)
    return _CUT if coded or len(segment) > _LONGEST_SEGMENT else segment


def _decoded_words(value: str) -> str:
    """Return *value* with the encoded words of RFC 2047 decoded."""

    def decoded(word: re.Match[str]) -> str:
        text = word[3].encode("utf-8")
        if word[2] in "qQ":
            octets = quopri.decodestring(text, header=True)
        else:
            octets = source.part(b"Content-Transfer-Encoding: base64\n\n" + text).decoded(len(text))
        return _text(octets, word[1])

    return _ENCODED_WORD.sub(decoded, value)


def _text(octets: bytes, charset: str) -> str:
    """Return *octets* as text in *charset*, or UTF-8 where that is none that mail is written in."""
    try:
        known = codecs.lookup(charset).name
    except (LookupError, ValueError):
        known = ""
    return octets.decode(known if _CHARSETS.fullmatch(known) else "utf-8", "replace")


def _without_controls(text: str) -> str:
    """Return *text* with line ends as LF, and no other control, format, private or lone code points.

    Invisible characters could part an address so that nothing recognises it, or turn the page's
    reading direction.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return "".join(
        c for c in text if c in "\n\t" or not (unicodedata.category(c)[0] == "C" or c in "\u2028\u2029")
    )


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


def _last_space(text: str) -> int:
    """Return the offset of the last white space in *text*, 0 where there is none."""
    found = re.search(r"\s\S*\Z", text)
    return found.start() if found else 0
