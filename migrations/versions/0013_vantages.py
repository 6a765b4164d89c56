"""Tests from several addresses: who has which, where a run is tested from, and what was said to each."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_AT = sa.DateTime(timezone=True)
_ADDRESS = sa.String(length=39)
_ONE_EACH = ["run_id", "test_id", "vantage"]


def upgrade() -> None:
    op.create_table(
        "vantages",
        sa.Column("address", _ADDRESS, nullable=False),
        sa.Column("worker", sa.String(length=100), nullable=False),
        sa.Column("seen_at", _AT, nullable=False),
        sa.Column("expected_at", _AT, nullable=False),
        sa.PrimaryKeyConstraint("address", "worker", name=op.f("pk_vantages")),
    )
    for table, column in (
        ("probe_runs", "vantage"),
        ("probe_runs", "confirms"),
        ("transcript", "vantage"),
        ("probe_connections", "vantage"),
    ):
        op.add_column(table, sa.Column(column, _ADDRESS, nullable=True))
    if op.get_bind().dialect.name == "sqlite":
        _make_anew(_vantage(), _answered(), sa.UniqueConstraint(*_ONE_EACH, name=op.f(_name(_ONE_EACH))))
        return
    op.add_column("probe_envelopes", _vantage())
    op.add_column("probe_envelopes", _answered())
    op.drop_constraint(_name(_ONE_EACH[:2]), "probe_envelopes", type_="unique")
    op.create_unique_constraint(_name(_ONE_EACH), "probe_envelopes", _ONE_EACH)


def downgrade() -> None:
    # Of what was offered from several vantages the first is kept, and with it what came back for it.
    op.execute(
        "DELETE FROM receipts WHERE envelope_id NOT IN"
        " (SELECT min(id) FROM probe_envelopes GROUP BY run_id, test_id)"
    )
    op.execute(
        "DELETE FROM probe_envelopes WHERE id NOT IN"
        " (SELECT min(id) FROM probe_envelopes GROUP BY run_id, test_id)"
    )
    pair = _ONE_EACH[:2]
    if op.get_bind().dialect.name == "sqlite":
        _make_anew(sa.UniqueConstraint(*pair, name=op.f(_name(pair))))
    else:
        op.drop_constraint(_name(_ONE_EACH), "probe_envelopes", type_="unique")
        op.create_unique_constraint(_name(pair), "probe_envelopes", pair)
        op.drop_column("probe_envelopes", "answered")
        op.drop_column("probe_envelopes", "vantage")
    op.drop_column("probe_connections", "vantage")
    op.drop_column("transcript", "vantage")
    op.drop_column("probe_runs", "confirms")
    op.drop_column("probe_runs", "vantage")
    op.drop_table("vantages")


def _name(columns: list[str]) -> str:
    return f"uq_probe_envelopes_{'_'.join(columns)}"


def _vantage() -> sa.Column[str]:
    return sa.Column("vantage", _ADDRESS, server_default="", nullable=False)


def _answered() -> sa.Column[str]:
    return sa.Column("answered", sa.String(length=4), nullable=True)


def _make_anew(*more: sa.schema.SchemaItem) -> None:
    """Make SQLite's table of envelopes anew with *more* in it: it cannot change a constraint.

    Receipts point to its rows. They do so again before the commit, which is when that is looked at; a
    table that is renamed into its place would not count.
    """
    op.execute("PRAGMA defer_foreign_keys = ON")
    op.execute("CREATE TEMPORARY TABLE envelopes_before AS SELECT * FROM probe_envelopes")
    op.drop_table("probe_envelopes")
    op.create_table(
        "probe_envelopes",
        sa.Column("id", _ID, nullable=False),
        sa.Column("run_id", _ID, nullable=False),
        sa.Column("test_id", sa.String(length=3), nullable=False),
        sa.Column("token", sa.String(length=48), nullable=False),
        sa.Column("sender_token", sa.String(length=48), nullable=False),
        sa.Column("mail_from", sa.Text(), nullable=False),
        sa.Column("rcpt_to", sa.Text(), nullable=False),
        sa.Column("result", sa.String(length=32), nullable=True),
        sa.Column("reply", sa.Text(), nullable=True),
        sa.Column("sent_at", _AT, nullable=True),
        sa.ForeignKeyConstraint(["run_id"], ["probe_runs.id"], name=op.f("fk_probe_envelopes_run_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_probe_envelopes")),
        sa.UniqueConstraint("sender_token", name=op.f("uq_probe_envelopes_sender_token")),
        sa.UniqueConstraint("token", name=op.f("uq_probe_envelopes_token")),
        *more,
    )
    op.execute(
        "INSERT INTO probe_envelopes"
        " (id, run_id, test_id, token, sender_token, mail_from, rcpt_to, result, reply, sent_at)"
        " SELECT id, run_id, test_id, token, sender_token, mail_from, rcpt_to, result, reply, sent_at"
        " FROM envelopes_before ORDER BY id"
    )
    op.execute("DROP TABLE envelopes_before")
