"""The settings of quotas: one for each trust."""

import pytest

from rbl.config import Settings


def test_each_trust_has_its_own() -> None:
    """More for those who are known better; what is not set keeps its default."""
    quotas = Settings.model_validate({"quotas": {"normal": {"waiting": 7}}}).quotas

    assert (5000, 500, 50) == (
        quotas.trusted.nominations,
        quotas.normal.nominations,
        quotas.trial.nominations,
    )
    assert (1000, 7, 50) == (quotas.trusted.waiting, quotas.normal.waiting, quotas.trial.waiting)


@pytest.mark.parametrize("share", [0, 1.1])
def test_an_alarm_is_within_the_quota(share: float) -> None:
    """At none of it, or beyond it, there would be no alarm."""
    with pytest.raises(ValueError, match="alarm_share"):
        Settings.model_validate({"quotas": {"alarm_share": share}})
