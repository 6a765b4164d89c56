"""Who has a place at the collector, and who leaves."""

from ipaddress import ip_address, ip_network

from rbl.mail.places import Answer, Limits, Places

LIMITS = Limits(connections=3, connections_per_peer=2, kept_connections=2, kept_per_neighbourhood=1)
ENTER, FULL, PEER_FULL = Answer.ENTER, Answer.FULL, Answer.PEER_FULL


def come(places: Places[str], guest: str, peer: str) -> tuple[Answer, str | None]:
    """Let somebody in where he may."""
    answer, leaver = places.admit(ip_address(peer))
    if answer is ENTER:
        places.enter(guest, ip_address(peer))
    return answer, leaver


def test_who_came_first_leaves_first() -> None:
    """Each newcomer takes the place of whoever has been there longest."""
    places: Places[str] = Places(LIMITS)
    answers = [come(places, f"g{number}", f"192.0.{number}.1") for number in range(6)]

    assert [(ENTER, None)] * 3 + [(ENTER, "g0"), (ENTER, "g1"), (ENTER, "g2")] == answers
    assert ["g3", "g4", "g5"] == places.guests()


def test_who_brings_something_stays() -> None:
    """A guest who is settled stays until his transaction is over, and is then the last to go."""
    places: Places[str] = Places(LIMITS)
    for number in range(3):
        come(places, f"g{number}", f"192.0.{number}.1")
        places.settle(f"g{number}")
    full = come(places, "g3", "192.0.3.1")
    places.unsettle("g1")
    places.unsettle("g0")
    places.unsettle("g2")
    places.settle("g2")

    assert (FULL, None) == full
    assert [(ENTER, "g1"), (ENTER, "g0")] == [
        come(places, f"g{number}", f"192.0.{number}.1") for number in (4, 5)
    ]


def test_a_peer_has_its_share() -> None:
    """An address of version 4, and a /64 of version 6, may not take all places."""
    places: Places[str] = Places(LIMITS)
    four = [come(places, f"a{number}", "192.0.2.1") for number in range(3)]
    places.leave("a0")
    places.leave("a0")
    places.leave("a1")
    six = [come(places, f"b{number}", f"2001:db8::{number}") for number in range(3)]

    assert [(ENTER, None), (ENTER, None), (PEER_FULL, None)] * 2 == four + six


def test_hosts_under_test_have_more_places() -> None:
    """A neighbourhood that is awaited has a place of its own, and no more than its share of them."""
    places: Places[str] = Places(LIMITS)
    places.awaited = frozenset(ip_network(f"192.0.{number}.0/24") for number in range(100, 103))
    for number in range(3):
        come(places, f"g{number}", f"192.0.{number}.1")
        places.settle(f"g{number}")
    came = [
        come(places, "host", "192.0.100.1"),
        come(places, "neighbour", "192.0.100.2"),
        come(places, "other", "192.0.101.1"),
        come(places, "third", "192.0.102.1"),
    ]
    places.leave("other")
    again = come(places, "third", "192.0.102.1")

    assert [(ENTER, None), (FULL, None), (ENTER, None), (FULL, None)] == came
    assert (ENTER, None) == again


def test_who_has_a_place_of_his_own_does_not_leave_for_strangers() -> None:
    """However long a host under test says nothing, strangers leave first."""
    places: Places[str] = Places(LIMITS)
    places.awaited = frozenset({ip_network("192.0.100.0/24")})
    come(places, "host", "192.0.100.1")
    leavers = [come(places, f"g{number}", f"192.0.{number}.1")[1] for number in range(5)]

    assert [None, None, None, "g0", "g1"] == leavers
