"""Which history a journal tells: an epoch for each list, a chain of hashes, one serial for each commit.

Entries that are there already stay without a hash: the first new one is chained to the last of them
and to the epoch, which is drawn here.
"""

import secrets

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("zones", sa.Column("epoch", sa.String(length=32), server_default="", nullable=False))
    zones = sa.table("zones", sa.column("apex"), sa.column("epoch"))
    connection = op.get_bind()
    for apex in connection.execute(sa.select(zones.c.apex)).scalars().all():
        drawn = sa.update(zones).where(zones.c.apex == apex).values(epoch=secrets.token_hex(16))
        connection.execute(drawn)
    with op.batch_alter_table("journal") as journal:
        journal.add_column(sa.Column("position", sa.Integer(), server_default="0", nullable=False))
        journal.add_column(sa.Column("chain", sa.String(length=32), nullable=True))
        journal.drop_constraint("pk_journal", type_="primary")
        journal.create_primary_key("pk_journal", ["zone", "serial", "position"])


def downgrade() -> None:
    # Where a commit had several entries the serial alone is no key: they cannot be told apart any more.
    with op.batch_alter_table("journal") as journal:
        journal.drop_constraint("pk_journal", type_="primary")
        journal.drop_column("position")
        journal.drop_column("chain")
        journal.create_primary_key("pk_journal", ["zone", "serial"])
    op.drop_column("zones", "epoch")
