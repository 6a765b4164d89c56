"""Counting hits by listing."""

import threading
from datetime import UTC, datetime
from ipaddress import ip_address

import pytest
from prometheus_client import CollectorRegistry

from rbl.config import Dns, RateLimit
from rbl.names import OwnerName
from rbl.responder.answer import answer
from rbl.responder.counters import Counters
from rbl.responder.hits import ListingHits
from rbl.responder.rules import rules_of
from rbl.terms import Change, Entry
from tests.responder.lists import ANYBODY, NOW, SERIAL, make_catalogue
from tests.responder.presentation import make_query

ADDRESS = ip_address("203.0.113.9")
LISTING = ("bl.test", "203.0.113.9/32")


class Counting:
    """Hits of the lists of these tests, and what the metrics say of those that found no room."""

    def __init__(self, most_asked: int = 100, most_waiting: int = 100) -> None:
        self.registry = CollectorRegistry()
        self.catalogue = make_catalogue()
        self.hits = ListingHits(
            self.catalogue, Counters(self.registry), most_asked=most_asked, most_waiting=most_waiting
        )

    @property
    def unplaced(self) -> float | None:
        """The metric."""
        return self.registry.get_sample_value("rbl_dns_hits_unplaced_total")


def test_hits_are_counted_by_listing() -> None:
    """Addresses count for the network that lists them, and names for the name or wildcard that does."""
    hits = Counting().hits
    for address in ("203.0.113.9", "198.51.100.1", "198.51.100.2", "2001:db8:2::7", "::ffff:203.0.113.9"):
        hits.count("bl.test", ip_address(address))
    for wildcard in (True, True, False):
        hits.count("names.test", OwnerName((b"wild", b"example", b"com"), wildcard))

    assert {
        LISTING: 2,
        ("bl.test", "198.51.100.0/24"): 2,
        ("bl.test", "2001:db8:2::/48"): 1,
        ("names.test", "*.wild.example.com"): 2,
        ("names.test", "wild.example.com"): 1,
    } == hits.take()
    assert {} == hits.take()


@pytest.mark.parametrize(
    ("question", "is_hit"),
    [
        ("9.113.0.203.bl.test. IN A", True),
        ("9.113.0.203.bl.test. IN TXT", True),
        ("9.113.0.203.bl.test. IN ANY", True),
        ("9.113.0.203.bl.test. IN AAAA", False),  # NODATA: nobody refuses mail for that
        ("113.0.203.bl.test. IN A", False),
        ("8.113.0.203.bl.test. IN A", False),
        ("7.100.51.198.bl.test. IN A", False),  # exempt
        ("spam.example.com.names.test. IN A", True),
        ("test.names.test. IN A", False),
        ("bl.test. IN SOA", False),
    ],
)
def test_what_is_a_hit(question: str, is_hit: bool) -> None:  # noqa: FBT001 — a table's column
    """An answer that says "listed" is a hit, of whatever type; nothing else is."""
    packet, _ = make_query(question)
    rules = rules_of(Dns(rate_limit=RateLimit(responses_per_second=0)))

    assert is_hit == (answer(packet, ANYBODY, make_catalogue(), rules, NOW).hit is not None)


def test_what_is_not_told_is_no_hit() -> None:
    """An answer that a limit turned into "ask again", or into silence, told nobody of the listing."""
    packet, _ = make_query("9.113.0.203.bl.test. IN A")
    rules = rules_of(Dns(rate_limit=RateLimit(responses_per_second=1)))
    catalogue = make_catalogue()
    replies = [answer(packet, ANYBODY, catalogue, rules, NOW) for _ in range(200)]

    assert {("listed", True), ("slipped", False), ("limited", False)} == {
        (reply.outcome.value, reply.hit is not None) for reply in replies
    }


def test_what_is_listed_no_more_is_left_out() -> None:
    """Which listing answered is looked up when the counts are taken."""
    counting = Counting()
    counting.hits.count("bl.test", ADDRESS)
    counting.hits.count("bl.test", ip_address("203.0.113.10"))
    index = counting.catalogue.index((b"bl", b"test"))
    assert index is not None
    gone = Entry(
        "bl.test", SERIAL + 1, Change.DELISTED, "203.0.113.9/32", "relay", None, "x", "x", datetime.now(UTC)
    )
    counting.catalogue.serve(index.apply([gone]))

    assert {("bl.test", "203.0.113.10/32"): 1} == counting.hits.take()


def test_more_is_asked_than_there_is_room_for() -> None:
    """Two addresses have room here: a third is counted as unplaced, until the counts are taken."""
    counting = Counting(most_asked=2)
    for last in (1, 2, 3, 1, 4):
        counting.hits.count("bl.test", ip_address(f"198.51.100.{last}"))
    taken = counting.hits.take()
    counting.hits.count("bl.test", ip_address("198.51.100.3"))

    assert {("bl.test", "198.51.100.0/24"): 3} == taken
    assert {("bl.test", "198.51.100.0/24"): 1} == counting.hits.take()
    assert 2 == counting.unplaced


def test_counts_wait_within_limits() -> None:
    """What is given back comes with the next take; where there is no room for all, the most asked do."""
    counting = Counting(most_waiting=2)
    counting.hits.give_back({("bl.test", "a"): 1, ("bl.test", "b"): 5, LISTING: 7})
    counting.hits.give_back({("bl.test", "b"): 1, ("bl.test", "c"): 3})
    counting.hits.count("bl.test", ADDRESS)

    assert {("bl.test", "b"): 6, LISTING: 8} == counting.hits.take()
    assert 4 == counting.unplaced
    assert {} == counting.hits.take()


def test_what_is_counted_elsewhere_is_added() -> None:
    """The counts of another path come with every take."""
    counting = Counting()
    elsewhere = [{LISTING: 2, ("names.test", "spam.example.com"): 1}, {}]
    counting.hits.watch(lambda: elsewhere.pop(0))
    counting.hits.count("bl.test", ADDRESS)

    assert {LISTING: 3, ("names.test", "spam.example.com"): 1} == counting.hits.take()
    assert {} == counting.hits.take()


def test_threads_lose_no_hit() -> None:
    """Four threads count while a fifth takes: every hit is in one of the takes."""
    hits = Counting().hits

    def count() -> None:
        for _ in range(5_000):
            hits.count("bl.test", ADDRESS)

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    total = 0
    while any(thread.is_alive() for thread in threads):
        total += sum(hits.take().values())
    total += sum(hits.take().values())

    assert 20_000 == total
