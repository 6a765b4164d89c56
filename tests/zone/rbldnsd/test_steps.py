"""From entries to disjoint ranges."""

import random
from array import array

from rbl.zone.family import IPV4, IPV6
from rbl.zone.rbldnsd import steps
from rbl.zone.rbldnsd.values import EXCLUDED


def _join(outcomes: set[int]) -> int:
    return sum(outcomes)


def test_ranges_that_overlap_are_cut() -> None:
    """Where ranges overlap the joint outcome holds, also where an end is the end of the space."""
    layer = steps.ipv4_ranges(
        array("I", [5, 0, 9, 20]), array("I", [12, 9, 9, 2**32 - 1]), array("I", [4, 2, 8, 3]), _join
    )

    assert [(0, 4, 2), (5, 8, 6), (9, 9, 14), (10, 12, 4), (20, 2**32 - 1, 3)] == list(
        zip(layer.first.tolist(), layer.last.tolist(), layer.outcome.tolist(), strict=True)
    )
    assert [5, 9, 10, 13] == layer.after.tolist()


def test_the_narrowest_layer_decides() -> None:
    """A layer hides those after it, an exclusion too; IPv6 and IPv4 alike."""
    for family in (IPV4, IPV6):
        narrow = steps.networks(family, family.bits, {5: 7, 6: EXCLUDED})
        wide = steps.networks(family, family.bits - 4, {0: 2})
        found = steps.overlay(family, [narrow, steps.networks(family, 9, {}), wide])

        assert [(0, 2), (5, 7), (6, 0), (7, 2), (16, 0)] == list(
            zip(steps.addresses(family, found.start), found.value.tolist(), strict=True)
        )


def test_nothing_is_no_steps() -> None:
    """Without layers or parts there are none."""
    found, combinations = steps.union(IPV4, [])

    assert (0, [()], 0) == (len(found.start), combinations, len(steps.overlay(IPV4, []).start))


def test_a_table_answers_as_the_steps_say() -> None:
    """What a table finds is what every part says at that address."""
    chance = random.Random(3)
    parts = []
    for _ in range(3):
        firsts = array("I", (chance.randrange(2**32 - 2**20) for _ in range(200)))
        lasts = array("I", (first + chance.randrange(1, 2 ** chance.randrange(1, 20)) for first in firsts))
        outcomes = array("I", (chance.randrange(2, 6) for _ in firsts))
        parts.append(
            (
                steps.overlay(IPV4, [steps.ipv4_ranges(firsts, lasts, outcomes, max)]),
                firsts,
                lasts,
                outcomes,
            )
        )
    found, combinations = steps.union(IPV4, [part[0] for part in parts])
    table = steps.table(IPV4, found, 600)
    asked = [edge + by for _, firsts, lasts, _ in parts for edge in (*firsts, *lasts) for by in (-1, 0, 1)]
    expected = [
        tuple(
            max((o for f, la, o in zip(firsts, lasts, outcomes, strict=True) if f <= at <= la), default=0)
            for _, firsts, lasts, outcomes in parts
        )
        for at in asked
    ]

    assert expected == [combinations[table.find(at)] for at in asked]
