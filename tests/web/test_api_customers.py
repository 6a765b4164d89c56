from collections.abc import Callable, Iterator
from dataclasses import replace

import httpx2
import pytest

from rbl.customerkey import digest_of, is_key
from rbl.store import customers
from rbl.store.engine import Store
from rbl.web.parts import Parts
from rbl.zone.access import Keys
from tests.web.conftest import Served
from tests.web.world import NAMES_ZONE, SECOND_ZONE, START, ZONE

Header = dict[str, str]
BODY = {"zone": ZONE, "name": "isp.example"}


@pytest.fixture
def keyed(serve: Callable[[Parts], Served], parts: Parts) -> Iterator[httpx2.Client]:
    """A client of the API of lists that know keys, but for the second."""
    files = {
        apex: zone if apex == SECOND_ZONE else replace(zone, keys=Keys.REQUIRED)
        for apex, zone in parts.zone_files.items()
    }
    with httpx2.Client(base_url=serve(replace(parts, zone_files=files)).url) as client:
        yield client


def test_a_customers_key_is_shown_once(keyed: httpx2.Client, admin: Header) -> None:
    """It has the form of a key, and no other answer contains it."""
    made = keyed.post("/v1/customers", headers=admin, json=BODY)
    listed = keyed.get("/v1/customers", headers=admin)

    told = made.json()
    assert 201 == made.status_code
    assert is_key(told["key"].encode())
    assert told["key"] not in listed.text
    assert {name: value for name, value in told.items() if name != "key"} == listed.json()["customers"][0]
    assert {
        "id": 1,
        "zone": ZONE,
        "name": "isp.example",
        "queries": 0,
        "used_at": None,
        "created_at": "2026-11-24T03:00:00Z",
        "revoked_at": None,
    } == listed.json()["customers"][0]


def test_usage_is_told(keyed: httpx2.Client, admin: Header, store: Store) -> None:
    """How much was asked with a key on all servers, and when last."""
    key = keyed.post("/v1/customers", headers=admin, json=BODY).json()["key"]
    with store.writing() as session:
        customers.add_usage(session, {(ZONE, digest_of(key.encode())): 7}, START)
    (told,) = keyed.get("/v1/customers", headers=admin).json()["customers"]

    assert (7, "2026-11-24T03:00:00Z") == (told["queries"], told["used_at"])


def test_a_customers_key_is_revoked_once(keyed: httpx2.Client, admin: Header) -> None:
    """Its description stays; the audit has who made and revoked it, and why."""
    made = keyed.post("/v1/customers", headers=admin, json=BODY | {"why": "contract 12"}).json()
    path = f"/v1/customers/{made['id']}"
    revoked = keyed.delete(path, headers=admin, params={"why": "contract ended"})
    again = keyed.delete(path, headers=admin)
    audit = keyed.get("/v1/audit", headers=admin, params={"subject": f"isp.example ({ZONE})"})

    assert (200, "2026-11-24T03:00:00Z") == (revoked.status_code, revoked.json()["revoked_at"])
    assert revoked.json() == again.json()
    assert [
        ("revoke-customer-key", "key 1 (the admin)", "contract ended"),
        ("make-customer-key", "key 1 (the admin)", "contract 12"),
    ] == [(deed["action"], deed["actor"], deed["why"]) for deed in audit.json()["deeds"]]


@pytest.mark.parametrize(
    ("body", "zone"),
    [
        ({"name": "x"}, ZONE),
        ({"name": "x", "zone": f"{ZONE.upper()}."}, ZONE),
        ({"name": "x", "zone": NAMES_ZONE}, NAMES_ZONE),
    ],
    ids=["the default", "in any form", "a list of names"],
)
def test_the_list_of_a_key(keyed: httpx2.Client, admin: Header, body: Header, zone: str) -> None:
    """A key is for one list, of either kind; by default for the first."""
    assert zone == keyed.post("/v1/customers", headers=admin, json=body).json()["zone"]


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"zone": "none.example"}, 404, "no-such-zone"),
        ({"zone": SECOND_ZONE}, 422, "no-keys"),
        ({"name": " "}, 422, "bad-name"),
        ({"name": "a\x07b"}, 422, "bad-name"),
        ({"name": ""}, 422, "invalid"),
        ({"name": "x" * 101}, 422, "invalid"),
        ({"why": ""}, 422, "invalid"),
        ({"queries": 3}, 422, "invalid"),
    ],
)
def test_a_customers_key_that_cannot_be_is_refused(
    keyed: httpx2.Client, admin: Header, change: dict[str, object], status: int, code: str
) -> None:
    """A list that asks for keys, and a name that can be shown."""
    answer = keyed.post("/v1/customers", headers=admin, json=BODY | change)

    assert (status, code) == (answer.status_code, answer.json()["code"])
    assert [] == keyed.get("/v1/customers", headers=admin).json()["customers"]


def test_an_unknown_customers_key_is_not_found(keyed: httpx2.Client, admin: Header) -> None:
    """There is nothing to revoke."""
    answer = keyed.delete("/v1/customers/9", headers=admin)

    assert (404, "no-such-key") == (answer.status_code, answer.json()["code"])


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/v1/customers"), ("POST", "/v1/customers"), ("DELETE", "/v1/customers/1")],
)
def test_customers_are_for_administrators(
    keyed: httpx2.Client, operator: Header, method: str, path: str
) -> None:
    """Nobody else learns who the customers are."""
    answers = [
        keyed.request(method, path, headers=headers, json=BODY if method == "POST" else None)
        for headers in ({}, operator)
    ]

    assert [(401, "no-key"), (403, "role")] == [(one.status_code, one.json()["code"]) for one in answers]
