"""What the compiled hot path answers from rbldnsd's data files, made anew for each zone that is read.

The common queries: addresses, names and ordinary records of a zone, its apex, and what is not there.
Left to ``filezones`` are zones with keys, clients whom an acl does not let pass, what lies below a
sub-zone of a combined dataset, names for which several datasets have something, entries with a condition,
and whatever else is rare; a test holds every answer to its own. Only to be imported where ``compiled``
says that it is there. Logs nothing.
"""

import secrets
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rbl.names import Name
from rbl.responder import _hotpath, access, wire
from rbl.responder.counters import CountedElsewhere
from rbl.responder.fileanswers import UP, answer_of, answer_of_records
from rbl.responder.filerecords import pack_name_servers, pack_soa
from rbl.responder.filezones import FileCatalogue, ServedFileZone, Style, refuse_foreign
from rbl.responder.hotpath import OUTCOMES, packed_options
from rbl.responder.usage import KeyUsage
from rbl.zone.access import AccessList, Action, Rule
from rbl.zone.ranges import Table
from rbl.zone.rbldnsd.clients import Acl, Treatment
from rbl.zone.rbldnsd.dataset import Leaf
from rbl.zone.rbldnsd.filezone import FileZone
from rbl.zone.rbldnsd.generic import Record, Records
from rbl.zone.rbldnsd.namesets import NameSet
from rbl.zone.rbldnsd.nametext import Key, key_of, parents
from rbl.zone.rbldnsd.part import Addresses, Part, members_of
from rbl.zone.rbldnsd.values import EXCLUDED, FIRST_VALUE

_SECOND = 1_000_000_000  # in nanoseconds
_PASSES, _OTHERWISE = Rule(Action.ALLOW), Rule(Action.REFUSE)
# As in _hotpath_filezones.pxi.
_EXACT_UP, _WILDCARD_UP, _OF_RECORDS, _IS_BELOW = 1, 2, 4, 8


@dataclass(frozen=True, slots=True, eq=False)
class Contents:
    """One zone in the form that the hot path reads; see ``FileData`` there."""

    ipv4: Table | None
    ipv6: Table | None
    ipv4_answers: int
    ipv6_answers: int
    names: _hotpath.FileNames | None
    places: "array[int]"
    answers: bytes
    negative_soa: bytes
    soa: bytes
    servers: bytes
    server_count: int
    tells_servers: bool
    glue: bytes
    glue_count: int
    access: _hotpath.AccessTable | None
    expires: int


class HotFiles:
    """What the hot path answers from: nothing until ``publish``, then from what that was called with.

    The zones are those of *catalogue*, and stay the same.
    """

    def __init__(self, catalogue: FileCatalogue, style: Style) -> None:
        self._style = style
        self._acl: Leaf | None = None
        self._rules = self._compiled_rules()
        # Keys of aclkey datasets are left to ``filezones``.
        self.usage = KeyUsage()
        self.keys: list[tuple[str, str]] = []
        # Nobody can choose names whose hashes collide.
        self._seed = secrets.randbits(64)
        self._zones: dict[Name, tuple[ServedFileZone, _hotpath.FileZone]] = {}
        self.zone_names = tuple(served.name for served in catalogue.zones.values())
        self.generation = _hotpath.Generation(self._rules, [], True, False)  # noqa: FBT003 — of compiled code
        self.exchange = _hotpath.Exchange(self.generation)

    def publish(self, catalogue: FileCatalogue) -> None:
        """Answer from *catalogue*; return when no answer is from another one. One caller at a time."""
        for number, (apex, served) in enumerate(catalogue.zones.items()):
            before = self._zones.get(apex)
            if before is None or not _is_same(before[0], served):
                self._zones[apex] = served, self._compiled(number, served)
        zones = [zone for _, zone in self._zones.values()]
        if catalogue.acl is not self._acl:
            self._acl = catalogue.acl
            self._rules = self._compiled_rules()
        # Keys for all zones are asked for with every query.
        is_open = catalogue.acl_keys is None
        self.generation = _hotpath.Generation(self._rules, zones, True, is_open)  # noqa: FBT003
        self.exchange.publish(self.generation)

    def learn_key(self, packet: bytes) -> None:
        """Learn nothing: there are no customers' keys in data files."""

    def counted(self) -> list[CountedElsewhere]:
        """Return what was answered here, without what was handed up."""
        counts = [worker.counts() for worker in self.exchange.workers]
        octets = [worker.octets() for worker in self.exchange.workers]
        found = []
        for row, zone in enumerate(("", *self.zone_names)):
            numbers = [
                sum(each) for each in zip(*(_row(each, row, len(OUTCOMES)) for each in counts), strict=True)
            ]
            came, went = (sum(each[2 * row + at] for each in octets) for at in (0, 1))
            found.append(CountedElsewhere(zone, dict(zip(OUTCOMES, numbers, strict=False)), came, went))
        return found

    def _compiled_rules(self) -> _hotpath.ClientRules:
        dns = self._style.dns
        return _hotpath.ClientRules(
            dns.max_udp_octets,
            packed_options(wire.nsid_options(dns)),
            packed_options(wire.error_options(refuse_foreign())),
            b"",
            b"",
            _clients(self._acl),
            b"",
        )

    def _compiled(self, number: int, served: ServedFileZone) -> _hotpath.FileZone:
        zone = _hotpath.FileZone(key_of(served.apex) + b"\0", number)
        contents = contents_of(served, self._style, self._seed)
        if contents is not None:
            zone.serve(contents)
        return zone


def _row(numbers: Sequence[int], row: int, width: int) -> Sequence[int]:
    return numbers[row * width : (row + 1) * width]


def _is_same(before: ServedFileZone, served: ServedFileZone) -> bool:
    """Whether nothing of a zone has changed: neither its data nor the glue in those of others."""
    return before.zone is served.zone and before.glue == served.glue


def contents_of(served: ServedFileZone, style: Style, seed: int) -> Contents | None:
    """Return what *served* answers, or None where all its queries are left to ``filezones``."""
    zone = served.zone
    if zone is None or zone.acl_keys is not None:
        return None
    roots = [parts[b""] for parts in zone.parts if b"" in parts]
    if len(roots) > 1:
        return None
    root = roots[0] if roots else Part(())
    book = _Book()
    servers = [record[2:] for record in pack_name_servers(zone, 0)]
    glue = None if style.minimal else served.glue
    soa = zone.soa
    return Contents(
        ipv4=None if root.ipv4 is None else root.ipv4.table,
        ipv6=None if root.ipv6 is None else root.ipv6.table,
        ipv4_answers=book.add_addresses(root.ipv4),
        ipv6_answers=book.add_addresses(root.ipv6),
        names=_names(zone, root, book, seed),
        places=book.places,
        answers=book.octets(),
        negative_soa=b"" if soa is None else pack_soa(zone, 0, soa.times[3])[2:],
        soa=b"" if soa is None else pack_soa(zone, 0, soa.ttl_seconds)[2:],
        servers=b"".join(servers),
        server_count=len(servers),
        tells_servers=not style.minimal,
        glue=b"" if glue is None else glue.octets,
        glue_count=0 if glue is None else glue.count,
        access=_clients(zone.acl),
        expires=zone.expires * _SECOND,
    )


def _clients(acl: Leaf | None) -> _hotpath.AccessTable | None:
    """Return which clients *acl* lets pass; all others are left to ``filezones``."""
    if acl is None:
        return None
    assert isinstance(acl.builder, Acl)
    networks = [
        (network, _PASSES if action is Treatment.PASS else _OTHERWISE)
        for network, action in acl.builder.actions()
    ]
    table = access.compile_table(AccessList(_PASSES, tuple(networks)))
    return _hotpath.AccessTable(table, [None] * len(table.rules), "", wire.pack_addresses)


class _Book:
    """Answers by number; the first two are none, 0 and EXCLUDED."""

    def __init__(self) -> None:
        self.places = array("Q", [0] * FIRST_VALUE)
        self._answers = [UP]
        self._end = len(UP)

    def add(self, answer: bytes) -> int:
        """Add *answer* and return its number."""
        self.places.append(self._end)
        self._answers.append(answer)
        self._end += len(answer)
        return len(self.places) - 1

    def add_addresses(self, addresses: Addresses | None) -> int:
        """Add the answers of *addresses*, and return what makes a number of theirs one of here."""
        before = len(self.places)
        for members in () if addresses is None else addresses.answers():
            self.add(answer_of(members))
        return before

    def octets(self) -> bytes:
        """Return all answers, one after the other."""
        return b"".join(self._answers)


def _names(zone: FileZone, root: Part, book: _Book, seed: int) -> _hotpath.FileNames | None:
    """Return the names of *zone*; what several datasets may have something for is handed up."""
    most = sum(len(names.exact) + len(names.wildcards) + len(names.below) for _, names in root.names)
    most += sum(len(records.by_owner) + len(records.below) for records in root.records)
    apexes = [name for parts in zone.parts for name in parts if name]
    above = [name for apex in apexes for name in parents(apex)]
    most += len(apexes) + len(above)
    if not most:
        return None
    found = _hotpath.FileNames(most, seed)
    for leaf, names in root.names:
        _add_listed(found, leaf, names, book, is_alone=len(root.names) == 1)
    _add_records(found, root.records, book)
    for key in apexes:
        found.add(key, 0, 0, _EXACT_UP | _WILDCARD_UP)
    for key in above:
        found.add(key, 0, 0, _IS_BELOW)
    return found


def _add_listed(
    found: _hotpath.FileNames, leaf: Leaf, names: NameSet, book: _Book, *, is_alone: bool
) -> None:
    """Add the names of one dataset; where there are several, each name is handed up."""
    exact_up, wildcard_up = (0, 0) if is_alone else (_EXACT_UP, _WILDCARD_UP)
    numbers = [0, EXCLUDED]
    numbers += [book.add(answer_of(tuple(members_of(leaf, each)))) for each in leaf.values.outcomes()]
    for key, outcome in names.exact.items():
        found.add(key, numbers[outcome], 0, exact_up)
    for key, outcome in names.wildcards.items():
        if outcome != EXCLUDED or not names.wildcards_fall_through:
            found.add(key, 0, numbers[outcome], wildcard_up)
    for key in names.below:
        found.add(key, 0, 0, _IS_BELOW)


def _add_records(found: _hotpath.FileNames, datasets: Iterable[Records], book: _Book) -> None:
    """Add the owners of ordinary records, those of all *datasets* together."""
    owned: dict[Key, list[Record]] = {}
    for records in datasets:
        for key, each in records.by_owner.items():
            owned.setdefault(key, []).extend(each)
        for key in records.below:
            found.add(key, 0, 0, _IS_BELOW)
    for key, each in owned.items():
        found.add(key, book.add(answer_of_records(each)), 0, _OF_RECORDS)
