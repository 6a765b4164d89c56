"""Who may ask a list: the ``[access]`` and ``[keys]`` tables of a zone file, as data.

A rule is an action for networks of clients. ``rbl.responder.access`` makes a table of the rules to
look clients up in, and ``answer`` says what is answered. RFC 5782 §6: whatever value an answer has,
it is read as "listed"; so an answer for those who may not ask (127.255.255.x by custom) exists only
where a rule here writes it out.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network

from rbl.addresses import parse_address, parse_network
from rbl.errors import BadInput
from rbl.terms import Network
from rbl.zone.tomltables import Table

_VALUES = IPv4Network("127.0.0.0/8")  # RFC 5782 §2.3
_NEVER = IPv4Address("127.0.0.1")  # RFC 5782 §5


class Action(StrEnum):
    """What becomes of a client's queries."""

    ALLOW = "allow"  # answered
    REFUSE = "refuse"  # REFUSED with EDE 18 Prohibited, for SOA and NS too
    IGNORE = "ignore"  # not answered at all
    EMPTY = "empty"  # the apex is answered, and nothing is listed, not even a test point
    LISTED = "listed"  # the apex is answered, and everything is listed as the rule says


class Keys(StrEnum):
    """What customers' keys are to a list. A valid one allows whatever ``[access]`` says of the client."""

    UNUSED = "unused"  # there are none, and a label that looks like one is a label as any other
    ACCEPTED = "accepted"  # they are known and counted; who has none is answered too
    REQUIRED = "required"  # only the apex is answered without one


@dataclass(frozen=True, slots=True)
class Rule:
    """What becomes of a client. *address*, *text* (a TXT template) and *ttl_seconds* are of LISTED.

    ``{address}`` in the text is the client's own address, and ``{url}`` the page about it.
    """

    action: Action
    address: IPv4Address | None = None
    text: str = ""
    ttl_seconds: int = 0


@dataclass(frozen=True, slots=True)
class AccessList:
    """The rule of each network, of which the most specific counts, and that of everybody else."""

    default: Rule
    networks: tuple[tuple[Network, Rule], ...] = ()


ALLOW = Rule(Action.ALLOW)
OPEN = AccessList(ALLOW)

_PLAIN = (Action.ALLOW, Action.REFUSE, Action.IGNORE, Action.EMPTY)


def read(table: Table, template: Callable[[str], str], ttl_seconds: int, largest_ttl: int) -> AccessList:
    """Return the access list in *table*; *template* checks a TXT template or raises BadInput."""
    default = table.parsed("default", _default, ALLOW, default=Action.ALLOW.value)
    networks: list[tuple[Network, Rule]] = []
    for action in _PLAIN:
        found = table.each(action.value, parse_network)
        networks += [(network, Rule(action)) for network in found]
    for one in table.tables(Action.LISTED.value):
        found = one.each("networks", parse_network, required=True)
        rule = Rule(
            Action.LISTED,
            one.parsed("address", _value, IPv4Address("127.255.255.255")),
            one.parsed("text", template, ""),
            one.number("ttl_seconds", 0, largest_ttl, ttl_seconds),
        )
        one.finish()
        networks += [(network, rule) for network in found]
    table.finish()
    seen: set[Network] = set()
    for network, rule in networks:
        if network in seen:
            table.fault(rule.action.value, f"{network} has another rule already")
        seen.add(network)
    return AccessList(default, tuple(networks))


def read_keys(table: Table) -> Keys:
    """Return what the ``[keys]`` table that is there says."""
    required = table.truth("required", default=True)
    table.finish()
    return Keys.REQUIRED if required else Keys.ACCEPTED


def _default(text: str) -> Rule:
    # Not LISTED: a list that lists the world for everybody is what RFC 6471 §3.4 forbids.
    if text not in _PLAIN:
        raise BadInput(f"{text[:40]!a} is none of {', '.join(_PLAIN)}")
    return Rule(Action(text))


def _value(text: str) -> IPv4Address:
    address = parse_address(text)
    if not (isinstance(address, IPv4Address) and address in _VALUES) or address == _NEVER:
        raise BadInput(f"{text} is no value: write one in 127.0.0.0/8, 127.255.255.x by custom")
    return address
