"""Which of the envelopes that are left have their turn in the next session. Pure.

Forms of one sender stand together in a plan and share one MAIL. A row that would be cut in two costs
the host one more, so it waits for a session that has room for it.
"""

from collections.abc import Sequence
from itertools import groupby

from rbl.probe.plan import Envelope


def next_turn(left: Sequence[Envelope], most: int) -> list[Envelope]:
    """Return the first of the envelopes *left*, as many as there are whole rows among the first *most*.

    A row that is longer than a session, or the first of all, is cut.
    """
    turn: list[Envelope] = []
    for _, envelopes in groupby(left, key=lambda envelope: envelope.sender_form):
        row = list(envelopes)
        if turn and len(turn) + len(row) > most >= len(row):
            break
        turn += row
    return turn[:most]
