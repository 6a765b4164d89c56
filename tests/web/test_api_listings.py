from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from ipaddress import ip_network

import httpx2
import pytest
from structlog.testing import capture_logs

from rbl.store import exemptions, hits, hosts
from rbl.terms import Act, State
from rbl.web.parts import Parts
from rbl.zone.zonefile import Limits
from tests.web.conftest import Served
from tests.web.world import NAMES_ZONE, RELAY, SECOND_ZONE, START, ZONE, World

Header = dict[str, str]
BODY = {"network": "8.8.8.0/28", "reason": "pool", "why": "all of it relays"}


def test_the_lists_are_named(api: httpx2.Client) -> None:
    """Everybody can learn which lists and reasons there are; the default comes first."""
    zones = api.get("/v1/zones").json()["zones"]

    assert [(ZONE, "addresses"), (SECOND_ZONE, "addresses"), (NAMES_ZONE, "names")] == [
        (zone["apex"], zone["kind"]) for zone in zones
    ]
    assert {"name": "pool", "title": "Address pool", "values": ["127.0.0.4"]} == zones[0]["reasons"][1]


def test_a_network_is_listed_by_hand(api: httpx2.Client, operator: Header) -> None:
    """It is in the list, and the log, as soon as the answer is there."""
    expires = START + timedelta(days=90)
    body = BODY | {"text": "a pool of relays", "expires_at": expires.isoformat()}

    with capture_logs() as logs:
        answer = api.post("/v1/listings", headers=operator, json=body)

    told = answer.json()
    assert (201, "8.8.8.0/28", "operator", "a pool of relays", "2027-02-22T03:00:00Z") == (
        answer.status_code,
        told["network"],
        told["origin"],
        told["text"],
        told["expires_at"],
    )
    assert (0, None, None) == (told["hits"], told["first_hit_at"], told["last_hit_at"])
    assert ["listed"] == [log["event"] for log in logs]
    assert api.get("/v1/addresses/8.8.8.9").json()["listed"]


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"network": "192.0.2.0/28"}, 422, "reserved-address"),
        ({"network": "8.8.0.0/15"}, 422, "network-too-wide"),
        ({"network": "2620::/31"}, 422, "network-too-wide"),
        ({"network": "8.8.8.1/28"}, 422, "bad-network"),
        ({"network": "localhost"}, 422, "bad-address"),
        ({"network": False}, 422, "invalid"),
        ({"network": 134744072}, 422, "invalid"),
        ({"reason": "spite"}, 422, "unknown-reason"),
        ({"text": "x" * 256}, 422, "invalid"),
        ({"text": "räuber"}, 422, "invalid"),
        ({"expires_at": "2026-11-24T02:00:00Z"}, 422, "expiry-past"),
        ({"expires_at": "2027-11-24T02:00:00"}, 422, "invalid"),
    ],
)
def test_what_may_not_be_listed_is_refused(
    api: httpx2.Client, operator: Header, change: dict[str, object], status: int, code: str
) -> None:
    """The zone file's limits, reserved space, and texts that no TXT record holds."""
    answer = api.post("/v1/listings", headers=operator, json=BODY | change)

    assert (status, code) == (answer.status_code, answer.json()["code"])


def test_a_list_of_names_takes_no_networks(api: httpx2.Client, operator: Header) -> None:
    """An address in a list of names would never be found."""
    answer = api.post("/v1/listings", headers=operator, json=BODY, params={"zone": NAMES_ZONE})

    assert (422, "wrong-kind") == (answer.status_code, answer.json()["code"])


def test_exempt_and_listed_networks_are_refused(api: httpx2.Client, operator: Header, world: World) -> None:
    """An exemption wins, and nothing is listed twice for one reason."""
    api.post("/v1/listings", headers=operator, json=BODY)
    with world.store.writing() as session:
        act = Act("x", "ours", START)
        exemptions.add(session, ip_network("9.9.0.0/16"), never_list=True, never_test=False, act=act)

    again = api.post("/v1/listings", headers=operator, json=BODY)
    exempt = api.post("/v1/listings", headers=operator, json=BODY | {"network": "9.9.9.0/24"})

    assert [(409, "already-listed"), (403, "exempt")] == [
        (answer.status_code, answer.json()["code"]) for answer in (again, exempt)
    ]


def test_a_listing_by_hand_is_ended(api: httpx2.Client, operator: Header) -> None:
    """Named by its reason and network, with the reason why."""
    api.post("/v1/listings", headers=operator, json=BODY)

    with capture_logs() as logs:
        ended = api.delete("/v1/listings/pool/8.8.8.0/28", headers=operator, params={"why": "closed now"})
    again = api.delete("/v1/listings/pool/8.8.8.0/28", headers=operator, params={"why": "closed now"})

    assert (200, "closed now") == (ended.status_code, ended.json()["ended_why"])
    assert (404, "not-listed") == (again.status_code, again.json()["code"])
    assert ["delisted"] == [log["event"] for log in logs]
    assert not api.get("/v1/addresses/8.8.8.9").json()["listed"]


def test_the_most_asked_listings(
    api: httpx2.Client, operator: Header, nominator: Header, world: World
) -> None:
    """Operators see what DNS is asked about most; hits from before a listing ended count on."""
    for network in ("8.8.8.0/28", "8.8.4.0/28", "8.8.0.0/28"):
        api.post("/v1/listings", headers=operator, json=BODY | {"network": network})
    with world.store.writing() as session:
        hits.add(session, {(ZONE, "8.8.8.0/28"): 7, (ZONE, "8.8.4.0/28"): 9}, START)

    told = api.get("/v1/listings", headers=operator).json()["listings"]
    ended = api.delete("/v1/listings/pool/8.8.4.0/28", headers=operator, params={"why": "closed"}).json()
    first = api.get("/v1/listings", headers=operator, params={"limit": 1}).json()["listings"]
    again = api.post("/v1/listings", headers=operator, json=BODY | {"network": "8.8.4.0/28"}).json()

    assert [("8.8.4.0/28", 9, "2026-11-24T03:00:00Z"), ("8.8.8.0/28", 7, "2026-11-24T03:00:00Z")] == [
        (each["network"], each["hits"], each["last_hit_at"]) for each in told
    ]
    assert (9, ["8.8.8.0/28"], 9) == (ended["hits"], [each["network"] for each in first], again["hits"])
    assert 403 == api.get("/v1/listings", headers=nominator).status_code
    assert 422 == api.get("/v1/listings", headers=operator, params={"limit": 0}).status_code


def test_what_a_test_listed_is_not_ended_by_hand(
    api: httpx2.Client, operator: Header, world: World
) -> None:
    """Otherwise the host's state would say listed, and DNS not."""
    world.bring_to(State.LISTED)

    answer = api.delete(f"/v1/listings/open-relay/{RELAY}", headers=operator, params={"why": "x"})

    assert (409, "listed-by-test") == (answer.status_code, answer.json()["code"])
    with world.store.reading() as session:
        host = hosts.find(session, ZONE, RELAY)
    assert host is not None
    assert State.LISTED is host.state
    assert api.get(f"/v1/addresses/{RELAY}").json()["listed"]


@pytest.mark.parametrize(
    ("network", "by_policy", "by_zone_file", "status"),
    [
        ("192.0.2.0/28", True, False, 201),
        ("198.51.100.0/28", True, False, 422),
        ("2001:db8::/64", True, False, 422),
        ("192.0.0.0/16", True, False, 422),
        ("198.51.100.0/28", False, True, 201),
    ],
    ids=["test network", "another one", "other family", "wider than it", "the zone file says so"],
)
def test_a_test_network_may_be_listed(
    serve: Callable[[Parts], Served],
    parts: Parts,
    operator: Header,
    network: str,
    by_policy: bool,  # noqa: FBT001 — a table's column
    by_zone_file: bool,  # noqa: FBT001
    status: int,
) -> None:
    """Reserved space that the policy or the zone file names is listed like any other."""
    policy = replace(
        parts.policies[ZONE], allow_reserved=(ip_network("192.0.2.0/24"),) if by_policy else ()
    )
    zone_file = replace(parts.zone_files[ZONE], limits=Limits(list_reserved=by_zone_file))
    served = serve(replace(parts, policies={ZONE: policy}, zone_files={ZONE: zone_file}))

    answer = httpx2.post(f"{served.url}/v1/listings", headers=operator, json=BODY | {"network": network})

    assert status == answer.status_code
