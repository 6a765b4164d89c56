"""How often each customer's key was asked with, until somebody fetches the counts to keep them.

Only valid keys are counted, so there are never more counts than keys. Logs nothing.
"""

import threading
from collections import Counter
from collections.abc import Mapping

Usage = Mapping[tuple[str, str], int]  # queries by zone and digest of the key


class KeyUsage:
    """Counts from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[tuple[str, str]] = Counter()

    def count(self, zone: str, key: str) -> None:
        """Count one query with the key whose digest is *key*."""
        with self._lock:
            self._counts[zone, key] += 1

    def take(self) -> Usage:
        """Return the counts and begin anew."""
        with self._lock:
            counts, self._counts = self._counts, Counter()
        return counts

    def give_back(self, counts: Usage) -> None:
        """Add *counts* again, which could not be kept."""
        with self._lock:
            self._counts.update(counts)
