"""Which tokens are worth a message, asked of the database as seldom as can be.

A made-up token is told by its signature, without a look anywhere and in the same time as any other.
What is known of a token of ours is kept for some seconds. Tokens of the old form, which bear no
signature, are looked up a few times a second and no more.
"""

import threading
import time
from collections.abc import Callable

from rbl.errors import Unavailable
from rbl.store.receipts import Standing
from rbl.testtoken import Make, maker_of

# How long a standing is taken for true; what is taken is looked at once more when it is kept.
_FRESH_SECONDS = 10.0
_MOST_KNOWN = 20_000  # some 4 MB; more tokens are never awaited at once
# Look-ups of unsigned tokens: those of the runs that were under way at the upgrade, some at once.
_UNSIGNED_PER_SECOND = 10.0
_UNSIGNED_AT_ONCE = 50.0


class Tokens:
    """The standing of tokens. Safe to share between threads."""

    def __init__(
        self, key: bytes, ask: Callable[[str], Standing], clock: Callable[[], float] = time.monotonic
    ) -> None:
        """*ask* looks a token up in the database; *clock* gives seconds."""
        self.expects_unsigned = True  # whether some run under way has tokens of the old form
        self._key = key
        self._ask = ask
        self._clock = clock
        self._lock = threading.Lock()
        self._known: dict[str, tuple[Standing, float]] = {}  # the oldest first
        self._budget = _UNSIGNED_AT_ONCE
        self._budget_at = clock()

    def known(self, token: str) -> Standing | None:
        """Return the standing of *token* (lower case) where it needs no look-up, else None.

        Raises:
            Unavailable: too many tokens of the old form were offered to look this one up, too.
        """
        make = maker_of(token, self._key)
        if make is Make.MADE_UP:
            return Standing.UNKNOWN
        with self._lock:
            found = self._known.get(token)
            if found is not None and self._clock() - found[1] < _FRESH_SECONDS:
                return found[0]
            if make is Make.OURS or self._may_look():
                return None
        if self.expects_unsigned:
            raise Unavailable("too many unsigned tokens at once", code="too-many-tokens")
        return Standing.UNKNOWN

    def ask(self, token: str) -> Standing:
        """Return the standing of *token* from the database, and keep it for a while.

        Raises:
            Unavailable: the database does not answer.
        """
        standing = self._ask(token)
        with self._lock:
            self._known.pop(token, None)
            self._known[token] = (standing, self._clock())
            if len(self._known) > _MOST_KNOWN:
                del self._known[next(iter(self._known))]
        return standing

    def _may_look(self) -> bool:
        """Whether another unsigned token may be looked up now."""
        now = self._clock()
        earned = (now - self._budget_at) * _UNSIGNED_PER_SECOND
        self._budget = min(self._budget + earned, _UNSIGNED_AT_ONCE)
        self._budget_at = now
        if self._budget < 1:
            return False
        self._budget -= 1
        return True
