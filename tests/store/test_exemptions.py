"""Exemptions: what is never listed shows in every list's journal, what is never tested is not tested."""

from ipaddress import ip_address, ip_network

import pytest

from rbl.errors import Conflict, NotFound, RblError, Refused
from rbl.store import exemptions, journal
from rbl.store.engine import Store
from rbl.store.exemptions import ExemptionView
from rbl.terms import Change, Network, State
from tests.store import steps
from tests.store.steps import NOW, RELAY, act

NETWORK = ip_network("203.0.113.0/24")
OTHER = "other.example"


def add(
    store: Store, network: Network = NETWORK, *, never_list: bool = True, never_test: bool = False
) -> ExemptionView:
    """Exempt a network."""
    with store.writing() as session:
        return exemptions.add(
            session, network, never_list=never_list, never_test=never_test, act=act("our users")
        )


def end(store: Store, network: Network = NETWORK) -> None:
    """End an exemption."""
    with store.writing() as session:
        exemptions.end(session, network, act())


def live(store: Store) -> list[ExemptionView]:
    """Return what is exempt now."""
    with store.reading() as session:
        return list(exemptions.live(session))


def test_an_exemption_reaches_every_list_and_leaves_it(opened: Store) -> None:
    """Never to be listed: an entry in each list's journal when it begins and when it ends."""
    with opened.writing() as session:
        journal.open_zone(session, OTHER, NOW)
    view = add(opened)
    during = live(opened)
    end(opened)

    expected = [(Change.EXEMPTED, "203.0.113.0/24"), (Change.UNEXEMPTED, "203.0.113.0/24")]
    assert ([view], []) == (during, live(opened))
    assert (expected, expected) == (steps.changes(opened), steps.changes(opened, OTHER))
    assert [("exempt", None, "never-list"), ("unexempt", "never-list", None)] == steps.actions(
        opened, "203.0.113.0/24"
    )


def test_a_do_not_test_wish_shows_in_no_list(opened: Store) -> None:
    """Not to be tested is no matter of DNS."""
    view = add(opened, never_list=False, never_test=True)
    end(opened)

    assert ((False, True), []) == ((view.never_list, view.never_test), steps.changes(opened))


def test_an_exempt_host_that_is_listed_shows_again_when_the_exemption_ends(opened: Store) -> None:
    """The listing goes on beneath the exemption: the journal has both."""
    steps.make_listed(opened)
    add(opened)

    assert {False, True} == {one.exempt for one in steps.snapshot(opened)}
    assert State.LISTED is steps.host(opened).state
    steps.check(opened)


@pytest.mark.parametrize(
    ("never_list", "never_test", "message"),
    [
        (False, False, "an exemption must say never_list, never_test or both"),
        (True, False, "203.0.113.0/24 is exempt already: end that exemption first"),
        (False, True, "203.0.113.0/24 is exempt already: end that exemption first"),
    ],
)
def test_an_exemption_that_cannot_be(
    opened: Store,
    *,
    never_list: bool,
    never_test: bool,
    message: str,
) -> None:
    """An exemption says something, and each network has one; a refusal writes no entry."""
    add(opened)
    before = steps.lengths(opened)
    with pytest.raises(Conflict) as caught:
        add(opened, never_list=never_list, never_test=never_test)

    assert (message, before) == (caught.value.message, steps.lengths(opened))


def test_what_is_not_exempt_cannot_end(opened: Store) -> None:
    """Only exactly this network counts, not one around it."""
    add(opened)
    with pytest.raises(NotFound, match=r"203.0.113.9/32 is not exempt"):
        end(opened, ip_network(RELAY))


def test_made_and_ended_by_many_at_once_it_is_made_and_ended_once(opened: Store) -> None:
    """Of several at the same moment one succeeds; the journal has one entry of each."""
    made = steps.at_once(4, lambda _: add(opened))
    ended = steps.at_once(4, lambda _: end(opened))

    assert (3, 3) == (
        len([one for one in made if isinstance(one, RblError)]),
        len([one for one in ended if isinstance(one, RblError)]),
    )
    assert [Change.EXEMPTED, Change.UNEXEMPTED] == [change for change, _ in steps.changes(opened)]


def test_what_covers_an_address_is_found_the_most_specific_first(opened: Store) -> None:
    """Nested exemptions are all found, in both families."""
    for network in (
        "203.0.113.0/24",
        "203.0.113.9/32",
        "203.0.112.0/23",
        "203.0.114.0/24",
        "2001:db8::/32",
    ):
        add(opened, ip_network(network))
    with opened.reading() as session:
        four = exemptions.of_address(session, ip_address(RELAY))
        six = exemptions.of_address(session, ip_address("2001:db8::1"))

    assert ["203.0.113.9/32", "203.0.113.0/24", "203.0.112.0/23"] == [str(view.network) for view in four]
    assert ["2001:db8::/32"] == [str(view.network) for view in six]


@pytest.mark.parametrize(
    ("network", "refused", "reason"),
    [
        ("203.0.113.0/24", True, "the same"),
        ("203.0.113.9/32", True, "inside"),
        ("203.0.112.0/23", False, "around: the rest of it may be listed"),
        ("203.0.114.0/24", False, "beside"),
        ("2001:db8::/32", False, "another family"),
    ],
)
def test_what_an_exemption_forbids_to_list(
    opened: Store,
    network: str,
    *,
    refused: bool,
    reason: str,
) -> None:
    """A network may not be listed when an exemption covers all of it."""
    add(opened)

    assert refused is forbids(opened, ip_network(network)), reason


def test_an_exemption_from_tests_does_not_forbid_to_list(opened: Store) -> None:
    """The two wishes are apart."""
    add(opened, never_list=False, never_test=True)
    with opened.reading() as session:
        exemptions.refuse_listing_of(session, ip_address(RELAY))
        with pytest.raises(
            Refused, match=r"203.0.113.9 is not tested: 203.0.113.0/24 is on the do-not-test"
        ):
            exemptions.refuse_test_of(session, ip_address(RELAY))


def test_an_exemption_from_listing_does_not_forbid_to_test(opened: Store) -> None:
    """The two wishes are apart."""
    add(opened)
    with opened.reading() as session:
        exemptions.refuse_test_of(session, ip_address(RELAY))


def forbids(store: Store, network: Network) -> bool:
    """Whether an exemption forbids to list *network*."""
    with store.reading() as session:
        try:
            exemptions.refuse_listing_of(session, network)
        except Refused:
            return True
        return False
