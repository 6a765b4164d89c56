"""When collectors listened and refused; what is kept of returns, by its octets and once."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "collector_spans",
        sa.Column("collector", sa.String(length=100), nullable=False),
        sa.Column("began_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expected_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("collector", "began_at", name=op.f("pk_collector_spans")),
    )
    op.create_index("ix_collector_spans_seen", "collector_spans", ["seen_at"])
    op.create_table(
        "collector_refusals",
        sa.Column("collector", sa.String(length=100), nullable=False),
        sa.Column("neighbourhood", sa.String(length=43), nullable=False),
        sa.Column("began_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("why", sa.String(length=32), nullable=False),
        sa.Column("times", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint(
            "collector", "neighbourhood", "began_at", name=op.f("pk_collector_refusals")
        ),
    )
    op.create_index("ix_collector_refusals_ended", "collector_refusals", ["ended_at"])
    op.add_column("receipts", sa.Column("message_sha256", sa.String(length=64), nullable=True))
    op.add_column("receipts", sa.Column("octets", sa.Integer(), server_default="0", nullable=False))
    op.execute("UPDATE receipts SET octets = length(message)")
    op.create_index("ix_receipts_message", "receipts", ["message_sha256"])
    op.create_index("ix_receipts_octets", "receipts", ["octets"])


def downgrade() -> None:
    op.drop_index("ix_receipts_octets", "receipts")
    op.drop_index("ix_receipts_message", "receipts")
    op.drop_column("receipts", "octets")
    op.drop_column("receipts", "message_sha256")
    op.drop_table("collector_refusals")
    op.drop_table("collector_spans")
