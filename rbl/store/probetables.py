"""The tables of relay tests: runs, their envelopes, the dialogue, what came back, who listened for it.

The dialogue and what came back are never changed after they were written. Which function writes
which table: the modules ``runs``, ``probes``, ``receipts`` and ``attendance``.
"""

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, Index, LargeBinary, String, UniqueConstraint, false, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from rbl.attendance import Refusal
from rbl.store.columns import AddressText, Base, Key, word
from rbl.store.tables import Host
from rbl.terms import Address, EnvelopeResult, Purpose, Verdict

WORK_CHANNEL = "rbl_work"  # of PostgreSQL's LISTEN and NOTIFY


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
        Index("ix_probe_runs_key", "key_id", "created_at"),
        Index(
            "ix_probe_runs_waiting",
            "key_id",
            sqlite_where=text("finished_at IS NULL"),
            postgresql_where=text("finished_at IS NULL"),
        ),
        Index(
            "ix_probe_runs_neighbours",
            "neighbourhood",
            "lease_until",
            sqlite_where=text("lease_until IS NOT NULL"),
            postgresql_where=text("lease_until IS NOT NULL"),
        ),
        Index(
            "ix_probe_runs_leased",
            "lease_until",
            sqlite_where=text("lease_until IS NOT NULL"),
            postgresql_where=text("lease_until IS NOT NULL"),
        ),
        Index(
            "ix_probe_runs_kept",
            "finished_at",
            "id",
            sqlite_where=text("dialogue_retired_at IS NULL AND finished_at IS NOT NULL"),
            postgresql_where=text("dialogue_retired_at IS NULL AND finished_at IS NOT NULL"),
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
    key_id: Mapped[int | None] = mapped_column(ForeignKey("api_keys.id"))  # whose nomination it is for
    verdict: Mapped[Verdict | None] = mapped_column(word(Verdict))
    why: Mapped[str | None]  # the verdict in words
    banner: Mapped[str | None]  # greeting and EHLO reply, capped
    hostname: Mapped[str | None]  # the name the server gives itself
    platform: Mapped[str | None]
    retries_done: Mapped[int] = mapped_column(server_default="0")
    steps_done: Mapped[int] = mapped_column(server_default="0")
    due_at: Mapped[datetime]
    wanted_at: Mapped[datetime | None]  # a look was asked for: then at the latest, whatever is waited for
    vantage: Mapped[Address | None] = mapped_column(AddressText)  # where it is tested from now
    confirms: Mapped[Address | None] = mapped_column(AddressText)  # whose answers are asked for once more
    lease_owner: Mapped[str | None] = mapped_column(String(100))
    lease_until: Mapped[datetime | None]
    attempt: Mapped[int] = mapped_column(server_default="0")
    woken: Mapped[bool] = mapped_column(server_default=false())  # something came back since the last step
    created_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    dialogue_retired_at: Mapped[datetime | None]  # its lines and replies are kept no longer

    host: Mapped[Host] = relationship()


class ProbeEnvelope(Base):
    """One envelope of a run, what was said to it, and what became of its message.

    A form is offered from several vantages as several envelopes, each with tokens of its own.
    """

    __tablename__ = "probe_envelopes"
    __table_args__ = (UniqueConstraint("run_id", "test_id", "vantage"),)

    id: Mapped[Key]
    run_id: Mapped[int] = mapped_column(ForeignKey("probe_runs.id"))
    test_id: Mapped[str] = mapped_column(String(3))  # T01 to T32, C01 to C04
    vantage: Mapped[str] = mapped_column(String(39), server_default="")  # empty: of before there were any
    token: Mapped[str] = mapped_column(String(48), unique=True)
    sender_token: Mapped[str] = mapped_column(String(48), unique=True)
    mail_from: Mapped[str]
    rcpt_to: Mapped[str]
    # What the host sees of us in it, so that another test can go by other names; NULL: of before.
    recipient_domain: Mapped[str | None] = mapped_column(String(253))
    sender_domain: Mapped[str | None] = mapped_column(String(253))
    ehlo_name: Mapped[str | None] = mapped_column(String(253))
    result: Mapped[EnvelopeResult | None] = mapped_column(word(EnvelopeResult))
    reply: Mapped[str | None]
    answered: Mapped[str | None] = mapped_column(String(4))  # the command that the reply is to: MAIL, RCPT…
    sent_at: Mapped[datetime | None]  # when the host took the message


class TranscriptRow(Base):
    """One line of a run's SMTP dialogue. Immutable."""

    __tablename__ = "transcript"

    run_id: Mapped[int] = mapped_column(ForeignKey("probe_runs.id"), primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    at: Mapped[datetime]
    side: Mapped[str] = mapped_column(String(4))
    text: Mapped[str]
    vantage: Mapped[Address | None] = mapped_column(AddressText)


class Receipt(Base):
    """A message that reached the collector for one of our tokens. Immutable."""

    __tablename__ = "receipts"
    __table_args__ = (
        Index("ix_receipts_envelope", "envelope_id"),
        Index("ix_receipts_message", "message_sha256"),
        Index("ix_receipts_octets", "octets"),  # the sum of them all is asked for again and again
        Index("ix_receipts_received", "received_at", "id"),
    )

    id: Mapped[Key]
    envelope_id: Mapped[int | None] = mapped_column(ForeignKey("probe_envelopes.id"))
    kind: Mapped[EnvelopeResult | None] = mapped_column(word(EnvelopeResult))  # None: log only
    # The same if the peer is the tested host by its address of the other family, where that is another.
    as_host: Mapped[EnvelopeResult | None] = mapped_column(word(EnvelopeResult))
    peer: Mapped[Address] = mapped_column(AddressText)
    helo: Mapped[str]
    mail_from: Mapped[str]
    rcpt_to: Mapped[str]
    message: Mapped[bytes] = mapped_column(LargeBinary)  # zlib; empty: stands in another row, see below
    received_at: Mapped[datetime]
    # Of the message before it was compressed: one that came for several recipients is kept once.
    message_sha256: Mapped[str | None] = mapped_column(String(64))
    octets: Mapped[int] = mapped_column(server_default="0")  # as kept, for the quota


class FormHistory(Base):
    """How often a form was seen to relay on servers of one kind; *platform* empty: of a kind unknown."""

    __tablename__ = "form_history"

    platform: Mapped[str] = mapped_column(String(40), primary_key=True)
    test_id: Mapped[str] = mapped_column(String(3), primary_key=True)
    relayed: Mapped[int] = mapped_column(BigInteger)


class CollectorSpan(Base):
    """A time in which a collector listened without a break; another one after each start and stand-still.

    While it lives it moves ``seen_at`` on, and says in ``expected_at`` when it will have done so again
    at the latest. Everything that it refused up to ``seen_at`` is in ``collector_refusals``.
    """

    __tablename__ = "collector_spans"
    __table_args__ = (Index("ix_collector_spans_seen", "seen_at"),)

    collector: Mapped[str] = mapped_column(String(100), primary_key=True)
    began_at: Mapped[datetime] = mapped_column(primary_key=True)
    seen_at: Mapped[datetime]
    expected_at: Mapped[datetime]


class CollectorRefusal(Base):
    """A time in which a collector turned away what may have been returns: of all tests, or of one site."""

    __tablename__ = "collector_refusals"
    __table_args__ = (Index("ix_collector_refusals_ended", "ended_at"),)

    collector: Mapped[str] = mapped_column(String(100), primary_key=True)
    neighbourhood: Mapped[str] = mapped_column(String(43), primary_key=True)  # empty: all tests
    began_at: Mapped[datetime] = mapped_column(primary_key=True)
    ended_at: Mapped[datetime]
    why: Mapped[Refusal] = mapped_column(word(Refusal))
    times: Mapped[int]


class ProbeConnection(Base):
    """A connection of our tester to a host; kept for a day, in which they are counted."""

    __tablename__ = "probe_connections"
    __table_args__ = (Index("ix_probe_connections_host", "host_id", "at"),)

    id: Mapped[Key]
    host_id: Mapped[int] = mapped_column(ForeignKey("hosts.id"))
    at: Mapped[datetime]
    vantage: Mapped[Address | None] = mapped_column(AddressText)


class Vantage(Base):
    """An address that a living worker can test from; it moves ``expected_at`` on while it lives."""

    __tablename__ = "vantages"

    address: Mapped[Address] = mapped_column(AddressText, primary_key=True)
    worker: Mapped[str] = mapped_column(String(100), primary_key=True)
    seen_at: Mapped[datetime]
    expected_at: Mapped[datetime]


class EarlyRetest(Base):
    """A retest that some network was granted before its turn; kept for a day, in which they are counted."""

    __tablename__ = "early_retests"
    __table_args__ = (Index("ix_early_retests_host", "host_id", "at"),)

    id: Mapped[Key]
    host_id: Mapped[int] = mapped_column(ForeignKey("hosts.id"))
    network: Mapped[str] = mapped_column(String(43))  # the /24 or /64 of whoever asked; no address
    at: Mapped[datetime]
