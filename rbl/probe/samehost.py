"""Whether who handed our message back is the tested host itself, by its address of the other family.

An open server of both families takes the test over one and may deliver it over the other. Three must then
say that it is one server: the tested address calls itself by a name, the returning peer calls itself by the
same, and the DNS gives that name both addresses. One alone is not enough, since each is somebody's mere
word: a greeting the server's, an EHLO the peer's, and what a name stands for its owner's. See
docs/decisions/0031. Pure; ``linking`` asks for what must be known. RFC 5321 §4.1.1.1.
"""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from rbl.addresses import subscriber_of
from rbl.terms import Address

# RFC 1123 §2.1: of labels that are letters, digits and hyphens, two at least; the last is no number.
_NAME = re.compile(r"(?=.{1,253}$)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,62}")


@dataclass(frozen=True, slots=True)
class Handed:
    """Who handed a message of the test back, and by what name: its own word."""

    peer: Address
    helo: str


@dataclass(frozen=True, slots=True)
class Suspicion:
    """That *peer* is the tested host, since both call themselves *name*: the DNS decides."""

    peer: Address
    name: str


def suspicions(target: Address, own_names: Iterable[str], handed: Iterable[Handed]) -> list[Suspicion]:
    """Return which of those who *handed* messages back may be *target*, whose own names are *own_names*.

    Only peers of the other family: of the same one a host is known by its network (``neighbourhood``).
    """
    own = {name for each in own_names if (name := host_name(each)) is not None}
    others = [(each.peer, host_name(each.helo)) for each in handed if each.peer.version != target.version]
    found = [Suspicion(peer, name) for peer, name in others if name is not None and name in own]
    return list(dict.fromkeys(found))


def confirms(target: Address, suspicion: Suspicion, addresses: Collection[Address]) -> bool:
    """Whether *addresses*, those of the suspected name in the DNS, are both of *target* and of the peer.

    An IPv6 host may send from any address of its /64, which is one subscriber's (RFC 8981, RFC 6177).
    """
    near = subscriber_of(suspicion.peer)
    return target in addresses and any(each.version == near.version and each in near for each in addresses)


def host_name(text: str) -> str | None:
    """Return *text* as a host name in lower case; None where it is none, or of one label."""
    name = text.strip().rstrip(".").lower()
    return name if _NAME.fullmatch(name) else None
