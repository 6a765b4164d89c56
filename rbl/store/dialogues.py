"""What was said in a test, as the public sees it: envelopes, dialogue, and how far the test is.

While a test is under way its tokens are masked: its messages may still come back, and whoever knows
a token could send us a bounce for one. Dialogues and envelopes are public from a host's first listing
on, see ``stories``.
"""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from sqlalchemy import select
from sqlalchemy.orm import Session

from rbl.errors import NotFound
from rbl.store import hosts, probes
from rbl.store.hosts import HostView
from rbl.store.probetables import ProbeEnvelope, ProbeRun
from rbl.terms import Address, EnvelopeResult, Purpose, State, TranscriptLine, Verdict


@dataclass(frozen=True, slots=True)
class PublicEnvelope:
    """One envelope of a test; *result* None: not tried yet."""

    test_id: str
    mail_from: str
    rcpt_to: str
    result: EnvelopeResult | None
    reply: str | None


class Test(Protocol):
    """What must be known of a test to tell how far it is: its row says it, and so does the host's story."""

    @property
    def id(self) -> int:
        """Its number."""

    @property
    def verdict(self) -> Verdict | None:
        """How it ended; None: it did not, or without a verdict."""

    @property
    def why(self) -> str | None:
        """What the verdict rests on, or why there is none."""

    @property
    def due_at(self) -> datetime:
        """When its next step is to be made."""

    @property
    def finished_at(self) -> datetime | None:
        """When it ended; None: it is due or under way."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the newest test of a host is, with the dialogue's lines that the reader has not seen."""

    state: State
    run_id: int | None
    verdict: Verdict | None
    why: str | None
    due_at: datetime | None
    finished: bool
    lines: Sequence[tuple[int, TranscriptLine]]


def progress(
    session: Session, zone: str, address: Address, *, run_id: int | None = None, after: int = 0
) -> Progress | None:
    """Return how far the newest test of *address* is, or None for an address without a story.

    *after* is the last line of run *run_id* that the reader has; of another run all lines are new.
    """
    host = hosts.find(session, zone, address)
    if host is None:
        return None
    run = session.execute(
        select(ProbeRun).where(ProbeRun.host_id == host.id).order_by(ProbeRun.id.desc()).limit(1)
    ).scalar_one_or_none()
    if run is not None and is_waiting_follow_up(run):
        run = session.execute(
            select(ProbeRun)
            .where(ProbeRun.host_id == host.id, ProbeRun.id < run.id)
            .order_by(ProbeRun.id.desc())
            .limit(1)
        ).scalar_one_or_none()
    if run is None:
        return Progress(host.state, None, None, None, None, finished=True, lines=())
    return progress_of(session, host, run, after if run.id == run_id else 0)


def progress_of(session: Session, host: HostView, run: Test, after: int = 0) -> Progress:
    """Return how far *run*, a test of *host*, is, with its lines after line *after*."""
    return Progress(
        state=host.state,
        run_id=run.id,
        verdict=run.verdict,
        why=run.why,
        due_at=run.due_at,
        finished=run.finished_at is not None,
        lines=lines(session, run, after) if are_public(host) else (),
    )


def transcript(session: Session, zone: str, address: Address, run_id: int) -> Sequence[TranscriptLine]:
    """Return the whole dialogue of one test of *address*.

    Raises:
        NotFound: the address has no such test, was never listed, or what was said is kept no longer.
    """
    host = hosts.find(session, zone, address)
    run = session.get(ProbeRun, run_id)
    if host is None or run is None or run.host_id != host.id:
        raise NotFound(f"there is no test {run_id} of {address}", code="no-such-run")
    if not are_public(host):
        raise NotFound(
            f"the dialogue of test {run_id} is public only once {address} was listed", code="no-such-run"
        )
    if run.dialogue_retired_at is not None:
        raise NotFound(
            f"the dialogue of test {run_id} was kept until {run.dialogue_retired_at:%Y-%m-%d}",
            code="dialogue-retired",
        )
    return [line for _, line in lines(session, run)]


def envelopes(session: Session, runs: Sequence[ProbeRun]) -> Mapping[int, Sequence[PublicEnvelope]]:
    """Return the envelopes that were tried in *runs*, by run, in the order of trying."""
    unfinished = {run.id for run in runs if run.finished_at is None}
    rows = session.execute(
        select(ProbeEnvelope)
        .where(ProbeEnvelope.run_id.in_([run.id for run in runs]))
        .order_by(ProbeEnvelope.id)
    ).scalars()
    found: defaultdict[int, list[PublicEnvelope]] = defaultdict(list)
    for row in rows:
        tokens = (row.token, row.sender_token) if row.run_id in unfinished else ()
        found[row.run_id].append(
            PublicEnvelope(
                test_id=row.test_id,
                mail_from=_masked(row.mail_from, tokens),
                rcpt_to=_masked(row.rcpt_to, tokens),
                result=row.result,
                reply=None if row.reply is None else _masked(row.reply, tokens),
            )
        )
    return found


def lines(session: Session, run: Test, after: int = 0) -> Sequence[tuple[int, TranscriptLine]]:
    """Return the dialogue of *run* after line *after*; the tokens of a run under way are masked."""
    tokens: list[str] = []
    if run.finished_at is None:
        for row in probes.envelopes(session, run.id):
            tokens += (row.token, row.sender_token)
    return [
        (seq, TranscriptLine(line.at, line.side, _masked(line.text, tokens)))
        for seq, line in probes.transcript(session, run.id, after)
    ]


def are_public(host: HostView) -> bool:
    """Whether spam, envelopes and dialogues of *host* are public: it is or was listed."""
    return host.offences > 0


def is_waiting_follow_up(run: ProbeRun) -> bool:
    """Whether *run* is a second look at a delisted host whose time has not come."""
    return run.purpose is Purpose.FOLLOW_UP and run.finished_at is None and run.attempt == 0


def _masked(text: str, tokens: Sequence[str]) -> str:
    """Return *text* with all but the first letter of each of *tokens* left out, however it is cased."""
    for token in tokens:
        text = re.sub(re.escape(token), f"{token[:1]}…", text, flags=re.IGNORECASE)
    return text
