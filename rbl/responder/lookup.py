"""What is listed at a name under an apex: the name taken for an address or a name, and looked up.

RFC 5782 §2.1, §2.4 and §3; RFC 8020 for what exists for the sake of what is listed below it. Pure.
Logs nothing.
"""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from rbl.addresses import networks_of_labels
from rbl.names import Name, OwnerName
from rbl.terms import Address
from rbl.zone.access import Action, Rule
from rbl.zone.answers import AnswerSet
from rbl.zone.index import Index
from rbl.zone.zonefile import Kind

_PLAIN = frozenset(b"abcdefghijklmnopqrstuvwxyz0123456789-_")


Hit = Address | OwnerName  # what is counted: the address that was asked about, or what lists the name


@dataclass(frozen=True, slots=True)
class Found:
    """What is at a name: an answer set and what fills in its texts, or only whether the name exists.

    *hit* None: the answer is no listing's (a test point's of a list of names, an access rule's).
    """

    answer_set: AnswerSet | None
    exists: bool
    subject: str = ""
    hit: Hit | None = None


_NOTHING = Found(None, exists=False)
_ABOVE = Found(None, exists=True)


def look_up(index: Index, kind: Kind, labels: Name, rule: Rule, client: Address) -> Found:
    """Return what *labels* under the apex are to a *client* who may ask, as *rule* says."""
    if rule.action is Action.EMPTY:
        return _NOTHING
    if rule.action is Action.LISTED:
        return _list_all(kind, labels, rule, client)
    if kind is Kind.NAMES:
        listed = index.find_name(labels)
        if listed is not None:
            hit = index.names.listing(labels, index.vocabulary)
            return Found(listed, exists=True, subject=subject_text(labels), hit=hit)
        return _ABOVE if index.has_name_below(labels) else _NOTHING
    exists = False
    # Four labels of one digit are an IPv4 address and an IPv6 prefix at once.
    for network in networks_of_labels(labels):
        if network.prefixlen < network.max_prefixlen:
            exists = exists or index.has_below(network)
            continue
        address = network.network_address
        listed = index.find_address(address)
        if listed is not None:
            return Found(listed, exists=True, subject=subject_text(address), hit=address)
    return _ABOVE if exists else _NOTHING


def _list_all(kind: Kind, labels: Name, rule: Rule, client: Address) -> Found:
    """Return the answer of *rule* at every address or name; what is above an address exists."""
    assert rule.address is not None
    if kind is Kind.ADDRESSES:
        networks = networks_of_labels(labels)
        if not any(network.prefixlen == network.max_prefixlen for network in networks):
            return _ABOVE if networks else _NOTHING
    answer_set = AnswerSet((rule.address,), (rule.text,), rule.ttl_seconds)
    return Found(answer_set, exists=True, subject=subject_text(client))


def subject_text(subject: Address | Name) -> str:
    """Return an address in its usual form (RFC 5952), or a name with every odd octet escaped."""
    if isinstance(subject, IPv4Address):
        return str(subject)
    if isinstance(subject, IPv6Address):
        return str(subject.ipv4_mapped or subject)  # as parse_address reads it on the page named
    return ".".join(
        "".join(chr(octet) if octet in _PLAIN else f"\\{octet:03d}" for octet in label) for label in subject
    )
