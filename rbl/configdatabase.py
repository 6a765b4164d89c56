"""The settings of the database: where it is, how much room it needs, and how long it is waited for."""

from datetime import timedelta

from pydantic import Field

from rbl.configvalues import Duration, Section

_SHORTEST = timedelta(seconds=0.1)  # less is a mistake; 0 would be no limit to PostgreSQL


class Database(Section):
    """Where nominations, listings and the journal are kept."""

    url: str = Field(default="sqlite:///var/rbl.db", repr=False)
    """`sqlite:///path` for one machine, `postgresql://user@host/name` for one or many."""
    min_free_mib: int = Field(default=64, ge=0)
    """With less free space beside SQLite's file `/readyz` fails; 0: it is not looked at."""
    connect_timeout: Duration = Field(default=timedelta(seconds=2), ge=_SHORTEST)
    """How long `rbl serve` waits for a connection to PostgreSQL; less than two seconds are two."""
    statement_timeout: Duration = Field(default=timedelta(seconds=2), ge=_SHORTEST)
    """How long for the answer to a statement. Imports, exports and migrations have no such limit."""
    lock_timeout: Duration = Field(default=timedelta(seconds=2), ge=_SHORTEST)
    """How long for what another transaction has locked; on SQLite, for another writer."""
    network_timeout: Duration = Field(default=timedelta(seconds=6), ge=_SHORTEST)
    """After how long a connection to PostgreSQL is lost whose packets nobody acknowledges."""
