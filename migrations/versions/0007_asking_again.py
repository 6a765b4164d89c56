"""Who may ask for how much: nominations of each nominator, early retests, connections, limits of keys."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0004"
branch_labels = None
depends_on = None

# SQLite gives automatic keys to INTEGER columns only.
BIG_KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
WAITING = sa.text("finished_at IS NULL")
LEASED = sa.text("lease_until IS NOT NULL")


def upgrade() -> None:
    # One row for each nominator. What there is fits: until now there was one for all of them.
    with op.batch_alter_table("nominations") as nominations:
        nominations.drop_constraint("uq_nominations_host_id_fingerprint", type_="unique")
        nominations.create_unique_constraint(
            "uq_nominations_host_id_key_id_fingerprint", ["host_id", "key_id", "fingerprint"]
        )
    op.create_index("ix_nominations_key", "nominations", ["key_id", "created_at"])
    if op.get_bind().dialect.name == "sqlite":  # no copy of a table that others refer to
        op.execute(
            "ALTER TABLE probe_runs ADD COLUMN key_id INTEGER"
            " CONSTRAINT fk_probe_runs_key_id REFERENCES api_keys (id)"
        )
    else:
        op.add_column("probe_runs", sa.Column("key_id", BIG_KEY, nullable=True))
        op.create_foreign_key("fk_probe_runs_key_id", "probe_runs", "api_keys", ["key_id"], ["id"])
    op.add_column("probe_runs", sa.Column("wanted_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index("ix_probe_runs_key", "probe_runs", ["key_id", "created_at"])
    op.create_index(
        "ix_probe_runs_waiting",
        "probe_runs",
        ["key_id"],
        sqlite_where=WAITING,
        postgresql_where=WAITING,
    )
    op.create_index(
        "ix_probe_runs_leased", "probe_runs", ["lease_until"], sqlite_where=LEASED, postgresql_where=LEASED
    )
    op.create_table(
        "early_retests",
        sa.Column("id", BIG_KEY, nullable=False),
        sa.Column("host_id", BIG_KEY, nullable=False),
        sa.Column("network", sa.String(length=43), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["host_id"], ["hosts.id"], name=op.f("fk_early_retests_host_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_early_retests")),
    )
    op.create_index("ix_early_retests_host", "early_retests", ["host_id", "at"])
    op.create_table(
        "probe_connections",
        sa.Column("id", BIG_KEY, nullable=False),
        sa.Column("host_id", BIG_KEY, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["host_id"], ["hosts.id"], name=op.f("fk_probe_connections_host_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_probe_connections")),
    )
    op.create_index("ix_probe_connections_host", "probe_connections", ["host_id", "at"])
    op.create_table(
        "key_limits",
        sa.Column("key_id", BIG_KEY, autoincrement=False, nullable=False),
        sa.Column("nominations", sa.Integer(), nullable=True),
        sa.Column("networks", sa.Integer(), nullable=True),
        sa.Column("waiting", sa.Integer(), nullable=True),
        sa.Column("suspended_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["key_id"], ["api_keys.id"], name=op.f("fk_key_limits_key_id")),
        sa.PrimaryKeyConstraint("key_id", name=op.f("pk_key_limits")),
    )


def downgrade() -> None:
    op.drop_table("key_limits")
    op.drop_table("probe_connections")
    op.drop_table("early_retests")
    op.drop_index("ix_probe_runs_leased", "probe_runs")
    op.drop_index("ix_probe_runs_waiting", "probe_runs")
    op.drop_index("ix_probe_runs_key", "probe_runs")
    op.drop_column("probe_runs", "wanted_at")
    if op.get_bind().dialect.name == "sqlite":
        op.execute("ALTER TABLE probe_runs DROP COLUMN key_id")
    else:
        op.drop_constraint("fk_probe_runs_key_id", "probe_runs", type_="foreignkey")
        op.drop_column("probe_runs", "key_id")
    op.drop_index("ix_nominations_key", "nominations")
    # Of what several nominators handed in the first is kept.
    op.execute(
        "DELETE FROM nominations WHERE id NOT IN"
        " (SELECT min(id) FROM nominations GROUP BY host_id, fingerprint)"
    )
    with op.batch_alter_table("nominations") as nominations:
        nominations.drop_constraint("uq_nominations_host_id_key_id_fingerprint", type_="unique")
        nominations.create_unique_constraint(
            "uq_nominations_host_id_fingerprint", ["host_id", "fingerprint"]
        )
