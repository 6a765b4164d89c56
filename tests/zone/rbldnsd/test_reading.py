"""Data files on their way in."""

import gzip
import os
from pathlib import Path

import pytest

from rbl.errors import BadInput
from rbl.zone.rbldnsd.reading import LONGEST_LINE, Fault, LineReader, Options, Reading, Stamp, stamp_of


def _lines(file: Path, content: bytes, options: Options | None = None) -> tuple[list[bytes], Reading]:
    file.write_bytes(content)
    reading = Reading(options or Options())
    return list(LineReader(file, reading)), reading


@pytest.mark.parametrize(
    ("content", "expected", "reasons"),
    [
        (b" a\t\n\nb\n", [b"a", b"", b"b"], []),
        (b"a\nb", [b"a", b"b"], ["incomplete last line"]),
        (b"a\0b\n", [b"a"], []),  # as C reads it
        (b"x" * (LONGEST_LINE + 5) + b"\ny\n", [b"x" * LONGEST_LINE, b"y"], ["long line (truncated)"]),
        (b"x" * (3 << 20) + b"\ny\n", [b"x" * LONGEST_LINE, b"y"], ["long line (truncated)"]),
        (gzip.compress(b"a\nb\n", mtime=0), [b"a", b"b"], []),
        (b"", [], []),
    ],
    ids=["blanks", "no-end", "zero", "long", "longer-than-a-piece", "gzip", "empty"],
)
def test_lines(tmp_path: Path, content: bytes, expected: list[bytes], reasons: list[str]) -> None:
    """Lines come without ends and blanks around them; what is odd about them is noted."""
    lines, reading = _lines(tmp_path / "file", content)

    assert (expected, reasons) == (lines, [fault.reason for fault in reading.faults])


@pytest.mark.parametrize(
    ("content", "decompress", "why"),
    [
        (None, True, "unable to open file: No such file"),
        (gzip.compress(b"a\n", mtime=0), False, "decompression disabled"),
        (gzip.compress(b"a\n" * 9, mtime=0)[:-9], True, "error reading file"),
    ],
)
def test_an_unreadable_file(tmp_path: Path, content: bytes | None, *, decompress: bool, why: str) -> None:
    """A file that is not there, or is not what it should be, is refused with the reason."""
    file = tmp_path / "file"
    if content is not None:
        file.write_bytes(content)

    with pytest.raises(BadInput, match=why):
        list(LineReader(file, Reading(Options(decompress=decompress))))


def test_a_file_that_changes_meanwhile_is_refused(tmp_path: Path) -> None:
    """What is written to while it is read may be half of something."""
    file = tmp_path / "file"
    file.write_bytes(b"a\nb\n")
    lines = iter(LineReader(file, Reading(Options())))
    next(lines)
    os.utime(file, (1, 1))

    with pytest.raises(BadInput, match="changed while it was read"):
        list(lines)


def test_stamps(tmp_path: Path) -> None:
    """A stamp has a file's time, size and inode; no file, no stamp."""
    (tmp_path / "file").write_bytes(b"abc")
    os.utime(tmp_path / "file", (5, 5))

    inode = (tmp_path / "file").stat().st_ino

    assert (Stamp(5 * 10**9, 3, inode), None) == (
        stamp_of(tmp_path / "file"),
        stamp_of(tmp_path / "nowhere"),
    )


def test_a_fault_says_its_place() -> None:
    """A fault has the form of rbldnsd's."""
    assert ["file z(3): why", "file z: why"] == [str(Fault("z", line, "why")) for line in (3, 0)]


def test_many_faults_are_counted_and_not_kept() -> None:
    """A file of another kind has as many faults as lines."""
    reading = Reading(Options())
    for _ in range(10_001):
        reading.warn("why")

    assert (10_000, 10_001) == (len(reading.faults), reading.fault_count)


@pytest.mark.parametrize(("ttl", "expected"), [(0, 600), (1, 60), (90, 90), (9999, 7200)])
def test_bounds_of_ttls(ttl: int, expected: int) -> None:
    """TTLs stay within the bounds, and 0 stands for the default."""
    assert expected == Options(least_ttl_seconds=60, most_ttl_seconds=7200).bounded(ttl, 600)
