"""Who may do what: every operation of the API, by every kind of caller."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import Any

import httpx2
import pytest

from rbl.store import audit, customers, keys
from rbl.store.engine import Store
from rbl.store.keys import NewKey
from rbl.terms import Act, Role, State, Trust, Verdict
from rbl.web.parts import Parts
from rbl.zone.access import Keys
from tests.web.conftest import Served
from tests.web.world import START, ZONE, World, spam

# Each has a number, from 1: what a request is about has it in its address, so that no caller's deed is
# in another's way.
CALLERS = ("nobody", "made-up", "revoked", "trial", "normal", "trusted", "operator", "admin")
METHODS = {"get", "post", "put", "delete", "patch"}


@dataclass(frozen=True, slots=True)
class Row:
    """What is sent, and the status that each of CALLERS gets; *unknown* asks for nothing that is there."""

    statuses: str
    path: str
    unknown: str
    body: Mapping[str, Any] | None = None


PUBLIC = "200 200 200 200 200 200 200 200"
ACCEPTED = "202 202 202 202 202 202 202 202"
OPERATORS = "401 401 401 403 403 403 200 200"
ADMINS = "401 401 401 403 403 403 403 200"
WHY = {"why": "a test"}
NOWHERE = "zone=nowhere.example"

TABLE = {
    "POST /v1/nominations": Row(
        "401 401 401 201 201 201 201 201", "/v1/nominations", f"/v1/nominations?{NOWHERE}&address=x"
    ),
    "GET /v1/nominations/{nomination_id}": Row(
        "401 401 401 404 404 404 200 200", "/v1/nominations/{n}", "/v1/nominations/999"
    ),
    "GET /v1/nominations/{nomination_id}/message": Row(
        OPERATORS, "/v1/nominations/{n}/message", "/v1/nominations/999/message"
    ),
    "GET /v1/addresses/{address}": Row(PUBLIC, "/v1/addresses/9.2.{n}.1", ""),
    "GET /v1/addresses/{address}/events": Row(PUBLIC, "/v1/addresses/9.9.{n}.1/events", ""),
    "POST /v1/addresses/{address}/retests": Row(
        PUBLIC.replace("200", "202"), "/v1/addresses/9.2.{n}.1/retests", ""
    ),
    "GET /v1/addresses/{address}/runs/{run_id}/transcript": Row(
        PUBLIC, "/v1/addresses/9.2.{n}.1/runs/{run}/transcript", ""
    ),
    "GET /v1/hosts": Row(OPERATORS, "/v1/hosts", f"/v1/hosts?{NOWHERE}"),
    "POST /v1/hosts/{address}/decisions": Row(
        OPERATORS,
        "/v1/hosts/9.1.{n}.1/decisions",
        f"/v1/hosts/x/decisions?{NOWHERE}",
        {"decision": "approve", **WHY},
    ),
    "GET /v1/zones": Row(PUBLIC, "/v1/zones", ""),
    "GET /v1/listings": Row(OPERATORS, "/v1/listings", f"/v1/listings?{NOWHERE}"),
    "POST /v1/listings": Row(
        OPERATORS.replace("200", "201"),
        "/v1/listings",
        f"/v1/listings?{NOWHERE}",
        {"network": "9.4.{n}.0/24", "reason": "pool", **WHY},
    ),
    "GET /v1/listings/{subject}": Row(PUBLIC, "/v1/listings/9.2.{n}.1", ""),
    # after POST /v1/listings, of the same callers
    "DELETE /v1/listings/{reason}/{subject}": Row(
        OPERATORS, "/v1/listings/pool/9.4.{n}.0/24?why=x", f"/v1/listings/none/x?{NOWHERE}"
    ),
    "GET /v1/exemptions": Row(OPERATORS, "/v1/exemptions", "/v1/exemptions?x=y"),
    "POST /v1/exemptions": Row(
        OPERATORS.replace("200", "201"),
        "/v1/exemptions",
        "/v1/exemptions",
        {"network": "9.6.{n}.0/24", "never_test": True, **WHY},
    ),
    "DELETE /v1/exemptions/{network}": Row(
        OPERATORS.replace("200", "204"), "/v1/exemptions/9.6.{n}.0/24?why=x", "/v1/exemptions/x"
    ),
    "GET /v1/keys": Row(ADMINS, "/v1/keys", "/v1/keys?x=y"),
    "POST /v1/keys": Row(
        ADMINS.replace("200", "201"), "/v1/keys", "/v1/keys", {"name": "made by {n}", "role": "nominator"}
    ),
    "DELETE /v1/keys/{key_id}": Row(ADMINS, "/v1/keys/{victim}", "/v1/keys/999"),
    "GET /v1/customers": Row(ADMINS, "/v1/customers", "/v1/customers?x=y"),
    "POST /v1/customers": Row(
        ADMINS.replace("200", "201"), "/v1/customers", "/v1/customers", {"name": "customer {n}"}
    ),
    "DELETE /v1/customers/{key_id}": Row(ADMINS, "/v1/customers/{customer}", "/v1/customers/999"),
    "GET /v1/audit": Row(OPERATORS, "/v1/audit", "/v1/audit?before_id=x"),
    "GET /v1/switches/{name}": Row(OPERATORS, "/v1/switches/probing", "/v1/switches/none"),
    "PUT /v1/switches/{name}": Row(
        OPERATORS, "/v1/switches/probing", "/v1/switches/none", {"on": True, **WHY}
    ),
    "POST /v1/zones/{apex}/force": Row(
        OPERATORS, f"/v1/zones/{ZONE}/force", "/v1/zones/nowhere.example/force", WHY
    ),
    "GET /healthz": Row(PUBLIC, "/healthz", ""),
    "GET /readyz": Row(PUBLIC, "/readyz", ""),  # from a network of watchers: see test_watchers
    "GET /metrics": Row(PUBLIC, "/metrics", ""),
}


@dataclass(frozen=True, slots=True)
class Asking:
    """The API, the callers, and what their requests are about."""

    api: httpx2.Client
    headers: Mapping[str, Mapping[str, str]]
    known: Mapping[str, Mapping[str, int]]

    def ask(self, operation: str, caller: str, row: Row) -> httpx2.Response:
        """Send the request of *row* as *caller*."""
        method, _, template = operation.partition(" ")
        number = CALLERS.index(caller) + 1
        filled = {"n": number, **self.known[caller]}
        path = row.path.format_map(filled)
        headers = dict(self.headers[caller])
        if template == "/v1/nominations":
            headers["Content-Type"] = "message/rfc822"
            content = spam(f"9.3.{number}.1", number=100 + number)
            return self.api.request(method, path, content=content, headers=headers)
        body = None if row.body is None else _filled(row.body, filled)
        return self.api.request(method, path, json=body, headers=headers)


def _filled(body: Mapping[str, Any], filled: Mapping[str, Any]) -> dict[str, Any]:
    text = json.dumps(body)
    for name, value in filled.items():
        text = text.replace(f"{{{name}}}", str(value))
    return dict(json.loads(text))


@pytest.fixture
def asking(
    serve: Callable[..., Served], parts: Parts, world: World, key: Callable[..., dict[str, str]]
) -> Iterator[Asking]:
    """A list with something for everybody to ask for."""
    zone = replace(parts.zone_files[ZONE], keys=Keys.ACCEPTED)
    served = serve(replace(parts, zone_files={**parts.zone_files, ZONE: zone}))
    headers = {
        "nobody": {},
        "made-up": {"Authorization": f"Bearer rbl_{'x' * 43}"},
        "revoked": key(Role.ADMIN, "revoked"),
        **{trust.value: key(Role.NOMINATOR, f"on {trust.value}", trust) for trust in Trust},
        "operator": key(Role.OPERATOR),
        "admin": key(Role.ADMIN),
    }
    act = Act("set-up", "for a test", START)
    with world.store.writing() as session:
        (revoked,) = (each.id for each in keys.all_keys(session) if each.name == "revoked")
        keys.revoke(session, revoked, actor="set-up", now=START)
    for number in range(1, len(CALLERS) + 1):  # they are the nominations of these numbers
        _host(world, f"9.1.{number}.1", 1_000 + number).bring_to(State.NOMINATED)
    known = {}
    for number, caller in enumerate(CALLERS, 1):
        listed = _host(world, f"9.2.{number}.1", 2_000 + number)
        listed.nominate()
        claim = listed.begin()
        listed.come_back(claim)
        listed.conclude(claim, Verdict.OPEN)
        with world.store.writing() as session:
            victim = NewKey(f"victim {number}", Role.NOMINATOR, Trust.NORMAL)
            _, key_view = keys.make(session, victim, actor="set-up", now=START)
            _, customer = customers.make(session, ZONE, f"victim {number}", act)
        known[caller] = {"run": claim.run_id, "victim": key_view.id, "customer": customer.id}
    with httpx2.Client(base_url=served.url, timeout=60) as api:
        yield Asking(api, headers, known)


def _host(world: World, address: str, number: int) -> World:
    return World(world.store, world.clock, world.policy, ip_address(address), number)


def _acts(store: Store) -> int:
    with store.reading() as session:
        return len(audit.deeds(session, limit=1_000))


def test_the_table_has_every_operation(api: httpx2.Client) -> None:
    """Whoever adds an operation says who may use it."""
    paths = api.get("/v1/openapi.json").json()["paths"]

    operations = {
        f"{each.upper()} {path}" for path, item in paths.items() for each in METHODS & item.keys()
    }

    assert operations == TABLE.keys()


def test_who_may_do_what(asking: Asking, world: World) -> None:
    """Each caller gets what the table says, and what is refused changes nothing."""
    faults = []
    for operation, row in TABLE.items():
        for caller, expected in zip(CALLERS, row.statuses.split(), strict=True):
            before = _acts(world.store)
            answer = asking.ask(operation, caller, row)
            if int(expected) != answer.status_code:
                faults.append(
                    f"{operation} by {caller}: {answer.status_code}, not {expected}: {answer.text}"
                )
            if expected in {"401", "403"} and before != _acts(world.store):
                faults.append(f"{operation} by {caller} is refused and in the audit all the same")

    assert [] == faults


def test_who_is_refused_learns_nothing(asking: Asking) -> None:
    """Whoever may not do it hears the same of what is there and of what is not, well-formed or not."""
    faults = []
    for operation, row in TABLE.items():
        for caller, expected in zip(CALLERS, row.statuses.split(), strict=True):
            if expected not in {"401", "403"}:
                continue
            known = asking.ask(operation, caller, row)
            unknown = asking.ask(operation, caller, replace(row, path=row.unknown, body=row.body and {}))
            told = [
                (each.status_code, each.json()["code"], each.json()["detail"]) for each in (known, unknown)
            ]
            if told[0] != told[1]:
                faults.append(f"{operation} by {caller}: {told[0]}, and of what is not there {told[1]}")

    assert [] == faults


def test_without_a_key_nobody_hears_what_is_wrong_with_his_body(asking: Asking) -> None:
    """That he needs a key comes first."""
    faults = []
    for operation, row in TABLE.items():
        method, _, _ = operation.partition(" ")
        if row.body is not None and row.statuses.startswith("401"):
            for body in (b"{", b"\xff"):
                path = row.path.format_map({"n": 1, **asking.known["nobody"]})
                answer = asking.api.request(
                    method, path, content=body, headers={"Content-Type": "application/json"}
                )
                if (answer.status_code, answer.json()["code"]) != (401, "no-key"):
                    faults.append(f"{operation}: {answer.status_code} {answer.text}")

    assert [] == faults
