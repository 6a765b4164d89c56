"""Types of the API's fields: addresses and networks read strictly, and texts with their limits.

Pydantic's own address type takes ``false`` for 0.0.0.0 and numbers for addresses; ours takes text
only and reads it with ``addresses``.
"""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import Depends, Path, Query
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    PlainSerializer,
    PlainValidator,
    StringConstraints,
    WithJsonSchema,
)

from rbl import remarks
from rbl.addresses import parse_address, parse_network
from rbl.store.hosts import ZonePolicy
from rbl.terms import Address, Network
from rbl.web.parts import UsedParts

# Larger whole numbers are not the same in every reader of JSON (RFC 8259 §6).
LARGEST_NUMBER = 2**53 - 1
# Formats of our own, where JSON Schema has none: what they take is said beside each.
NETWORK_FORMAT = "network"  # an address, or an address and a prefix with no bits set beyond it
OWNER_NAME_FORMAT = "owner-name"  # a domain name in A-labels, or *. and one
SUBJECT_FORMAT = "network-or-owner-name"
PRINTABLE_FORMAT = "printable"  # no control character, nor any that shows nothing


def _address(value: object) -> Address:
    if isinstance(value, Address):
        return value
    return parse_address(_text(value, "an address"))


def _network(value: object) -> Network:
    if isinstance(value, Network):
        return value
    return parse_network(_text(value, "a network"))


def _text(value: object, what: str) -> str:
    if not isinstance(value, str):
        msg = f"{what} is written as text"
        raise ValueError(msg)  # noqa: TRY004 — what pydantic turns into a fault of this field
    return value


def _in_utc(value: datetime) -> datetime:
    try:
        return value.astimezone(UTC)
    except OverflowError:
        msg = "it is before the year 1 or after the year 9999 in UTC"
        raise ValueError(msg) from None


def whole(value: object) -> object:
    """Return 7 for 7.0, which JSON has for the same number, and all else as it is."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _remark(value: str) -> str:
    fault = remarks.fault(value)
    if fault is not None:
        raise ValueError(fault)
    return value.strip()


AddressField = Annotated[
    Address,
    PlainValidator(_address),
    PlainSerializer(str, return_type=str),
    WithJsonSchema(
        {
            "anyOf": [{"type": "string", "format": "ipv4"}, {"type": "string", "format": "ipv6"}],
            "title": "Address",
            "description": "IPv4 or IPv6",
            "examples": ["192.0.2.1"],
        }
    ),
]
NetworkField = Annotated[
    Network,
    PlainValidator(_network),
    PlainSerializer(str, return_type=str),
    WithJsonSchema(
        {
            "type": "string",
            "format": NETWORK_FORMAT,
            "pattern": r"^[0-9A-Fa-f:.]+(/[0-9]{1,3})?$",
            "title": "Network",
            "description": "An address, or an address and a prefix length",
            "examples": ["192.0.2.0/24"],
        }
    ),
]
Moment = Annotated[AwareDatetime, AfterValidator(_in_utc)]
_Remark = Annotated[
    str,
    StringConstraints(min_length=1, max_length=remarks.LONGEST),
    AfterValidator(_remark),
    Field(json_schema_extra={"pattern": remarks.PATTERN, "format": PRINTABLE_FORMAT}),
]
Why = Annotated[_Remark, Field(description="Public wherever the act itself is.")]
Note = Annotated[_Remark, Field(description="For operators only: kept in the audit, shown nowhere else.")]
NoteQuery = Annotated[
    Note | None,
    Query(description="For operators only: kept in the audit, shown nowhere else.", examples=["see #4711"]),
]
# RFC 1035 §3.3: a character-string has 255 octets; many clients show only the first of a TXT record.
ListingText = Annotated[
    str,
    StringConstraints(min_length=1, max_length=255, pattern=r"^[\x20-\x7e]*[\x21-\x7e][\x20-\x7e]*$"),
    AfterValidator(str.strip),
]
Hits = Annotated[
    int,
    Field(
        description="How often DNS answered for this network, up to a minute ago, in all the time that it"
        " was listed for any reason."
    ),
]

AddressPath = Annotated[
    AddressField, Path(description="The address, in any valid form.", examples=["192.0.2.1"])
]
ZoneQuery = Annotated[
    str | None,
    Query(
        description="The list, by its apex; by default the first one.",
        max_length=255,
        examples=["relays.example.org"],
    ),
]


# Coroutines, though they wait for nothing: for what is none FastAPI takes a thread, and each change of
# threads costs a page some of its time.
async def policy_of(parts: UsedParts, zone: ZoneQuery = None) -> ZonePolicy:
    """Return the policy of the list that a request means."""
    return parts.policy(zone)


async def policy_of_any(parts: UsedParts, zone: ZoneQuery = None) -> ZonePolicy:
    """Return the policy of the list that a request means, be it one of addresses or of names."""
    return parts.policy_of_any(zone)


AskedPolicy = Annotated[ZonePolicy, Depends(policy_of)]
AskedPolicyOfAny = Annotated[ZonePolicy, Depends(policy_of_any)]


def one_of(**formats: str | None) -> list[JsonValue]:
    """Return for a body's schema: exactly one of these fields is given, and the others are null."""
    nothing: dict[str, JsonValue] = {"type": "null"}
    texts: dict[str, dict[str, JsonValue]] = {
        name: {"type": "string"} if text is None else {"type": "string", "format": text}
        for name, text in formats.items()
    }
    return [
        {
            "required": [given],
            "properties": {name: text if name == given else nothing for name, text in texts.items()},
        }
        for given in texts
    ]


class Body(BaseModel):
    """What a request sends: nothing but the fields that are known."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Answer(BaseModel):
    """What the API tells, read from the store's facts."""

    model_config = ConfigDict(frozen=True, from_attributes=True)
