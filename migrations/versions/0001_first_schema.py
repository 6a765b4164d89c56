"""First schema: zones, journal, listings, hosts, evidence, probe runs, keys, audit."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# SQLite gives automatic keys to INTEGER columns only.
BIG_KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def index(name: str, table: str, columns: list[str], *, unique: bool, where: str | None = None) -> None:
    """Make an index, over the rows of *where* only: the same on both databases."""
    condition = None if where is None else sa.text(where)
    op.create_index(name, table, columns, unique=unique, sqlite_where=condition, postgresql_where=condition)


def upgrade() -> None:
    op.create_table(
        "api_keys",
        sa.Column("id", BIG_KEY, nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("role", sa.String(length=32), nullable=False),
        sa.Column("trust", sa.String(length=32), nullable=False),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("mx_names", sa.JSON(), nullable=False),
        sa.Column("internal_networks", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_keys")),
        sa.UniqueConstraint("digest", name=op.f("uq_api_keys_digest")),
        sa.UniqueConstraint("name", name=op.f("uq_api_keys_name")),
    )
    op.create_table(
        "audit",
        sa.Column("id", BIG_KEY, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("action", sa.String(length=32), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("was", sa.String(length=32), nullable=True),
        sa.Column("became", sa.String(length=32), nullable=True),
        sa.Column("why", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit")),
    )
    index("ix_audit_subject", "audit", ["subject"], unique=False)

    op.create_table(
        "evidence",
        sa.Column("id", BIG_KEY, nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("format", sa.String(length=32), nullable=False),
        sa.Column("octets", sa.Integer(), nullable=False),
        sa.Column("message", sa.LargeBinary(), nullable=False),
        sa.Column("published", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_evidence")),
        sa.UniqueConstraint("sha256", name=op.f("uq_evidence_sha256")),
    )
    op.create_table(
        "exemptions",
        sa.Column("id", BIG_KEY, nullable=False),
        sa.Column("network", sa.String(length=43), nullable=False),
        sa.Column("never_list", sa.Boolean(), nullable=False),
        sa.Column("never_test", sa.Boolean(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_exemptions")),
    )
    index("uq_exemptions_live", "exemptions", ["network"], unique=True, where="ended_at IS NULL")

    op.create_table(
        "secrets",
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_secrets")),
    )
    op.create_table(
        "switches",
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("on", sa.Boolean(), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_switches")),
    )
    op.create_table(
        "zones",
        sa.Column("apex", sa.String(length=255), nullable=False),
        sa.Column("serial", BIG_KEY, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("apex", name=op.f("pk_zones")),
    )
    op.create_table(
        "hosts",
        sa.Column("id", BIG_KEY, nullable=False),
        sa.Column("zone", sa.String(length=255), nullable=False),
        sa.Column("address", sa.String(length=39), nullable=False),
        sa.Column("state", sa.String(length=32), nullable=False),
        sa.Column("offences", sa.Integer(), server_default="0", nullable=False),
        sa.Column("failed_retests", sa.Integer(), server_default="0", nullable=False),
        sa.Column("retest_allowed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("periodic_due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("unreachable_since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("review", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["zone"], ["zones.apex"], name=op.f("fk_hosts_zone")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_hosts")),
        sa.UniqueConstraint("zone", "address", name=op.f("uq_hosts_zone_address")),
    )
    index(
        "ix_hosts_periodic", "hosts", ["periodic_due_at"], unique=False, where="periodic_due_at IS NOT NULL"
    )
    index("ix_hosts_state", "hosts", ["state"], unique=False)

    op.create_table(
        "journal",
        sa.Column("zone", sa.String(length=255), nullable=False),
        sa.Column("serial", BIG_KEY, nullable=False),
        sa.Column("change", sa.String(length=32), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=True),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["zone"], ["zones.apex"], name=op.f("fk_journal_zone")),
        sa.PrimaryKeyConstraint("zone", "serial", name=op.f("pk_journal")),
    )
    op.create_table(
        "listings",
        sa.Column("id", BIG_KEY, nullable=False),
        sa.Column("zone", sa.String(length=255), nullable=False),
        sa.Column("subject", sa.String(length=255), nullable=False),
        sa.Column("reason", sa.String(length=63), nullable=False),
        sa.Column("text", sa.Text(), nullable=True),
        sa.Column("origin", sa.String(length=32), nullable=False),
        sa.Column("host_id", BIG_KEY, nullable=True),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("listed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_why", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["host_id"], ["hosts.id"], name=op.f("fk_listings_host_id")),
        sa.ForeignKeyConstraint(["zone"], ["zones.apex"], name=op.f("fk_listings_zone")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_listings")),
    )
    index(
        "ix_listings_expiring",
        "listings",
        ["expires_at"],
        unique=False,
        where="ended_at IS NULL AND expires_at IS NOT NULL",
    )
    index("ix_listings_host", "listings", ["host_id"], unique=False)
    index(
        "uq_listings_live", "listings", ["zone", "subject", "reason"], unique=True, where="ended_at IS NULL"
    )

    op.create_table(
        "nominations",
        sa.Column("id", BIG_KEY, nullable=False),
        sa.Column("host_id", BIG_KEY, nullable=False),
        sa.Column("evidence_id", BIG_KEY, nullable=False),
        sa.Column("key_id", BIG_KEY, nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("idempotency_key", sa.String(length=255), nullable=True),
        sa.Column("request_sha256", sa.String(length=64), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("helo", sa.Text(), nullable=False),
        sa.Column("hop", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["evidence_id"], ["evidence.id"], name=op.f("fk_nominations_evidence_id")),
        sa.ForeignKeyConstraint(["host_id"], ["hosts.id"], name=op.f("fk_nominations_host_id")),
        sa.ForeignKeyConstraint(["key_id"], ["api_keys.id"], name=op.f("fk_nominations_key_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_nominations")),
        sa.UniqueConstraint("host_id", "fingerprint", name=op.f("uq_nominations_host_id_fingerprint")),
        sa.UniqueConstraint(
            "key_id", "idempotency_key", name=op.f("uq_nominations_key_id_idempotency_key")
        ),
    )
    op.create_table(
        "probe_runs",
        sa.Column("id", BIG_KEY, nullable=False),
        sa.Column("host_id", BIG_KEY, nullable=False),
        sa.Column("neighbourhood", sa.String(length=43), nullable=False),
        sa.Column("purpose", sa.String(length=32), nullable=False),
        sa.Column("asked_by", sa.Text(), nullable=False),
        sa.Column("verdict", sa.String(length=32), nullable=True),
        sa.Column("why", sa.Text(), nullable=True),
        sa.Column("banner", sa.Text(), nullable=True),
        sa.Column("hostname", sa.Text(), nullable=True),
        sa.Column("platform", sa.Text(), nullable=True),
        sa.Column("retries_done", sa.Integer(), server_default="0", nullable=False),
        sa.Column("steps_done", sa.Integer(), server_default="0", nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("lease_owner", sa.String(length=100), nullable=True),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("attempt", sa.Integer(), server_default="0", nullable=False),
        sa.Column("woken", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["host_id"], ["hosts.id"], name=op.f("fk_probe_runs_host_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_probe_runs")),
    )
    index("ix_probe_runs_due", "probe_runs", ["due_at"], unique=False, where="finished_at IS NULL")
    index("ix_probe_runs_host", "probe_runs", ["host_id"], unique=False)
    index("uq_probe_runs_active", "probe_runs", ["host_id"], unique=True, where="finished_at IS NULL")

    op.create_table(
        "probe_envelopes",
        sa.Column("id", BIG_KEY, nullable=False),
        sa.Column("run_id", BIG_KEY, nullable=False),
        sa.Column("test_id", sa.String(length=3), nullable=False),
        sa.Column("token", sa.String(length=48), nullable=False),
        sa.Column("sender_token", sa.String(length=48), nullable=False),
        sa.Column("mail_from", sa.Text(), nullable=False),
        sa.Column("rcpt_to", sa.Text(), nullable=False),
        sa.Column("result", sa.String(length=32), nullable=True),
        sa.Column("reply", sa.Text(), nullable=True),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["run_id"], ["probe_runs.id"], name=op.f("fk_probe_envelopes_run_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_probe_envelopes")),
        sa.UniqueConstraint("run_id", "test_id", name=op.f("uq_probe_envelopes_run_id_test_id")),
        sa.UniqueConstraint("sender_token", name=op.f("uq_probe_envelopes_sender_token")),
        sa.UniqueConstraint("token", name=op.f("uq_probe_envelopes_token")),
    )
    op.create_table(
        "transcript",
        sa.Column("run_id", BIG_KEY, nullable=False),
        sa.Column("seq", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("side", sa.String(length=4), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["probe_runs.id"], name=op.f("fk_transcript_run_id")),
        sa.PrimaryKeyConstraint("run_id", "seq", name=op.f("pk_transcript")),
    )
    op.create_table(
        "receipts",
        sa.Column("id", BIG_KEY, nullable=False),
        sa.Column("envelope_id", BIG_KEY, nullable=True),
        sa.Column("kind", sa.String(length=32), nullable=True),
        sa.Column("peer", sa.String(length=39), nullable=False),
        sa.Column("helo", sa.Text(), nullable=False),
        sa.Column("mail_from", sa.Text(), nullable=False),
        sa.Column("rcpt_to", sa.Text(), nullable=False),
        sa.Column("message", sa.LargeBinary(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["envelope_id"], ["probe_envelopes.id"], name=op.f("fk_receipts_envelope_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_receipts")),
    )
    index("ix_receipts_envelope", "receipts", ["envelope_id"], unique=False)


def downgrade() -> None:
    # Indexes go with their tables.
    op.drop_table("receipts")
    op.drop_table("transcript")
    op.drop_table("probe_envelopes")
    op.drop_table("probe_runs")
    op.drop_table("nominations")
    op.drop_table("listings")
    op.drop_table("journal")
    op.drop_table("hosts")
    op.drop_table("zones")
    op.drop_table("switches")
    op.drop_table("secrets")
    op.drop_table("exemptions")
    op.drop_table("evidence")
    op.drop_table("audit")
    op.drop_table("api_keys")
