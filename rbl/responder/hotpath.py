"""The compiled hot path, joined to the program: what it answers from, its threads, what they count.

``_hotpath`` answers the common queries without the interpreter; here each generation of the
catalogue is handed to it in the form it reads, a thread is run for each of its sockets, and its
counts and hits are brought to where others look for them. Only to be imported where ``compiled`` says
that it is there. Logs nothing.
"""

import contextlib
import secrets
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from ipaddress import IPv4Address, IPv6Address
from typing import Protocol

from rbl.customerkey import digest_of, is_key
from rbl.names import Name, OwnerName
from rbl.responder import _hotpath, access, wire
from rbl.responder.answer import refuse_client, refuse_foreign, refuse_keyless
from rbl.responder.catalogue import Catalogue, ServedZone
from rbl.responder.client import Client
from rbl.responder.codes import Outcome, Rclass, Transport
from rbl.responder.counters import Counters
from rbl.responder.handedup import HandedUp
from rbl.responder.hits import HitCounts, add_by_listing
from rbl.responder.lookup import Hit
from rbl.responder.query import Query, parse
from rbl.responder.ratelimit import SLOTS
from rbl.responder.rules import Rules
from rbl.responder.udp import answers_from_asked
from rbl.responder.usage import KeyUsage
from rbl.responder.wire import EdnsOption
from rbl.zone.access import Action, Keys, Rule
from rbl.zone.answers import AnswerSet
from rbl.zone.zonefile import Kind

OUTCOMES = tuple(Outcome(word) for word in _hotpath.OUTCOMES)
_HIT_IPV4, _HIT_IPV6, _HIT_NAME, _HIT_WILDCARD = 1, 2, 3, 4  # as in _hotpath_answer.pxi
# How long a thread waits in its socket before it looks whether it has to stop: a struct timeval.
_LONGEST_WAIT = struct.pack("@ll", 0, 200_000)
_HITS_OF_NAMES = frozenset({_HIT_NAME, _HIT_WILDCARD})


class Hot(Protocol):
    """What a server's threads answer from, whatever it is made of."""

    generation: _hotpath.Generation
    exchange: _hotpath.Exchange
    zone_names: tuple[str, ...]
    usage: KeyUsage
    keys: list[tuple[str, str]]  # zone and digest of each customer's key that is known, by its number

    def learn_key(self, packet: bytes) -> None:
        """Answer here from now on who asks with the key that *packet* has, where that is a valid one."""


class HotPath:
    """What the hot path answers from, at the catalogue's generation from now on."""

    def __init__(self, catalogue: Catalogue, rules: Rules, usage: KeyUsage | None = None) -> None:
        self._catalogue = catalogue
        self._rules = _client_rules(rules)
        self.usage = KeyUsage() if usage is None else usage
        # Zone and digest of each key that somebody has asked with, by its number; and who they are.
        self.keys: list[tuple[str, str]] = []
        self._known: dict[str, dict[bytes, int]] = {}
        self._takes_keys = any(zone.file.keys is not Keys.UNUSED for zone in catalogue.zones())
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

    def learn_key(self, packet: bytes) -> None:
        """Answer here from now on who asks with the key that *packet* has, where that is a valid one."""
        if not self._takes_keys:
            return
        query = parse(packet)
        if not isinstance(query, Query) or query.qclass != Rclass.IN:
            return
        zone = self._catalogue.find(query.qname)
        if zone is None or zone.served is None or zone.file.keys is Keys.UNUSED:
            return
        labels = query.qname[: len(query.qname) - len(zone.file.apex)]
        if not labels or not is_key(labels[-1]):
            return
        digest = digest_of(labels[-1])
        if digest not in zone.served.index.keys:
            return
        with self._publishing:
            known = self._known.get(zone.name, {})
            if labels[-1] in known or len(self.keys) == _hotpath.MOST_KEYS:
                return
            # Copied: what reads it elsewhere never sees it change.
            self._known[zone.name] = known | {labels[-1]: len(self.keys)}
            self.keys.append((zone.name, digest))
        self.publish()

    def _make(self) -> _hotpath.Generation:
        for number, source in enumerate(self._catalogue.zones()):
            before = self._zones.get(source.file.apex)
            known = self._valid_keys(source)
            if before is None or before.source is not source or before.known.numbers != known:
                keys = _hotpath.KnownKeys(known, self._seed)
                self._zones[source.file.apex] = _served_zone(source, number, before, keys, self._seed)
        return _hotpath.Generation(self._rules, list(self._zones.values()))

    def _valid_keys(self, source: ServedZone) -> dict[bytes, int]:
        """Return the keys that are known of a zone and valid now, and the number of each."""
        if source.served is None:
            return {}
        valid = source.served.index.keys
        known = self._known.get(source.name, {})
        return {label: number for label, number in known.items() if self.keys[number][1] in valid}


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

        def answer_and_learn(packet: bytes, client: Client) -> bytes | None:
            reply = answer(packet, client)
            hot_path.learn_key(packet)
            return reply

        self._handed_up = HandedUp(answer_and_learn, counters)
        self._workers = [
            _hotpath.Worker(
                hot_path.exchange,
                number,
                bound.fileno(),
                answers_from_asked(bound),
                len(hot_path.zone_names),
                self._handed_up.queue.fileno(),
            )
            for number, bound in enumerate(sockets)
        ]
        self._threads = [
            threading.Thread(target=worker.run, name=f"dns-udp-{number}", daemon=True)
            for number, worker in enumerate(self._workers)
        ]
        self._told = [[0] * len(worker.counts()) for worker in self._workers]
        self._keys_told: list[list[int]] = [[] for _ in self._workers]
        self._failures_told = self._overruns_told = self._unplaced_told = 0
        for bound in sockets:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _LONGEST_WAIT)
        counters.watch(self.tell_counts)
        hot_path.usage.watch(self.tell_key_counts)
        counters.watch(self._tell_unplaced)

    def start(self) -> None:
        """Answer from now on."""
        self._handed_up.start(self._workers)
        for thread in self._threads:
            thread.start()

    def stop(self, *, shared: bool = False) -> None:
        """Answer what waits in the sockets, then close them; they go on where another reads them too."""
        for worker, bound in zip(self._workers, self._sockets, strict=True):
            worker.stop()
            if shared:
                continue  # it sees it after its longest wait
            # Linux wakes whoever waits in an unconnected socket, and then says that it is unconnected.
            with contextlib.suppress(OSError):
                bound.shutdown(socket.SHUT_RD)
        for thread in self._threads:
            thread.join()
        self._handed_up.stop()
        for bound in self._sockets:
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
            failures = sum(worker.send_failures for worker in self._workers)
            self._counters.send_failures.inc(failures - self._failures_told)
            self._failures_told = failures
            overruns = sum(worker.overruns for worker in self._workers)
            self._counters.overruns.inc(overruns - self._overruns_told)
            self._overruns_told = overruns

    def tell_key_counts(self) -> None:
        """Add to the use of customers' keys what was counted since the last time."""
        with self._counting:
            keys = self._hot_path.keys
            for at, worker in enumerate(self._workers):
                told = self._keys_told[at]
                counts = worker.key_counts(len(keys))
                for number, now in enumerate(counts):
                    before = told[number] if number < len(told) else 0
                    if now != before:
                        self._hot_path.usage.count(*keys[number], now - before)
                self._keys_told[at] = counts

    def take_hits(self) -> HitCounts:
        """Return how often each listing was answered since the last call; also after the stop.

        A listing that is gone since is left out, and so is what found no room (``_tell_unplaced``): a
        worker keeps some 12,000 addresses between two calls. Of data files none are counted.
        """
        with self._counting:
            taken = [hit for worker in self._workers for hit in worker.take_hits()]
            generation = self._hot_path.generation
        counts: Counter[tuple[str, str]] = Counter()
        zones = {
            zone.source.name: zone for zone in generation.zones if isinstance(zone, _hotpath.ServedZone)
        }
        for number, name in enumerate(self._hot_path.zone_names):
            zone = zones.get(name)
            if zone is None or zone.source.served is None:  # of data files, or not loaded yet
                continue
            of_zone = [(kind, mark, count) for kind, of, *mark, count in taken if of == number]
            add_by_listing(counts, name, zone.source.served.index, _hits(zone, of_zone))
        return counts

    def _tell_unplaced(self) -> None:
        """Add to the counters how many hits found no room, and are none of ``take_hits``'."""
        with self._counting:
            unplaced = sum(worker.unplaced_hits for worker in self._workers)
            self._counters.unplaced_hits.inc(unplaced - self._unplaced_told)
            self._unplaced_told = unplaced


def _served_zone(
    source: ServedZone,
    number: int,
    before: _hotpath.ServedZone | None,
    keys: _hotpath.KnownKeys,
    seed: int,
) -> _hotpath.ServedZone:
    file = source.file
    apex = b"".join(bytes((len(label),)) + label for label in file.apex) + b"\0"
    table = _access_table(source.access, file.url)
    zone = _hotpath.ServedZone(source, apex, number, file.kind is Kind.NAMES, table, keys)
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
        packed_options(wire.error_options(refuse_keyless(""))),
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


def _hits(zone: _hotpath.ServedZone, taken: Sequence[tuple[int, list[int], int]]) -> Counter[Hit]:
    """Return *taken* (sort, address in two halves or hash of a name, how many) by what was found."""
    hits: Counter[Hit] = Counter()
    names = zone.names.named({mark[0] for kind, mark, _ in taken if kind in _HITS_OF_NAMES})
    for kind, (first, second), count in taken:
        if kind == _HIT_IPV4:
            hits[IPv4Address(first)] += count
        elif kind == _HIT_IPV6:
            hits[IPv6Address(first << 64 | second)] += count
        elif first in names:
            hits[OwnerName(_labels(names[first]), kind == _HIT_WILDCARD)] += count
    return hits


def _labels(wire_name: bytes) -> Name:
    """Return the labels of a name that has no root at its end."""
    labels, at = [], 0
    while at < len(wire_name):
        labels.append(wire_name[at + 1 : at + 1 + wire_name[at]])
        at += 1 + wire_name[at]
    return tuple(labels)
