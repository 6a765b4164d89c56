"""A worker in a process of its own, to be killed at any moment: it takes the run up and goes on with it."""

from collections.abc import Callable
from datetime import timedelta

from rbl.store import probes
from rbl.store.engine import Store
from rbl.store.probes import Tried
from rbl.terms import EnvelopeResult, TranscriptLine
from tests.store import steps

ENVELOPES = 60


def work(url: str, owner: str, delay: timedelta, say: Callable[[str], None]) -> None:
    """Claim the run *delay* after the beginning, plan it where needed, and try what was not tried."""
    now = steps.NOW + delay
    store = Store(url)
    claimed = steps.must_claim(store, now, owner)
    say("claimed")
    with store.reading() as session:
        planned = probes.envelopes(session, claimed.run_id)
    if not planned:
        steps.plan(store, claimed, ENVELOPES)
    say("planned")
    with store.reading() as session:
        left = [row for row in probes.envelopes(session, claimed.run_id) if row.result is None]
    for row in left:
        line = TranscriptLine(now, "us", f"RCPT TO:<{row.rcpt_to}>")
        with store.writing() as session:
            probes.record(
                session, claimed, [Tried(row.test_id, EnvelopeResult.REFUSED, "550", None)], [line]
            )
        say(row.test_id)
    store.close()
    say("through")
