"""The tables of relay tests: runs, their envelopes, the dialogue, and what came back.

The dialogue and what came back are never changed after they were written. Which function writes
which table: the modules ``runs``, ``probes`` and ``receipts``.
"""

from datetime import datetime

from sqlalchemy import ForeignKey, Index, LargeBinary, String, UniqueConstraint, false, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from rbl.store.columns import AddressText, Base, Key, word
from rbl.store.tables import Host
from rbl.terms import Address, EnvelopeResult, Purpose, Verdict


class ProbeRun(Base):
    """One relay test of a host: due, held by a worker, waiting for returns, or over.

    ``due_at`` says when a worker should look at it next; the lease keeps two workers apart, and
    owner and attempt fence every write of a worker whose lease ran out.
    """

    __tablename__ = "probe_runs"
    __table_args__ = (
        Index(
            "uq_probe_runs_active",
            "host_id",
            unique=True,
            sqlite_where=text("finished_at IS NULL"),
            postgresql_where=text("finished_at IS NULL"),
        ),
        Index(
            "ix_probe_runs_due",
            "due_at",
            sqlite_where=text("finished_at IS NULL"),
            postgresql_where=text("finished_at IS NULL"),
        ),
        Index("ix_probe_runs_story", "host_id", "id"),
        Index(
            "ix_probe_runs_leased",
            "neighbourhood",
            "lease_until",
            sqlite_where=text("lease_until IS NOT NULL"),
            postgresql_where=text("lease_until IS NOT NULL"),
        ),
        Index(
            "ix_probe_runs_woken",
            "due_at",
            sqlite_where=text("finished_at IS NULL AND woken = 1"),
            postgresql_where=text("finished_at IS NULL AND woken"),
        ),
    )

    id: Mapped[Key]
    host_id: Mapped[int] = mapped_column(ForeignKey("hosts.id"))
    neighbourhood: Mapped[str] = mapped_column(String(43))  # the /24 or /64: one test at a time
    purpose: Mapped[Purpose] = mapped_column(word(Purpose))
    asked_by: Mapped[str]
    verdict: Mapped[Verdict | None] = mapped_column(word(Verdict))
    why: Mapped[str | None]  # the verdict in words
    banner: Mapped[str | None]  # greeting and EHLO reply, capped
    hostname: Mapped[str | None]  # the name the server gives itself
    platform: Mapped[str | None]
    retries_done: Mapped[int] = mapped_column(server_default="0")
    steps_done: Mapped[int] = mapped_column(server_default="0")
    due_at: Mapped[datetime]
    lease_owner: Mapped[str | None] = mapped_column(String(100))
    lease_until: Mapped[datetime | None]
    attempt: Mapped[int] = mapped_column(server_default="0")
    woken: Mapped[bool] = mapped_column(server_default=false())  # something came back since the last step
    created_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]

    host: Mapped[Host] = relationship()


class ProbeEnvelope(Base):
    """One envelope of a run, what was said to it, and what became of its message."""

    __tablename__ = "probe_envelopes"
    __table_args__ = (UniqueConstraint("run_id", "test_id"),)

    id: Mapped[Key]
    run_id: Mapped[int] = mapped_column(ForeignKey("probe_runs.id"))
    test_id: Mapped[str] = mapped_column(String(3))  # T01 to T32
    token: Mapped[str] = mapped_column(String(48), unique=True)
    sender_token: Mapped[str] = mapped_column(String(48), unique=True)
    mail_from: Mapped[str]
    rcpt_to: Mapped[str]
    result: Mapped[EnvelopeResult | None] = mapped_column(word(EnvelopeResult))
    reply: Mapped[str | None]
    sent_at: Mapped[datetime | None]  # when the host took the message


class TranscriptRow(Base):
    """One line of a run's SMTP dialogue. Immutable."""

    __tablename__ = "transcript"

    run_id: Mapped[int] = mapped_column(ForeignKey("probe_runs.id"), primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    at: Mapped[datetime]
    side: Mapped[str] = mapped_column(String(4))
    text: Mapped[str]


class Receipt(Base):
    """A message that reached the collector for one of our tokens. Immutable."""

    __tablename__ = "receipts"
    __table_args__ = (Index("ix_receipts_envelope", "envelope_id"),)

    id: Mapped[Key]
    envelope_id: Mapped[int | None] = mapped_column(ForeignKey("probe_envelopes.id"))
    kind: Mapped[EnvelopeResult | None] = mapped_column(word(EnvelopeResult))  # None: log only
    peer: Mapped[Address] = mapped_column(AddressText)
    helo: Mapped[str]
    mail_from: Mapped[str]
    rcpt_to: Mapped[str]
    message: Mapped[bytes] = mapped_column(LargeBinary)  # zlib
    received_at: Mapped[datetime]
