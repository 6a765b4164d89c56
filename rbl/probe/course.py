"""What is left to try of a run, and what the answers so far change of it. No I/O.

Forms that an answer shows to be refused are struck out (``economy``), and those whose sender is refused
before anybody looks at the recipient are offered from another (``plan.from_stranger``).
"""

from collections.abc import Collection, Iterable, Sequence

from rbl.probe import economy, plan
from rbl.probe.dialogue import REFUSALS, EnvelopeOutcome
from rbl.probe.plan import Envelope, Identity
from rbl.probe.replies import is_of_sender
from rbl.probe.rows import envelope_of
from rbl.store.probes import EnvelopeRow
from rbl.terms import EnvelopeResult


class Course:
    """The forms of one run that are left, with what was refused and why some need no try."""

    def __init__(self, identity: Identity) -> None:
        self._identity = identity
        self._left: dict[str, Envelope] = {}
        self._refusals: dict[str, str] = {}  # by form, what was said
        self._proven: frozenset[str] = frozenset()

    def read(self, rows: Sequence[EnvelopeRow], proven: frozenset[str]) -> list[Envelope]:
        """Take the run's envelopes as they are stored, and return those that are left.

        *proven*: the forms that were seen to relay, on this host or on others of its kind.
        """
        self._left = {row.test_id: envelope_of(row) for row in rows if row.result is None}
        self._refusals = {row.test_id: row.reply or "" for row in rows if row.result in REFUSALS}
        self._proven = proven
        return list(self._left.values())

    def next(self, test: str) -> Envelope | None:
        """Return the envelope of *test* as it is to be offered now, or None where it is not left."""
        return self._left.get(test)

    def strike(self, outcomes: Sequence[EnvelopeOutcome]) -> Sequence[EnvelopeOutcome]:
        """Leave out the forms of *outcomes*, which are theirs without a try, and return these."""
        for outcome in outcomes:
            self._left.pop(outcome.test, None)
        return outcomes

    def learn(
        self, outcome: EnvelopeOutcome, platform: str | None, lines: Iterable[str]
    ) -> Sequence[EnvelopeOutcome]:
        """Return the forms that need no try any more after *outcome*, as outcomes that say why.

        *lines*: what was said in the session, by a server that calls itself *platform*.
        """
        self._left.pop(outcome.test, None)
        if outcome.result not in REFUSALS or outcome.reply is None:
            return []
        self._refusals[outcome.test] = outcome.reply.text
        reasons = economy.spared(platform, self._refusals)
        tests = sorted(reasons.keys() & self._left.keys() - self._proven)
        if not tests or not economy.has_the_manners(platform, tuple(lines)):
            return []
        return self.strike([EnvelopeOutcome(test, EnvelopeResult.NOT_RUN, reasons[test]) for test in tests])

    def from_others(self, offered: Envelope, outcome: EnvelopeOutcome) -> Collection[Envelope]:
        """Return the forms that are left and offered from another sender since *outcome* of *offered*.

        Where *offered* is among them, its recipient was not looked at, and it has no outcome.
        """
        if outcome.result not in REFUSALS or outcome.reply is None or not is_of_sender(outcome.reply):
            return ()
        alike = [one for one in self._left.values() if one.sender_form == offered.sender_form]
        others = [plan.from_stranger(one, self._identity) for one in alike]
        found = {one.test: one for one in others if one is not None}
        self._left |= found
        return found.values()
