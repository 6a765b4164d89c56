from collections.abc import Callable
from dataclasses import replace

import httpx2
import pytest

from rbl.terms import State
from rbl.web.parts import Parts
from tests.web.conftest import Served
from tests.web.world import SECOND_ZONE, ZONE, World

STANDING = {"serial": 7, "newest": 9, "lag_seconds": 0.25, "held": "too much changes at once"}


def test_a_process_that_answers_is_alive(api: httpx2.Client) -> None:
    """Without asking any other part."""
    answer = api.get("/healthz")

    assert (200, {"alive": True}) == (answer.status_code, answer.json())


def test_all_parts_ready_is_ready(api: httpx2.Client) -> None:
    """The database, and what the parts say of themselves."""
    answer = api.get("/readyz")

    assert (200, {"database": True, "dns": True}) == (answer.status_code, answer.json()["parts"])


def test_a_list_that_is_held_back_is_told(api: httpx2.Client) -> None:
    """What DNS answers from, how long ago the journal was read, and why newer entries wait; still ready."""
    answer = api.get("/readyz")

    assert (200, {ZONE: STANDING}) == (answer.status_code, answer.json()["lists"])


def test_a_part_that_is_not_ready_is_named(serve: Callable[[Parts], Served], parts: Parts) -> None:
    """503, with the whole list."""
    served = serve(replace(parts, ready=lambda: {"dns": False}))

    answer = httpx2.get(f"{served.url}/readyz")

    told = answer.json()
    assert (503, "not-ready", "not ready: dns", {"database": True, "dns": False}) == (
        answer.status_code,
        told["code"],
        told["detail"],
        told["parts"],
    )


@pytest.fixture
def without_tables(parts: Parts) -> None:
    """A database that does not answer."""
    with parts.store.writing() as session:
        for table in ("switches", "hosts"):
            session.connection().exec_driver_sql(f"ALTER TABLE {table} RENAME TO {table}_lost")


def test_without_its_database_nothing_is_ready(without_tables: None, api: httpx2.Client) -> None:
    """But alive it is, and it says what is missing."""
    assert (200, 503) == (api.get("/healthz").status_code, api.get("/readyz").status_code)
    assert {"database": False, "dns": True} == api.get("/readyz").json()["parts"]
    assert {ZONE: STANDING} == api.get("/readyz").json()["lists"]


def test_hosts_and_tests_are_counted(api: httpx2.Client, world: World) -> None:
    """By list and state, each state there from the beginning."""
    world.bring_to(State.RETEST_QUEUED)

    metrics = api.get("/metrics").text

    for line in (
        f'rbl_hosts{{state="retest-queued",zone="{ZONE}"}} 1.0',
        f'rbl_hosts{{state="listed",zone="{ZONE}"}} 0.0',
        f'rbl_hosts{{state="listed",zone="{SECOND_ZONE}"}} 0.0',
        f'rbl_probe_runs_unfinished{{zone="{ZONE}"}} 1.0',
        f'rbl_probe_runs_due{{zone="{ZONE}"}} 1.0',
    ):
        assert line in metrics


def test_a_scraper_in_a_hurry_costs_one_count(api: httpx2.Client, world: World) -> None:
    """Within a few seconds the same numbers are given."""
    before = api.get("/metrics").text
    world.bring_to(State.LISTED)

    after = api.get("/metrics").text

    counted = [
        [line for line in text.splitlines() if line.startswith("rbl_hosts{")] for text in (before, after)
    ]
    assert counted[0] == counted[1]


def test_without_its_database_the_other_metrics_are_there(without_tables: None, api: httpx2.Client) -> None:
    """A scrape does not fail for what cannot be counted."""
    api.get("/healthz")

    metrics = api.get("/metrics").text

    assert 'rbl_http_requests_total{method="GET",status="200"}' in metrics
    assert "rbl_hosts{" not in metrics
