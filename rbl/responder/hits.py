"""How often each listing was answered, until somebody fetches the counts to keep them.

Counted here is what the reference path found, by the address that was asked about or by what lists the
name; which listing that is, is looked up when the counts are taken, in the list as it is then. What
other paths count (``hotpath``) is fetched with it. There is a limit to what waits here, whoever asks
for whatever and however long the database is away; what is beyond it is counted as unplaced.
Logs nothing.
"""

import threading
from collections import Counter
from collections.abc import Callable, Mapping

from rbl.names import OwnerName
from rbl.responder.catalogue import Catalogue
from rbl.responder.counters import Counters
from rbl.responder.lookup import Hit
from rbl.zone.index import Index

HitCounts = Mapping[tuple[str, str], int]  # by zone, and subject as the journal writes it

_MOST_ASKED = 10_000  # addresses and names between two takes: some 2 MB
_MOST_WAITING = 100_000  # listings whose counts could not be kept yet: some 20 MB


class ListingHits:
    """Counts from several threads of what *catalogue* answers."""

    def __init__(
        self,
        catalogue: Catalogue,
        counters: Counters,
        *,
        most_asked: int = _MOST_ASKED,
        most_waiting: int = _MOST_WAITING,
    ) -> None:
        self._catalogue = catalogue
        self._counters = counters
        self._most_asked = most_asked
        self._most_waiting = most_waiting
        self._lock = threading.Lock()
        self._asked: Counter[tuple[str, Hit]] = Counter()
        self._waiting: Counter[tuple[str, str]] = Counter()
        self._elsewhere: list[Callable[[], HitCounts]] = []

    def watch(self, take: Callable[[], HitCounts]) -> None:
        """Add what *take* returns, which was counted elsewhere, whenever the counts are taken."""
        self._elsewhere.append(take)

    def count(self, zone: str, hit: Hit) -> None:
        """Count one answer of *zone* for *hit*."""
        asked = zone, hit
        with self._lock:
            if asked in self._asked or len(self._asked) < self._most_asked:
                self._asked[asked] += 1
                return
        self._counters.unplaced_hits.inc()

    def take(self) -> HitCounts:
        """Return the counts and begin anew. What is listed no more is left out."""
        with self._lock:
            asked, self._asked = self._asked, Counter()
            counts, self._waiting = self._waiting, Counter()
        for zone in self._catalogue.zones():
            if zone.served is not None:
                of_zone = {hit: count for (name, hit), count in asked.items() if name == zone.name}
                add_by_listing(counts, zone.name, zone.served.index, of_zone)
        for take in self._elsewhere:
            counts.update(take())
        return counts

    def give_back(self, counts: HitCounts) -> None:
        """Add *counts* again, which could not be kept: those of the most asked listings, if not all."""
        with self._lock:
            for listing, count in sorted(counts.items(), key=lambda item: -item[1]):
                if listing in self._waiting or len(self._waiting) < self._most_waiting:
                    self._waiting[listing] += count
                else:
                    self._counters.unplaced_hits.inc(count)


def add_by_listing(
    counts: Counter[tuple[str, str]], zone: str, index: Index, hits: Mapping[Hit, int]
) -> None:
    """Add *hits* to *counts*, each to the listing of *zone* that answers for it."""
    networks = index.listed_networks(hit for hit in hits if not isinstance(hit, OwnerName))
    for hit, count in hits.items():
        subject = hit if isinstance(hit, OwnerName) else networks.get(hit)
        if subject is not None:
            counts[zone, str(subject)] += count
