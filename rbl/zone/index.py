"""The zone index: one immutable generation of a list, ready to be asked.

It leaves to others: where the entries come from, when a generation is swapped in (``guards`` says
whether it may be), and the bytes of an answer. RFC 5782 §2 to §5; RFC 8020 for what exists below a name.
"""

from collections.abc import Iterable, Sequence

from rbl.terms import Address, Entry, Listed, Network
from rbl.zone.answers import AnswerSet
from rbl.zone.names import Name
from rbl.zone.zonefile import ZoneFile

__all__ = ["AnswerSet", "Index", "compile_index"]


class Index:
    """One generation of a list. Never changes; ``apply`` makes the next one."""

    zone: ZoneFile
    serial: int

    def find_address(self, address: Address) -> AnswerSet | None:
        """Return what *address* answers, or None where it is not listed.

        IPv4-mapped and 6to4 addresses are answered as the IPv4 address inside them.
        """
        raise NotImplementedError

    def has_below(self, network: Network) -> bool:
        """Whether any address of *network* is listed, test points included (RFC 8020: NODATA)."""
        raise NotImplementedError

    def find_name(self, labels: Name) -> AnswerSet | None:
        """Return what the name of lower-case *labels* under the apex answers, or None."""
        raise NotImplementedError

    def has_name_below(self, labels: Name) -> bool:
        """Whether anything is listed below the name of lower-case *labels* under the apex."""
        raise NotImplementedError

    def live(self) -> int:
        """Return how many listings are in force; test points and exemptions are not counted."""
        raise NotImplementedError

    def apply(self, entries: Sequence[Entry]) -> "Index":
        """Return the next generation: this one changed by journal *entries* in order of serial."""
        raise NotImplementedError


def compile_index(zone: ZoneFile, serial: int, listed: Iterable[Listed]) -> Index:
    """Return the index of *zone* at *serial* with everything in *listed*."""
    raise NotImplementedError
