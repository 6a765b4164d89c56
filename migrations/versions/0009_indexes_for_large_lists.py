"""Indexes for every question that a page, the API, a worker or a scrape asks of a large list."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_ENDED = sa.text("ended_at IS NOT NULL")
_REVIEW = sa.text("review IS NOT NULL")
_LEASED = sa.text("lease_until IS NOT NULL")
# The same condition: SQLite has no type of its own for true and false.
_WOKEN_SQLITE = sa.text("finished_at IS NULL AND woken = 1")
_WOKEN_POSTGRESQL = sa.text("finished_at IS NULL AND woken")


def upgrade() -> None:
    _partial("ix_listings_past", "listings", ["zone", "subject", "ended_at"], _ENDED)
    op.create_index("ix_listing_hits_most", "listing_hits", ["zone", "hits", "subject"])
    op.create_index("ix_hosts_standing", "hosts", ["zone", "state", "changed_at", "id"])
    op.drop_index("ix_hosts_state", table_name="hosts")
    _partial("ix_hosts_review", "hosts", ["zone", "changed_at", "id"], _REVIEW)
    op.create_index("ix_nominations_host", "nominations", ["host_id", "id"])
    op.create_index("ix_nominations_evidence", "nominations", ["evidence_id"])
    op.create_index("ix_audit_story", "audit", ["subject", "id"])
    op.drop_index("ix_audit_subject", table_name="audit")
    op.create_index("ix_probe_runs_story", "probe_runs", ["host_id", "id"])
    op.drop_index("ix_probe_runs_host", table_name="probe_runs")
    _partial("ix_probe_runs_neighbours", "probe_runs", ["neighbourhood", "lease_until"], _LEASED)
    op.create_index(
        "ix_probe_runs_woken",
        "probe_runs",
        ["due_at"],
        sqlite_where=_WOKEN_SQLITE,
        postgresql_where=_WOKEN_POSTGRESQL,
    )


def downgrade() -> None:
    op.drop_index("ix_probe_runs_woken", table_name="probe_runs")
    op.drop_index("ix_probe_runs_neighbours", table_name="probe_runs")
    op.create_index("ix_probe_runs_host", "probe_runs", ["host_id"])
    op.drop_index("ix_probe_runs_story", table_name="probe_runs")
    op.create_index("ix_audit_subject", "audit", ["subject"])
    op.drop_index("ix_audit_story", table_name="audit")
    op.drop_index("ix_nominations_evidence", table_name="nominations")
    op.drop_index("ix_nominations_host", table_name="nominations")
    op.drop_index("ix_hosts_review", table_name="hosts")
    op.create_index("ix_hosts_state", "hosts", ["state"])
    op.drop_index("ix_hosts_standing", table_name="hosts")
    op.drop_index("ix_listing_hits_most", table_name="listing_hits")
    op.drop_index("ix_listings_past", table_name="listings")


def _partial(name: str, table: str, columns: list[str], where: sa.TextClause) -> None:
    op.create_index(name, table, columns, sqlite_where=where, postgresql_where=where)
