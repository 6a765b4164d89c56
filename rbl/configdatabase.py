"""The settings of the database: where it is, and how much room it needs."""

from pydantic import Field

from rbl.configvalues import Section


class Database(Section):
    """Where nominations, listings and the journal are kept."""

    url: str = Field(default="sqlite:///var/rbl.db", repr=False)
    """`sqlite:///path` for one machine, `postgresql://user@host/name` for one or many."""
    min_free_mib: int = Field(default=64, ge=0)
    """With less free space beside SQLite's file `/readyz` fails; 0: it is not looked at."""
