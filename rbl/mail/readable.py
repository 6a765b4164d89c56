"""What a person reads of a message: header fields with their encoded words, texts in their charsets.

RFC 2047 (encoded words). Nothing invisible is left, so that what is compared is what is seen. Pure;
logs nothing.
"""

import codecs
import html
import quopri
import re
import unicodedata

from rbl.mail import source
from rbl.mail.source import Field, Source

MAX_VALUE_OCTETS = 1_000
# Read of each text before redaction makes it shorter.
MAX_READ_OCTETS = 16 * 1024

_ENCODED_WORD = re.compile(
    r"=\?([^\s?*]{1,40})(?:\*[^\s?]*)?\?([bq])\?([^\s?]*)\?=(?:\s+(?==\?))?", re.IGNORECASE
)
# Charsets that mail is written in. Python knows others that are slow, or no charsets at all.
_CHARSETS = re.compile(
    r"utf-8|ascii|iso8859-\d+|cp\d+|koi8-[rtu]|big5(?:hkscs)?|gb(?:k|2312|18030)|euc_(?:jp|kr)"
    r"|shift_jis(?:x0213|_2004)?|iso2022_(?:jp|kr)\w*|tis-620|mac-\w+"
)


def value(field: Field) -> str:
    """Return the beginning of the field's value, its encoded words decoded."""
    return without_controls(_decoded_words(_text(field.value[: 4 * MAX_VALUE_OCTETS], "")))


def body(spam: Source) -> str:
    """Return the texts of *spam* one after the other, and a line for what is no text."""
    shown: list[str] = []
    octets = 0
    for leaf in source.walk(spam):
        attached = leaf.first(b"content-disposition").lower().startswith(b"attachment")
        if attached or not leaf.content_type.startswith("text/"):
            shown.append(f"[{leaf.content_type}, {len(leaf.body)} octets]")
        else:
            text = _text(leaf.decoded(MAX_READ_OCTETS), leaf.parameter("charset"))
            if len(leaf.body) > MAX_READ_OCTETS:
                text = text[: _last_space(text)]  # what was cut in the middle is not recognised any more
            shown.append(html.unescape(text) if leaf.content_type == "text/html" else text)
        octets += len(shown[-1])
        if octets > MAX_READ_OCTETS:
            break
    return without_controls("\n\n".join(shown))


def without_controls(text: str) -> str:
    """Return *text* with line ends as LF, and no other control, format, private or lone code points.

    Invisible characters could part an address so that nothing recognises it, or turn the page's
    reading direction.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return "".join(
        c for c in text if c in "\n\t" or not (unicodedata.category(c)[0] == "C" or c in "\u2028\u2029")
    )


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


def _last_space(text: str) -> int:
    """Return the offset of the last white space in *text*, 0 where there is none."""
    found = re.search(r"\s\S*\Z", text)
    return found.start() if found else 0
