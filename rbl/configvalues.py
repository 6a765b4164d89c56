"""How single settings are written: addresses and networks, host names, waits, secrets, several of a kind.

Types for the fields of ``config``, each with what it refuses; where a fault stands is said there.
"""

from datetime import timedelta
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Annotated, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field


class Section(BaseModel):
    """A section of the settings: frozen, with the fields it has and no others."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_default=True, use_attribute_docstrings=True
    )


_LONGEST = timedelta(days=3650)  # any date of ours plus this is a date Python can write


def _address(value: object) -> object:
    """Read an address strictly: pydantic would take false for 0.0.0.0, and name every family it tried."""
    if isinstance(value, IPv4Address | IPv6Address):
        return value
    try:
        return ip_address(quoted(value))
    except ValueError:
        msg = f"{value!r} is no IP address"
        raise ValueError(msg) from None


def _network(value: object) -> object:
    if isinstance(value, IPv4Network | IPv6Network):
        return value
    try:
        return ip_network(quoted(value))
    except ValueError as fault:
        raise ValueError(str(fault)) from None  # says which: no network, or host bits set


def quoted(value: object) -> str:
    """Return *value* where it is text; ValueError says that quotes are missing."""
    if not isinstance(value, str):
        msg = f"{value!r} does not stand in quotes"
        raise ValueError(msg)  # noqa: TRY004 — what pydantic collects
    return value


def _hostname(value: str) -> str:
    name = value.removesuffix(".").lower()
    if len(name) > 253 or not all(_is_label(label) for label in name.split(".")):
        msg = f"{value!r} is no host name"
        raise ValueError(msg)
    return name


def _is_label(label: str) -> bool:
    return (
        0 < len(label) <= 63
        and label.isascii()
        and label.replace("-", "").replace("_", "").isalnum()
        and not label.startswith("-")
        and not label.endswith("-")
    )


def _several(value: object) -> object:
    """Split what an environment variable holds; a file gives lists already."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _seconds(value: object) -> object:
    """Read an environment variable's number of seconds; pydantic takes only ISO 8601 from text."""
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


def _sensible(value: timedelta) -> timedelta:
    if not timedelta(0) <= value <= _LONGEST:
        msg = f"must be between 0 and {_LONGEST.days} days"
        raise ValueError(msg)
    return value


Hostname = Annotated[str, AfterValidator(_hostname)]
# Seconds as a number, or ISO 8601 ("PT5M").
Duration = Annotated[timedelta, BeforeValidator(_seconds), AfterValidator(_sensible)]
# A secret of 16 octets, as `openssl rand -hex 16` writes one.
HexSecret = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
Address = Annotated[IPv4Address | IPv6Address, BeforeValidator(_address)]
Network = Annotated[IPv4Network | IPv6Network, BeforeValidator(_network)]
_T = TypeVar("_T")
Several = Annotated[tuple[_T, ...], BeforeValidator(_several)]
