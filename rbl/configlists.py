"""The settings of what is listed, and how a listing ends: ``[lists]``."""

from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator, Field

from rbl.configvalues import Duration, Section, Several

_SHORTEST_INTERVAL = timedelta(seconds=1)
# With the time of a test, and of one that is under way in the neighbourhood, it stays below an hour.
_LONGEST_INTERVAL = timedelta(minutes=45)


def _within_an_hour(value: timedelta) -> timedelta:
    """Return an interval that leaves time for the test itself; and not so short that nobody could wait."""
    if not _SHORTEST_INTERVAL <= value <= _LONGEST_INTERVAL:
        msg = "must be between 1 second and 45 minutes"
        raise ValueError(msg)
    return value


class Lists(Section):
    """The policy of listing and delisting; shown to the public (RFC 6471 §2.1)."""

    approve_listings: bool = False
    """Whether a proven relay waits for an operator, unless a trusted nominator named it."""
    max_evidence_age: Duration = timedelta(days=7)
    """How old a spam may be when it is handed in."""
    max_evidence_octets: int = Field(default=256 * 1024, ge=1024, le=16 * 1024 * 1024)
    """How large a spam may be when it is handed in."""
    first_wait: Duration = timedelta(minutes=5)
    """How long a step of a test waits for its messages before the next forms are tried."""
    return_window: Duration = timedelta(hours=72)
    """How long a message may take to come back: what mail servers keep in their queues."""
    retries: Several[Duration] = (
        timedelta(minutes=15),
        timedelta(hours=1),
        timedelta(hours=4),
        timedelta(hours=24),
    )
    """After how long an inconclusive test is tried again, each time; then it is given up."""
    retest_interval: Annotated[Duration, AfterValidator(_within_an_hour)] = timedelta(minutes=40)
    """From one retest of a host to the next, whoever asks; at most 45 minutes: who closes a host is
    tested within an hour."""
    retest_pause: Duration = timedelta(minutes=5)
    """The least time between two retests of a host, for networks that are granted an early one."""
    early_retests: int = Field(default=6, ge=0, le=100)
    """Early retests of a host within a day, for all networks (IPv4 /24, IPv6 /64) that ask together."""
    early_retests_each: int = Field(default=2, ge=0, le=100)
    """Early retests of a host within a day for one network."""
    periodic_retest: Duration = timedelta(days=90)
    """The age at which a listing is tested again without being asked (RFC 6471 §2.2.1)."""
    follow_up: Duration = timedelta(hours=24)
    """How long after a delisting the host is looked at once more."""
    unreachable_delists_after: Duration = timedelta(hours=24)
    """A listed host that has not answered for so long is delisted."""
