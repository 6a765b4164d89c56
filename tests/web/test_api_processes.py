"""``/v1/processes``."""

from datetime import timedelta

import httpx2

from rbl.store import processes
from rbl.store.processes import ListStanding, ProcessView
from rbl.web.parts import Parts
from tests.web.world import ZONE

Header = dict[str, str]


def test_every_process_is_told_of(api: httpx2.Client, operator: Header, parts: Parts) -> None:
    """With what it last said, and whether it has been silent for too long."""
    at = parts.now() - timedelta(minutes=2)
    standing = ListStanding(7, 9, 0.25, "too much changes at once")
    view = ProcessView("a", "ns1", 812, ("dns", "web"), "0.1.0", at, at, {"dns": True}, {ZONE: standing})
    with parts.store.writing() as session:
        processes.tell(session, view)

    answer = api.get("/v1/processes", headers=operator)

    (told,) = answer.json()["processes"]
    assert (200, ["dns", "web"], True) == (answer.status_code, told["parts"], told["stale"])
    assert {ZONE: {"serial": 7, "newest": 9, "lag_seconds": 0.25, "held": standing.held}} == told["lists"]


def test_strangers_are_told_nothing(api: httpx2.Client) -> None:
    """Names and addresses of our own machines are for operators."""
    assert 401 == api.get("/v1/processes").status_code
