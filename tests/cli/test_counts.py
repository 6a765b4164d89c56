"""The counts of the DNS server on their way into the tables."""

import asyncio
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from rbl.cli import counts
from rbl.cli.counts import Counts
from rbl.cli.opening import now, prepare
from rbl.errors import ConfigError
from rbl.responder.catalogue import Catalogue
from rbl.responder.counters import Counters
from rbl.responder.hits import ListingHits
from rbl.responder.usage import KeyUsage
from rbl.store import customers, hits
from rbl.store.engine import Store
from rbl.store.keytables import CustomerKey
from rbl.terms import Act, Listed
from rbl.zone import zonefile
from rbl.zone.index import compile_index

ZONE = "relays.example"
ADDRESS = ip_address("203.0.113.9")
LISTING = "203.0.113.9/32"


@pytest.fixture
def store(sqlite_url: str) -> Iterator[Store]:
    """A database with one key."""
    store = Store(sqlite_url)
    prepare(store, [ZONE])
    with store.writing() as session:
        customers.make(session, ZONE, "isp.example", Act("test", "test", now()))
    yield store
    store.close()


@pytest.fixture
def counted(store: Store, zone_file: Path) -> Counts:
    """What counts, with one listing."""
    zone = zonefile.read(zone_file)
    catalogue = Catalogue([zone])
    catalogue.serve(compile_index(zone, 1, [Listed(LISTING, "open-relay", None, exempt=False)]))
    return Counts(lambda: store, KeyUsage(), ListingHits(catalogue, Counters(CollectorRegistry())))


def digest(store: Store) -> str:
    """Return the digest of the key."""
    with store.reading() as session:
        return session.get_one(CustomerKey, 1).digest


def kept(store: Store) -> tuple[int, int]:
    """Return how many queries of the key, and hits of the listing, the tables have."""
    with store.reading() as session:
        asked = hits.of_subjects(session, ZONE, {LISTING})[LISTING]
        return customers.all_keys(session)[0].queries, asked.hits


def test_counts_are_kept_while_it_runs_and_at_its_end(store: Store, counted: Counts) -> None:
    """What was counted is in the tables soon, and what came last when it has ended."""
    key = digest(store)

    async def run() -> None:
        async with counts.kept(counted, every_seconds=0.01):
            counted.usage.count(ZONE, key)
            while await asyncio.to_thread(kept, store) != (1, 0):  # noqa: ASYNC110 — a row has no event
                await asyncio.sleep(0.001)
            counted.hits.count(ZONE, ADDRESS)
            while await asyncio.to_thread(kept, store) != (1, 1):  # noqa: ASYNC110
                await asyncio.sleep(0.001)
            counted.usage.count(ZONE, key)
            counted.hits.count(ZONE, ADDRESS)

    asyncio.run(run())

    assert (2, 2) == kept(store)


def test_counts_wait_for_the_database(store: Store, counted: Counts) -> None:
    """While the database does not answer the counts stay, and go in with the next, once."""
    counted.usage.count(ZONE, digest(store))
    counted.hits.count(ZONE, ADDRESS)
    broken = Store("postgresql://nobody@127.0.0.1:1/none")
    Counts(lambda: broken, counted.usage, counted.hits).keep()
    broken.close()
    counted.hits.count(ZONE, ADDRESS)
    counted.keep()
    counted.keep()

    assert (1, 2) == kept(store)


def test_an_unforeseen_fault_loses_no_count(store: Store, counted: Counts) -> None:
    """Whatever goes wrong is in the log with its traceback, and the counts go in with the next."""

    def fail() -> Store:
        raise ConfigError(["database.url: no database URL"])

    counted.usage.count(ZONE, digest(store))
    counted.hits.count(ZONE, ADDRESS)
    with capture_logs() as logs:
        Counts(fail, counted.usage, counted.hits).keep()
    counted.keep()

    assert [("counts_not_kept", True)] == [(log["event"], log["exc_info"]) for log in logs]
    assert (1, 1) == kept(store)
