"""Who received a spam, by every trace: addresses, names, greetings, and the hosts of whoever nominates.

Compared is not what is written but what is left of it as bare letters and digits: so ``John Doe``,
``john-doe``, ``JOHN_DOE`` and ``jo<b></b>hn doe`` are the same, and its rot13 and its reverse are found by
the same search. Pure; logs nothing.
"""

import codecs
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from publicsuffixlist import PublicSuffixList

from rbl.mail import greetings, readable
from rbl.mail.greetings import COMMON
from rbl.mail.source import Field

RECIPIENT_FIELDS = frozenset(
    (
        *(b"to", b"cc", b"bcc", b"delivered-to", b"x-original-to", b"envelope-to", b"x-envelope-to"),
        *(b"apparently-to", b"x-rcpt-to", b"x-delivered-to", b"resent-to", b"resent-cc", b"resent-bcc"),
    )
)
# No repetition of these is tried from more than one place: a spam may be made of what they look for.
ATOM = r"[^\s<>()\[\],;:\"@＠]"
_ADDRESS = re.compile(rf"(?<!{ATOM})({ATOM}++)[@＠]({ATOM}*+)")
FOR_CLAUSE = re.compile(r"(\bfor\s+<?)([^\s<>;()@]+)(?:@([^\s<>;()@]+))?", re.IGNORECASE)
_VERP = re.compile(r"(?<![^\s<])([^\s<>@=]{1,64}+)=([a-z0-9.-]{3,255}+)@", re.IGNORECASE)
_LETTERS = re.compile(r"[^\W\d_]+")
_MAX_NAMES = 50
_LONGEST_NAME = 64  # RFC 5321 §4.5.3.1.1; the beginning of a longer one is enough
_SHORTEST_WORD = 3  # shorter ones would blank out half of the text, and tell nothing
_SHORTEST_TURNED = 5  # rot13 and reverse of shorter ones are words of their own
_SHORTEST_RUN = 6  # of letters that are a name inside of other letters, too

_SHORTEST_JOINED = 4
_EASTERN = "\u2e80"  # scripts from here on have no spaces between words
_TAG = re.compile(r"<[a-z/!][^<>]{0,200}>", re.IGNORECASE)
# Suffixes that registries give out; below those of hosters (github.io) a name may be anybody's.
_SUFFIXES = PublicSuffixList(only_icann=True)


@dataclass(frozen=True, slots=True)
class Traces:
    """What tells of the recipient, bare: *words* that stand alone, *runs* anywhere, *domains*."""

    words: frozenset[str]
    runs: tuple[str, ...]
    domains: tuple[str, ...]

    def found(self, text: str, *, hosts_count: bool = False) -> Iterator[tuple[int, int, bool]]:
        """Yield beginning, end, and whether that is a single word. *hosts_count*: no single words."""
        stripped, places = _without_tags(text)
        if not hosts_count:
            yield from self._words(text, range(len(text)))
            if len(stripped) < len(text):
                yield from self._words(stripped, places)
        letters, offsets = _bare_with_offsets(stripped, places)
        for needle in self.runs:
            for at in _places(letters, needle):
                start, end = offsets[at], offsets[at + len(needle) - 1] + 1
                if len(needle) >= _SHORTEST_RUN or needle >= _EASTERN or _alone(text, start, end):
                    yield start, end, False
        for needle in self.domains:
            for at in _places(letters, needle):
                start, end = offsets[at], offsets[at + len(needle) - 1] + 1
                if _alone(text, start, end):
                    yield _host_start(text, start), end, False

    def _words(self, text: str, places: Sequence[int]) -> Iterator[tuple[int, int, bool]]:
        for word in _LETTERS.finditer(text):
            if self._is_name(bare(word[0])):
                yield places[word.start()], places[word.end() - 1] + 1, True

    def betrayed(self, text: str) -> bool:
        """Return whether *text*, decoded from something, tells of the recipient."""
        letters = bare(text)
        return any(each in letters for each in (*self.runs, *self.domains)) or any(
            self._is_name(bare(word)) for word in _LETTERS.findall(text)
        )

    def _is_name(self, word: str) -> bool:
        if word in self.words:
            return True
        # Names are declined in Slavic languages and Greek: "Ивану" is Иван.
        return word > "\u0370" and any(word[:-cut] in self.words for cut in (1, 2) if len(word) > 3 + cut)


def registrable(host: str) -> str:
    """Return the part of *host* that somebody registered, or the whole where it has none."""
    host = host.strip(".").lower()
    return (len(host) <= 255 and _SUFFIXES.privatesuffix(host)) or host


def traces(fields: Iterable[Field], texts: Iterable[str], mx_names: Iterable[str]) -> Traces:
    """Return what tells of the recipient in *fields* and *texts*, where *mx_names* are the nominator's."""
    names: dict[str, None] = {}  # in their order: the first fifty count
    hosts: dict[str, None] = dict.fromkeys(mx_names)
    for field in fields:
        value = readable.value(field)
        if field.name in RECIPIENT_FIELDS:
            _of_recipients(value, names, hosts)
        elif field.name == b"received":
            for _, local, domain in FOR_CLAUSE.findall(value):
                names[local] = None
                hosts[domain] = None
        elif field.name in (b"return-path", b"sender", b"list-unsubscribe"):
            for local, domain in _VERP.findall(value):
                names[re.split(r"[-+]", local, maxsplit=1)[-1]] = None
                hosts[domain] = None
    for text in texts:
        for start, end in greetings.greeted(text):
            names[text[start:end]] = None
    return _compared(list(names), [host for host in hosts if "." in host])


def _of_recipients(value: str, names: dict[str, None], hosts: dict[str, None]) -> None:
    for local, domain in _ADDRESS.findall(value):
        names[local] = None
        hosts[domain] = None
    for display in re.split(r"[<>,;\"]+", _ADDRESS.sub(",", value)):
        if display.strip():
            names[display.strip()] = None


def _compared(names: list[str], hosts: list[str]) -> Traces:
    words: set[str] = set()
    runs: set[str] = set()
    for name in names[:_MAX_NAMES]:
        for spelling in {name, _without_umlauts(name)}:
            parts = [bare(part) for part in _LETTERS.findall(spelling[:_LONGEST_NAME])]
            parts = [part for part in parts if part not in COMMON]
            eastern = [part for part in parts if part >= _EASTERN and len(part) >= 2]
            runs.update(eastern)
            words.update(part for part in parts if len(part) >= _SHORTEST_WORD)
            if len(parts) > 1:
                runs |= {"".join(parts), "".join(reversed(parts))}
            if len(parts) == 1 and len(parts[0]) > 2 * _SHORTEST_RUN:
                runs.add(parts[0])
    domains: set[str] = set()
    for host in hosts[:_MAX_NAMES]:
        own = registrable(host)
        domains |= {bare(own), bare(own.replace(".", "dot"))}
        label = own.partition(".")[0]
        if len(bare(label)) >= _SHORTEST_TURNED and label not in COMMON:
            (words if label.isalpha() else runs).add(bare(label))
    words |= {turned for word in words if len(word) >= _SHORTEST_TURNED for turned in _turned(word)}
    runs = {run for run in runs if len(run) >= (_SHORTEST_JOINED if run < _EASTERN else 2)}
    return Traces(
        frozenset(words),
        tuple(
            sorted(
                {*runs, *(turned for run in runs if len(run) >= _SHORTEST_RUN for turned in _turned(run))}
            )
        ),
        tuple(sorted({*domains, *(turned for domain in domains for turned in _turned(domain))})),
    )


def _turned(word: str) -> tuple[str, str]:
    return codecs.encode(word, "rot13"), word[::-1]


def _without_umlauts(name: str) -> str:
    """Return *name* as it is written where there are no umlauts: "Mueller" for "Müller"."""
    name = unicodedata.normalize("NFC", name).lower()
    return name.translate(
        {ord("ä"): "ae", ord("ö"): "oe", ord("ü"): "ue", ord("ß"): "ss", ord("å"): "aa", ord("ø"): "oe"}
    )


@lru_cache(maxsize=4_096)
def _bare_letter(letter: str) -> str:
    """Return the lower-case letter under the accents, or nothing where it is no letter and no digit."""
    first = unicodedata.normalize("NFKD", letter)[0].lower()[:1]
    return {"ø": "o", "ł": "l", "ı": "i", "đ": "d", "ς": "σ"}.get(first, first) if first.isalnum() else ""


def bare(text: str) -> str:
    """Return the letters and digits of *text* in lower case and without accents."""
    return "".join(map(_bare_letter, text))


def _without_tags(text: str) -> tuple[str, Sequence[int]]:
    """Return *text* without its tags, and where in it each character stands."""
    kept: list[str] = []
    places: list[int] = []
    start = 0
    for tag in _TAG.finditer(text):
        if "://" not in tag[0] and "@" not in tag[0]:  # else a link, or an address in brackets
            kept.append(text[start : tag.start()])
            places.extend(range(start, tag.start()))
            start = tag.end()
    if not kept:
        return text, range(len(text))
    kept.append(text[start:])
    places.extend(range(start, len(text)))
    return "".join(kept), places


def _bare_with_offsets(text: str, places: Sequence[int]) -> tuple[str, list[int]]:
    """Return the bare letters of *text*, and for each the one of *places* where it stands."""
    letters: list[str] = []
    offsets: list[int] = []
    for place, written in zip(places, text, strict=True):
        letter = _bare_letter(written)
        if letter:
            letters.append(letter)
            offsets.append(place)
    return "".join(letters), offsets


def _places(letters: str, needle: str) -> Iterator[int]:
    at = letters.find(needle)
    while at >= 0:
        yield at
        at = letters.find(needle, at + len(needle))


def _alone(text: str, start: int, end: int) -> bool:
    return not (text[start - 1 : start].isalnum() or text[end : end + 1].isalnum())


def _host_start(text: str, start: int) -> int:
    """Return where the host name begins whose domain begins at *start*."""
    least = max(0, start - 255)
    if text[start - 1 : start] == ".":
        while start > least and (text[start - 1].isalnum() or text[start - 1] in ".-_"):
            start -= 1
    return start
