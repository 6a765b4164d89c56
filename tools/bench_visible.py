# ruff: noqa: INP001, T201  # a program, not a package
"""How long after its commit a listing, and a delisting, is in the DNS answer.

Each is committed to SQLite, and the running server is asked over UDP without pause until it answers
otherwise. Prints medians and the slowest; asserts nothing.
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from ipaddress import ip_network
from pathlib import Path

import dns.message
import dns.query
import dns.rcode
from prometheus_client import CollectorRegistry

from rbl.cli import logs
from rbl.cli.opening import prepare
from rbl.config import Dns, Listen, Log
from rbl.responder.answer import answer
from rbl.responder.catalogue import Catalogue
from rbl.responder.counters import Counters
from rbl.responder.follower import Follower
from rbl.responder.rules import rules_of
from rbl.responder.server import Server
from rbl.store import listings
from rbl.store.engine import Store
from rbl.store.journal import JournalReader
from rbl.store.listings import NewListing
from rbl.terms import Act
from rbl.zone import zonefile

ROUNDS = 50
ZONE = Path(__file__).parents[1] / "zones" / "relays.example.toml"
NETWORK = ip_network("5.9.0.1")


def main() -> None:
    """Measure and print."""
    logs.set_up(Log(level="warning"))
    zone = zonefile.read(ZONE)
    with tempfile.TemporaryDirectory() as folder:
        store = Store(f"sqlite:///{folder}/bench.db")
        prepare(store, [zone.apex_text])
        catalogue, counters, reader = Catalogue([zone]), Counters(CollectorRegistry()), JournalReader(store)
        follower = Follower(reader, catalogue, [zone], Path(folder), counters, max_change_share=1)
        rules = rules_of(Dns())
        server = Server(
            [Listen("127.0.0.1", 0)],
            lambda packet, client: answer(packet, client, catalogue, rules, time.time_ns()),
            counters,
        )
        follower.start()
        server.start()
        try:
            measure(store, zone.apex_text, server.bound[0])
        finally:
            server.stop()
            follower.stop()
            reader.close()
            store.close()


def measure(store: Store, apex: str, server: Listen) -> None:
    """List and delist in turns, and print how long each took to be seen."""
    query = dns.message.make_query(f"1.0.9.5.{apex}", "A")
    seen: dict[str, list[float]] = {"listed": [], "delisted": []}

    def until(rcode: dns.rcode.Rcode) -> float:
        committed = time.perf_counter()
        while dns.query.udp(query, server.host, 5, server.port).rcode() != rcode:
            pass
        return (time.perf_counter() - committed) * 1000

    def act() -> Act:
        return Act("bench", "to see how long it takes", datetime.now(UTC))

    def change(what: Callable[[], None], word: str, rcode: dns.rcode.Rcode) -> None:
        what()
        seen[word].append(until(rcode))

    def list_it() -> None:
        with store.writing() as session:
            listings.start(session, NewListing(apex, NETWORK, "open-relay"), act())

    def delist_it() -> None:
        with store.writing() as session:
            listings.end(session, apex, NETWORK, "open-relay", act())

    until(dns.rcode.NXDOMAIN)  # the first index is there
    for _ in range(ROUNDS):
        change(list_it, "listed", dns.rcode.NOERROR)
        change(delist_it, "delisted", dns.rcode.NXDOMAIN)
    for word, times in seen.items():
        median, most = statistics.median(times), max(times)
        print(f"commit to answer, {word:8} median {median:5.1f} ms, most {most:5.1f} ms")


if __name__ == "__main__":
    main()
