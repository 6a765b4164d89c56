"""A data file on its way in: its lines, the faults found in it, and how the reader is set.

Lines are cut out of large pieces, gzip is recognised by its first octets, and a file that changes while
it is read is refused (write it beside and rename it).
"""

import gzip
import os
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Protocol, cast

from rbl.errors import BadInput
from rbl.zone.rbldnsd.values import LARGEST_NUMBER, Value

LONGEST_LINE = 64 * 1024  # rbldnsd cuts lines at 16 to 32 KiB; a text has 255 octets
_PIECE = 1 << 20
_GZIP = b"\x1f\x8b"
KEPT_FAULTS = 10_000  # of one dataset; what is beyond them is counted


@dataclass(frozen=True, slots=True)
class Options:
    """How files are read: what rbldnsd's ``-t``, ``-e`` and ``-C`` say; times in seconds."""

    ttl_seconds: int = 35 * 60
    least_ttl_seconds: int = 0
    most_ttl_seconds: int = 0
    accept_host_bits: bool = False
    decompress: bool = True
    clock: Callable[[], float] = time.time

    def bounded(self, ttl_seconds: int, default: int) -> int:
        """Return *ttl_seconds* within the bounds; 0 stands for *default*."""
        if ttl_seconds == 0:
            return default
        if self.least_ttl_seconds and ttl_seconds < self.least_ttl_seconds:
            return self.least_ttl_seconds
        if self.most_ttl_seconds and ttl_seconds > self.most_ttl_seconds:
            return self.most_ttl_seconds
        return ttl_seconds


@dataclass(frozen=True, slots=True)
class Fault:
    """A line that was not taken as it is, or at line 0 a whole file."""

    file: str
    line: int
    reason: str

    def __str__(self) -> str:
        """Return the place and the reason as rbldnsd writes them."""
        return (
            f"file {self.file}({self.line}): {self.reason}"
            if self.line
            else f"file {self.file}: {self.reason}"
        )


class Gate(Protocol):
    """Looks at every entry before it is taken; raises BadInput for one that is to be refused.

    *value* None stands for an exclusion.
    """

    def ipv4(self, first: int, last: int, value: Value | None, /) -> None:
        """Look at a range of IPv4 addresses."""

    def ipv6(self, first: int, length: int, value: Value | None, /) -> None:
        """Look at an IPv6 network."""

    def name(self, key: bytes, value: Value | None, /) -> None:
        """Look at a name, or the name above which a wildcard stands."""

    def record(self) -> None:
        """Look at an ordinary record."""


@dataclass(slots=True)
class Reading:
    """Where the reader of one dataset is, and who looks on."""

    options: Options
    gate: Gate | None = None
    progress: Callable[[int], None] = lambda _: None  # is told how many octets of a file were read
    kept_faults: int = KEPT_FAULTS
    file: str = ""
    line: int = 0
    widest: int = 0  # how many addresses a range may have ($MAXRANGE4); 0: any number
    ttl_seconds: int = 0
    faults: list[Fault] = field(default_factory=list)
    fault_count: int = 0
    lines: int = 0

    def warn(self, reason: str) -> None:
        """Note that the line being read is not taken as it is."""
        self.fault_count += 1
        if len(self.faults) < self.kept_faults:
            self.faults.append(Fault(self.file, self.line, reason))

    def too_wide(self, first: int, last: int) -> bool:
        """Whether the range is wider than $MAXRANGE4 allows; then that is noted."""
        if not self.widest or last - first < self.widest:
            return False
        self.warn(f"too large range ({(last - first + 1) & LARGEST_NUMBER}) ignored ({self.widest} max)")
        return True


@dataclass(frozen=True, slots=True)
class Stamp:
    """How a file looked when it was read."""

    modified_ns: int
    octets: int
    inode: int = 0  # another one: another file was renamed into its place

    @property
    def modified_seconds(self) -> int:
        """When it was last written."""
        return self.modified_ns // 10**9


def stamp_of(path: Path) -> Stamp | None:
    """Return how the file at *path* looks now, or None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return _stamp(found)


def _stamp(found: os.stat_result) -> Stamp:
    return Stamp(found.st_mtime_ns, found.st_size, found.st_ino)


class LineReader:
    """The lines of one file, without line ends and the blanks around them; counts them in *reading*.

    Raises, while it is iterated:
        BadInput: the file cannot be read, is compressed where that is not allowed, or changed meanwhile.
    """

    def __init__(self, path: Path, reading: Reading) -> None:
        self._path = path
        self._reading = reading
        self.stamp = Stamp(0, 0)

    def __iter__(self) -> Iterator[bytes]:
        reading = self._reading
        reading.line = 0
        reading.progress(0)
        try:
            with self._path.open("rb") as file:
                before = os.fstat(file.fileno())
                yield from self._lines(self._content(file), file)
                after = os.fstat(file.fileno())
        except OSError as fault:
            reading.line = 0
            raise _unreadable(f"unable to open file: {fault.strerror or fault}") from None
        except (EOFError, zlib.error) as fault:
            raise _unreadable(f"error reading file: {fault}") from None
        reading.line = 0
        if _stamp(before) != _stamp(after):
            raise _unreadable(
                "file changed while it was read, data load aborted: write another file and rename it"
            )
        self.stamp = _stamp(after)

    def _content(self, file: BinaryIO) -> BinaryIO:
        compressed = file.read(2) == _GZIP
        file.seek(0)
        if not compressed:
            return file
        if not self._reading.options.decompress:
            raise _unreadable("file is compressed, decompression disabled")
        return cast("BinaryIO", gzip.GzipFile(fileobj=file))

    def _lines(self, content: BinaryIO, file: BinaryIO) -> Iterator[bytes]:
        reading = self._reading
        rest = b""
        while piece := content.read(_PIECE):
            reading.progress(file.tell())
            piece = rest + piece
            lines = piece.split(b"\n")
            rest = lines.pop()
            if len(rest) > LONGEST_LINE:
                rest = rest[: LONGEST_LINE + 1]  # the end of it is thrown away below
            if b"\0" in piece or max(map(len, lines), default=0) > LONGEST_LINE:
                yield from map(self._line, lines)
                continue
            for line in lines:
                reading.line += 1
                reading.lines += 1
                yield line.strip(b" \t")
        if rest:
            last = self._line(rest)
            reading.warn("incomplete last line")
            yield last

    def _line(self, line: bytes) -> bytes:
        reading = self._reading
        reading.line += 1
        reading.lines += 1
        if len(line) > LONGEST_LINE:
            reading.warn("long line (truncated)")
            line = line[:LONGEST_LINE]
        if b"\0" in line:
            line = line[: line.index(b"\0")]
        return line.strip(b" \t")


def _unreadable(reason: str) -> BadInput:
    return BadInput(reason, code="unreadable-file")
