"""By which names of ours each envelope went, so that a later test can choose others."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

_NAMES = ("recipient_domain", "sender_domain", "ehlo_name")


def upgrade() -> None:
    for name in _NAMES:
        op.add_column("probe_envelopes", sa.Column(name, sa.String(length=253), nullable=True))


def downgrade() -> None:
    # One by one, which SQLite can: a table made anew would leave the receipts that refer to it without one.
    for name in reversed(_NAMES):
        op.drop_column("probe_envelopes", name)
