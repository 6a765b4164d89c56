"""``/v1/keys/{key_id}/limits``: what a nominator's key may bring about, for operators.

The switch for a key that floods: allow it more or less than its trust does, or suspend it, which revokes
nothing: what it handed in stays, its tests wait, and it goes on where it stopped.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import BeforeValidator, ConfigDict, Field
from pydantic.config import JsonDict

from rbl.quotas import Measure, of_settings
from rbl.store import limits
from rbl.store.limits import LimitView, NewLimit
from rbl.web.auth import Operating, act
from rbl.web.documents import tells
from rbl.web.fields import LARGEST_NUMBER, Answer, Body, Note, Why, whole
from rbl.web.parts import UsedParts

router = APIRouter(prefix="/v1/keys/{key_id}/limits", tags=["operators"])

_MOST = 2**31 - 1
_Many = Annotated[int, BeforeValidator(whole), Field(strict=True, ge=0, le=_MOST)] | None
_LIMITS: JsonDict = {
    "key_id": 3,
    "name": "mx.example.net",
    "suspended_at": None,
    "nominations": {"used": 12, "quota": 500},
    "networks": {"used": 9, "quota": 200},
    "waiting": {"used": 0, "quota": 100},
}


class LimitBody(Body):
    """What a key may do from now on; what is left out or null is as its trust allows."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"nominations": 20000, "why": "a large spam trap"}]}
    )

    nominations: _Many = Field(None, description="Within a day, whatever became of them.")
    networks: _Many = Field(None, description="Of hosts tested within a day: /24 and /64.")
    waiting: _Many = Field(None, description="Tests that wait to begin.")
    suspended: bool = Field(
        default=False, strict=True, description="Take nothing with this key, and begin no test for it."
    )
    why: Why
    note: Note | None = None


class Use(Answer):
    """How much of one measure is used, and how much may be."""

    used: int
    quota: int


class LimitsTold(Answer):
    """What a key may do, and has done."""

    model_config = ConfigDict(json_schema_extra={"examples": [_LIMITS]})

    key_id: int
    name: str
    suspended_at: datetime | None = Field(description="null: it is not.")
    nominations: Use = Field(description="Within a day.")
    networks: Use = Field(description="Tested within a day for its nominations.")
    waiting: Use = Field(description="Tests that wait to begin.")


_Id = Annotated[int, Path(ge=1, le=LARGEST_NUMBER, description="The key's number.", examples=[3])]


@router.get(
    "",
    summary="Look at what a key may do, and has done",
    responses=tells(no_key=401, bad_key=401, role=403, no_such_key=404),
)
def look_at(parts: UsedParts, _caller: Operating, key_id: _Id) -> LimitsTold:
    """By its trust, or as an operator said; of the last day."""
    with parts.store.reading() as session:
        return _told(limits.of_key(session, key_id, of_settings(parts.settings.quotas), parts.now()))


@router.put(
    "",
    summary="Change what a key may do, or suspend it",
    responses=tells(no_key=401, bad_key=401, role=403, no_such_key=404),
)
def change(parts: UsedParts, caller: Operating, key_id: _Id, body: LimitBody) -> LimitsTold:
    """In force for its next nomination, and for every worker before its next test."""
    doing = act(caller, body.why, parts.now(), body.note)
    with parts.store.writing() as session:
        limits.change(session, key_id, NewLimit(body.nominations, body.networks, body.waiting), doing)
        (limits.suspend if body.suspended else limits.resume)(session, key_id, doing)
        return _told(limits.of_key(session, key_id, of_settings(parts.settings.quotas), doing.at))


def _told(view: LimitView) -> LimitsTold:
    uses: Mapping[str, Use] = {
        measure.value: Use(used=view.used[measure], quota=view.quota.of(measure)) for measure in Measure
    }
    return LimitsTold(key_id=view.key_id, name=view.name, suspended_at=view.suspended_at, **uses)
