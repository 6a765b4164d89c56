"""Nothing that a page, the API, a scrape, worker, collector or follower asks scans a large table."""

from collections.abc import Iterator
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path

import httpx2
import pytest

from rbl.mail import returns
from rbl.mail.delivery import Received
from rbl.store import (
    attendance,
    customers,
    hits,
    journal,
    listings,
    probes,
    receipts,
    retention,
    retests,
    runs,
    switches,
)
from rbl.store.engine import Store
from rbl.store.journal import JournalReader
from rbl.store.listings import NewListing
from rbl.store.receipts import Quota
from rbl.store.retention import Kind
from rbl.terms import Act, State, Trust, Verdict
from tests.postgresql import Databases
from tests.web import crowd, plans
from tests.web.world import NAMES_ZONE, RELAY, SECOND_ZONE, START, TOKEN, ZONE, World, spam

# Where reading all of it is right: what marks the statement, and why.
_RIGHT = {
    "UNION ALL SELECT customer_keys": "the snapshot is the whole list, where there is no index yet",
    "count(hosts.id) AS count_1 FROM hosts": "for /metrics: so rarely that it costs 1 % of the time",
    "length(probe_envelopes.token)": "tests from before tokens were signed: once a minute, soon no more",
    "sum(receipts.octets)": "the collector's quota: once a minute, and by an index alone",
    "count(probe_runs.id) AS count_1": "for /metrics, too: all tests that are not over",
}
_FEWEST_STATEMENTS = 80  # that the operations below execute


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, sqlite_template: Path, tmp_path: Path) -> Iterator[str]:
    """The URL of a database of either kind with the newest schema, gone after the test."""
    if request.param == "sqlite":
        yield str(request.getfixturevalue("sqlite_url"))
        return
    databases: Databases = request.getfixturevalue("databases")
    name = databases.migrated()
    yield databases.url(name)
    databases.drop(name)


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    """A database with a large list."""
    store = Store(url)
    with store.writing() as session:
        switches.set_up(session, START)
        for zone in (ZONE, SECOND_ZONE, NAMES_ZONE):
            journal.open_zone(session, zone, START)
    crowd.fill(store)
    yield store
    store.close()


def use_pages(browser: httpx2.Client) -> None:
    """Look at addresses with every kind of story, at watching, and ask for a retest."""
    for address in (RELAY, "20.0.0.1", "20.0.0.5", "20.0.50.7", "8.8.4.4", "2001:db8::7"):
        assert browser.get(f"/a/{address}").status_code == 200
    assert browser.post("/a/20.0.0.5/retest").status_code == 303
    assert browser.post("/a/20.0.50.7/retest").status_code == 409
    for path in ("/readyz", "/metrics"):
        assert browser.get(path).status_code == 200


def use_public_api(api: httpx2.Client) -> None:
    """Look up what everybody may."""
    for path in (
        f"/v1/addresses/{RELAY}",
        "/v1/addresses/20.0.0.1",
        "/v1/addresses/20.0.0.3/runs/3/transcript",
        "/v1/addresses/20.0.0.3/events",
        "/v1/listings/20.0.0.0%2F24",
        f"/v1/listings/mail.example?zone={NAMES_ZONE}",
    ):
        assert api.get(path).status_code == 200
    assert api.post("/v1/addresses/20.0.0.6/retests").status_code == 202


def use_operators_api(api: httpx2.Client, key: dict[str, str]) -> None:
    """Do everything that operators do."""
    states = [f"/v1/hosts?state={state.value}" for state in State]
    for path in (
        "/v1/listings",
        "/v1/hosts",
        "/v1/hosts?state=listed&state=delisted&state=queued",
        *states,
        "/v1/exemptions",
        "/v1/audit",
        "/v1/audit?before_id=10000",
        f"/v1/audit?subject={ZONE}%2020.0.0.1",
        "/v1/audit?subject=nobody",
        "/v1/customers",
        "/v1/keys",
        "/v1/keys/1000000/limits",
        "/v1/processes",
        "/v1/switches/probing",
    ):
        assert api.get(path, headers=key).status_code == 200, path
    why = {"why": "an exercise"}
    new = {"network": "20.200.0.0/24", "reason": "open-relay", **why}
    assert api.post("/v1/listings", json=new, headers=key).status_code == 201
    gone = api.delete("/v1/listings/open-relay/20.200.0.0/24", params=why, headers=key)
    assert gone.status_code == 200
    exempt = {"network": "20.201.0.0/24", "never_list": True, **why}
    assert api.post("/v1/exemptions", json=exempt, headers=key).status_code == 201
    for address, decision in (
        ("20.0.0.10", "reject"),
        ("20.0.0.12", "withdraw"),
        ("20.0.3.234", "approve"),
    ):
        told = {"decision": decision, **why}
        answer = api.post(f"/v1/hosts/{address}/decisions", json=told, headers=key)
        assert answer.status_code in {200, 409}, answer.text
    assert api.post(f"/v1/zones/{ZONE}/force", json=why, headers=key).status_code == 200


def nominate(api: httpx2.Client, key: dict[str, str]) -> None:
    """Hand in spam as a nominator does, twice."""
    headers = key | {"Content-Type": "message/rfc822", "Idempotency-Key": "once"}
    for address in ("20.0.0.1", "20.100.0.1"):
        answer = api.post("/v1/nominations", content=spam(address), headers=headers)
        assert answer.status_code in {201, 409}, answer.text
    assert api.get("/v1/nominations/5", headers=key).status_code in {200, 403, 404}


def work(world: World) -> None:
    """Do what a worker, the collector, a follower and the DNS server do."""
    world.nominate(trust=Trust.NORMAL)
    claim = world.begin()
    now = world.clock()
    with world.store.writing() as session:
        runs.renew(session, claim, now, timedelta(minutes=1))
        probes.try_again(session, claim)
    received = Received(RELAY, "relay.example", "", (f"{TOKEN}{claim.run_id}@x.example",), b"spam", now)
    returns.Returns(world.store, b"key", Quota(2**20, 2**20, 2**30)).keep(received)
    with world.store.reading() as session:
        receipts.expect_unsigned(session)
        attendance.awaited(session)
        attendance.heard(session, RELAY, now - timedelta(days=1), now)
    world.come_back(claim)
    world.conclude(claim, Verdict.OPEN)
    world.ask_retest()
    claim = world.claim()
    with world.store.writing() as session:
        runs.release(session, claim)
    for outbound in (True, False):
        with world.store.writing() as session:
            runs.claim(session, "w", now, timedelta(minutes=1), {ZONE: world.policy}, outbound=outbound)
        with world.store.reading() as session:
            runs.next_due(session, outbound=outbound)
    soon = NewListing(
        ZONE, ip_network("20.202.0.0/24"), "open-relay", expires_at=now + timedelta(seconds=1)
    )
    with world.store.writing() as session:
        listings.start(session, soon, Act("x", "y", now))
        assert listings.end_expired(session, now + timedelta(seconds=2)) == 1
        retests.queue_periodic(session, world.policy, now)
        for kind in Kind:
            retention.step(session, kind, now - timedelta(days=365), now, None, 100)
        _, made = customers.make(session, ZONE, "a customer", Act("x", "y", now))
        customers.revoke(session, made.id, Act("x", "y", now))
        customers.add_usage(session, {(ZONE, "digest"): 1}, now)
        hits.add(session, {(ZONE, "20.0.0.1/32"): 1, (ZONE, "20.0.0.2/32"): 1}, now)


def follow(store: Store) -> None:
    """Read what a follower reads."""
    reader = JournalReader(store)
    reader.wait_for_change(timedelta(0))
    mark, rows = reader.snapshot(ZONE)
    assert sum(1 for _ in rows) > crowd.HOSTS
    assert reader.entries_after(ZONE, mark, 100) is not None
    reader.forced_serial(ZONE)
    reader.close()


def test_no_statement_scans_a_large_table(
    store: Store,
    world: World,
    api: httpx2.Client,
    browser: httpx2.Client,
    operator: dict[str, str],
    admin: dict[str, str],
    nominator: dict[str, str],
) -> None:
    """Each one is found by an index, on both databases, but for those that are right to read everything."""
    with plans.heard() as asked:
        work(world)
        follow(store)
        use_pages(browser)
        use_public_api(api)
        use_operators_api(api, admin)
        nominate(api, nominator)
    found = [
        f"{', '.join(faults)}: {each}"
        for each in asked.values()
        if not any(mark in " ".join(each.statement.split()) for mark in _RIGHT)
        and (faults := plans.faults(store, each, crowd.TABLES))
    ]
    tables = {
        table for table in crowd.TABLES for each in asked if f"FROM {table}" in " ".join(each.split())
    }

    assert not found, "\n".join(found)
    assert crowd.TABLES - {"evidence"} <= tables
    assert len(asked) > _FEWEST_STATEMENTS
