"""``/v1/switches``: what operators turn off and on while the program runs."""

from enum import StrEnum
from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import ConfigDict, Field

from rbl.store import switches
from rbl.web.auth import Operating, act
from rbl.web.documents import tells
from rbl.web.fields import Answer, Body, Note, Why
from rbl.web.parts import UsedParts

router = APIRouter(prefix="/v1/switches", tags=["operators"])


class Name(StrEnum):
    """The switches."""

    PROBING = switches.PROBING  # off: no probe goes out, from any machine


class SwitchBody(Body):
    """The position wanted, and why."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"on": False, "why": "a complaint"}]})

    on: bool = Field(strict=True)
    why: Why
    note: Note | None = None


class SwitchTold(Answer):
    """A switch and its position."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "probing", "on": True}]})

    name: Name
    on: bool


_Name = Annotated[Name, Path(description="The switch.", examples=["probing"])]


@router.get("/{name}", summary="Look at a switch", responses=tells(no_key=401, bad_key=401, role=403))
def look_at(parts: UsedParts, _caller: Operating, name: _Name) -> SwitchTold:
    """``probing`` off: no test goes out, from any machine."""
    with parts.store.reading() as session:
        return SwitchTold(name=name, on=switches.is_on(session, name.value))


@router.put("/{name}", summary="Turn a switch", responses=tells(no_key=401, bad_key=401, role=403))
def turn(parts: UsedParts, caller: Operating, name: _Name, body: SwitchBody) -> SwitchTold:
    """In force for every worker before its next step."""
    with parts.store.writing() as session:
        doing = act(caller, body.why, parts.now(), body.note)
        switches.turn(session, name.value, doing, on=body.on)
    return SwitchTold(name=name, on=body.on)
