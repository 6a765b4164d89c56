"""Access lists made ready for look-ups: which rule is a client's. Pure data, no clock, no sockets.

The rules of one list are flattened into disjoint ranges as the index is: for each family an
ascending tuple of range starts, the first of them 0, and beside it, for each range, the number of
its rule; number 0 is the default. A look-up is one binary search. What an action means for an
answer stands in ``answer``. The global list (``dns.access``) is asked first, and a zone's own list
only where the global one allows. Logs nothing.
"""

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address

from rbl.config import Access
from rbl.terms import Address, Network
from rbl.zone.access import AccessList, Action, Rule

Ranges = tuple[tuple[int, ...], tuple[int, ...]]  # starts, and the number of the rule of each


@dataclass(frozen=True, slots=True)
class AccessTable:
    """One access list. ``rules[numbers[i]]`` is for addresses from ``starts[i]`` to the next start."""

    rules: tuple[Rule, ...]  # the first is the default
    ipv4: Ranges
    ipv6: Ranges

    def rule(self, client: Address) -> Rule:
        """Return the rule for *client*: that of the most specific network around it, or the default."""
        starts, numbers = self.ipv4 if isinstance(client, IPv4Address) else self.ipv6
        return self.rules[numbers[bisect_right(starts, int(client)) - 1]]


def compile_table(access: AccessList) -> AccessTable:
    """Return the table of *access*."""
    rules = tuple(dict.fromkeys((access.default, *(rule for _, rule in access.networks))))
    numbers = {rule: number for number, rule in enumerate(rules)}
    numbered = [(network, numbers[rule]) for network, rule in access.networks]
    return AccessTable(rules, _flatten(numbered, 4), _flatten(numbered, 6))


def global_list(settings: Access) -> AccessList:
    """Return the access list of the settings ``dns.access``."""
    networks: list[tuple[Network, Rule]] = []
    for action in (Action.ALLOW, Action.REFUSE, Action.IGNORE, Action.EMPTY):
        own: tuple[Network, ...] = getattr(settings, action.value)
        networks += [(network, Rule(action)) for network in own]
    return AccessList(Rule(Action(settings.default)), tuple(networks))


def _flatten(numbered: Iterable[tuple[Network, int]], version: int) -> Ranges:
    """Return disjoint ranges over all of a family; networks nest or are apart, and no two are equal."""
    bits = 32 if version == 4 else 128
    own = sorted(
        (int(network.network_address), network.prefixlen, number)
        for network, number in numbered
        if network.version == version
    )
    starts, numbers = [0], [0]
    around = [(1 << bits, 0)]  # the networks that are not over yet, innermost last: end, number

    def begin(at: int, number: int) -> None:
        if starts[-1] == at:
            numbers[-1] = number
        else:
            starts.append(at)
            numbers.append(number)

    def end_before(at: int) -> None:
        while around[-1][0] <= at:
            end, _ = around.pop()
            begin(end, around[-1][1])

    for first, length, number in own:
        end_before(first)
        begin(first, number)
        around.append((first + (1 << (bits - length)), number))
    end_before((1 << bits) - 1)
    return tuple(starts), tuple(numbers)
