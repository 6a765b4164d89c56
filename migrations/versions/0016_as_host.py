"""What a message from an address of the other family means, if that is the tested host's own."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("receipts", sa.Column("as_host", sa.String(length=32), nullable=True))


def downgrade() -> None:
    op.drop_column("receipts", "as_host")
