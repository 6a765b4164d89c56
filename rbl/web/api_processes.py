"""``/v1/processes``: what every process of this list last said of itself, for operators."""

from datetime import datetime

from fastapi import APIRouter
from pydantic import ConfigDict, Field
from pydantic.config import JsonDict

from rbl.store import processes
from rbl.store.processes import ProcessView
from rbl.web.auth import Operating
from rbl.web.documents import tells
from rbl.web.fields import Answer
from rbl.web.parts import UsedParts
from rbl.web.problems import Standing

router = APIRouter(prefix="/v1/processes", tags=["operators"])

_PROCESS: JsonDict = {
    "name": "6f1c2a9b03d4e587",
    "host": "ns1.example.org",
    "pid": 812,
    "parts": ["dns"],
    "version": "0.1.0",
    "started_at": "2026-11-24T03:05:00Z",
    "seen_at": "2026-11-24T09:41:10Z",
    "stale": False,
    "ready": {"dns": True},
    "lists": {
        "relays.example.org": {
            "serial": 1795503902,
            "newest": 1795503902,
            "lag_seconds": 0.4,
            "held": None,
        }
    },
}


class Process(Answer):
    """One process, as it said at *seen_at*."""

    name: str = Field(description="Drawn at its start.")
    host: str
    pid: int
    parts: list[str] = Field(description="What runs in it: dns, web, collector, worker.")
    version: str
    started_at: datetime
    seen_at: datetime = Field(description="When it last told of itself.")
    stale: bool = Field(description="It has told nothing for a minute: killed, or cut off the database.")
    ready: dict[str, bool] = Field(description="Which of its parts did their work.")
    lists: dict[str, Standing] = Field(description="Where its DNS stood, by the list's apex.")


class ProcessesTold(Answer):
    """All processes that told of themselves within a day; one that ends as it should goes at once."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"processes": [_PROCESS]}]})

    processes: list[Process]


@router.get("", summary="Look at every process", responses=tells(no_key=401, bad_key=401, role=403))
def look_at(parts: UsedParts, _caller: Operating) -> ProcessesTold:
    """Each process writes down how it is every ten seconds, and at once when something is held back."""
    now = parts.now()
    with parts.store.reading() as session:
        return ProcessesTold(processes=[_told(view, now) for view in processes.known(session)])


def _told(view: ProcessView, now: datetime) -> Process:
    return Process(
        name=view.name,
        host=view.host,
        pid=view.pid,
        parts=list(view.parts),
        version=view.version,
        started_at=view.started_at,
        seen_at=view.seen_at,
        stale=view.is_stale(now),
        ready=dict(view.ready),
        lists={apex: Standing.model_validate(standing) for apex, standing in view.lists.items()},
    )
