"""What is counted and logged of keys and of private data, and when a key was last used.

Log events: ``key_refused``, so many a minute at most, and ``evidence_read``. Neither has a secret in it.
"""

import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta

import structlog
from prometheus_client import CollectorRegistry, Counter

from rbl.errors import RblError
from rbl.store import keys
from rbl.store.engine import Store
from rbl.store.keys import Use
from rbl.terms import Nominator

_log = structlog.get_logger()

# A key's last use is written this often at most: a write for each request would hold up all others.
_BETWEEN_USES = timedelta(minutes=1)
# Whoever tries keys by the thousand fills no disk with log lines: the metric counts them all.
_MOST_LINES_A_MINUTE = 30
_MINUTE_SECONDS = 60.0


class KeyWatch:
    """One for each application; any thread may use it."""

    def __init__(
        self, registry: CollectorRegistry, *, clock_seconds: Callable[[], float] = time.monotonic
    ) -> None:
        """*clock_seconds* rises; the log lines of a minute of it are limited."""
        self._refused = Counter(
            "rbl_api_keys_refused", "API keys that were refused, by reason", ("why",), registry=registry
        )
        self._read = Counter(
            "rbl_evidence_read", "Readings of a whole spam by operators", registry=registry
        )
        self._clock_seconds = clock_seconds
        self._guard = threading.Lock()
        self._lines_since = clock_seconds()
        self._lines = 0
        self._unlogged = 0
        self._writing = threading.Lock()
        self._waiting: dict[Use, datetime] = {}
        self._written: dict[Use, datetime] = {}

    def refused(self, why: str, *, client: str, path: str, key_id: int | None, name: str | None) -> None:
        """Count a refused key, and log it unless there were too many."""
        self._refused.labels(why).inc()
        with self._guard:
            now = self._clock_seconds()
            if now - self._lines_since >= _MINUTE_SECONDS:
                self._lines_since, self._lines = now, 0
            self._lines += 1
            if self._lines > _MOST_LINES_A_MINUTE:
                self._unlogged += 1
                return
            unlogged, self._unlogged = self._unlogged, 0
        _log.warning(
            "key_refused",
            why=why,
            client=client,
            path=path[:200],
            key_id=key_id,
            name=name,
            unlogged=unlogged or None,
        )

    def evidence_read(self, nomination_id: int, caller: Nominator) -> None:
        """Count and log that *caller* read a whole spam."""
        self._read.inc()
        _log.info("evidence_read", id=nomination_id, key_id=caller.key_id, name=caller.name)

    def used(self, use: Use, at: datetime) -> bool:
        """Remember that a key was used; True where ``keep`` has something to write for it."""
        with self._guard:
            written = self._written.get(use)
            if written is not None and at - written < _BETWEEN_USES:
                return False
            self._waiting[use] = at
            return True

    def keep(self, store: Store) -> None:
        """Write down what is waiting, unless somebody is about it; what fails is for the next time."""
        if not self._writing.acquire(blocking=False):
            return
        try:
            with self._guard:
                uses = dict(self._waiting)
            if not uses:
                return
            with store.writing() as session:
                keys.mark_used(session, uses)
            with self._guard:
                self._written |= uses
                self._waiting = {use: at for use, at in self._waiting.items() if uses.get(use) != at}
        except RblError:  # the next use brings it again
            return
        finally:
            self._writing.release()
