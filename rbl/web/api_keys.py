"""``/v1/keys``: API keys, for administrators. A key itself is shown once, when it is made."""

from datetime import datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Path, Query
from pydantic import ConfigDict, Field, StringConstraints
from pydantic.config import JsonDict

from rbl.store import keys
from rbl.store.keys import NewKey
from rbl.terms import Role, Trust
from rbl.web.auth import Administering, act
from rbl.web.documents import tells
from rbl.web.fields import (
    LARGEST_NUMBER,
    PRINTABLE_FORMAT,
    Answer,
    Body,
    Moment,
    NetworkField,
    Note,
    NoteQuery,
    Why,
)
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
    "expires_at": "2027-11-24T03:05:00Z",
    "used_at": "2026-11-24T04:00:00Z",
    "previous_until": None,
    "previous_used_at": None,
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
    expires_at: Moment | None = Field(None, description="It is refused from then on; null: never.")
    why: Why = Field("made", description="For the audit.")
    note: Note | None = None


class RotationBody(Body):
    """How long the old secret is taken beside the new one, and until when the key holds from now on."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"overlap_seconds": 86_400, "why": "its yearly change"}]}
    )

    overlap_seconds: int = Field(
        86_400, ge=0, le=int(keys.LONGEST_OVERLAP.total_seconds()), description="0: it is refused at once."
    )
    expires_at: Moment | None = Field(None, description="By default the expiry that it has.")
    why: Why = Field("rotated", description="For the audit.")
    note: Note | None = None


_Id = Annotated[int, Path(ge=1, le=LARGEST_NUMBER, description="The key's number.", examples=[3])]


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
    expires_at: datetime | None = Field(description="It is refused from then on; null: never.")
    used_at: datetime | None = Field(description="The last use, a minute old at most.")
    previous_until: datetime | None = Field(
        description="Until when the secret before the last rotation is taken beside the new one."
    )
    previous_used_at: datetime | None = Field(description="The last use of that one.")


class KeyMade(KeyTold):
    """A new key, or a key with a new secret: *key* is shown this once and kept nowhere."""

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
    responses=tells(
        no_key=401, bad_key=401, role=403, name_taken=409, bad_name=422, bad_network=422, expiry_past=422
    ),
)
def make(parts: UsedParts, caller: Administering, body: KeyBody) -> KeyMade:
    """The answer is the only place where the key is ever shown."""
    new = NewKey(
        name=body.name,
        role=body.role,
        trust=body.trust,
        mx_names=tuple(body.mx_names),
        internal_networks=tuple(body.internal_networks),
        expires_at=body.expires_at,
    )
    doing = act(caller, body.why, parts.now(), body.note)
    with parts.store.writing() as session:
        secret, view = keys.make(session, new, doing)
    return KeyMade(**KeyTold.model_validate(view).model_dump(), key=secret)


@router.post(
    "/{key_id}/rotation",
    summary="Give a key a new secret",
    responses=tells(
        no_key=401, bad_key=401, role=403, no_such_key=404, key_over=409, bad_overlap=422, expiry_past=422
    ),
)
def rotate(parts: UsedParts, caller: Administering, key_id: _Id, body: RotationBody) -> KeyMade:
    """Number, name and all that was done with it stay; the old secret is taken for the overlap.

    The answer is the only place where the new one is ever shown. Of three secrets the oldest is refused
    at once.
    """
    doing = act(caller, body.why, parts.now(), body.note)
    with parts.store.writing() as session:
        secret, view = keys.rotate(
            session,
            key_id,
            doing,
            overlap=timedelta(seconds=body.overlap_seconds),
            expires_at=body.expires_at,
        )
    return KeyMade(**KeyTold.model_validate(view).model_dump(), key=secret)


@router.delete(
    "/{key_id}",
    summary="Revoke a key",
    responses=tells(no_key=401, bad_key=401, role=403, no_such_key=404, last_admin=409),
)
def revoke(
    parts: UsedParts,
    caller: Administering,
    key_id: _Id,
    why: Annotated[Why, Query(description="For the audit.", examples=["she left"])] = "revoked",
    note: NoteQuery = None,
) -> KeyTold:
    """It is refused from now on; what was done with it stays."""
    with parts.store.writing() as session:
        view = keys.revoke(session, key_id, act(caller, why, parts.now(), note))
    return KeyTold.model_validate(view)
