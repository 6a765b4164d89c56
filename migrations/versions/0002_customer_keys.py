"""Customers' keys: who may ask a list by a label of his own, and how much he asked."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# SQLite gives automatic keys to INTEGER columns only.
BIG_KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "customer_keys",
        sa.Column("id", BIG_KEY, nullable=False),
        sa.Column("zone", sa.String(length=255), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("queries", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["zone"], ["zones.apex"], name=op.f("fk_customer_keys_zone")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_customer_keys")),
        sa.UniqueConstraint("zone", "digest", name=op.f("uq_customer_keys_zone_digest")),
    )


def downgrade() -> None:
    op.drop_table("customer_keys")
