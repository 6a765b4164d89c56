"""How long what is over is kept: a slip of the pen lets go of nothing."""

from datetime import timedelta

import pytest
from pydantic import ValidationError

from rbl.configretention import Retention


@pytest.mark.parametrize("field", Retention.model_fields)
def test_less_than_a_day_is_refused(field: str) -> None:
    """Who writes 365 means days, and numbers are seconds; 0 is for ever."""
    with pytest.raises(ValidationError, match=f"{field} is less than a day"):
        Retention.model_validate({field: 365})
    kept = [getattr(Retention.model_validate({field: value}), field) for value in (0, 86_400, "P365D")]

    assert [timedelta(0), timedelta(days=1), timedelta(days=365)] == kept


def test_evidence_is_kept_a_year_and_the_audit_longer() -> None:
    """As the public is told of the policy."""
    kept = Retention()

    assert {timedelta(days=365)} == {kept.evidence, kept.dialogues, kept.receipts}
    assert kept.audit > kept.evidence
