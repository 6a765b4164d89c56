"""Listings and journal entries of the list relays.example, and what they leave live."""

from collections.abc import Iterable
from datetime import UTC, datetime

from rbl.terms import Change, Entry, Listed

NOW = datetime(2024, 5, 1, 12, tzinfo=UTC)


def entry(
    serial: int, change: Change, subject: str, reason: str = "open-relay", text: str | None = None
) -> Entry:
    """Return a journal entry of the list relays.example."""
    shown = reason if change in {Change.LISTED, Change.DELISTED} else ""
    return Entry("relays.example", serial, change, subject, shown, text, "test", "test", NOW)


def listing(subject: str, reason: str = "open-relay", text: str | None = None) -> Listed:
    """Return a live listing."""
    return Listed(subject, reason, text, exempt=False)


def exemption(subject: str) -> Listed:
    """Return a live exemption."""
    return Listed(subject, "", None, exempt=True)


def live_after(entries: Iterable[Entry]) -> list[Listed]:
    """Return what is live after *entries*, worked out one by one."""
    live: dict[tuple[str, str, bool], Listed] = {}
    for change in entries:
        is_key = change.change in {Change.KEYED, Change.UNKEYED}
        row = (change.subject, change.reason, is_key)
        if change.change in {Change.LISTED, Change.EXEMPTED, Change.KEYED}:
            exempt = change.change is Change.EXEMPTED
            live[row] = Listed(change.subject, change.reason, change.text, exempt, is_key)
        else:
            live.pop(row, None)
    return list(live.values())
