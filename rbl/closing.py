"""What must hold before a test that proved nothing ends a listing, or says that a host is closed.

A pure decision, asked where ``lifecycle.after_step`` says CLOSE. The host's answers are those that it
gave to us; spam that somebody received through it meanwhile speaks of everybody else.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from rbl.lifecycle import DAY, Event, Outcome

# A host that is listed again so soon after it left has closed itself before only to be let out.
RELAPSE_WITHIN = 30 * DAY
# From one look at a suspect host that is out to the next: a day, half a week, and so on for a quarter.
FOLLOW_UPS = (DAY, 3 * DAY, 7 * DAY, 14 * DAY, 30 * DAY)
_HALF_A_DAY = timedelta(hours=12)


@dataclass(frozen=True, slots=True)
class ClosingFacts:
    """What is known of a host beside the answers of its test.

    *discarded*: it took messages of ours that never came back, not even as bounces. *newest_spam_at* is
    when the newest spam of the evidence was received through it, *proven_at* when it last relayed for
    us, *left_at* when an earlier listing ended. *confirmed*: another vantage was answered alike, and
    *can_confirm*: there is one that was not asked.
    """

    listed: bool
    discarded: bool
    newest_spam_at: datetime | None
    proven_at: datetime | None
    left_at: datetime | None
    confirmed: bool
    can_confirm: bool

    @property
    def has_newer_spam(self) -> bool:
        """Whether spam came through the host after it last relayed for us."""
        return (
            self.newest_spam_at is not None
            and self.proven_at is not None
            and self.newest_spam_at > self.proven_at
        )

    def has_relapsed(self, now: datetime) -> bool:
        """Whether the host was listed before, until lately."""
        return self.left_at is not None and now - self.left_at < RELAPSE_WITHIN


def close(outcome: Outcome, facts: ClosingFacts, now: datetime) -> Outcome | None:
    """Return what a test ends with that would close its host by *outcome*; None: ask elsewhere first.

    A listing ends by robot only where two vantages were answered alike, or where there is but one and
    nothing speaks against the host.
    """
    if facts.discarded and facts.has_newer_spam:
        return _for_a_person(
            "it took our messages and returned none, and spam came through it since the proof"
        )
    if not facts.listed or facts.confirmed:
        return outcome
    if facts.can_confirm:
        return None
    if facts.has_newer_spam:
        return _for_a_person("it refused our one tester, and spam came through it since it last relayed")
    if facts.has_relapsed(now):
        return _for_a_person("it refused our one tester, and was listed again soon after a delisting")
    return outcome


def next_look(done: int, chance: float) -> timedelta | None:
    """Return after how long a suspect host is looked at again that was looked at *done* times since.

    *chance*, from 0 to 1, is for the hours. None: it is let be.
    """
    return FOLLOW_UPS[done] + some_hours(chance) if done < len(FOLLOW_UPS) else None


def some_hours(chance: float) -> timedelta:
    """Return up to half a day, by *chance* from 0 to 1: so nobody knows when a look will come."""
    return chance * _HALF_A_DAY


def _for_a_person(why: str) -> Outcome:
    return Outcome(Event.BLOCK, None, f"{why}: a person must decide")
