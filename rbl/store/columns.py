"""Column types and the declarative base: how facts of the program are written in SQL.

Times are aware UTC, networks and addresses canonical text (readable in any SQL shell, the same on
both databases), enumerations their values.
"""

import re
from datetime import UTC, datetime
from enum import StrEnum
from ipaddress import ip_address, ip_network
from typing import Annotated, TypeVar

from sqlalchemy import BigInteger, DateTime, Dialect, Enum, Integer, MetaData, String, Text
from sqlalchemy.orm import DeclarativeBase, mapped_column
from sqlalchemy.types import TypeDecorator

from rbl.terms import Address, Network


class UtcDateTime(TypeDecorator[datetime]):
    """An aware UTC datetime; SQLite keeps no zone, so it is put back on the way out."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return *value* in UTC; a naive time is a fault of the program."""
        del dialect
        if value is None:
            return None
        assert value.tzinfo is not None, "times are aware"
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return *value* as aware UTC."""
        del dialect
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class AddressText(TypeDecorator[Address]):
    """An IP address as its canonical text (RFC 5952 for IPv6), 39 characters at most."""

    impl = String(39)
    cache_ok = True

    def process_bind_param(self, value: Address | None, dialect: Dialect) -> str | None:
        """Return the canonical text."""
        del dialect
        return None if value is None else str(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Address | None:
        """Return the address."""
        del dialect
        return None if value is None else ip_address(value)


class NetworkText(TypeDecorator[Network]):
    """An IP network as canonical text with its prefix length, 43 characters at most."""

    impl = String(43)
    cache_ok = True

    def process_bind_param(self, value: Network | None, dialect: Dialect) -> str | None:
        """Return the canonical text."""
        del dialect
        return None if value is None else str(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Network | None:
        """Return the network."""
        del dialect
        return None if value is None else ip_network(value)


class PlainText(TypeDecorator[str]):
    """Text of any length, in part written by remote hosts.

    PostgreSQL refuses NUL and neither database takes lone surrogates, and a host must not escape its
    listing by saying them: both become U+FFFD, the replacement character.
    """

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Return *value* as a database can store it."""
        del dialect
        return None if value is None else storable(value)


def storable(text: str) -> str:
    """Return *text* as a database can store it."""
    return _UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", text)


_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_E = TypeVar("_E", bound=StrEnum)


def word(of: type[_E]) -> Enum:
    """Return the column type for a closed set of words, stored by value; the program guards the set."""
    return Enum(
        of, values_callable=lambda words: [item.value for item in words], native_enum=False, length=32
    )


class Base(DeclarativeBase):
    """The parent of all tables; constraints are named, so that migrations can speak of them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012 — SQLAlchemy reads a plain class attribute
        datetime: UtcDateTime,
        str: PlainText,
    }


# SQLite gives automatic keys to INTEGER columns only.
BigKey = BigInteger().with_variant(Integer, "sqlite")
Key = Annotated[int, mapped_column(BigKey, primary_key=True)]
Apex = Annotated[str, mapped_column(String(255))]  # RFC 1035 §2.3.4: a name has 255 octets at most
