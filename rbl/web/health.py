"""``/healthz``, ``/readyz``, ``/metrics``: for whatever watches the program.

Alive: this process answers. Ready: the database answers and has room, and every part says that it is.
DNS answers on when the database does not: how far each list is behind is told beside it.
"""

import time
from collections.abc import Iterable
from threading import Lock

from fastapi import APIRouter, Depends, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from pydantic import ConfigDict, Field
from pydantic.config import JsonDict

from rbl.errors import RblError
from rbl.quotas import of_settings
from rbl.store import hosts, limits, runs, switches
from rbl.terms import State
from rbl.web import problems
from rbl.web.documents import tells
from rbl.web.fields import Answer
from rbl.web.parts import Parts, UsedParts
from rbl.web.problems import Standing
from rbl.web.watchers import watching

router = APIRouter(tags=["watching"])

_METRICS_AGE_SECONDS = 5.0  # several scrapers, or one in a hurry, cost one count of the hosts
# A count reads every host in an index: however many there are, it takes this share of the time at most.
_METRICS_SHARE = 0.01


_STANDING: JsonDict = {"serial": 1795503902, "newest": 1795503902, "lag_seconds": 0.4, "held": None}


class Alive(Answer):
    """The process lives."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"alive": True}]})

    alive: bool = True


class Ready(Answer):
    """Every part of the program is ready."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"parts": {"database": True, "dns": True}, "lists": {"relays.example.org": _STANDING}}
            ]
        }
    )

    parts: dict[str, bool] = Field(description="Which part is ready.")
    lists: dict[str, Standing] = Field(
        description="What DNS answers from, by the list's apex; empty where this process answers none."
    )


@router.get("/healthz", summary="Is the process alive?", responses=tells())
async def healthz() -> Alive:
    """Answered by the event loop alone: no database, no thread."""
    return Alive()


@router.get(
    "/readyz",
    summary="Is every part ready?",
    response_model=Ready,
    responses=tells(no_watcher=403, not_ready=503),
    dependencies=[Depends(watching)],
)
def readyz(parts: UsedParts) -> Ready | Response:
    """503 with the same where one is not.

    A list that is held back, or lags behind the journal, is answered all the same: look at ``lists``.
    """
    told = dict(parts.ready())
    ready = {"database": told.pop("database", True) and _database_answers(parts), **told}
    lists = {apex: Standing.model_validate(standing) for apex, standing in parts.lists().items()}
    if all(ready.values()):
        return Ready(parts=ready, lists=lists)
    why = {name: f" ({fault})" for name, fault in parts.faults().items()}
    missing = ", ".join(name + why.get(name, "") for name, is_ready in ready.items() if not is_ready)
    problem = problems.document(
        parts.settings.web.public_url, "not-ready", 503, f"not ready: {missing}", parts=ready, lists=lists
    )
    return problems.answer(problem, {"Retry-After": "5"})


@router.get(
    "/metrics",
    summary="Metrics for Prometheus",
    response_class=Response,
    responses={
        200: {
            "description": "The text format of Prometheus.",
            "content": {
                "text/plain": {
                    "schema": {"type": "string"},
                    "example": 'rbl_hosts{zone="relays.example.org",state="listed"} 12.0\n',
                }
            },
        },
        **tells(no_watcher=403),
    },
    dependencies=[Depends(watching)],
)
def metrics(parts: UsedParts) -> Response:
    """Everything that the parts of this process count, and how many hosts are in each state."""
    return Response(generate_latest(parts.registry), media_type=CONTENT_TYPE_LATEST)


class StoreCollector(Collector):
    """Counts hosts and tests in the database when it is scraped, every few seconds at most.

    Ten minutes is the age of a count that took six seconds.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._lock = Lock()
        self._fresh_until: float | None = None
        self._families: list[GaugeMetricFamily] = []

    def describe(self) -> Iterable[GaugeMetricFamily]:
        """Return the names alone, so that registering asks no database."""
        return _families()

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """Return the counts; none while the database does not answer."""
        with self._lock:
            began = time.monotonic()
            if self._fresh_until is None or began >= self._fresh_until:
                counted = self._count()
                ended = time.monotonic()
                cost = 0.0 if counted is None else ended - began
                self._families = _families() if counted is None else counted
                self._fresh_until = ended + max(_METRICS_AGE_SECONDS, cost / _METRICS_SHARE)
            return self._families

    def _count(self) -> list[GaugeMetricFamily] | None:
        found = by_state, unfinished, due, used, quota = _families()
        try:
            with self._parts.store.reading() as session:
                for zone in self._parts.policies:
                    counts = hosts.count_by_state(session, zone)
                    for state in State:
                        by_state.add_metric([zone, state.value], counts.get(state, 0))
                    all_runs, due_runs = runs.count_unfinished(session, zone, self._parts.now())
                    unfinished.add_metric([zone], all_runs)
                    due.add_metric([zone], due_runs)
                quotas = of_settings(self._parts.settings.quotas)
                for key in limits.of_all(session, quotas, self._parts.now()):
                    for measure, count in key.used.items():
                        used.add_metric([str(key.key_id), measure.value], count)
                        quota.add_metric([str(key.key_id), measure.value], key.quota.of(measure))
        except RblError:  # /readyz tells of it
            return None
        return found


def _families() -> list[GaugeMetricFamily]:
    return [
        GaugeMetricFamily("rbl_hosts", "Hosts by state", labels=["zone", "state"]),
        GaugeMetricFamily("rbl_probe_runs_unfinished", "Tests that are not over", labels=["zone"]),
        GaugeMetricFamily("rbl_probe_runs_due", "Tests that a worker could begin now", labels=["zone"]),
        GaugeMetricFamily(
            "rbl_key_used", "What an API key, by its number, used of a quota", labels=["key", "of"]
        ),
        GaugeMetricFamily("rbl_key_quota", "The quota of an API key", labels=["key", "of"]),
    ]


def _database_answers(parts: Parts) -> bool:
    try:
        with parts.store.reading() as session:
            switches.is_on(session, switches.PROBING)
    except RblError:
        return False
    return True
