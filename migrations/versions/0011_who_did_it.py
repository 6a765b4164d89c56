"""Which key did it and what only operators may read of it; keys that expire and change their secret."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("audit", sa.Column("note", sa.Text(), nullable=True))
    op.add_column("audit", sa.Column("key_id", sa.BigInteger(), nullable=True))
    for name in ("expires_at", "used_at", "previous_until", "previous_used_at"):
        op.add_column("api_keys", sa.Column(name, sa.DateTime(timezone=True), nullable=True))
    op.add_column("api_keys", sa.Column("previous_digest", sa.LargeBinary(length=32), nullable=True))
    op.create_index("uq_api_keys_previous_digest", "api_keys", ["previous_digest"], unique=True)


def downgrade() -> None:
    op.drop_index("uq_api_keys_previous_digest", "api_keys")
    for name in ("previous_digest", "previous_used_at", "previous_until", "used_at", "expires_at"):
        op.drop_column("api_keys", name)
    op.drop_column("audit", "key_id")
    op.drop_column("audit", "note")
