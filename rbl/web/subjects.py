"""What a listing is about, as requests name it: a network in a list of addresses, a name in one of names.

Whether the zone file allows it is decided here; reserved space and test points are the store's.
"""

from ipaddress import IPv4Network

from rbl.addresses import parse_address, parse_network
from rbl.errors import BadInput
from rbl.names import OwnerName, parse_owner_name, wire_octets
from rbl.store.listings import Subject
from rbl.terms import Network
from rbl.web.parts import Parts
from rbl.zone.zonefile import Kind, ZoneFile

_LONGEST_NAME = 255  # RFC 1035 §2.3.4


def read(parts: Parts, apex: str, text: str) -> Subject:
    """Return what *text* names in the list *apex*: a network, or a name where it is a list of names.

    Raises:
        BadInput: neither; or a name in a list of addresses, or a network in a list of names.
    """
    if parts.zone_files[apex].kind is Kind.ADDRESSES:
        try:
            return parse_network(text)
        except BadInput:
            if _is_name(text):
                raise of_wrong_kind(parts, apex) from None
            raise
    try:
        return parse_owner_name(text)
    except BadInput:
        if _is_network(text):
            raise of_wrong_kind(parts, apex) from None
        raise


def read_new(parts: Parts, apex: str, *, network: str | None, name: str | None, reason: str) -> Subject:
    """Return what is to be listed for *reason* in the list *apex*; of *network* and *name* one is given.

    Raises:
        BadInput: not a thing of this list's kind, no reason of it, or more than its zone file allows.
    """
    zone = parts.zone_files[apex]
    given = network if zone.kind is Kind.ADDRESSES else name
    # An address is a name too, to a parser: but nobody asks a list of names for one written like that.
    if given is None or (name is not None and _is_network(name)):
        raise of_wrong_kind(parts, apex)
    subject = read(parts, apex, given)
    if reason not in zone.reasons:
        known = ", ".join(zone.reasons)
        raise BadInput(f"{apex} has no reason {reason!a}, only: {known}", code="unknown-reason")
    if isinstance(subject, OwnerName):
        _check_name(zone, subject)
    else:
        _check_width(zone, subject)
    return subject


def of_wrong_kind(parts: Parts, apex: str) -> BadInput:
    """Return the error that says what the list *apex* takes, and which lists take the other kind."""
    kind = parts.zone_files[apex].kind
    others = [other for other in parts.policies if parts.zone_files[other].kind is not kind]
    if kind is Kind.ADDRESSES:
        takes, theirs = "a list of addresses: give a network, such as 192.0.2.0/24", "names"
    else:
        takes, theirs = "a list of names: give a name, such as spam.example or *.spam.example", "addresses"
    where = f"lists of {theirs} are {', '.join(others)}" if others else f"there is no list of {theirs}"
    return BadInput(f"{apex} is {takes}; {where}", code="wrong-kind")


def _check_width(zone: ZoneFile, network: Network) -> None:
    limits = zone.limits
    widest = limits.widest_ipv4_prefix if isinstance(network, IPv4Network) else limits.widest_ipv6_prefix
    if network.prefixlen < widest:
        raise BadInput(
            f"{network} is wider than /{widest}, the widest that {zone.apex_text} allows",
            code="network-too-wide",
        )


def _check_name(zone: ZoneFile, name: OwnerName) -> None:
    if not name.labels:
        raise BadInput(
            f"{name} is every name there is: list the names that are meant", code="too-many-names"
        )
    below = (b"x",) if name.wildcard else ()  # the shortest name that it lists
    if wire_octets((*below, *name.labels, *zone.apex)) > _LONGEST_NAME:
        raise BadInput(
            f"{name} is too long to be asked for: with {zone.apex_text} it has more than 255 octets",
            code="bad-name",
        )


def _is_name(text: str) -> bool:
    """Whether *text* is a name and no address gone wrong: no top-level domain is a number (RFC 3696 §2)."""
    try:
        name = parse_owner_name(text)
    except BadInput:
        return False
    return not name.labels or not name.labels[-1].isdigit()


def _is_network(text: str) -> bool:
    try:
        parse_address(text.partition("/")[0])
    except BadInput:
        return False
    return True
