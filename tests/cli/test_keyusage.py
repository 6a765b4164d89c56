"""The counts of customers' queries on their way into the table."""

import asyncio
from collections.abc import Iterator

import pytest

from rbl.cli import keyusage
from rbl.cli.opening import now, prepare
from rbl.responder.usage import KeyUsage
from rbl.store import customers
from rbl.store.engine import Store
from rbl.store.tables import CustomerKey
from rbl.terms import Act

ZONE = "relays.example"


@pytest.fixture
def store(sqlite_url: str) -> Iterator[Store]:
    """A database with one key."""
    store = Store(sqlite_url)
    prepare(store, [ZONE])
    with store.writing() as session:
        customers.make(session, ZONE, "isp.example", Act("test", "test", now()))
    yield store
    store.close()


def digest(store: Store) -> str:
    """Return the digest of the key."""
    with store.reading() as session:
        return session.get_one(CustomerKey, 1).digest


def queries(store: Store) -> int:
    """Return how many queries the table has."""
    with store.reading() as session:
        return customers.all_keys(session)[0].queries


def test_counts_are_kept_while_it_runs_and_at_its_end(store: Store) -> None:
    """What was counted is in the table soon, and what came last when it has ended."""
    usage = KeyUsage()
    key = digest(store)

    async def run() -> None:
        async with keyusage.kept(lambda: store, usage, every_seconds=0.01):
            usage.count(ZONE, key)
            while await asyncio.to_thread(queries, store) < 1:  # noqa: ASYNC110 — a row has no event
                await asyncio.sleep(0.001)
            usage.count(ZONE, key)

    asyncio.run(run())

    assert 2 == queries(store)


def test_counts_wait_for_the_database(store: Store) -> None:
    """While the database does not answer the counts are kept, and go in with the next."""
    usage = KeyUsage()
    usage.count(ZONE, digest(store))
    broken = Store("postgresql://nobody@127.0.0.1:1/none")
    keyusage.keep(lambda: broken, usage)
    broken.close()
    keyusage.keep(lambda: store, usage)
    keyusage.keep(lambda: store, usage)

    assert 1 == queries(store)
