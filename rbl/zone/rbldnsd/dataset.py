"""Reading a dataset: all its files, the special lines in them, and what came of it.

A line that is none of its dataset is a fault and passed over; a fault of a whole file means that the
dataset cannot be loaded. Nothing here keeps an old dataset: whoever reads anew has it still.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

from rbl.errors import BadInput
from rbl.zone.rbldnsd.clients import Acl, AclKey
from rbl.zone.rbldnsd.generic import Generic
from rbl.zone.rbldnsd.ipv4sets import Ip4set, Ip4trie, Ip4tset
from rbl.zone.rbldnsd.ipv6sets import Ip6trie, Ip6tset
from rbl.zone.rbldnsd.kinds import Kind
from rbl.zone.rbldnsd.namesets import Dnset
from rbl.zone.rbldnsd.nametext import Key, lower_key, parse_name
from rbl.zone.rbldnsd.reading import KEPT_FAULTS, Fault, Gate, LineReader, Options, Reading, Stamp
from rbl.zone.rbldnsd.specials import (
    FileNameServers,
    FileSoa,
    parse_name_servers,
    parse_soa,
    parse_timestamp,
    parse_ttl,
    parse_widest,
    without_comment,
    words_of,
)
from rbl.zone.rbldnsd.template import BASE
from rbl.zone.rbldnsd.values import COMMENTS, Values, refuse, refuse_file


class Builder(Protocol):
    """What takes the lines of one type of dataset."""

    def start_file(self) -> None:
        """Prepare for the first line of another file."""

    def add(self, line: bytes, /) -> None:
        """Take one line; raises BadInput for a line, or for a file, that is none."""

    def count(self) -> int:
        """Return the number of entries."""


@dataclass(frozen=True, slots=True)
class Spec:
    """What the command line names: a type and its files."""

    kind: Kind
    files: tuple[str, ...]

    def __str__(self) -> str:
        """Return ``type:file,file``."""
        return f"{self.kind}:{','.join(self.files)}"


@dataclass(slots=True, eq=False)
class Leaf:
    """The entries of one dataset that has entries itself, and what fills in their texts.

    *apexes* are the names below the zone's apex that they are asked under; the empty one is the apex.
    """

    kind: Kind
    apexes: tuple[Key, ...]
    builder: Builder
    values: Values
    ttl_seconds: int
    variables: dict[bytes, bytes]


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """One dataset as it was read; *expires* 0: never. *stamp* is the time of its newest file."""

    spec: Spec
    leaves: tuple[Leaf, ...]
    soa: FileSoa | None
    name_servers: FileNameServers | None
    expires: int
    stamp: int
    stamps: tuple[Stamp, ...]
    faults: tuple[Fault, ...]
    fault_count: int
    lines: int

    def count(self) -> int:
        """Return the number of entries."""
        return sum(leaf.builder.count() for leaf in self.leaves)


@dataclass(frozen=True, slots=True)
class Watch:
    """Who looks on while a dataset is read; see ``Reading``."""

    gate: Gate | None = None
    progress: Callable[[int], None] = lambda _: None
    kept_faults: int = KEPT_FAULTS


def read(spec: Spec, options: Options, folder: Path = Path(), watch: Watch | None = None) -> Dataset:
    """Return the dataset *spec*, whose file names are relative to *folder*.

    Raises:
        BadInput: it cannot be loaded; the message names the file, the line and the reason.
    """
    reader = _Reader(spec, options, watch or Watch())
    stamps = []
    for name in spec.files:
        reader.start_file(name)
        lines = LineReader(folder / name, reader.reading)
        try:
            reader.take(lines)
        except BadInput as fault:
            whole = Fault(name, reader.reading.line, fault.message)
            raise BadInput(str(whole), code="dataset-not-loaded") from None
        stamps.append(lines.stamp)
    return reader.dataset(tuple(stamps))


@dataclass(slots=True)
class _Reader:
    """The state of reading one dataset."""

    spec: Spec
    options: Options
    watch: Watch
    reading: Reading = field(init=False)
    main: Leaf | None = field(init=False, default=None)  # of a dataset that has entries itself
    leaves: list[Leaf] = field(default_factory=list)
    current: Leaf | None = None
    variables: dict[bytes, bytes] = field(default_factory=dict)
    ttl_seconds: int = field(init=False)
    soa: FileSoa | None = None
    name_servers: FileNameServers | None = None
    expires: int = 0

    def __post_init__(self) -> None:
        self.ttl_seconds = self.options.ttl_seconds
        self.reading = Reading(
            self.options,
            self.watch.gate,
            self.watch.progress,
            self.watch.kept_faults,
            ttl_seconds=self.ttl_seconds,
        )
        if self.spec.kind is not Kind.COMBINED:
            self.main = self._leaf(self.spec.kind, (b"",), self.variables)
            self.leaves.append(self.main)

    def start_file(self, name: str) -> None:
        self.reading.file = name
        # A combined file begins with $DATASET; until a special line nothing may stand in it.
        self.current = self.main
        if self.main is not None:
            self.main.builder.start_file()

    def take(self, lines: Iterable[bytes]) -> None:
        """Take the lines of one file."""
        reading = self.reading
        for line in lines:
            if not line:
                continue
            try:
                if line[0] == 0x24:  # $
                    self._take_special(line[1:])
                elif line[1:2] == b"$" and line[0] in b"#;:":
                    self._take_special(line[2:])
                elif line[0] not in COMMENTS:
                    if self.current is None:
                        refuse_file("invalid/unrecognized entry - specify $DATASET line")
                    self.current.builder.add(line)
            except BadInput as fault:
                if fault.code != "bad-line":
                    raise
                reading.warn(fault.message)

    def dataset(self, stamps: tuple[Stamp, ...]) -> Dataset:
        return Dataset(
            spec=self.spec,
            leaves=tuple(self.leaves),
            soa=self.soa,
            name_servers=self.name_servers,
            expires=self.expires,
            stamp=max(stamp.modified_seconds for stamp in stamps),
            stamps=stamps,
            faults=tuple(self.reading.faults),
            fault_count=self.reading.fault_count,
            lines=self.reading.lines,
        )

    def _leaf(self, kind: Kind, apexes: tuple[Key, ...], variables: dict[bytes, bytes]) -> Leaf:
        values = Values()
        builder = _builder(kind, self.reading, values)
        return Leaf(kind, apexes, builder, values, self.ttl_seconds, variables)

    def _take_special(self, text: bytes) -> None:
        taken = self._special(text)
        if self.main is None:
            self.current = self.leaves[-1] if self.leaves else None
        if not taken:
            refuse("invalid or unrecognized special entry")

    def _special(self, text: bytes) -> bool:
        """Take a special line; False where it is none that is known, or written wrongly."""
        if len(text) > 1 and text[:1] in _VARIABLES and text[1:2] in {b" ", b"\t"}:
            return self._set_variable(text[:1], text[2:].lstrip(b" \t"))
        words = text.replace(b"\t", b" ").split(b" ", 1)
        take = _SPECIALS.get(words[0].lower())
        rest = text[len(words[0]) :].lstrip(b" \t")
        return take is not None and len(words) > 1 and take(self, rest)

    def _set_variable(self, name: bytes, value: bytes) -> bool:
        variables = (
            self.variables if self.main is not None or not self.leaves else self.leaves[-1].variables
        )
        if name in variables:
            return True
        if value:
            variables[name] = value
        return bool(value)

    def take_soa(self, text: bytes) -> bool:
        if self.spec.kind is Kind.ACL:
            return False
        if self.soa is None:
            self.soa = parse_soa(text, self.options, self.ttl_seconds)
        return self.soa is not None

    def take_name_servers(self, text: bytes) -> bool:
        if self.spec.kind is Kind.ACL:
            return False
        if self.name_servers is not None:
            return True
        servers = parse_name_servers(text, self.options, self.ttl_seconds)
        if servers is not None and servers.names:
            self.name_servers = servers
        return servers is not None

    def take_ttl(self, text: bytes) -> bool:
        ttl = parse_ttl(text, self.options, self.options.ttl_seconds)
        if ttl is None:
            return False
        self.reading.ttl_seconds = ttl
        if self.main is None and self.leaves:
            self.leaves[-1].ttl_seconds = ttl
            return True
        self.ttl_seconds = ttl
        if self.main is not None:
            self.main.ttl_seconds = ttl
        return True

    def take_widest(self, text: bytes) -> bool:
        widest = parse_widest(text)
        if widest is None:
            return False
        old = self.reading.widest
        if old and old < widest:
            self.reading.warn(f"ignoring attempt to increase $MAXRANGE4 from {old} to {widest}")
        else:
            self.reading.widest = widest
        return True

    def take_timestamp(self, text: bytes) -> bool:
        times = parse_timestamp(text)
        if times is None:
            return False
        made, expires = times
        ahead = made - int(self.options.clock())
        if ahead > 0:
            refuse_file(f"data timestamp is {ahead} sec in the future, aborting loading")
        if expires and (not self.expires or expires < self.expires):
            self.expires = expires
        return True

    def take_dataset(self, text: bytes) -> bool:
        if self.spec.kind is not Kind.COMBINED:
            return False
        words = words_of(without_comment(text))
        if not words:
            return False
        name = words[0].partition(b":")[0].decode("utf-8", "replace")
        try:
            kind = Kind(name)
        except ValueError:
            refuse_file(f"unknown dataset type {name[:60]!a}")
        if kind is Kind.COMBINED or kind.of_clients:
            refuse_file(f"dataset type {kind.value} cannot be used inside combined")
        apexes = []
        for word in words[1:]:
            labels = () if word == b"@" else parse_name(word)
            if labels is None:
                self.reading.warn(f"invalid domain name {word[:60].decode('latin-1')!a}")
            else:
                apexes.append(lower_key(labels))
        if len(words) == 1:
            self.reading.warn("no subzone(s) specified for dataset, data will be ignored")
        leaf = self._leaf(kind, tuple(dict.fromkeys(apexes)), dict(self.variables))
        self.reading.ttl_seconds = self.ttl_seconds
        leaf.builder.start_file()
        self.leaves.append(leaf)
        return True


_VARIABLES = frozenset({BASE, *(b"%d" % digit for digit in range(10))})
_SPECIALS = MappingProxyType(
    {
        b"soa": _Reader.take_soa,
        b"ns": _Reader.take_name_servers,
        b"nameserver": _Reader.take_name_servers,
        b"ttl": _Reader.take_ttl,
        b"maxrange4": _Reader.take_widest,
        b"timestamp": _Reader.take_timestamp,
        b"dataset": _Reader.take_dataset,
    }
)


def _builder(kind: Kind, reading: Reading, values: Values) -> Builder:
    """Return what takes the lines of *kind*, which has entries itself."""
    match kind:
        case Kind.GENERIC:
            return Generic(reading)
        case Kind.ACL:
            return Acl(reading)
        case Kind.ACLKEY:
            return AclKey(reading)
        case Kind.DNSET | Kind.DNHASH:
            return Dnset(reading, values, hashed=kind is Kind.DNHASH)
        case _:
            return _ADDRESSES[kind](reading, values)


_ADDRESSES: Mapping[Kind, type[Ip4set | Ip4trie | Ip4tset | Ip6trie | Ip6tset]] = MappingProxyType(
    {
        Kind.IP4SET: Ip4set,
        Kind.IP4TRIE: Ip4trie,
        Kind.IP4TSET: Ip4tset,
        Kind.IP6TRIE: Ip6trie,
        Kind.IP6TSET: Ip6tset,
    }
)
