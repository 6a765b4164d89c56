"""What DNS servers will hold back of an import, told before it is made.

The import's rows are laid over the list as the journal has it and held against the guards that every server
uses. A server that is behind the journal, or holds something back already, may decide otherwise.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rbl.errors import RblError
from rbl.terms import Act, Change, Entry
from rbl.zone import guards
from rbl.zone.index import compile_index
from rbl.zone.zonefile import Kind, ZoneFile

if TYPE_CHECKING:
    from rbl.store.engine import Store

Row = tuple[str, str, str | None]  # subject, reason, and the listing's own text


@dataclass(frozen=True, slots=True)
class Held:
    """Why servers will go on with the list before, and whether an operator may let the change out."""

    why: str
    can_be_forced: bool


def held_back(
    store: "Store", zone: ZoneFile, rows: Iterable[Row], act: Act, max_change_share: float
) -> Held | None:
    """Return what servers will make of *rows* in the list of *zone*; None: they serve them at once.

    Raises:
        Unavailable: the database does not answer.
        NotFound: there is no such list in it.
    """
    from rbl.store.journal import JournalReader  # noqa: PLC0415 — see rbl.cli

    reader = JournalReader(store)
    try:
        _, listed = reader.snapshot(zone.apex_text)
        before = compile_index(zone, 0, listed)  # in which serial it was is no matter here
    finally:
        reader.close()
    if zone.kind is Kind.ADDRESSES and not before.live() + before.exempt():
        return None  # a first filling, of which each row was looked at when it was read
    after = before.apply(
        Entry(zone.apex_text, 1, Change.LISTED, *row, act.actor, act.why, act.at) for row in rows
    )
    for forced in (True, False):
        try:
            guards.check(before, after, max_change_share, forced=forced)
        except RblError as fault:
            change = guards.change(before, after)
            if not forced and change.is_too_much(max_change_share):
                why = f"{change}, and dns.max_change_share is {max_change_share:.0%}"
                return Held(why, can_be_forced=True)
            return Held(fault.message, can_be_forced=not forced)
    return None
