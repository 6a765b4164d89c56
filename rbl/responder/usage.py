"""How often each customer's key was asked with, until somebody fetches the counts to keep them.

Only valid keys are counted, so there are never more counts than keys. Logs nothing.
"""

import threading
from collections import Counter
from collections.abc import Callable, Mapping

Usage = Mapping[tuple[str, str], int]  # queries by zone and digest of the key


class KeyUsage:
    """Counts from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[tuple[str, str]] = Counter()
        self._tellers: list[Callable[[], None]] = []

    def count(self, zone: str, key: str, queries: int = 1) -> None:
        """Count a query, or several, with the key whose digest is *key*."""
        with self._lock:
            self._counts[zone, key] += queries

    def watch(self, tell_counts: Callable[[], None]) -> None:
        """Call *tell_counts* before the counts are taken: it adds here what was counted elsewhere."""
        self._tellers.append(tell_counts)

    def take(self) -> Usage:
        """Return the counts and begin anew."""
        for tell_counts in self._tellers:
            tell_counts()
        with self._lock:
            counts, self._counts = self._counts, Counter()
        return counts

    def give_back(self, counts: Usage) -> None:
        """Add *counts* again, which could not be kept."""
        with self._lock:
            self._counts.update(counts)
