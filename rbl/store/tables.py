"""The tables.

A row that proves something (evidence, transcript, receipt, journal, audit) is never changed after
it was written; the others say how things stand now.

Which function writes which table: the module of that name. Migrations are in ``migrations/``, and a
test holds them and this file together.
"""

from datetime import datetime

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Index,
    LargeBinary,
    String,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from rbl.store.columns import AddressText, Apex, Base, BigKey, Key, NetworkText, word
from rbl.terms import (
    Address,
    Change,
    EvidenceFormat,
    Network,
    Origin,
    Role,
    State,
    Trust,
)


class Zone(Base):
    """The head of a list: its last serial. Locked by whoever appends to the journal.

    *epoch*, drawn when the list is made, is where the chain of its journal begins (``history``).
    """

    __tablename__ = "zones"

    apex: Mapped[Apex] = mapped_column(primary_key=True)
    serial: Mapped[int] = mapped_column(BigKey)
    created_at: Mapped[datetime]
    # Up to it an operator lets out what the guards hold back.
    forced_serial: Mapped[int | None] = mapped_column(BigInteger)
    epoch: Mapped[str] = mapped_column(String(32), server_default="")


class JournalEntry(Base):
    """One change of what DNS shows; see ``terms.Entry``. Append-only.

    The entries of one commit have one serial and count their positions from 0. *chain* is the hash up
    to here; entries inside an import, and those of an earlier version, have none (``history``).
    """

    __tablename__ = "journal"

    zone: Mapped[Apex] = mapped_column(ForeignKey("zones.apex"), primary_key=True)
    serial: Mapped[int] = mapped_column(BigKey, primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True, server_default="0")
    change: Mapped[Change] = mapped_column(word(Change))
    subject: Mapped[str]
    reason: Mapped[str]
    text: Mapped[str | None]
    actor: Mapped[str]
    why: Mapped[str]
    at: Mapped[datetime]
    chain: Mapped[str | None] = mapped_column(String(32))


class Listing(Base):
    """A network (or, in a list of names, a name) that is or was in DNS for a reason."""

    __tablename__ = "listings"
    __table_args__ = (
        Index(
            "uq_listings_live",
            "zone",
            "subject",
            "reason",
            unique=True,
            sqlite_where=text("ended_at IS NULL"),
            postgresql_where=text("ended_at IS NULL"),
        ),
        Index(
            "ix_listings_expiring",
            "expires_at",
            sqlite_where=text("ended_at IS NULL AND expires_at IS NOT NULL"),
            postgresql_where=text("ended_at IS NULL AND expires_at IS NOT NULL"),
        ),
        Index("ix_listings_host", "host_id"),
        Index(
            "ix_listings_past",
            "zone",
            "subject",
            "ended_at",
            sqlite_where=text("ended_at IS NOT NULL"),
            postgresql_where=text("ended_at IS NOT NULL"),
        ),
    )

    id: Mapped[Key]
    zone: Mapped[Apex] = mapped_column(ForeignKey("zones.apex"))
    subject: Mapped[str] = mapped_column(String(255))
    reason: Mapped[str] = mapped_column(String(63))
    text: Mapped[str | None]
    origin: Mapped[Origin] = mapped_column(word(Origin))
    host_id: Mapped[int | None] = mapped_column(ForeignKey("hosts.id"))
    actor: Mapped[str]
    why: Mapped[str]
    listed_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    ended_why: Mapped[str | None]


class ListingHits(Base):
    """How often DNS answered for what is or was listed, whatever the reason."""

    __tablename__ = "listing_hits"
    __table_args__ = (Index("ix_listing_hits_most", "zone", "hits", "subject"),)

    zone: Mapped[Apex] = mapped_column(ForeignKey("zones.apex"), primary_key=True)
    subject: Mapped[str] = mapped_column(String(255), primary_key=True)
    hits: Mapped[int] = mapped_column(BigInteger)
    first_hit_at: Mapped[datetime]
    last_hit_at: Mapped[datetime]


class Exemption(Base):
    """A network that is never answered as listed, or never tested, or both."""

    __tablename__ = "exemptions"
    __table_args__ = (
        Index(
            "uq_exemptions_live",
            "network",
            unique=True,
            sqlite_where=text("ended_at IS NULL"),
            postgresql_where=text("ended_at IS NULL"),
        ),
    )

    id: Mapped[Key]
    network: Mapped[Network] = mapped_column(NetworkText)
    never_list: Mapped[bool]
    never_test: Mapped[bool]
    actor: Mapped[str]
    why: Mapped[str]
    created_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]


class Host(Base):
    """An address with a story in a zone: nominated, tested, perhaps listed. One row for ever."""

    __tablename__ = "hosts"
    __table_args__ = (
        UniqueConstraint("zone", "address"),
        Index("ix_hosts_standing", "zone", "state", "changed_at", "id"),
        Index(
            "ix_hosts_review",
            "zone",
            "changed_at",
            "id",
            sqlite_where=text("review IS NOT NULL"),
            postgresql_where=text("review IS NOT NULL"),
        ),
        Index(
            "ix_hosts_periodic",
            "periodic_due_at",
            sqlite_where=text("periodic_due_at IS NOT NULL"),
            postgresql_where=text("periodic_due_at IS NOT NULL"),
        ),
    )

    id: Mapped[Key]
    zone: Mapped[Apex] = mapped_column(ForeignKey("zones.apex"))
    address: Mapped[Address] = mapped_column(AddressText)
    state: Mapped[State] = mapped_column(word(State))
    offences: Mapped[int] = mapped_column(server_default="0")  # times listed
    failed_retests: Mapped[int] = mapped_column(server_default="0")  # in a row
    retest_allowed_at: Mapped[datetime | None]
    periodic_due_at: Mapped[datetime | None]
    unreachable_since: Mapped[datetime | None]
    review: Mapped[str | None]  # why a person must look, also while listed
    created_at: Mapped[datetime]
    changed_at: Mapped[datetime]


class ApiKey(Base):
    """Who may use the API. The key itself is never stored, only its SHA-256."""

    __tablename__ = "api_keys"
    __table_args__ = (Index("uq_api_keys_previous_digest", "previous_digest", unique=True),)

    id: Mapped[Key]
    name: Mapped[str] = mapped_column(String(100), unique=True)
    role: Mapped[Role] = mapped_column(word(Role))
    trust: Mapped[Trust] = mapped_column(word(Trust))
    digest: Mapped[bytes] = mapped_column(LargeBinary(32), unique=True)
    mx_names: Mapped[list[str]] = mapped_column(JSON)
    internal_networks: Mapped[list[str]] = mapped_column(JSON)
    created_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]
    expires_at: Mapped[datetime | None]
    used_at: Mapped[datetime | None]  # a minute old at most
    # The secret before the last rotation, while it is still taken beside the new one.
    previous_digest: Mapped[bytes | None] = mapped_column(LargeBinary(32))
    previous_until: Mapped[datetime | None]
    previous_used_at: Mapped[datetime | None]


class EvidenceItem(Base):
    """A spam that was handed in, whole and as the public sees it. Immutable.

    Once its time is over both are emptied; the row, with the digest and the number of octets, stays.
    """

    __tablename__ = "evidence"
    __table_args__ = (
        Index(
            "ix_evidence_kept",
            "created_at",
            "id",
            sqlite_where=text("retired_at IS NULL"),
            postgresql_where=text("retired_at IS NULL"),
        ),
    )

    id: Mapped[Key]
    sha256: Mapped[str] = mapped_column(String(64), unique=True)
    format: Mapped[EvidenceFormat] = mapped_column(word(EvidenceFormat))
    octets: Mapped[int]
    message: Mapped[bytes] = mapped_column(LargeBinary)  # zlib
    published: Mapped[str]
    created_at: Mapped[datetime]
    retired_at: Mapped[datetime | None]


class Nomination(Base):
    """Somebody received spam through a host and handed it in."""

    __tablename__ = "nominations"
    __table_args__ = (
        UniqueConstraint("host_id", "key_id", "fingerprint"),
        UniqueConstraint("key_id", "idempotency_key"),
        Index("ix_nominations_host", "host_id", "id"),
        Index("ix_nominations_evidence", "evidence_id"),
        Index("ix_nominations_key", "key_id", "created_at"),
    )

    id: Mapped[Key]
    host_id: Mapped[int] = mapped_column(ForeignKey("hosts.id"))
    evidence_id: Mapped[int] = mapped_column(ForeignKey("evidence.id"))
    key_id: Mapped[int] = mapped_column(ForeignKey("api_keys.id"))
    fingerprint: Mapped[str] = mapped_column(String(64))  # of the message: the same again is kept once
    idempotency_key: Mapped[str | None] = mapped_column(String(255))
    request_sha256: Mapped[str] = mapped_column(String(64))  # what the idempotency key stands for
    received_at: Mapped[datetime]  # when the nominator's MX took the spam
    helo: Mapped[str]
    hop: Mapped[str]
    created_at: Mapped[datetime]

    host: Mapped[Host] = relationship()
    evidence: Mapped[EvidenceItem] = relationship()
    nominator: Mapped[ApiKey] = relationship()


class AuditRow(Base):
    """Who did what, when and why. Append-only: the database refuses all but ``AuditRetirement``'s job."""

    __tablename__ = "audit"
    __table_args__ = (Index("ix_audit_story", "subject", "id"),)

    id: Mapped[Key]
    at: Mapped[datetime]
    actor: Mapped[str]
    action: Mapped[str] = mapped_column(String(32))
    subject: Mapped[str]  # zone and address, network or name; a network; a key's name
    was: Mapped[str | None] = mapped_column(String(32))
    became: Mapped[str | None] = mapped_column(String(32))
    why: Mapped[str]
    note: Mapped[str | None]  # for operators only
    key_id: Mapped[int | None] = mapped_column(BigInteger)  # whose key did it; None: no key's


class AuditRetirement(Base):
    """While a row is here, and so in one transaction only, audit rows from before *until* may be deleted.

    A row cannot be committed: what it refers to cannot exist, and that is looked at last.
    """

    __tablename__ = "audit_retirement"
    __table_args__ = (
        CheckConstraint("id > 0", name="above"),
        CheckConstraint("uncommittable = 0", name="below"),
    )

    id: Mapped[Key]
    until: Mapped[datetime]
    uncommittable: Mapped[int] = mapped_column(
        BigKey, ForeignKey("audit_retirement.id", deferrable=True, initially="DEFERRED")
    )


class Switch(Base):
    """A setting that operators change while the program runs: ``probing`` stops all tests."""

    __tablename__ = "switches"

    name: Mapped[str] = mapped_column(String(32), primary_key=True)
    on: Mapped[bool]
    changed_at: Mapped[datetime]
    actor: Mapped[str]


class Secret(Base):
    """A secret that all processes of one list share; never shown."""

    __tablename__ = "secrets"

    name: Mapped[str] = mapped_column(String(32), primary_key=True)
    value: Mapped[bytes] = mapped_column(LargeBinary)


class Process(Base):
    """What a process that runs, or was killed not long ago, last said of itself."""

    __tablename__ = "processes"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)  # drawn at its start
    host: Mapped[str] = mapped_column(String(255))
    pid: Mapped[int]
    parts: Mapped[str] = mapped_column(String(64))  # with commas
    version: Mapped[str] = mapped_column(String(32))
    started_at: Mapped[datetime]
    seen_at: Mapped[datetime]
    ready: Mapped[dict[str, bool]] = mapped_column(JSON)  # which part of it is ready
    lists: Mapped[dict[str, dict[str, object]]] = mapped_column(JSON)  # where its DNS stands, by apex
