"""The special lines of rbldnsd's files that are the same in every dataset: ``$SOA``, ``$NS`` and such.

Pure functions over what follows the name of the special; None: it is written wrongly.
"""

import re
from calendar import timegm
from dataclasses import dataclass

from rbl.names import Name
from rbl.zone.rbldnsd.nametext import parse_name
from rbl.zone.rbldnsd.reading import Options
from rbl.zone.rbldnsd.values import BLANKS, COMMENTS, LARGEST_NUMBER, parse_seconds

MOST_NAME_SERVERS = 32

_DATE = re.compile(
    rb"(\d{1,4})[:-]?(\d{1,2})[:-]?(\d{1,2})(?:[:-]?(\d{1,2})(?:[:-]?(\d{1,2})(?:[:-]?(\d{1,2}))?)?)?[:-]?"
)
_NO_DATE = frozenset({b"0", b"-", b":"})
_DAYS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


@dataclass(frozen=True, slots=True)
class FileSoa:
    """A ``$SOA`` line; *serial* 0 stands for the time of the newest file."""

    ttl_seconds: int
    mname: Name
    rname: Name
    serial: int
    times: tuple[int, int, int, int]  # refresh, retry, expire, minimum, in seconds


@dataclass(frozen=True, slots=True)
class FileNameServers:
    """An ``$NS`` line."""

    ttl_seconds: int
    names: tuple[Name, ...]


def words_of(text: bytes) -> list[bytes]:
    """Return the words of *text*, between blanks and tabs alone."""
    return [word for word in re.split(rb"[ \t]+", text) if word]


def without_comment(text: bytes) -> bytes:
    """Return *text* up to a # or ; that stands after a blank."""
    for at, octet in enumerate(text):
        if octet in COMMENTS and (at == 0 or text[at - 1] in BLANKS):
            return text[:at]
    return text


def parse_ttl(word: bytes, options: Options, default: int) -> int | None:
    """Return the TTL that *word* writes, within the bounds; 0 stands for *default*."""
    seconds = parse_seconds(word)
    return None if seconds is None else options.bounded(seconds, default)


def parse_soa(text: bytes, options: Options, default_ttl: int) -> FileSoa | None:
    """Return ``ttl mname rname serial refresh retry expire minimum``."""
    words = words_of(text)
    if len(words) != 8:
        return None
    ttl = parse_ttl(words[0], options, default_ttl)
    mname, rname = parse_name(words[1]), parse_name(words[2])
    serial = int(words[3]) if words[3].isdigit() and len(words[3]) <= 10 else LARGEST_NUMBER + 1
    times = [parse_seconds(word) for word in words[4:]]
    refresh, retry, expire, minimum = times
    if ttl is None or mname is None or rname is None or serial > LARGEST_NUMBER:
        return None
    if refresh is None or retry is None or expire is None or minimum is None:
        return None
    return FileSoa(ttl, mname, rname, serial, (refresh, retry, expire, minimum))


def parse_name_servers(text: bytes, options: Options, default_ttl: int) -> FileNameServers | None:
    """Return ``ttl name name …`` without the names that begin with a hyphen, and each once."""
    words = words_of(text)
    ttl = parse_ttl(words[0], options, default_ttl) if words else None
    if ttl is None or len(words) < 2:
        return None
    names: dict[Name, Name] = {}
    for word in words[1:]:
        if word.startswith(b"-"):
            continue
        name = parse_name(word)
        if name is None:
            return None
        names.setdefault(tuple(label.lower() for label in name), name)
    return FileNameServers(ttl, tuple(names.values()))


def parse_widest(text: bytes) -> int | None:
    """Return how many addresses ``/length`` or a number allows for one range."""
    number = text.removeprefix(b"/")
    if not number.isdigit() or len(number) > 10 or not 0 < int(number) <= LARGEST_NUMBER:
        return None
    if number is text or number == text:
        return int(number)
    return 1 << (32 - int(number)) if int(number) <= 32 else None


def parse_timestamp(text: bytes) -> tuple[int, int] | None:
    """Return when the data were made and when they expire, each 0 where it is not given."""
    words = words_of(text)
    if not 1 <= len(words) <= 2:
        return None
    made = _parse_date(words[0])
    if made is None:
        return None
    if len(words) == 1:
        return made, 0
    if words[1].startswith(b"+"):
        after = parse_seconds(words[1][1:])
        return (made, made + after) if made and after else None
    expires = _parse_date(words[1])
    return None if expires is None else (made, expires)


def _parse_date(word: bytes) -> int | None:
    if word in _NO_DATE:
        return 0
    found = _DATE.fullmatch(word)
    if found is None:
        return None
    year, month, day, hour, minute, second = (int(part or 0) for part in found.groups())
    if not (1970 <= year <= 2038 and 1 <= month <= 12):
        return None
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    days = 29 if month == 2 and leap else _DAYS[month - 1]
    if not (1 <= day <= days and hour <= 23 and minute <= 59 and second <= 59):
        return None
    return timegm((year, month, day, hour, minute, second))
