"""What collectors report of themselves, and what follows for messages that are waited for.

A report is one transaction: what a collector refused up to a moment is written with the word that it
listened up to that moment, so that one without the other is never seen.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_network

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from rbl.addresses import neighbourhood
from rbl.attendance import Attendance, Refusal, Span, attendance
from rbl.store.probetables import CollectorRefusal, CollectorSpan, ProbeRun
from rbl.terms import Address, Network

EVERYBODY = ""  # in place of a neighbourhood: whose returns were refused is not known
# No collector that lives is silent for longer: three heartbeats of the longest that may be set.
_LONGEST_SILENCE = timedelta(minutes=3)


@dataclass(frozen=True, slots=True)
class Refused:
    """A time in which a collector refused *times* what may have been returns; *site* None: of anybody."""

    site: Network | None
    began_at: datetime
    ended_at: datetime
    why: Refusal
    times: int


@dataclass(frozen=True, slots=True)
class Report:
    """*collector* listened from *began_at* until *seen_at*, and will report again before *expected_at*."""

    collector: str
    began_at: datetime
    seen_at: datetime
    expected_at: datetime
    refused: Sequence[Refused] = ()


def note(session: Session, report: Report) -> None:
    """Write a report down, over the last one of the same span."""
    span = CollectorSpan(
        collector=report.collector,
        began_at=report.began_at,
        seen_at=report.seen_at,
        expected_at=report.expected_at,
    )
    session.merge(span)
    for one in report.refused:
        session.merge(
            CollectorRefusal(
                collector=report.collector,
                neighbourhood=EVERYBODY if one.site is None else str(one.site),
                began_at=one.began_at,
                ended_at=one.ended_at,
                why=one.why,
                times=one.times,
            )
        )


def forget(session: Session, before: datetime) -> None:
    """Delete what ended before a moment that no message under way was sent before."""
    session.execute(delete(CollectorSpan).where(CollectorSpan.seen_at < before))
    session.execute(delete(CollectorRefusal).where(CollectorRefusal.ended_at < before))


def heard(session: Session, tested: Address, since: datetime, now: datetime) -> Attendance:
    """Return when returns of a test of *tested* may have been lost since *since*.

    A collector that still lives is known up to its last report only, one that is silent for too long
    is gone since its last report, and where none ever ran nothing can have come back.
    """
    spans = (
        session.execute(select(CollectorSpan).where(CollectorSpan.seen_at >= since - _LONGEST_SILENCE))
        .scalars()
        .all()
    )
    refusals = session.execute(
        select(CollectorRefusal).where(
            CollectorRefusal.ended_at >= since,
            CollectorRefusal.neighbourhood.in_((EVERYBODY, str(neighbourhood(tested)))),
        )
    ).scalars()
    living = [span.seen_at for span in spans if span.expected_at >= now]
    return attendance(
        present=[Span(span.began_at, span.seen_at) for span in spans],
        refused=[Span(one.began_at, one.ended_at) for one in refusals],
        since=since,
        known_until=min([*living, now]),
    )


def awaited(session: Session) -> frozenset[Network]:
    """Return the neighbourhoods of the hosts from which a message may come back at any moment."""
    found = session.execute(
        select(ProbeRun.neighbourhood).where(
            ProbeRun.finished_at.is_(None), (ProbeRun.steps_done > 0) | ProbeRun.lease_owner.is_not(None)
        )
    ).scalars()
    return frozenset(ip_network(one) for one in set(found))


def horizon(now: datetime, window: timedelta) -> datetime:
    """Return before when no message was sent that is still waited for, however often it was sent again."""
    return now - max(10 * window, timedelta(days=30))
