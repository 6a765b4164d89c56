"""The settings of the database: its limits are short, and never none."""

import pytest
from pydantic import ValidationError

from rbl.configdatabase import Database


def test_free_space_is_a_number() -> None:
    """0 is to not look; less than nothing is a mistake."""
    assert [64, 0] == [Database().min_free_mib, Database(min_free_mib=0).min_free_mib]
    with pytest.raises(ValidationError, match="greater than or equal to 0"):
        Database(min_free_mib=-1)


@pytest.mark.parametrize(
    "name", ["connect_timeout", "statement_timeout", "lock_timeout", "network_timeout"]
)
def test_a_limit_is_none_that_says_for_ever(name: str) -> None:
    """Nothing means "no limit" to PostgreSQL, so that it is refused here."""
    with pytest.raises(ValidationError, match="greater than or equal to"):
        Database.model_validate({name: 0})


def test_nobody_is_kept_waiting_by_default() -> None:
    """What a visitor waits at most: for a connection, and for an answer, less than three seconds each."""
    database = Database()

    assert max(database.connect_timeout, database.statement_timeout, database.lock_timeout).seconds < 3
