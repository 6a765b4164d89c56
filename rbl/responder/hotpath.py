"""The compiled hot path, joined to the program: what it answers from, its threads, what they count.

``_hotpath`` answers the common queries without the interpreter; here each generation of the
catalogue is handed to it in the form it reads, a thread is run for each of its sockets, what it
leaves to the reference path is handed up, and its counts and hits are brought to where others look
for them. Only to be imported where ``compiled`` says that it is there. Logs nothing.
"""

import contextlib
import secrets
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Protocol

from rbl.responder import _hotpath, access, wire
from rbl.responder.answer import refuse_client, refuse_foreign
from rbl.responder.catalogue import Catalogue, ServedZone
from rbl.responder.client import Client
from rbl.responder.codes import Outcome, Transport
from rbl.responder.counters import Counters
from rbl.responder.ratelimit import SLOTS
from rbl.responder.rules import Rules
from rbl.responder.udp import answers_from_asked
from rbl.responder.wire import EdnsOption
from rbl.zone.access import Action, Rule
from rbl.zone.answers import EXEMPTION, AnswerSet
from rbl.zone.index import Index
from rbl.zone.names import Name
from rbl.zone.ranges import Table
from rbl.zone.zonefile import Kind

OUTCOMES = tuple(Outcome(word) for word in _hotpath.OUTCOMES)
_HIT_IPV4, _HIT_IPV6, _HIT_NAME, _HIT_WILDCARD = 1, 2, 3, 4  # as in _hotpath_answer.pxi


@dataclass(frozen=True, slots=True)
class Hits:
    """How often a listing was answered since the last time this was asked."""

    zone: str
    subject: str  # as the journal writes it
    count: int


class Hot(Protocol):
    """What a server's threads answer from, whatever it is made of."""

    generation: _hotpath.Generation
    exchange: _hotpath.Exchange
    zone_names: tuple[str, ...]


class HotPath:
    """What the hot path answers from, at the catalogue's generation from now on."""

    def __init__(self, catalogue: Catalogue, rules: Rules) -> None:
        self._catalogue = catalogue
        self._rules = _client_rules(rules)
        # Nobody can choose names whose hashes collide.
        self._seed = secrets.randbits(64)
        self._zones: dict[Name, _hotpath.ServedZone] = {}
        self._publishing = threading.Lock()
        self.generation = self._make()
        self.exchange = _hotpath.Exchange(self.generation)
        self.zone_names = tuple(zone.name for zone in catalogue.zones())
        catalogue.watch(self.publish)
        self.publish()  # what was swapped in before it was watched

    def publish(self) -> None:
        """Answer from the catalogue's generation of now; return when no answer is from another one."""
        with self._publishing:
            self.generation = self._make()
            self.exchange.publish(self.generation)

    def _make(self) -> _hotpath.Generation:
        for number, source in enumerate(self._catalogue.zones()):
            before = self._zones.get(source.file.apex)
            if before is None or before.source is not source:
                self._zones[source.file.apex] = _served_zone(source, number, before, self._seed)
        return _hotpath.Generation(self._rules, list(self._zones.values()))


class HotUdpServer:
    """Answers what arrives at bound *sockets*, a thread each, and closes them at the end."""

    def __init__(
        self,
        sockets: Sequence[socket.socket],
        hot_path: Hot,
        answer: Callable[[bytes, Client], bytes | None],
        counters: Counters,
    ) -> None:
        self._sockets = sockets
        self._hot_path = hot_path
        self._counters = counters
        self._counting = threading.Lock()

        def hand_up(packet: bytes, packed: bytes) -> bytes | None:
            return answer(packet, Client(ip_address(packed), Transport.UDP))

        self._workers = [
            _hotpath.Worker(
                hot_path.exchange,
                bound.fileno(),
                answers_from_asked(bound),
                len(hot_path.zone_names),
                hand_up,
            )
            for bound in sockets
        ]
        self._threads = [
            threading.Thread(target=worker.run, name=f"dns-udp-{number}", daemon=True)
            for number, worker in enumerate(self._workers)
        ]
        self._told = [[0] * len(worker.counts()) for worker in self._workers]
        self._failures_told = [0] * len(self._workers)
        for bound in sockets:
            bound.setblocking(True)  # noqa: FBT003  # the socket module has it so
        counters.watch(self.tell_counts)

    def start(self) -> None:
        """Answer from now on."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Answer what waits in the sockets, then close them."""
        for worker, bound in zip(self._workers, self._sockets, strict=True):
            worker.stop()
            # Linux wakes whoever waits in an unconnected socket, and then says that it is unconnected.
            with contextlib.suppress(OSError):
                bound.shutdown(socket.SHUT_RD)
        for thread, bound in zip(self._threads, self._sockets, strict=True):
            thread.join()
            bound.close()
        self.tell_counts()

    def tell_counts(self) -> None:
        """Add to the counters what was counted since the last time."""
        with self._counting:
            for at, worker in enumerate(self._workers):
                counts = worker.counts()
                for place, (now, before) in enumerate(zip(counts, self._told[at], strict=True)):
                    if now != before:
                        row, outcome = divmod(place, len(OUTCOMES))
                        zone = self._hot_path.zone_names[row - 1] if row else ""
                        self._counters.count(zone, Transport.UDP, OUTCOMES[outcome], now - before)
                self._told[at] = counts
                failures = worker.send_failures
                self._counters.send_failures.inc(failures - self._failures_told[at])
                self._failures_told[at] = failures

    def take_hits(self) -> list[Hits]:
        """Return how often each listing was answered since the last call, the most asked for first.

        A listing that is gone since is left out, and so is what found no room (``unplaced_hits``): a
        worker keeps some 12,000 addresses between two calls. Of data files none are counted.
        """
        with self._counting:
            taken = [hit for worker in self._workers for hit in worker.take_hits()]
            generation = self._hot_path.generation
        counts: dict[tuple[str, str], int] = {}
        zones = {
            zone.source.name: zone for zone in generation.zones if isinstance(zone, _hotpath.ServedZone)
        }
        for kind, number, first, second, count in taken:
            name = self._hot_path.zone_names[number]
            for subject in _subjects(zones[name], kind, first, second):
                counts[name, subject] = counts.get((name, subject), 0) + count
        ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        return [Hits(zone, subject, count) for (zone, subject), count in ordered]

    def unplaced_hits(self) -> int:
        """Return how many hits found no room, and are in none of the ``Hits``."""
        return sum(worker.unplaced_hits for worker in self._workers)


def _served_zone(
    source: ServedZone, number: int, before: _hotpath.ServedZone | None, seed: int
) -> _hotpath.ServedZone:
    file = source.file
    apex = b"".join(bytes((len(label),)) + label for label in file.apex) + b"\0"
    table = _access_table(source.access, file.url)
    zone = _hotpath.ServedZone(source, apex, number, file.kind is Kind.NAMES, table)
    if source.served is not None:
        zone.serve(before, wire.pack_addresses, seed)
    return zone


def _access_table(table: access.AccessTable, url: str) -> _hotpath.AccessTable:
    return _hotpath.AccessTable(
        table, [_answer_set(rule) for rule in table.rules], url, wire.pack_addresses
    )


def _answer_set(rule: Rule) -> AnswerSet | None:
    """Return what a rule that lists everything answers; None for the others."""
    return None if rule.address is None else AnswerSet((rule.address,), (rule.text,), rule.ttl_seconds)


def _client_rules(rules: Rules) -> _hotpath.ClientRules:
    denied = refuse_client("", Rule(Action.REFUSE))
    assert denied is not None
    compiled = _hotpath.ClientRules(
        rules.dns.max_udp_octets,
        packed_options(wire.nsid_options(rules.dns)),
        packed_options(wire.error_options(refuse_foreign())),
        packed_options(wire.error_options(denied)),
        _access_table(rules.access, ""),
        b"".join(rules.cookie_secrets),
    )
    if rules.limiter is not None:
        exempt = _access_table(rules.limiter.exempt, "")
        compiled.limit(rules.limiter, exempt, SLOTS, secrets.randbits(64))
    return compiled


def packed_options(options: tuple[EdnsOption, ...]) -> bytes:
    """Return EDNS *options* as they stand in an OPT record."""
    return b"".join(struct.pack("!HH", code, len(value)) + value for code, value in options)


def _subjects(zone: _hotpath.ServedZone, kind: int, first: int, second: int) -> Iterator[str]:
    """Yield the subject of each listing that a hit is of; nothing where it is gone."""
    served = zone.source.served
    assert served is not None
    index: Index = served.index
    if kind == _HIT_IPV4:
        yield from _networks(index.ipv4, first)
    elif kind == _HIT_IPV6:
        yield from _networks(index.ipv6, first << 64 | second)
    else:
        for wire_name in zone.names.named({first}).values():
            labels, at = [], 0
            while at < len(wire_name):
                labels.append(wire_name[at + 1 : at + 1 + wire_name[at]].decode("ascii"))
                at += 1 + wire_name[at]
            yield ".".join(["*", *labels] if kind == _HIT_WILDCARD else labels)


def _networks(table: Table, address: int) -> Iterator[str]:
    """Yield the most specific network around *address* that is listed: the one that answered."""
    bits = table.family.bits
    rows = table.overlapping(address, bits)
    listed = [row for row in range(len(rows)) if rows.cause[row] != EXEMPTION]
    if listed:
        row = max(listed, key=lambda at: rows.length[at])
        kind: type[IPv4Address | IPv6Address] = IPv4Address if bits == 32 else IPv6Address
        yield f"{kind(table.family.to_number(rows.first[row]))}/{rows.length[row]}"
