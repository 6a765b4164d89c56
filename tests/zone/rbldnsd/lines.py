"""Datasets read from text, as a data file has it."""

from pathlib import Path

from rbl.zone.rbldnsd.dataset import Dataset, Spec, read
from rbl.zone.rbldnsd.filezone import FileZone, build
from rbl.zone.rbldnsd.kinds import Kind
from rbl.zone.rbldnsd.nametext import key_of
from rbl.zone.rbldnsd.part import Question, Rrsets
from rbl.zone.rbldnsd.reading import Options

APEX = (b"bl", b"test")
NOW = 1_700_000_000.0


def dataset(folder: Path, kind: Kind | str, *texts: str | bytes, options: Options | None = None) -> Dataset:
    """Return the dataset of *kind* with *texts* as its files."""
    names = []
    for number, text in enumerate(texts):
        names.append(f"file{number}")
        (folder / names[-1]).write_bytes(text.encode() if isinstance(text, str) else text)
    return read(Spec(Kind(kind), tuple(names)), options or Options(), folder)


def zone(folder: Path, kind: Kind | str, *texts: str | bytes, options: Options | None = None) -> FileZone:
    """Return the zone that is made of one dataset."""
    return build(APEX, [dataset(folder, kind, *texts, options=options)])


def faults(found: Dataset) -> list[tuple[int, str]]:
    """Return the line and the reason of each fault."""
    return [(fault.line, fault.reason) for fault in found.faults]


def answer(
    zone: FileZone, name: str, rtype: int = 1, *, keyed: bool = False, now: float = NOW
) -> list[bytes]:
    """Return the rdata that *zone* has for *name* below its apex."""
    labels = tuple(label.encode() for label in name.split(".") if label)
    rrsets = Rrsets()
    zone.find(Question(labels, key_of(labels), rtype, now, keyed), rrsets)
    return sorted(rdata for rdatas in rrsets.rdatas.values() for rdata in rdatas)


def text(zone: FileZone, address: str) -> str:
    """Return what *zone* says of an IPv4 *address*: the last octet of each A value, and the texts."""
    name = ".".join(reversed(address.split(".")))
    values = [str(rdata[3]) for rdata in answer(zone, name)]
    return " ".join([*values, *(rdata[1:].decode() for rdata in answer(zone, name, 16))])
