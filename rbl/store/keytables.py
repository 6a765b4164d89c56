"""The tables of what keys may do: nominators' limits, and customers' keys."""

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from rbl.store.columns import Apex, Base, Key


class KeyLimit(Base):
    """What an operator allows a nominator's key beside its trust, or that it may do nothing for now.

    Locked by each nomination of that key, so that what it used is counted right.
    """

    __tablename__ = "key_limits"

    key_id: Mapped[int] = mapped_column(ForeignKey("api_keys.id"), primary_key=True, autoincrement=False)
    nominations: Mapped[int | None]  # None, here and below: as many as its trust allows
    networks: Mapped[int | None]
    waiting: Mapped[int | None]
    suspended_at: Mapped[datetime | None]


class CustomerKey(Base):
    """Who may ask a list by a label of his own, kept as its digest, and how much he asked."""

    __tablename__ = "customer_keys"
    __table_args__ = (UniqueConstraint("zone", "digest"),)

    id: Mapped[Key]
    zone: Mapped[Apex] = mapped_column(ForeignKey("zones.apex"))
    name: Mapped[str] = mapped_column(String(100))
    digest: Mapped[str] = mapped_column(String(64))
    queries: Mapped[int] = mapped_column(BigInteger, server_default="0")
    used_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]
