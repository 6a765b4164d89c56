"""Which form of a test relayed how often, by mail server."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

# What is known from the tests that are in the database already.
_KNOWN = """
INSERT INTO form_history (platform, test_id, relayed)
SELECT coalesce(probe_runs.platform, ''), probe_envelopes.test_id, count(*)
FROM probe_envelopes JOIN probe_runs ON probe_runs.id = probe_envelopes.run_id
WHERE probe_envelopes.result = 'relayed'
GROUP BY coalesce(probe_runs.platform, ''), probe_envelopes.test_id
"""


def upgrade() -> None:
    op.create_table(
        "form_history",
        sa.Column("platform", sa.String(40), nullable=False),
        sa.Column("test_id", sa.String(3), nullable=False),
        sa.Column("relayed", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("platform", "test_id", name=op.f("pk_form_history")),
    )
    op.execute(_KNOWN)


def downgrade() -> None:
    op.drop_table("form_history")
