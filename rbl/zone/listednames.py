"""The listed names of a list of names: a hash of owner names, with wildcards beside it.

RFC 5782 §3 leaves wildcards to each list. Here ``name`` lists that name alone and ``*.name`` every
name below it but not itself; an exemption covers what a listing of the same form would, and wins.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from rbl.names import INVALID, TEST, Name, OwnerName
from rbl.zone.answers import EXEMPTION, NOT_LISTED, Vocabulary
from rbl.zone.flatten import Counts

Causes = tuple[int, ...]  # ascending by reason, one for each reason
_Changes = Iterable[tuple[OwnerName, int, bool]]


@dataclass(frozen=True, slots=True)
class NameTable:
    """One generation of the listed names. Never changes; ``changed`` makes the next one."""

    exact: dict[Name, Causes]
    wildcards: dict[Name, Causes]  # by the name below which they list
    below: dict[Name, int]  # how many subjects are listed below each name that has some
    counts: Counts

    def find(self, labels: Name, vocabulary: Vocabulary) -> int:
        """Return the answer set of the name of lower-case *labels* under the apex."""
        if labels == TEST:
            return vocabulary.test_name
        if labels == INVALID or not labels:
            return NOT_LISTED
        covering = [self.exact.get(labels, ())]
        covering += [self.wildcards.get(labels[at:], ()) for at in range(1, len(labels) + 1)]
        if any(EXEMPTION in causes for causes in covering):
            return NOT_LISTED
        return next((answer for answer in map(vocabulary.joint_answer, covering) if answer), NOT_LISTED)

    def listing(self, labels: Name, vocabulary: Vocabulary) -> OwnerName | None:
        """Return what lists the name, for which ``find`` has an answer; None for the test name."""
        if labels == TEST:
            return None
        if vocabulary.joint_answer(self.exact.get(labels, ())):
            return OwnerName(labels, wildcard=False)
        above = (labels[at:] for at in range(1, len(labels) + 1))
        nearest = (name for name in above if vocabulary.joint_answer(self.wildcards.get(name, ())))
        return next((OwnerName(name, wildcard=True) for name in nearest), None)

    def any_below(self, labels: Name, vocabulary: Vocabulary) -> bool:
        """Whether a name below lower-case *labels* is listed, or would be but for an exemption.

        To say so for an exempt name costs nothing; to deny a name above a listed one would hide the
        listing (RFC 8020).
        """
        if not labels or labels in self.below:
            return True  # TEST is below the apex
        above = (self.wildcards.get(labels[at:], ()) for at in range(1, len(labels) + 1))
        return any(map(vocabulary.joint_answer, above))

    def changed(self, changes: _Changes, vocabulary: Vocabulary) -> "NameTable":
        """Return the table with *changes* carried out in order: subject, cause, and whether it stays."""
        exact, wildcards, below = dict(self.exact), dict(self.wildcards), dict(self.below)
        counts = self.counts
        for subject, cause, stays in changes:
            rows = wildcards if subject.wildcard else exact
            old = rows.get(subject.labels, ())
            reason = vocabulary.reason(cause)
            kept = [other for other in old if vocabulary.reason(other) != reason]
            new = tuple(sorted([*kept, cause] if stays else kept, key=vocabulary.reason))
            if new:
                rows[subject.labels] = new
            else:
                rows.pop(subject.labels, None)
            now, before = bool(vocabulary.joint_answer(new)), bool(vocabulary.joint_answer(old))
            _count_below(below, subject, now - before)
            counts = counts.changed(_count(old, vocabulary), _count(new, vocabulary))
        return NameTable(exact, wildcards, below, counts)

    def rows(self) -> Iterator[tuple[OwnerName, int]]:
        """Yield every row: subject and cause."""
        for table, wildcard in ((self.exact, False), (self.wildcards, True)):
            for labels, causes in table.items():
                for cause in causes:
                    yield OwnerName(labels, wildcard), cause


NO_NAMES = NameTable({}, {}, {}, Counts(0, 0, 0))


def _count_below(below: dict[Name, int], subject: OwnerName, more: int) -> None:
    """Note that there are *more* subjects listed below each name above *subject*."""
    if not more:
        return
    for at in range(0 if subject.wildcard else 1, len(subject.labels)):
        above = subject.labels[at:]
        below[above] = below.get(above, 0) + more
        if not below[above]:
            del below[above]


def _count(causes: Causes, vocabulary: Vocabulary) -> Counts:
    exempt = causes.count(EXEMPTION)
    live = sum(vocabulary.is_known(cause) for cause in causes)
    return Counts(live, exempt, len(causes) - live - exempt)
