"""What ``rbl rbldnsd`` writes down as rbldnsd does: each query, and numbers for each zone.

A query is ``unixtime client name type class: RCODE/answers/octets``, and the key it was asked with where
there is one. A line of numbers is ``unixtime zone:total:ok:nxdomain:octets-in:octets-out …`` with ``*``
for all together.
"""

import struct
import sys
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TextIO

from rbl.cli.rbldnsdoptions import LogFile
from rbl.responder.answer import Reply
from rbl.responder.client import Client
from rbl.responder.codes import Outcome
from rbl.responder.counters import CountedElsewhere
from rbl.zone.rbldnsd.nametext import text_of

_HEADER = struct.Struct("!6H")
_TYPE_CLASS = struct.Struct("!HH")
_RCODES = ("NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMPL", "REFUSED")
_CLASSES = {1: "IN", 3: "CH", 4: "HS", 255: "ANY"}
_TYPES = {
    **dict(enumerate(("A", "NS", "MD", "MF", "CNAME", "SOA", "MB", "MG", "MR", "NULL", "WKS", "PTR"), 1)),
    **dict(enumerate(("HINFO", "MINFO", "MX", "TXT", "RP", "AFSDB", "X25", "ISDN", "RT", "NSAP"), 13)),
    **dict(enumerate(("NSAP_PTR", "SIG", "KEY", "PX", "GPOS", "AAAA", "LOC", "NXT", "EID", "NIMLOC"), 23)),
    **dict(enumerate(("SRV", "ATMA", "NAPTR", "KX", "CERT", "A6", "DNAME", "SINK", "OPT"), 33)),
    **dict(enumerate(("TSIG", "IXFR", "AXFR", "MAILB", "MAILA", "ANY", "ZXFR"), 250)),
}
_FOUND = frozenset({Outcome.LISTED, Outcome.NODATA, Outcome.APEX, Outcome.CHAOS})


def query_line(reply: Reply, client: Client, now: float) -> str | None:
    """Return the line for *reply*; None where it has no question, or there is none."""
    packet = reply.packet
    if packet is None:
        return None
    _, flags, questions, answers, _, _ = _HEADER.unpack_from(packet)
    if not questions:
        return None
    end = _HEADER.size
    while packet[end]:
        end += 1 + packet[end]
    name = text_of(packet[_HEADER.size : end]).decode("ascii") or "."
    rtype, rclass = _TYPE_CLASS.unpack_from(packet, end + 1)
    rcode = flags & 0xF
    line = (
        f"{int(now)} {client.address} {name} {_TYPES.get(rtype, f'type{rtype}')}"
        f" {_CLASSES.get(rclass, f'class{rclass}')}:"
        f" {_RCODES[rcode] if rcode < len(_RCODES) else f'rcode{rcode}'}/{answers}/{len(packet)}"
    )
    return f"{line} {reply.key}" if reply.key else line


class QueryLog:
    """Writes a line for each query, once it was opened. Safe between threads; None: writes nothing."""

    def __init__(self, log: LogFile | None) -> None:
        self._log = log
        self._writing = threading.Lock()
        self._file: TextIO | None = None

    def write(self, reply: Reply, client: Client, now: float) -> None:
        """Write the line for *reply*; a full disk loses lines, not answers."""
        line = query_line(reply, client, now) if self._log is not None else None
        if line is None:
            return
        with self._writing:
            if self._file is not None:
                self._attempt(self._file, line + "\n")

    def reopen(self) -> None:
        """Write to the file of that name from now on, also after the old one was moved away.

        Raises:
            OSError: it cannot be opened; nothing is written until it can.
        """
        with self._writing:
            self._close()
            if self._log is None:
                return
            if self._log.path == "-":
                self._file = sys.stdout
            else:
                self._file = Path(self._log.path).open("a", encoding="ascii")  # noqa: SIM115 — kept open

    def close(self) -> None:
        """Write what is left."""
        with self._writing:
            self._close()

    def _attempt(self, file: TextIO, text: str) -> None:
        with suppress(OSError):
            file.write(text)
            if self._log is not None and self._log.plus:
                file.flush()

    def _close(self) -> None:
        file, self._file = self._file, None
        if file is None:
            return
        with suppress(OSError):
            if file is sys.stdout:
                file.flush()
            else:
                file.close()


@dataclass(slots=True)
class Numbers:
    """What is counted of one zone."""

    found: int = 0
    absent: int = 0
    failed: int = 0
    octets_in: int = 0
    octets_out: int = 0

    def add(self, other: "Numbers", sign: int = 1) -> "Numbers":
        """Return the sum of both, or with *sign* -1 the difference."""
        pairs = ((getattr(self, each.name), getattr(other, each.name)) for each in fields(self))
        return Numbers(*(mine + sign * theirs for mine, theirs in pairs))

    def __str__(self) -> str:
        """Return the form of a line of numbers."""
        total = self.found + self.absent + self.failed
        return f"{total}:{self.found}:{self.absent}:{self.octets_in}:{self.octets_out}"


def _numbers_of(counted: CountedElsewhere) -> Numbers:
    outcomes = counted.outcomes
    found = sum(outcomes.get(outcome, 0) for outcome in _FOUND)
    absent = outcomes.get(Outcome.NXDOMAIN, 0)
    failed = sum(outcomes.values()) - found - absent
    return Numbers(found, absent, failed, counted.octets_in, counted.octets_out)


class Statistics:
    """Numbers of every zone since the start or the last reset. Safe between threads."""

    def __init__(self, zones: Iterable[str], *, relative: bool) -> None:
        self._relative = relative
        self._counting = threading.Lock()
        self._numbers = {zone: Numbers() for zone in ("", *zones)}
        self._told: dict[str, Numbers] = {}
        self._count_elsewhere: Callable[[], Iterable[CountedElsewhere]] = tuple
        self._elsewhere: dict[str, Numbers] = {}  # as it was last asked for

    def watch(self, count_elsewhere: Callable[[], Iterable[CountedElsewhere]]) -> None:
        """Add to the numbers what *count_elsewhere* returns: all that was answered elsewhere."""
        self._count_elsewhere = count_elsewhere

    def count(self, reply: Reply, octets_in: int) -> None:
        """Count one query."""
        with self._counting:
            numbers = self._numbers.get(reply.zone) or self._numbers[""]
            numbers.octets_in += octets_in
            numbers.octets_out += len(reply.packet or b"")
            if reply.outcome is Outcome.NXDOMAIN:
                numbers.absent += 1
            elif reply.outcome in _FOUND:
                numbers.found += 1
            else:
                numbers.failed += 1

    def line(self, now: float) -> str:
        """Return the line of all numbers; relative ones are what came since the last line."""
        with self._counting:
            current = self._all()
        before = self._told if self._relative else {}
        parts = [f"{zone}:{each.add(before.get(zone, Numbers()), -1)}" for zone, each in current.items()]
        self._told = current
        return " ".join([str(int(now)), *parts])

    def totals(self) -> dict[str, Numbers]:
        """Return the numbers by zone, those of all together under ``*``."""
        with self._counting:
            return self._all()

    def reset(self) -> None:
        """Begin to count again."""
        with self._counting:
            self._ask_elsewhere()
            self._numbers = {zone: Numbers() for zone in self._numbers}
            self._told = {}

    def _ask_elsewhere(self) -> None:
        """Add what was answered elsewhere since it was last asked for."""
        for counted in self._count_elsewhere():
            numbers = _numbers_of(counted)
            before = self._elsewhere.get(counted.zone, Numbers())
            self._numbers[counted.zone] = self._numbers[counted.zone].add(numbers).add(before, -1)
            self._elsewhere[counted.zone] = numbers

    def _all(self) -> dict[str, Numbers]:
        self._ask_elsewhere()
        total = Numbers()
        for each in self._numbers.values():
            total = total.add(each)
        named = {zone: each.add(Numbers()) for zone, each in self._numbers.items() if zone}
        return {**named, "*": total}
