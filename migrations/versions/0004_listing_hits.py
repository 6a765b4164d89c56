"""How often DNS answered for each listing."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "listing_hits",
        sa.Column("zone", sa.String(length=255), nullable=False),
        sa.Column("subject", sa.String(length=255), nullable=False),
        sa.Column("hits", sa.BigInteger(), nullable=False),
        sa.Column("first_hit_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_hit_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["zone"], ["zones.apex"], name=op.f("fk_listing_hits_zone")),
        sa.PrimaryKeyConstraint("zone", "subject", name=op.f("pk_listing_hits")),
    )


def downgrade() -> None:
    op.drop_table("listing_hits")
