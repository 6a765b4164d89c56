"""Journal and audit refuse to be changed; what is kept for a time only is found and marked.

The refusals are triggers. A later migration that makes one of the two tables anew (on SQLite: any that
alters a column) makes them anew as well.
"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_AT = sa.DateTime(timezone=True)
_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

_SENTENCE = "what stands in the %s is never changed or deleted"
_SQLITE = (
    """CREATE TRIGGER {table}_keeps_updated BEFORE UPDATE ON {table}
    BEGIN SELECT RAISE(ABORT, '{sentence}'); END""",
    """CREATE TRIGGER {table}_keeps_deleted BEFORE DELETE ON {table} WHEN {unless}
    BEGIN SELECT RAISE(ABORT, '{sentence}'); END""",
    # The row that an INSERT OR REPLACE drives out is deleted without asking the trigger above.
    """CREATE TRIGGER {table}_keeps_replaced BEFORE INSERT ON {table}
    WHEN EXISTS (SELECT 1 FROM {table} WHERE {same}) BEGIN SELECT RAISE(ABORT, '{sentence}'); END""",
)
_POSTGRESQL = """
CREATE FUNCTION {table}_keeps() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION '{sentence}' USING ERRCODE = 'restrict_violation'; END $$;
CREATE TRIGGER {table}_keeps_updated BEFORE UPDATE ON {table}
FOR EACH ROW EXECUTE FUNCTION {table}_keeps();
CREATE TRIGGER {table}_keeps_truncated BEFORE TRUNCATE ON {table}
FOR EACH STATEMENT EXECUTE FUNCTION {table}_keeps()
"""
_POSTGRESQL_JOURNAL = """
CREATE TRIGGER journal_keeps_deleted BEFORE DELETE ON journal
FOR EACH ROW EXECUTE FUNCTION journal_keeps()
"""
_POSTGRESQL_AUDIT = """
CREATE FUNCTION audit_keeps_deleted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM audit_retirement WHERE until > OLD.at) THEN RETURN OLD; END IF;
    RAISE EXCEPTION '{sentence}' USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER audit_keeps_deleted BEFORE DELETE ON audit
FOR EACH ROW EXECUTE FUNCTION audit_keeps_deleted()
"""
# Which rows a DELETE is refused for.
_TABLES = {
    "journal": "1",
    "audit": "NOT EXISTS (SELECT 1 FROM audit_retirement WHERE until > OLD.at)",
}


def upgrade() -> None:
    op.create_table(
        "audit_retirement",
        sa.Column("id", _ID, nullable=False),
        sa.Column("until", _AT, nullable=False),
        sa.Column("uncommittable", _ID, nullable=False),
        sa.CheckConstraint("id > 0", name=op.f("ck_audit_retirement_above")),
        sa.CheckConstraint("uncommittable = 0", name=op.f("ck_audit_retirement_below")),
        sa.ForeignKeyConstraint(
            ["uncommittable"],
            ["audit_retirement.id"],
            name=op.f("fk_audit_retirement_uncommittable"),
            deferrable=True,
            initially="DEFERRED",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_retirement")),
    )
    op.add_column("evidence", sa.Column("retired_at", _AT, nullable=True))
    op.add_column("probe_runs", sa.Column("dialogue_retired_at", _AT, nullable=True))
    _index("ix_evidence_kept", "evidence", "created_at", "retired_at IS NULL")
    _index(
        "ix_probe_runs_kept",
        "probe_runs",
        "finished_at",
        "dialogue_retired_at IS NULL AND finished_at IS NOT NULL",
    )
    op.create_index("ix_receipts_received", "receipts", ["received_at", "id"])
    _refuse_changes()


def downgrade() -> None:
    for table in _TABLES:
        if op.get_bind().dialect.name == "sqlite":
            for what in ("updated", "deleted", "replaced"):
                op.execute(f"DROP TRIGGER {table}_keeps_{what}")
        else:
            op.execute(f"DROP FUNCTION {table}_keeps() CASCADE")
    if op.get_bind().dialect.name != "sqlite":
        op.execute("DROP FUNCTION audit_keeps_deleted() CASCADE")
    op.drop_index("ix_receipts_received", "receipts")
    op.drop_index("ix_probe_runs_kept", "probe_runs")
    op.drop_index("ix_evidence_kept", "evidence")
    op.drop_column("probe_runs", "dialogue_retired_at")
    op.drop_column("evidence", "retired_at")
    op.drop_table("audit_retirement")


def _index(name: str, table: str, at: str, where: str) -> None:
    op.create_index(name, table, [at, "id"], sqlite_where=sa.text(where), postgresql_where=sa.text(where))


def _refuse_changes() -> None:
    for table, unless in _TABLES.items():
        key = sa.inspect(op.get_bind()).get_pk_constraint(table)["constrained_columns"]
        same = " AND ".join(f"{column} = NEW.{column}" for column in key)
        if op.get_bind().dialect.name == "sqlite":
            statements = _SQLITE
        else:
            statements = (_POSTGRESQL, _POSTGRESQL_JOURNAL if table == "journal" else _POSTGRESQL_AUDIT)
        for statement in statements:
            sentence = _SENTENCE % table
            op.execute(statement.format(table=table, sentence=sentence, unless=unless, same=same))
