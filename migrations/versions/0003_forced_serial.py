"""Up to which serial an operator lets out what the guards hold back."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("zones", sa.Column("forced_serial", sa.BigInteger(), nullable=True))


def downgrade() -> None:
    op.drop_column("zones", "forced_serial")
