"""``/v1/keys``: API keys, for administrators. A key itself is shown once, when it is made."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import ConfigDict, Field, StringConstraints
from pydantic.config import JsonDict

from rbl.store import keys
from rbl.store.keys import NewKey
from rbl.terms import Role, Trust
from rbl.web.auth import Administering, actor
from rbl.web.documents import tells
from rbl.web.fields import LARGEST_NUMBER, PRINTABLE_FORMAT, Answer, Body, NetworkField
from rbl.web.parts import UsedParts

router = APIRouter(prefix="/v1/keys", tags=["administrators"])

_KEY: JsonDict = {
    "id": 3,
    "name": "mx.example.net",
    "role": "nominator",
    "trust": "normal",
    "mx_names": ["mx.example.net"],
    "internal_networks": ["192.0.2.0/28"],
    "created_at": "2026-11-24T03:05:00Z",
    "revoked_at": None,
}

# The name in a server's Received fields: a host name, or whatever it was configured with.
MxName = Annotated[str, StringConstraints(to_lower=True, max_length=253, pattern=r"^[!-~]+$")]


class KeyBody(Body):
    """A key to be made; MX names and internal networks are for nominators."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "mx.example.net",
                    "role": "nominator",
                    "trust": "normal",
                    "mx_names": ["mx.example.net"],
                    "internal_networks": ["192.0.2.0/28"],
                }
            ]
        }
    )

    name: str = Field(min_length=1, max_length=100, json_schema_extra={"format": PRINTABLE_FORMAT})
    role: Role
    trust: Trust = Trust.NORMAL
    mx_names: list[MxName] = Field(
        default=[], max_length=100, description="As they stand after “by” in Received fields."
    )
    internal_networks: list[NetworkField] = Field(
        default=[], max_length=100, description="Of the nominator's own MTAs, whose hops are skipped."
    )


class KeyTold(Answer):
    """A key, without the key."""

    model_config = ConfigDict(json_schema_extra={"examples": [_KEY]})

    id: int
    name: str
    role: Role
    trust: Trust
    mx_names: list[str]
    internal_networks: list[NetworkField]
    created_at: datetime
    revoked_at: datetime | None


class KeyMade(KeyTold):
    """A new key: *key* is shown this once and kept nowhere."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [_KEY | {"key": "rbl_0000000000000000000000000000000000000000000"}]}
    )

    key: str


class KeysTold(Answer):
    """All keys, revoked ones too."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"keys": [_KEY]}]})

    keys: list[KeyTold]


@router.get("", summary="List the keys", responses=tells(no_key=401, bad_key=401, role=403))
def list_keys(parts: UsedParts, _caller: Administering) -> KeysTold:
    """In order of creation, revoked ones too."""
    with parts.store.reading() as session:
        found = keys.all_keys(session)
    return KeysTold(keys=[KeyTold.model_validate(each) for each in found])


@router.post(
    "",
    status_code=201,
    summary="Make a key",
    responses=tells(no_key=401, bad_key=401, role=403, name_taken=409, bad_name=422, bad_network=422),
)
def make(parts: UsedParts, caller: Administering, body: KeyBody) -> KeyMade:
    """The answer is the only place where the key is ever shown."""
    new = NewKey(
        name=body.name,
        role=body.role,
        trust=body.trust,
        mx_names=tuple(body.mx_names),
        internal_networks=tuple(body.internal_networks),
    )
    with parts.store.writing() as session:
        secret, view = keys.make(session, new, actor=actor(caller), now=parts.now())
    return KeyMade(**KeyTold.model_validate(view).model_dump(), key=secret)


@router.delete(
    "/{key_id}",
    summary="Revoke a key",
    responses=tells(no_key=401, bad_key=401, role=403, no_such_key=404, last_admin=409),
)
def revoke(
    parts: UsedParts,
    caller: Administering,
    key_id: Annotated[int, Path(ge=1, le=LARGEST_NUMBER, description="The key's number.", examples=[3])],
) -> KeyTold:
    """It is refused from now on; what was done with it stays."""
    with parts.store.writing() as session:
        view = keys.revoke(session, key_id, actor=actor(caller), now=parts.now())
    return KeyTold.model_validate(view)
