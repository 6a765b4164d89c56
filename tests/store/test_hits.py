"""Hits of listings: added up in one table by every DNS server."""

from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_network

from rbl.store import hits, journal, listings
from rbl.store.engine import Store
from rbl.store.hits import NO_HITS, HitsView
from rbl.store.listings import NewListing
from tests.store.steps import DAY, NOW, ZONE, act

ONE, TWO = "203.0.113.9/32", "198.51.100.0/24"


def add(store: Store, counts: dict[tuple[str, str], int], at: int = 0) -> None:
    """Add *counts*, *at* days later."""
    with store.writing() as session:
        hits.add(session, counts, NOW + at * DAY)


def list_in(store: Store, subject: str, reason: str = "relay") -> None:
    """List a network."""
    new = NewListing(ZONE, ip_network(subject), reason, allow_reserved=True)
    with store.writing() as session:
        listings.start(session, new, act())


def test_hits_are_added_up(opened: Store) -> None:
    """Counts of several servers and minutes add up for each listing, with the first and the last time."""
    add(opened, {(ZONE, ONE): 2**40, (ZONE, TWO): 1})
    add(opened, {(ZONE, ONE): 3}, at=1)
    add(opened, {(ZONE, ONE): 4}, at=2)
    with opened.reading() as session:
        found = hits.of_subjects(session, ZONE, [ONE, TWO, "192.0.2.1/32"])

    assert {
        ONE: HitsView(2**40 + 7, NOW, NOW + 2 * DAY),
        TWO: HitsView(1, NOW, NOW),
        "192.0.2.1/32": NO_HITS,
    } == found


def test_each_list_has_its_own(opened: Store) -> None:
    """One subject in two lists has two counts; a list that this database does not have is left out."""
    with opened.writing() as session:
        journal.open_zone(session, "second.example", NOW)
    add(opened, {(ZONE, ONE): 1, ("second.example", ONE): 2, ("none.example", ONE): 9})
    add(opened, {("none.example", ONE): 9})
    with opened.reading() as session:
        found = [
            hits.of_subjects(session, zone, {ONE})[ONE].hits
            for zone in (ZONE, "second.example", "none.example")
        ]

    assert [1, 2, 0] == found


def test_a_full_minute(opened: Store) -> None:
    """Fifteen thousand listings at once, twice."""
    counts = {(ZONE, f"10.{at >> 8}.{at & 255}.1/32"): at + 1 for at in range(15_000)}
    add(opened, counts)
    add(opened, counts, at=1)
    with opened.reading() as session:
        found = hits.of_subjects(session, ZONE, ["10.0.0.1/32", "10.58.151.1/32"])

    assert [2, 30_000] == [view.hits for view in found.values()]


def test_servers_add_at_once(opened: Store) -> None:
    """Several servers, each with the listings in another order: no count is lost, none waits for ever."""
    subjects = [f"10.0.{at}.0/24" for at in range(200)]

    def serve(number: int) -> None:
        ordered = subjects[number * 50 :] + subjects[: number * 50]
        for _ in range(10):
            add(opened, {(ZONE, subject): 1 for subject in ordered})

    with ThreadPoolExecutor(4) as servers:
        list(servers.map(serve, range(4)))
    with opened.reading() as session:
        found = hits.of_subjects(session, ZONE, subjects)

    assert {40} == {view.hits for view in found.values()}


def test_the_most_asked_come_first(opened: Store) -> None:
    """Live listings that were asked for, by their hits; both of a network that has two reasons."""
    for subject, reason in ((ONE, "relay"), (ONE, "pool"), (TWO, "relay"), ("192.0.2.0/24", "relay")):
        list_in(opened, subject, reason)
    add(opened, {(ZONE, ONE): 5, (ZONE, TWO): 9, (ZONE, "192.0.2.7/32"): 99})
    with opened.reading() as session:
        found = hits.most_asked(session, ZONE, 10)
        first = hits.most_asked(session, ZONE, 1)

    assert [(TWO, "relay", 9), (ONE, "relay", 5), (ONE, "pool", 5)] == [
        (view.subject, view.reason, asked.hits) for view, asked in found
    ]
    assert [TWO] == [view.subject for view, _ in first]


def test_what_is_listed_no_more_makes_room(opened: Store) -> None:
    """However many that were asked more have ended: the next live ones are shown in their place."""
    subjects = [f"192.0.2.{number}/32" for number in range(6)]
    for subject in subjects:
        list_in(opened, subject)
    add(opened, {(ZONE, subject): 9 for subject in subjects})
    with opened.writing() as session:
        for subject in subjects[2:]:
            listings.end(session, ZONE, ip_network(subject), "relay", act())
    with opened.reading() as session:
        found = hits.most_asked(session, ZONE, 2)

    assert ["192.0.2.1/32", "192.0.2.0/32"] == [view.subject for view, _ in found]


def test_hits_stay_when_the_listing_ends(opened: Store) -> None:
    """It is among the most asked no more, and what was counted is still there when it is listed again."""
    list_in(opened, ONE)
    add(opened, {(ZONE, ONE): 5})
    with opened.writing() as session:
        listings.end(session, ZONE, ip_network(ONE), "relay", act())
    with opened.reading() as session:
        asked = hits.of_subjects(session, ZONE, {ONE})
        found = hits.most_asked(session, ZONE, 10)

    assert (5, []) == (asked[ONE].hits, found)
