"""The settings of the database."""

import pytest
from pydantic import ValidationError

from rbl.configdatabase import Database


def test_free_space_is_a_number() -> None:
    """0 is to not look; less than nothing is a mistake."""
    assert [64, 0] == [Database().min_free_mib, Database(min_free_mib=0).min_free_mib]
    with pytest.raises(ValidationError, match="greater than or equal to 0"):
        Database(min_free_mib=-1)
