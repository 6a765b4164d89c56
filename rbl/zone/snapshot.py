"""The index on disk: written whole and atomically, read into memory at start.

The arrays of the index lie in the file as they lie in memory, so that ten million listings answer in
a fraction of a second after a start. They are read into memory of the process's own and looked at
there: whatever becomes of the file then, nobody is answered from it. A file is of one byte order and
one format version, belongs to one apex, and has a checksum for each part. Answers are made from the
zone file: where that has changed since, the listings are taken from the file and flattened anew.

    magic, format version, length and checksum of the header  (24 octets)
    header    JSON: apex, serial, chain of the journal, fingerprint, byte order; place, size and
              checksum of each section
    sections  each at a multiple of 64 octets

Version 2 has no chain: the list is answered until the journal is read, and then made anew.

Nothing here is an object that is loaded by executing it: arrays, numbers and text alone.
"""

import contextlib
import json
import mmap
import os
import stat
import struct
import sys
import tempfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from rbl.errors import BadInput, NotFound
from rbl.names import OwnerName, parse_owner_name
from rbl.zone import listednames
from rbl.zone.answers import Numbers, Vocabulary
from rbl.zone.family import BLOCKS, IPV4, IPV6, Family
from rbl.zone.flatten import Counts, Rows
from rbl.zone.index import Index
from rbl.zone.ranges import Table, make_base, table_of
from rbl.zone.zonefile import ZoneFile

_MAGIC = b"rblindex"
_VERSION = 3
_READABLE = frozenset({2, _VERSION})
_PREAMBLE = struct.Struct("<8sIQI")
_ALIGNMENT = 64  # a cache line; and no element of an array is split
_WORDS = "words"  # the section with what is text: causes, combinations, names, unusable subjects, keys

_Arrays = dict[str, NDArray[Any]]


def write(index: Index, path: Path) -> None:
    """Write *index* to *path*, which shows either the old file or the whole new one at any time.

    Raises:
        OSError: the disk is full, or the directory cannot be written.
    """
    sections: dict[str, memoryview] = {_WORDS: memoryview(_words(index))}
    for name, table in (("ipv4", index.ipv4), ("ipv6", index.ipv6)):
        for part, values in _arrays_of(table.folded()).items():
            sections[f"{name}.{part}"] = memoryview(np.ascontiguousarray(values).view(np.uint8).data)
    with _replacing(path) as file:
        _write_sections(file, index, sections)


def read(path: Path, zone: ZoneFile) -> Index:
    """Return the index that was written to *path*, answering as *zone* says now.

    Raises:
        NotFound: there is no such file.
        BadInput: it is not whole, not in this format, or of another list; the message says which.
    """
    try:
        content = _private(path)
        header = _read_header(content, path)
        if (header.apex, header.kind) != (zone.apex_text, zone.kind.value):
            raise _unusable(
                path,
                f"it is of the {header.kind} in {header.apex}, not the {zone.kind} in {zone.apex_text}",
            )
        sections = {name: _section(content, name, header, path) for name in header.sections}
        index = _restore(sections, header, zone)
    except FileNotFoundError:
        raise NotFound(f"{path}: there is no index on disk", code="no-snapshot") from None
    except OSError as fault:
        raise _unusable(path, str(fault)) from None
    except (KeyError, IndexError, TypeError, ValueError) as fault:
        raise _unusable(path, f"its parts do not fit together ({fault!r})") from None
    return index if header.fingerprint == zone.fingerprint else index.recompiled(zone)


@dataclass(frozen=True, slots=True)
class _Section:
    offset: int
    octets: int
    checksum: int


@dataclass(frozen=True, slots=True)
class _Header:
    apex: str
    kind: str
    serial: int
    fingerprint: str
    byte_order: str
    counts: dict[str, list[int]]
    sections: dict[str, _Section]
    chain: str = ""


# --- writing -------------------------------------------------------------------------------------


def _arrays_of(table: Table) -> _Arrays:
    base = table.base
    arrays: _Arrays = {
        "first": base.rows.first,
        "length": base.rows.length,
        "cause": base.rows.cause,
        "row_offsets": base.row_offsets,
        "answer": base.answer,
        "range_offsets": base.range_offsets,
        "wide_first": table.wide.first,
        "wide_length": table.wide.length,
        "wide_cause": table.wide.cause,
    }
    arrays |= {f"key{number}": key for number, key in enumerate(base.keys)}
    return arrays


def _words(index: Index) -> bytes:
    words = {
        "causes": index.vocabulary.causes[1:],
        "combinations": index.vocabulary.combinations,
        "names": [[str(subject), cause] for subject, cause in index.names.rows()],
        "unusable": sorted(index.unusable, key=repr),
        "keys": sorted(index.keys),
    }
    return json.dumps(words, ensure_ascii=True).encode("ascii")


def _write_sections(file: BinaryIO, index: Index, sections: dict[str, memoryview]) -> None:
    places: dict[str, dict[str, int]] = {}
    offset = 0
    for name, content in sections.items():
        places[name] = {"offset": offset, "octets": content.nbytes, "checksum": zlib.crc32(content)}
        offset += content.nbytes + _padding(content.nbytes)
    header = json.dumps(
        {
            "apex": index.zone.apex_text,
            "kind": index.zone.kind.value,
            "serial": index.serial,
            "chain": index.chain,
            "fingerprint": index.zone.fingerprint,
            "byte_order": sys.byteorder,
            "counts": {
                name: [counts.live, counts.exempt, counts.unknown]
                for name, counts in (("ipv4", index.ipv4.counts), ("ipv6", index.ipv6.counts))
            },
            "sections": places,
        }
    ).encode("ascii")
    file.write(_PREAMBLE.pack(_MAGIC, _VERSION, len(header), zlib.crc32(header)))
    file.write(header)
    file.write(bytes(_padding(_PREAMBLE.size + len(header))))
    for content in sections.values():
        file.write(content)
        file.write(bytes(_padding(content.nbytes)))


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[BinaryIO]:
    """Open a new file that takes the place of *path* once it is written and on the disk."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)  # else the new name may be lost with the power
    finally:
        os.close(directory)


def _padding(octets: int) -> int:
    return -octets % _ALIGNMENT


# --- reading -------------------------------------------------------------------------------------


def _private(path: Path) -> memoryview:
    """Return what is in the file, in memory that nobody else can write to.

    Raises:
        OSError: it cannot be opened or read, or there is not so much memory.
    """
    # A pipe under that name must not hold the start up.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    with open(descriptor, "rb", buffering=0) as file:  # noqa: PTH123 — pathlib opens no descriptor
        state = os.fstat(descriptor)
        if not stat.S_ISREG(state.st_mode):
            raise _unusable(path, "it is no file")
        start = file.read(_PREAMBLE.size)
        header_octets = _PREAMBLE.unpack(start)[2] if len(start) == _PREAMBLE.size else 0
        if header_octets > state.st_size:
            raise _unusable(path, "it is cut off")
        # Memory is taken for no more than the header says, whatever else may be in the file.
        header = _read_header(memoryview(start + file.read(header_octets)), path)
        octets = max(place.offset + place.octets for place in header.sections.values())
        if octets > state.st_size:
            raise _unusable(path, "it is cut off")
        memory = mmap.mmap(-1, octets, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        with contextlib.suppress(OSError):  # a kernel without them
            memory.madvise(mmap.MADV_HUGEPAGE)
        content, filled = memoryview(memory), 0
        file.seek(0)
        while filled < octets and (got := file.readinto(content[filled:])):
            filled += got
    return content.toreadonly()[:filled]


def _read_header(content: memoryview, path: Path) -> _Header:
    if len(content) < _PREAMBLE.size:
        raise _unusable(path, "it is cut off")
    magic, version, octets, checksum = _PREAMBLE.unpack_from(content)
    if magic != _MAGIC:
        raise _unusable(path, "it is no index")
    if version not in _READABLE:
        raise _unusable(path, f"its format is {version}, and this program reads {_VERSION}")
    text = content[_PREAMBLE.size : _PREAMBLE.size + octets]
    if len(text) != octets:
        raise _unusable(path, "it is cut off")
    if zlib.crc32(text) != checksum:
        raise _unusable(path, "its header is damaged")
    fields = json.loads(bytes(text))
    begin = _PREAMBLE.size + octets + _padding(_PREAMBLE.size + octets)
    sections = {
        name: _Section(begin + place["offset"], place["octets"], place["checksum"])
        for name, place in fields.pop("sections").items()
    }
    header = _Header(sections=sections, **fields)
    if header.byte_order != sys.byteorder:
        raise _unusable(path, f"it was written on a {header.byte_order}-endian machine")
    return header


def _section(content: memoryview, name: str, header: _Header, path: Path) -> memoryview:
    place = header.sections[name]
    section = content[place.offset : place.offset + place.octets]
    if len(section) != place.octets:
        raise _unusable(path, "it is cut off")
    if zlib.crc32(section) != place.checksum:
        raise _unusable(path, f"its section {name} is damaged")
    return section


def _restore(sections: dict[str, memoryview], header: _Header, zone: ZoneFile) -> Index:
    """Return the index as it was written; only with the zone file of then are its answers right."""
    words = json.loads(bytes(sections[_WORDS]))
    causes = [(reason, text) for reason, text in words["causes"]]
    combinations = [tuple(combination) for combination in words["combinations"]]
    same_zone = header.fingerprint == zone.fingerprint
    # With another zone file the numbers of answer sets mean nothing: the caller compiles anew.
    vocabulary = Vocabulary.restored(zone, causes, combinations if same_zone else ())
    names = ((_owner_name(text), cause, True) for text, cause in words["names"])
    index = Index(
        zone,
        header.serial,
        vocabulary,
        _table(IPV4, "ipv4", sections, header),
        _table(IPV6, "ipv6", sections, header),
        listednames.NO_NAMES.changed(names, vocabulary),
        frozenset((subject, reason) for subject, reason in words["unusable"]),
        frozenset(words["keys"]),
        header.chain,
    )
    for table in (index.ipv4, index.ipv6):
        _check_numbers(table.base.rows.cause, len(vocabulary.causes))
        _check_numbers(table.wide.cause, len(vocabulary.causes))
        if same_zone:
            _check_numbers(table.base.answer, len(vocabulary.answers))
    return index


def _table(family: Family, name: str, sections: dict[str, memoryview], header: _Header) -> Table:
    def array(part: str, dtype: np.dtype[Any]) -> NDArray[Any]:
        return np.frombuffer(sections[f"{name}.{part}"], dtype=dtype)

    def numbers(part: str, count: int) -> Numbers:
        octets = len(sections[f"{name}.{part}"]) // max(count, 1)
        if octets > 4:
            raise ValueError(part)
        return array(part, np.dtype(f"u{octets or 1}"))

    octet, offset = np.dtype(np.uint8), np.dtype(np.uint64)
    lengths, wide_lengths = array("length", octet), array("wide_length", octet)
    rows = Rows(array("first", family.dtype), lengths, numbers("cause", len(lengths)))
    wide = Rows(array("wide_first", family.dtype), wide_lengths, numbers("wide_cause", len(wide_lengths)))
    keys = tuple(array(f"key{at}", dtype) for at, dtype in enumerate(family.key_dtypes))
    answer = numbers("answer", len(keys[0]))
    row_offsets, range_offsets = array("row_offsets", offset), array("range_offsets", offset)
    for offsets, columns in (
        (row_offsets, (rows.first, rows.length, rows.cause)),
        (range_offsets, (*keys, answer)),
    ):
        _check_offsets(offsets, columns)
    base = make_base(rows, row_offsets, keys, answer, range_offsets)
    return table_of(family, base, wide, Counts(*header.counts[name]))


def _check_offsets(offsets: NDArray[Any], columns: tuple[NDArray[Any], ...]) -> None:
    ascending = len(offsets) == BLOCKS + 1 and offsets[0] == 0 and bool((offsets[1:] >= offsets[:-1]).all())
    if not ascending or any(len(column) != offsets[-1] for column in columns):
        raise ValueError("offsets")


def _check_numbers(numbers: NDArray[Any], end: int) -> None:
    if len(numbers) and int(numbers.max()) >= end:
        raise ValueError("numbers")


def _owner_name(text: str) -> OwnerName:
    try:
        return parse_owner_name(text)
    except BadInput as fault:
        raise ValueError(fault.message) from None


def _unusable(path: Path, why: str) -> BadInput:
    return BadInput(f"{path}: the index on disk cannot be used: {why}", code="bad-snapshot")
