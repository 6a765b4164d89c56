"""When the collector was there to take what came back, and how long a message is waited for.

That a message stayed away says something of the tested host only where somebody listened all the
while: a collector that stood still, was full or could not store counts as absent. Mail servers try
again for days, so what they could not hand over meanwhile comes later, and is waited for longer.
Pure: ``store.attendance`` keeps what the collectors report, ``mail.attendance`` reports it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

# The longest pause between two tries of common mail servers in their first days: Exim 6 hours, qmail
# about as long after three days, Postfix 67 minutes; RFC 5321 §4.5.4.1 asks for half an hour or more.
LONGEST_RETRY = timedelta(hours=8)


class Refusal(StrEnum):
    """Why a collector turned away what may have been a return."""

    FULL = "full"  # too many connections
    STORE = "store"  # the database does not answer, or its disk is full
    QUOTA = "quota"  # no room for what is kept of this test, or of all


@dataclass(frozen=True, slots=True)
class Span:
    """From *began_at* up to *ended_at*."""

    began_at: datetime
    ended_at: datetime


@dataclass(frozen=True, slots=True)
class Attendance:
    """Up to *known_until* every time is known in which returns may have been lost: *absences*, in order."""

    known_until: datetime
    absences: tuple[Span, ...] = ()


def attendance(
    present: Iterable[Span], refused: Iterable[Span], since: datetime, known_until: datetime
) -> Attendance:
    """Return the absences from *since* to *known_until*: whatever is not *present*, or is *refused*."""
    absent: list[Span] = []
    covered = since
    for span in sorted(present, key=lambda one: one.began_at):
        if span.began_at > covered:
            absent.append(Span(covered, min(span.began_at, known_until)))
        covered = max(covered, span.ended_at)
        if covered >= known_until:
            break
    if covered < known_until:
        absent.append(Span(covered, known_until))
    absent += [one for one in refused if one.ended_at >= since and one.began_at <= known_until]
    return Attendance(known_until, _merged(absent))


def waited_until(sent_at: datetime, heard: Attendance, window: timedelta, first: timedelta) -> datetime:
    """Return until when a message that was taken at *sent_at* may still come back.

    *window* of attendance, and after the last absence in it the time in which every mail server tries
    once more. Where ``was_missed`` that time alone: then the message is to be sent again.
    """
    margin = min(window, LONGEST_RETRY)
    at_first = _at_first(sent_at, heard, first)
    until = at_first[-1].ended_at + margin if at_first else sent_at + window
    for absence in heard.absences:
        if sent_at < absence.began_at < until and absence not in at_first:
            until = max(until + (absence.ended_at - absence.began_at), absence.ended_at + margin)
    return until


def was_missed(sent_at: datetime, heard: Attendance, first: timedelta) -> bool:
    """Whether somebody was absent in the *first* minutes after a message was taken at *sent_at*.

    A server that tries only once, and then, has lost the message.
    """
    return bool(_at_first(sent_at, heard, first))


def _at_first(sent_at: datetime, heard: Attendance, first: timedelta) -> Sequence[Span]:
    return [one for one in heard.absences if one.began_at < sent_at + first and one.ended_at > sent_at]


def _merged(spans: Sequence[Span]) -> tuple[Span, ...]:
    """Return *spans* in order, those that overlap or touch as one."""
    found: list[Span] = []
    for span in sorted(spans, key=lambda one: one.began_at):
        if found and span.began_at <= found[-1].ended_at:
            last = found.pop()
            found.append(Span(last.began_at, max(last.ended_at, span.ended_at)))
        else:
            found.append(span)
    return tuple(found)
