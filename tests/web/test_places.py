from dataclasses import dataclass
from ipaddress import ip_network

import pytest

from rbl.web.places import Places, client_of


@dataclass(eq=False)
class Guest:
    """A connection that lets us wait since then, or asks something of us."""

    waited_for_since: float | None = 0.0
    has_left: bool = False

    def leave(self) -> None:
        """Go."""
        self.has_left = True


def entered(places: Places, host: str, *since: float | None) -> list[Guest]:
    """Let guests from *host* in."""
    guests = [Guest(each) for each in since]
    assert all(places.enter(guest, host) for guest in guests)
    return guests


def test_whoever_was_waited_for_longest_makes_way() -> None:
    """Of a client with too many connections the one that asks for nothing since the longest time goes."""
    places = Places(most=10, most_of_client=3)
    guests = entered(places, "192.0.2.1", 5.0, 3.0, 4.0)

    entered(places, "192.0.2.1", 6.0)

    assert [False, True, False] == [guest.has_left for guest in guests]
    assert 3 == len(places)


def test_a_request_that_is_answered_is_not_cut_off() -> None:
    """Where all of a client's connections are being answered, he gets no more."""
    places = Places(most=10, most_of_client=2)
    guests = entered(places, "192.0.2.1", None, None)

    assert not places.enter(Guest(), "192.0.2.1")
    assert places.enter(Guest(), "192.0.2.2")
    assert [False, False] == [guest.has_left for guest in guests]


def test_a_crowd_makes_way_before_others() -> None:
    """In all, a place is taken from the client who lets us wait with most connections."""
    places = Places(most=4, most_of_client=3)
    (other,) = entered(places, "192.0.2.1", 1.0)
    crowd = entered(places, "192.0.2.2", 3.0, 2.0, 4.0)

    entered(places, "192.0.2.3", 5.0)

    assert not other.has_left
    assert [False, True, False] == [guest.has_left for guest in crowd]


def test_a_full_house_of_requests_takes_no_more() -> None:
    """All places are taken by requests that are being answered."""
    places = Places(most=2, most_of_client=2)
    entered(places, "192.0.2.1", None)
    entered(places, "192.0.2.2", None)

    assert not places.enter(Guest(), "192.0.2.3")


def test_places_are_given_back() -> None:
    """Once, however often a connection says that it has ended."""
    places = Places(most=2, most_of_client=1)
    (guest,) = entered(places, "192.0.2.1", None)

    places.exit(guest)
    places.exit(guest)

    assert 0 == len(places)
    entered(places, "192.0.2.1", None)


def test_an_ipv6_client_is_a_network() -> None:
    """Whoever has one address of a /64 has them all."""
    places = Places(most=10, most_of_client=1)
    (first,) = entered(places, "2001:db8::1", 1.0)
    entered(places, "2001:db8::2", 2.0)
    (other,) = entered(places, "2001:db8:0:1::1", 3.0)

    assert (True, False) == (first.has_left, other.has_left)


def test_a_trusted_proxy_may_have_more() -> None:
    """It speaks for many; its connections count in all alone."""
    places = Places(most=5, most_of_client=1, exempt=[ip_network("192.0.2.0/28"), ip_network("::1/128")])

    entered(places, "192.0.2.1", None, None, None)
    entered(places, "::1", None)

    assert 4 == len(places)


@pytest.mark.parametrize(
    ("host", "client"),
    [
        ("192.0.2.1", "192.0.2.1/32"),
        ("::ffff:192.0.2.1", "192.0.2.1/32"),
        ("2001:db8::1:2:3:4", "2001:db8::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("testclient", "testclient"),
    ],
)
def test_what_one_client_is(host: str, client: str) -> None:
    """An IPv4 address, an IPv6 /64, or whatever else the server says."""
    assert client == str(client_of(host))
