"""How much a key may: the sentences, and when an alarm is due."""

from datetime import timedelta

import pytest

from rbl.config import Settings
from rbl.errors import Refused
from rbl.quotas import Alarm, Measure, Quotas, alarm, must_allow, of_settings
from rbl.terms import Trust


def test_the_settings_are_the_defaults() -> None:
    """A program without settings and a list without a program have the same quotas."""
    assert Quotas() == of_settings(Settings().quotas)


def test_more_trust_is_more() -> None:
    """In every measure."""
    quotas = [Quotas().of(trust) for trust in (Trust.TRUSTED, Trust.NORMAL, Trust.TRIAL)]

    for measure in Measure:
        assert sorted((quota.of(measure) for quota in quotas), reverse=True) == [
            quota.of(measure) for quota in quotas
        ]


@pytest.mark.parametrize(("used", "quota"), [(0, 1), (4, 5)])
def test_below_the_quota_is_allowed(used: int, quota: int) -> None:
    """One more."""
    must_allow("k", Measure.WAITING, used, quota, None)


@pytest.mark.parametrize(("used", "quota"), [(0, 0), (5, 5), (6, 5)])
@pytest.mark.parametrize(
    ("retry", "told"),
    [
        (None, timedelta(minutes=10)),
        (timedelta(hours=2), timedelta(hours=2)),
        (timedelta(0), timedelta(seconds=1)),
    ],
)
def test_at_the_quota_it_says_when(used: int, quota: int, retry: timedelta | None, told: timedelta) -> None:
    """And never "now", which would be asked again at once."""
    with pytest.raises(Refused, match=f"{used} tests waiting to begin, and may have {quota}") as caught:
        must_allow("k", Measure.WAITING, used, quota, retry)

    assert ("quota", told) == (caught.value.code, caught.value.retry_after)


@pytest.mark.parametrize(
    ("used", "quota", "is_due"),
    [
        (79, 100, False),
        (80, 100, True),
        (81, 100, False),
        (100, 100, True),
        (101, 100, False),
        (1, 1, True),
    ],
)
def test_alarms_are_given_once(used: int, quota: int, is_due: bool) -> None:  # noqa: FBT001
    """At the share and at the whole, for the one that came to it."""
    expected = Alarm("k", Measure.NETWORKS, used, quota) if is_due else None

    assert expected == alarm("k", Measure.NETWORKS, used, quota, 0.8)
