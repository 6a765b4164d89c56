"""How much one nominator's key may do within a day, and how much of it may wait: numbers and sentences.

A flood of nominations is a flood of tests of other people's servers, so there is an end to what one key
can bring about, whoever stole it. ``store.limits`` counts.
"""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from rbl.configquotas import KeyQuota, KeyQuotas
from rbl.errors import Refused
from rbl.terms import Trust

DAY = timedelta(days=1)
# Until some of the tests that wait have begun; they are of one key, and others go before them.
_WAITING_RETRY = timedelta(minutes=10)


class Measure(StrEnum):
    """What is counted of a key."""

    NOMINATIONS = "nominations"  # within a day
    NETWORKS = "networks"  # of hosts, /24 or /64, that they had tested within a day
    WAITING = "waiting"  # tests that have not begun


_WORDS = {
    Measure.NOMINATIONS: "nominations within a day",
    Measure.NETWORKS: "networks tested within a day for its nominations",
    Measure.WAITING: "tests waiting to begin",
}


@dataclass(frozen=True, slots=True)
class Quota:
    """How much of each measure a key may have."""

    nominations: int
    networks: int
    waiting: int

    def of(self, measure: Measure) -> int:
        """Return how much of *measure*."""
        return {
            Measure.NOMINATIONS: self.nominations,
            Measure.NETWORKS: self.networks,
            Measure.WAITING: self.waiting,
        }[measure]


@dataclass(frozen=True, slots=True)
class Quotas:
    """The quota of a key by its nominator's trust, and the share of it at which an alarm is given."""

    trusted: Quota = Quota(5000, 2000, 1000)
    normal: Quota = Quota(500, 200, 100)
    trial: Quota = Quota(50, 50, 50)
    alarm_share: float = 0.8

    def of(self, trust: Trust) -> Quota:
        """Return the quota of a key with *trust*."""
        return {Trust.TRUSTED: self.trusted, Trust.NORMAL: self.normal, Trust.TRIAL: self.trial}[trust]


@dataclass(frozen=True, slots=True)
class Alarm:
    """A key has come to the share of its quota that an operator should hear of, or to the whole."""

    key: str
    measure: Measure
    used: int
    quota: int


def of_settings(settings: KeyQuotas) -> Quotas:
    """Return the quotas that the settings have."""
    return Quotas(
        trusted=_quota(settings.trusted),
        normal=_quota(settings.normal),
        trial=_quota(settings.trial),
        alarm_share=settings.alarm_share,
    )


def must_allow(key: str, measure: Measure, used: int, quota: int, retry_after: timedelta | None) -> None:
    """Let one more of *measure* be used by the key of that name, which used *used*.

    *retry_after* None: nobody knows when there is room again.

    Raises:
        Refused: it would be more than *quota*.
    """
    if used < quota:
        return
    raise Refused(
        f"the key {key!r} has {used} {_WORDS[measure]}, and may have {quota}:"
        " try again later, or ask the operator for more",
        code="quota",
        retry_after=_WAITING_RETRY if retry_after is None else max(retry_after, timedelta(seconds=1)),
    )


def alarm(key: str, measure: Measure, used: int, quota: int, share: float) -> Alarm | None:
    """Return the alarm that is due when a key comes to *used*, one more than before; None: none is."""
    if used in {quota, max(int(quota * share), 1)}:
        return Alarm(key, measure, used, quota)
    return None


def _quota(settings: KeyQuota) -> Quota:
    return Quota(settings.nominations, settings.networks, settings.waiting)
