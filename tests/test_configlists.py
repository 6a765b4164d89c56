"""The settings of lists: how long a retest may have to wait."""

import pytest

from rbl.config import Settings


@pytest.mark.parametrize("seconds", [0, 45 * 60 + 1, 7 * 86_400])
def test_an_interval_that_breaks_the_promise_is_refused(seconds: int) -> None:
    """Whoever closes a host is tested within an hour; so no operator sets a longer wait by accident."""
    with pytest.raises(ValueError, match="must be between 1 second and 45 minutes"):
        Settings.model_validate({"lists": {"retest_interval": seconds}})


@pytest.mark.parametrize("seconds", [1, 45 * 60])
def test_an_interval_within_it_is_taken(seconds: int) -> None:
    """For tests a second will do."""
    settings = Settings.model_validate({"lists": {"retest_interval": seconds}})

    assert seconds == settings.lists.retest_interval.total_seconds()
