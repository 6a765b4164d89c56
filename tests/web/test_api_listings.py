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
        ({"network": "127.1"}, 422, "bad-address"),
        ({"network": "localhost"}, 422, "wrong-kind"),
        ({"network": "*"}, 422, "wrong-kind"),
        ({"network": None}, 422, "invalid"),
        ({"name": "spam.example"}, 422, "invalid"),
        ({"network": None, "name": "spam.example"}, 422, "wrong-kind"),
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


@pytest.mark.parametrize(
    ("about", "status", "code"),
    [
        ({"network": "8.8.8.0/28"}, 422, "wrong-kind"),
        ({"network": "spam.example"}, 422, "wrong-kind"),
        ({"name": "8.8.8.0/28"}, 422, "wrong-kind"),
        ({"name": "8.8.8.8"}, 422, "wrong-kind"),
        ({"name": "2001:db8::1"}, 422, "wrong-kind"),
        ({"name": "bücher.example"}, 422, "bad-name"),
        ({"name": "a..example"}, 422, "bad-name"),
        ({"name": "x.*.example"}, 422, "bad-name"),
        ({"name": ".".join(["a" * 63] * 3 + ["a" * 44])}, 422, "bad-name"),
        ({"name": "*." + ".".join(["a" * 63] * 3 + ["a" * 42])}, 422, "bad-name"),
        ({"name": "x" * 301}, 422, "invalid"),
        ({"name": False}, 422, "invalid"),
        ({"name": "*"}, 422, "too-many-names"),
        ({"name": "TEST"}, 422, "test-point"),
        ({"name": "invalid."}, 422, "test-point"),
        ({"name": "spam.example", "reason": "spite"}, 422, "unknown-reason"),
        ({"name": "spam.example", "expires_at": "2026-11-24T02:00:00Z"}, 422, "expiry-past"),
        ({"name": ".".join(["a" * 63] * 3 + ["a" * 43])}, 201, None),
        ({"name": "*." + ".".join(["a" * 63] * 3 + ["a" * 41])}, 201, None),
    ],
)
def test_what_a_list_of_names_takes(
    api: httpx2.Client, operator: Header, about: dict[str, object], status: int, code: str | None
) -> None:
    """Names in ASCII that can be asked for under its apex; no networks, no test points, not every name."""
    body = {"reason": "pool", "why": "spam"} | about
    answer = api.post("/v1/listings", headers=operator, json=body, params={"zone": NAMES_ZONE})

    assert (status, code) == (answer.status_code, answer.json().get("code"))


def test_a_wrong_kind_says_what_to_do(
    serve: Callable[[Parts], Served], parts: Parts, operator: Header
) -> None:
    """What the list takes, and that there is no list of the other kind."""
    alone = serve(replace(parts, policies={ZONE: parts.policies[ZONE]}))
    body = {"reason": "pool", "why": "x", "name": "a.example"}

    answer = httpx2.post(f"{alone.url}/v1/listings", headers=operator, json=body)

    assert (
        f"{ZONE} is a list of addresses: give a network, such as 192.0.2.0/24; there is no list of names"
        == answer.json()["detail"]
    )


def test_a_wrong_kind_names_the_lists_of_the_other(api: httpx2.Client, operator: Header) -> None:
    """Where there are some, in either direction."""
    name = {"reason": "pool", "why": "x", "name": "a.example"}
    to_addresses = api.post("/v1/listings", headers=operator, json=name)
    to_names = api.post("/v1/listings", headers=operator, json=BODY, params={"zone": NAMES_ZONE})

    assert to_addresses.json()["detail"].endswith(f"; lists of names are {NAMES_ZONE}")
    assert (
        f"{NAMES_ZONE} is a list of names: give a name, such as spam.example or *.spam.example;"
        f" lists of addresses are {ZONE}, {SECOND_ZONE}"
    ) == to_names.json()["detail"]


def test_a_name_is_listed_looked_up_and_ended(api: httpx2.Client, operator: Header) -> None:
    """In its canonical form, whatever was written; a wildcard is beside the name, and covers others."""
    body = {"reason": "pool", "why": "spam"}
    zone = {"zone": NAMES_ZONE}
    listed = [
        api.post("/v1/listings", headers=operator, json=body | {"name": name}, params=zone)
        for name in ("Spam.Example.", "*.spam.example", "spam.example")
    ]
    below = api.get("/v1/listings/www.spam.example", params=zone).json()["listings"]
    ended = api.delete(
        "/v1/listings/pool/SPAM.example", headers=operator, params=zone | {"why": "clean now"}
    )
    again = api.delete(
        "/v1/listings/pool/spam.example", headers=operator, params=zone | {"why": "clean now"}
    )
    found = api.get("/v1/listings/spam.example", params=zone).json()["listings"]
    audit = api.get("/v1/audit", headers=operator, params={"subject": f"{NAMES_ZONE} spam.example"})

    assert [(201, None), (201, None), (409, "already-listed")] == [
        (answer.status_code, answer.json().get("code")) for answer in listed
    ]
    assert (None, "spam.example", "operator") == tuple(
        listed[0].json()[field] for field in ("network", "name", "origin")
    )
    assert [("*.spam.example", None)] == [(one["name"], one["ended_why"]) for one in below]
    assert (200, "clean now") == (ended.status_code, ended.json()["ended_why"])
    assert (404, "not-listed") == (again.status_code, again.json()["code"])
    assert [("spam.example", "clean now")] == [(one["name"], one["ended_why"]) for one in found]
    assert ["end-name", "list-name"] == [deed["action"] for deed in audit.json()["deeds"]]


@pytest.mark.parametrize(
    ("zone", "subject", "status", "code"),
    [
        (NAMES_ZONE, "8.8.8.0/28", 422, "wrong-kind"),
        (NAMES_ZONE, "a..b", 422, "bad-name"),
        (NAMES_ZONE, "7.100.51.198", 200, None),  # an import may have it, as it may have any name
        (ZONE, "spam.example", 422, "wrong-kind"),
        (ZONE, "5.6", 422, "bad-address"),
        (ZONE, "8.8.8.8/28", 422, "bad-network"),
        (ZONE, "8.8.8.0/28", 200, None),
        ("none.example", "8.8.8.0/28", 404, "no-such-zone"),
    ],
)
def test_what_is_looked_up_is_of_the_lists_kind(
    api: httpx2.Client, operator: Header, zone: str, subject: str, status: int, code: str | None
) -> None:
    """A network in a list of addresses, a name in one of names; and it is the same for an end."""
    found = api.get(f"/v1/listings/{subject}", params={"zone": zone})
    ended = api.delete(f"/v1/listings/pool/{subject}", headers=operator, params={"zone": zone, "why": "x"})

    assert (status, code) == (found.status_code, found.json().get("code"))
    assert (code or "not-listed") == ended.json()["code"]


def test_networks_are_looked_up_with_what_is_around(api: httpx2.Client, operator: Header) -> None:
    """The wider network that covers it is told after its own listing."""
    for network in ("8.8.0.0/16", "8.8.8.0/28"):
        api.post("/v1/listings", headers=operator, json=BODY | {"network": network})
    found = api.get("/v1/listings/8.8.8.0/28").json()["listings"]

    assert [("8.8.8.0/28", None), ("8.8.0.0/16", None)] == [(one["network"], one["name"]) for one in found]


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
