"""A zone made of rbldnsd's datasets, ready to be asked.

Immutable: the next one is made with each reload.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address

from rbl.names import Name
from rbl.terms import Address
from rbl.zone.rbldnsd.clients import Acl, AclKey, Action, Treatment
from rbl.zone.rbldnsd.dataset import Dataset, Leaf
from rbl.zone.rbldnsd.generic import A
from rbl.zone.rbldnsd.kinds import Kind
from rbl.zone.rbldnsd.nametext import Key, key_of
from rbl.zone.rbldnsd.part import Found, Part, Question, Rrsets
from rbl.zone.rbldnsd.specials import MOST_NAME_SERVERS, FileNameServers, FileSoa
from rbl.zone.rbldnsd.values import Value

__all__ = ["FileZone", "Rule", "build"]


@dataclass(frozen=True, slots=True)
class Rule:
    """What one dataset of clients says: *action*, and *leaf*, which fills in the text of a value.

    *label* is the key that was found in the question, and is no part of what is asked.
    """

    action: Action
    leaf: Leaf
    label: bytes = b""


@dataclass(frozen=True, slots=True)
class FileZone:
    """One zone. *serial* is that of *soa*, or the time of the newest file; *expires* 0: never."""

    apex: Name
    parts: tuple[dict[Key, Part], ...]  # by the name below the apex under which a part is asked
    soa: FileSoa | None
    serial: int
    name_servers: FileNameServers | None
    expires: int
    acl: Leaf | None
    acl_keys: Leaf | None
    entries: int

    def find(self, question: Question, rrsets: Rrsets) -> Found:
        """Add to *rrsets* what all datasets answer, and return what else there is to say."""
        found = Found.NOTHING
        for parts in self.parts:
            at, part = _deepest(parts, question.key)
            if part is None:
                continue
            labels = question.labels[: len(question.labels) - at]
            inner = Question(
                labels,
                key_of(labels),
                question.rtype,
                question.now,
                question.keyed,
                question.everything,
                question.nothing,
            )
            found |= part.find(inner, rrsets)
            if not labels:
                found |= Found.NAME  # the apex of a sub-zone
        return found

    def has_below(self, labels: Name, key: Key) -> bool:
        """Whether any dataset has something below the name of *labels*."""
        for parts in self.parts:
            at, part = _deepest(parts, key)
            inner = labels[: len(labels) - at]
            if part is not None and part.has_below(inner, key_of(inner)):
                return True
            if any(len(apex) > len(key) and _is_below(apex, key) for apex in parts):
                return True
        return False

    def rule_for_key(self, labels: Name) -> Rule | None:
        """Return what the aclkey dataset says to a question for *labels*."""
        return None if self.acl_keys is None else key_rule(self.acl_keys, labels)


def build(apex: Name, datasets: Sequence[Dataset]) -> FileZone:
    """Return the zone *apex* made of *datasets*, in the order of the command line."""
    plain = [dataset for dataset in datasets if not dataset.spec.kind.of_clients]
    base = [leaf for dataset in plain if dataset.spec.kind is not Kind.COMBINED for leaf in dataset.leaves]
    parts: list[dict[Key, Part]] = [{b"": Part(base)}] if base else []
    for dataset in plain:
        if dataset.spec.kind is Kind.COMBINED:
            apexes = {apex: None for leaf in dataset.leaves for apex in leaf.apexes}
            parts.append(
                {name: Part([leaf for leaf in dataset.leaves if name in leaf.apexes]) for name in apexes}
            )
    soa = next((dataset.soa for dataset in plain if dataset.soa), None)
    stamp = max((dataset.stamp for dataset in plain), default=0)
    return FileZone(
        apex=apex,
        parts=tuple(parts),
        soa=soa,
        serial=(soa.serial if soa else 0) or stamp,
        name_servers=_name_servers(plain),
        expires=min((dataset.expires for dataset in plain if dataset.expires), default=0),
        acl=_leaf_of(datasets, Kind.ACL),
        acl_keys=_leaf_of(datasets, Kind.ACLKEY),
        entries=sum(dataset.count() for dataset in plain),
    )


def client_rule(leaf: Leaf, client: Address) -> Rule:
    """Return what the acl in *leaf* says to *client*."""
    assert isinstance(leaf.builder, Acl)
    return Rule(leaf.builder.find(client), leaf)


def key_rule(leaf: Leaf, labels: Name) -> Rule:
    """Return what the aclkey dataset in *leaf* says to a question for *labels*."""
    assert isinstance(leaf.builder, AclKey)
    found = leaf.builder.keys.get(labels[-1]) if len(labels) > 1 else None
    return Rule(leaf.builder.without_key, leaf) if found is None else Rule(found, leaf, labels[-1])


def addresses_at(zone: FileZone, labels: Name, now: float) -> list[tuple[IPv4Address, int]]:
    """Return the A records at *labels* under the apex, with their TTL: glue for a name server."""
    rrsets = Rrsets()
    zone.find(Question(labels, key_of(labels), A, now), rrsets)
    ttl_seconds = rrsets.ttl_seconds.get(A, 0)
    return [(IPv4Address(rdata), ttl_seconds) for rdata in rrsets.rdatas.get(A, ())]


def _deepest(parts: dict[Key, Part], key: Key) -> tuple[int, Part | None]:
    """Return the part whose name is the nearest at or above *key*, and of how many labels the name is."""
    above = []
    rest = key
    while rest:
        above.append(rest)
        rest = rest[rest[0] + 1 :]
    for at, name in enumerate(above):
        if name in parts:
            return len(above) - at, parts[name]
    return 0, parts.get(b"")


def _is_below(name: Key, above: Key) -> bool:
    """Whether *name* is below *above*."""
    while len(name) > len(above):
        name = name[name[0] + 1 :]
    return name == above


def _name_servers(datasets: Sequence[Dataset]) -> FileNameServers | None:
    found = next((dataset.name_servers for dataset in datasets if dataset.name_servers), None)
    if found is None:
        return None
    return FileNameServers(found.ttl_seconds, found.names[:MOST_NAME_SERVERS])


def _leaf_of(datasets: Sequence[Dataset], kind: Kind) -> Leaf | None:
    return next((dataset.leaves[0] for dataset in datasets if dataset.spec.kind is kind), None)


__all__ += ["Treatment", "Value", "addresses_at", "client_rule", "key_rule"]
