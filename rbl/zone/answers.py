"""Answer sets, and the numbers that the index uses for them and for what lists something.

A *cause* is why one network or name is in the list: a reason of the zone file and, where the listing
has its own, a text. An *answer set* is what all causes at one network answer together. Millions of
networks share a few of both, so the index holds their numbers.
"""

from array import array
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rbl.zone.zonefile import Kind, Reason, ZoneFile

# Of one, two or four octets: whatever holds the largest of them.
Numbers = NDArray[np.unsignedinteger[Any]]
Cause = tuple[str, str | None]  # reason, and the listing's own text

EXEMPTION = 0  # the number of the cause that stands for an exemption
NOT_LISTED = 0  # the number of the answer set of what is not listed

_FIRST_TEST_POINT = IPv4Address("127.0.0.2")  # RFC 5782 §5
_NEVER_LISTED = IPv4Address("127.0.0.1")  # RFC 5782 §5


def narrowed(numbers: Numbers) -> Numbers:
    """Return *numbers* in as few octets each as hold them: most lists have few causes and answer sets."""
    largest = int(numbers.max()) if len(numbers) else 0
    return numbers.astype(np.min_scalar_type(largest), copy=False)


@dataclass(frozen=True, slots=True)
class AnswerSet:
    """The answer for something listed.

    *values* are the A records, distinct and ascending; *texts* the TXT templates, distinct, to be
    filled in with ``ZoneFile.render``; *ttl_seconds* the smallest TTL of the reasons, since one
    RRset has one TTL (RFC 2181 §5.2).
    """

    values: tuple[IPv4Address, ...]
    texts: tuple[str, ...]
    ttl_seconds: int


class Vocabulary:
    """The causes and answer sets of a list by number, for one zone file.

    Numbers are only ever added, so that the generations of an index share one vocabulary: a number
    means the same in each. One writer at a time. The first answer sets are those of the test points,
    in an order that the zone file alone decides; ``combinations`` are the later ones. Whoever makes a
    generation asks for all answer sets in it, so that looking one up adds none.
    """

    __slots__ = (
        "_causes",
        "_numbers",
        "_of_combination",
        "_reasons",
        "_single",
        "_zone",
        "answers",
        "causes",
        "combinations",
        "test_name",
        "test_points",
    )

    def __init__(self, zone: ZoneFile) -> None:
        self._zone = zone
        self.answers: list[AnswerSet | None] = [None]
        self.causes: list[Cause] = [("", None)]
        self.combinations: list[tuple[int, ...]] = []
        self._causes: dict[Cause, int] = {}
        # Of reasons, in the order of the zone file, which is the order of the texts; None: exemptions.
        self._numbers: dict[str | None, int] = {None: 0}
        for name in zone.reasons:
            self._numbers[name] = len(self._numbers)
        self._reasons = array("I", [0])  # by cause: the number of its reason
        self._single = array("I", [NOT_LISTED])  # by cause: the answer set where it stands alone
        self._of_combination: dict[tuple[int, ...], int] = {}
        self.test_points = self._make_test_points()
        self.test_name = self._make_test_name()

    @classmethod
    def restored(
        cls, zone: ZoneFile, causes: Iterable[Cause], combinations: Iterable[tuple[int, ...]]
    ) -> "Vocabulary":
        """Return the vocabulary of *zone* that had these *causes* and *combinations*, numbered alike."""
        vocabulary = cls(zone)
        for reason, text in causes:
            vocabulary._add_cause(reason, text)
        for combination in combinations:
            number = vocabulary.answer(combination)
            if len(combination) == 1:
                vocabulary._single[combination[0]] = number
        return vocabulary

    def cause(self, reason: str, text: str | None) -> int:
        """Return the number of the cause that is *reason* with the listing's own *text*."""
        known = self._causes.get((reason, text))
        if known is not None:
            return known
        number = self._add_cause(reason, text)
        if reason in self._zone.reasons:
            self._single[number] = self.answer((number,))
        return number

    def reason(self, cause: int) -> int:
        """Return the number of the reason of *cause*: 0 for an exemption."""
        return self._reasons[cause]

    def is_known(self, cause: int) -> bool:
        """Whether the zone file has the reason of *cause*; an exemption has none."""
        return self._single[cause] != NOT_LISTED

    def answer(self, causes: tuple[int, ...]) -> int:
        """Return the number of the answer set that *causes*, all with a known reason, make together."""
        known = self._of_combination.get(causes)
        if known is None:
            known = self._of_combination[causes] = len(self.answers)
            self.answers.append(self._combine(causes))
            self.combinations.append(causes)
        return known

    def joint_answer(self, causes: tuple[int, ...]) -> int:
        """Return the number of the answer set of those of *causes* that are known; 0 for none."""
        known = tuple(cause for cause in causes if self.is_known(cause))
        return self.answer(known) if known else NOT_LISTED

    def reasons_by_cause(self) -> Numbers:
        """Return the number of the reason of every cause."""
        return np.array(self._reasons, dtype=np.uint32)

    def answers_by_cause(self) -> Numbers:
        """Return, for every cause, the answer set where it stands alone; 0 for an unknown reason."""
        return np.array(self._single, dtype=np.uint32)

    def _add_cause(self, reason: str, text: str | None) -> int:
        number = self._causes[reason, text] = len(self.causes)
        self.causes.append((reason, text))
        self._reasons.append(self._numbers.setdefault(reason, len(self._numbers)))
        self._single.append(NOT_LISTED)
        return number

    def _combine(self, causes: tuple[int, ...]) -> AnswerSet:
        named = [self.causes[cause] for cause in causes]
        reasons = [self._zone.reasons[name] for name, _ in named]
        own = [
            reason.text if text is None else text for reason, (_, text) in zip(reasons, named, strict=True)
        ]
        return AnswerSet(
            values=tuple(sorted({value for reason in reasons for value in reason.addresses})),
            texts=tuple(dict.fromkeys(own)),
            ttl_seconds=min(reason.ttl_seconds for reason in reasons),
        )

    def _make_test_points(self) -> dict[int, int]:
        """Return the answer set of each test point of an address list, by the IPv4 address as a number.

        127.0.0.2 always, each value of a reason at itself, and 127.0.0.1 as never listed
        (RFC 5782 §5).
        """
        if self._zone.kind is not Kind.ADDRESSES:
            return {}
        reasons = self._zone.reasons.values()
        points = {int(_NEVER_LISTED): NOT_LISTED}
        for value in sorted({value for reason in reasons for value in reason.addresses}):
            having = [reason for reason in reasons if value in reason.addresses]
            points[int(value)] = self._add_test_answer((value,), having)
        if int(_FIRST_TEST_POINT) not in points:
            first = self._zone.first_reason
            points[int(_FIRST_TEST_POINT)] = self._add_test_answer(first.addresses, [first])
        return points

    def _make_test_name(self) -> int:
        """Return the answer set of TEST in a list of names (RFC 5782 §5)."""
        if self._zone.kind is not Kind.NAMES:
            return NOT_LISTED
        first = self._zone.first_reason
        return self._add_test_answer(first.addresses, [first])

    def _add_test_answer(self, values: tuple[IPv4Address, ...], reasons: list[Reason]) -> int:
        self.answers.append(
            AnswerSet(
                values=tuple(sorted(set(values))),
                texts=tuple(dict.fromkeys(reason.text for reason in reasons)),
                ttl_seconds=min(reason.ttl_seconds for reason in reasons),
            )
        )
        return len(self.answers) - 1
