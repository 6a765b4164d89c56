"""Whether files that changed are read and served now: rbldnsd takes what it finds, we look twice.

A file that was rewritten in place is waited for until it stays the same; one that was renamed into its
place is whole. A change that takes away as much as an accident does is held back until somebody says
that it is meant. Decisions alone: nothing here reads a file. Logs nothing.
"""

from dataclasses import dataclass
from datetime import timedelta

from rbl.zone.guards import SMALL_CHANGE
from rbl.zone.rbldnsd.reading import Stamp

Stamps = tuple[Stamp | None, ...]


@dataclass(frozen=True, slots=True)
class Caution:
    """How much is looked at before a change is served."""

    # Between two looks that see the same file: a writer that pauses longer is taken for one that ended.
    settle: timedelta = timedelta(seconds=2)
    # A dataset that loses more of its entries at once is held back; as `dns.max_change_share` elsewhere.
    max_loss_share: float = 0.3


@dataclass(slots=True)
class Waiting:
    """What is known of files that changed and are not served: since when they look so, and why held."""

    stamps: Stamps
    since: float  # monotonic seconds
    held: str | None = None


def is_settled(
    waiting: Waiting | None, seen: Stamps, served: Stamps, now: float, clock: float, caution: Caution
) -> bool:
    """Whether files that look as *seen* may be read, where what is served of them looked as *served*.

    *waiting* is what an earlier look found, if there was one; *now* is in monotonic seconds, *clock* in
    those since 1970.
    """
    settle = caution.settle.total_seconds()
    if waiting is not None and waiting.stamps == seen:
        return now - waiting.since >= settle
    before = served if waiting is None else waiting.stamps
    return not any(
        is_ is not None and _may_be_written(was, is_, clock - settle)
        for was, is_ in zip(before, seen, strict=True)
    )


def _may_be_written(was: Stamp | None, is_: Stamp, settled_at: float) -> bool:
    """Whether somebody may be writing the file: it changed a moment ago and was not renamed into place."""
    renamed = was is not None and was.inode != is_.inode
    return was != is_ and not renamed and is_.modified_ns > settled_at * 10**9


def refusal(before: int, after: int, octets: int, caution: Caution) -> str | None:
    """Return why a dataset of *before* entries is not followed by one of *after*, or None.

    *octets* is the size of all its files: an emptied file is no list of none.
    """
    lost = before - after
    if before and not octets:
        return f"all {before} entries are gone: the file is empty"
    if lost < SMALL_CHANGE or lost <= caution.max_loss_share * before:
        return None
    return (
        f"{lost} of {before} entries are gone, more than the {caution.max_loss_share:.0%} allowed at once"
    )
