"""Listings: begun and ended with their journal entry, each once, and found by the addresses they cover."""

from dataclasses import replace
from datetime import timedelta
from ipaddress import ip_address, ip_network

import pytest

from rbl import names
from rbl.errors import BadInput, Conflict, NotFound, RblError, Refused
from rbl.store import bulk, exemptions, journal, listings
from rbl.store.engine import Store
from rbl.store.listings import ListingView, NewListing
from rbl.terms import Change, Origin
from tests.store import steps
from tests.store.steps import DAY, HOUR, NOW, RELAY, ZONE, act

OTHER = "other.example"
NETWORK = ip_network("8.8.8.0/24")
NEW = NewListing(ZONE, NETWORK, "spam")


def start(store: Store, new: NewListing = NEW) -> ListingView:
    """List by hand."""
    with store.writing() as session:
        return listings.start(session, new, act())


def end(store: Store, reason: str = "spam") -> ListingView:
    """End the listing of the network for *reason*."""
    with store.writing() as session:
        return listings.end(session, ZONE, NETWORK, reason, act("a mistake", NOW + HOUR))


def end_expired(store: Store, at: timedelta, limit: int = 500) -> int:
    """Let the timer run *at* a time after the beginning."""
    with store.writing() as session:
        return listings.end_expired(session, NOW + at, limit)


def test_a_listing_by_hand_begins_and_ends(opened: Store) -> None:
    """Both are in the journal and the audit, with who and why; afterwards the listing is of the past."""
    begun = start(opened, replace(NEW, text="Wrote to {address}"))
    ended = end(opened)
    with opened.reading() as session:
        covering = listings.covering(session, ZONE, ip_address("8.8.8.8"))
        past = listings.past(session, ZONE, NETWORK)

    assert (Origin.OPERATOR, "Wrote to {address}", "operator", NOW) == (
        begun.origin,
        begun.text,
        begun.actor,
        begun.listed_at,
    )
    assert replace(begun, ended_at=NOW + HOUR, ended_why="a mistake") == ended
    assert ([], [ended]) == (list(covering), list(past))
    assert [(Change.LISTED, "8.8.8.0/24"), (Change.DELISTED, "8.8.8.0/24")] == steps.changes(opened)
    assert [("list-network", None, "spam"), ("end-network", "spam", None)] == steps.actions(
        opened, f"{ZONE} 8.8.8.0/24"
    )


@pytest.mark.parametrize(
    ("new", "kind", "message"),
    [
        (NEW, Conflict, "8.8.8.0/24 is listed already for spam"),
        (
            replace(NEW, subject=ip_network("10.0.0.0/8")),
            BadInput,
            "10.0.0.0/8 cannot be listed: private use (RFC 1918)",
        ),
        (
            replace(NEW, subject=ip_network("0.0.0.0/0")),
            BadInput,
            "0.0.0.0/0 cannot be listed: this network (RFC 791)",
        ),
        (
            replace(NEW, expires_at=NOW, reason="other"),
            BadInput,
            "the listing would expire before it begins, at 2026-03-01 12:00 UTC",
        ),
        (
            replace(NEW, subject=ip_network("9.9.9.9")),
            Refused,
            "9.9.9.9/32 cannot be listed: 9.9.9.0/24 is exempt (a big resolver)",
        ),
        (replace(NEW, zone="none.example", reason="other"), NotFound, "there is no zone none.example"),
    ],
)
def test_what_cannot_be_listed_and_in_which_words(
    opened: Store, new: NewListing, kind: type[RblError], message: str
) -> None:
    """Each refusal says what is wrong with which value, and leaves nothing behind."""
    start(opened)
    with opened.writing() as session:
        exemptions.add(
            session, ip_network("9.9.9.0/24"), never_list=True, never_test=False, act=act("a big resolver")
        )
    before = steps.lengths(opened)
    with pytest.raises(kind) as caught:
        start(opened, new)

    assert (message, before) == (caught.value.message, steps.lengths(opened))


def test_a_refusal_leaves_no_entry_in_a_transaction_that_goes_on(opened: Store) -> None:
    """Whoever lists many and passes over what is listed already leaves journal and list alike."""
    start(opened)
    with opened.writing() as session:
        with pytest.raises(Conflict):
            listings.start(session, replace(NEW, text="another text"), act())
        listings.start(session, replace(NEW, reason="relay"), act())

    assert 2 == len(steps.changes(opened))
    steps.check(opened)


def test_a_network_may_be_listed_for_several_reasons(opened: Store) -> None:
    """Each reason is a listing of its own, and ends on its own."""
    start(opened)
    start(opened, replace(NEW, reason="relay"))
    end(opened)

    assert {"relay"} == {one.reason for one in steps.snapshot(opened)}


def test_an_exempt_address_inside_does_not_forbid_a_network(opened: Store) -> None:
    """A network around an exemption is listed: the exempt part answers as not listed all the same."""
    with opened.writing() as session:
        exemptions.add(session, ip_network("8.8.8.8"), never_list=True, never_test=False, act=act())

    assert NETWORK == ip_network(start(opened).subject)


def test_what_is_not_listed_cannot_be_ended(opened: Store) -> None:
    """Another reason, or a second end, is told, and writes no entry."""
    start(opened)
    with pytest.raises(NotFound, match=r"8.8.8.0/24 is not listed for relay"):
        end(opened, "relay")
    end(opened)
    with pytest.raises(NotFound, match=r"8.8.8.0/24 is not listed for spam"):
        end(opened)

    assert 2 == len(steps.changes(opened))


def test_what_a_test_listed_is_not_ended_by_hand(opened: Store) -> None:
    """The host would go on as listed: its listing ends with a retest, or when the host is withdrawn."""
    steps.make_listed(opened)
    with (
        pytest.raises(Conflict, match="is listed because of a test: withdraw the host instead"),
        opened.writing() as session,
    ):
        listings.end(session, ZONE, ip_network(RELAY), "relay", act())
    steps.check(opened)


def test_ended_by_many_at_once_it_ends_once(opened: Store) -> None:
    """Of several who end the same listing one does, and the others are told that it is not listed."""
    start(opened)
    outcomes = steps.at_once(4, lambda _: end(opened))

    assert 3 == len([one for one in outcomes if isinstance(one, NotFound)])
    assert 2 == len(steps.changes(opened))


def test_listed_by_many_at_once_it_is_listed_once(opened: Store) -> None:
    """Of several who list the same network one does, and the others are told that it is listed."""
    outcomes = steps.at_once(4, lambda _: start(opened))

    assert ["already-listed"] * 3 == [one.code for one in outcomes if isinstance(one, RblError)]
    assert 1 == len(steps.changes(opened))


def test_a_listing_expires(opened: Store) -> None:
    """At its time, not before, the listing ends as if somebody had ended it."""
    start(opened, replace(NEW, expires_at=NOW + DAY))
    start(opened, replace(NEW, reason="relay"))
    early = end_expired(opened, DAY - timedelta(seconds=1))
    late = end_expired(opened, DAY)
    with opened.reading() as session:
        (past,) = listings.past(session, ZONE, NETWORK)

    assert (0, 1, 0) == (early, late, end_expired(opened, DAY))
    assert ("the listing expired", NOW + DAY) == (past.ended_why, past.ended_at)
    assert ("expire", "spam", None) in steps.actions(opened, f"{ZONE} 8.8.8.0/24")
    steps.check(opened)


def test_expiry_is_done_in_portions(opened: Store) -> None:
    """A limit keeps the transaction short; what is left comes with the next, in every list."""
    with opened.writing() as session:
        journal.open_zone(session, OTHER, NOW)
        for zone in (ZONE, OTHER):
            for number in range(3):
                network = ip_network(f"8.8.{number}.0/24")
                listings.start(session, NewListing(zone, network, "spam", expires_at=NOW + DAY), act())
    counts = [end_expired(opened, DAY, limit=4) for _ in range(3)]

    assert ([4, 2, 0], set(), set()) == (counts, steps.snapshot(opened), steps.snapshot(opened, OTHER))


def test_expiry_by_many_timers_at_once_ends_each_once(opened: Store) -> None:
    """Several processes may run the timer: nothing is ended twice, and none of them fails."""
    with opened.writing() as session:
        journal.open_zone(session, OTHER, NOW)
        for zone in (OTHER, ZONE):
            for number in range(10):
                network = ip_network(f"8.8.{number}.0/24")
                listings.start(session, NewListing(zone, network, "spam", expires_at=NOW + DAY), act())

    def work(number: int) -> int:
        if number < 3:
            return end_expired(opened, DAY)
        with opened.writing() as session:
            network = ip_network(f"9.9.{number}.0/24")
            exemptions.add(session, network, never_list=True, never_test=False, act=act())
        return 0

    outcomes = steps.at_once(5, work)

    assert [] == [one for one in outcomes if isinstance(one, RblError)]
    assert 20 == sum(one for one in outcomes if isinstance(one, int))
    assert steps.replay(opened) == steps.snapshot(opened)


def test_what_covers_an_address_is_found_the_most_specific_first(opened: Store) -> None:
    """Nested networks are all found; networks beside them, of other lists, or ended, are not."""
    with opened.writing() as session:
        journal.open_zone(session, OTHER, NOW)
    for network in ("8.0.0.0/8", "8.8.8.0/24", "8.8.8.8/32", "8.8.8.8/31", "8.8.9.0/24", "2600::/16"):
        start(opened, replace(NEW, subject=ip_network(network)))
    start(opened, replace(NEW, subject=ip_network("8.8.0.0/16"), zone=OTHER))
    with opened.writing() as session:
        listings.end(session, ZONE, ip_network("8.8.8.8/31"), "spam", act())
        four = listings.covering(session, ZONE, ip_address("8.8.8.8"))
        six = listings.covering(session, ZONE, ip_address("2600::1"))
        none = listings.covering(session, ZONE, ip_address("9.9.9.9"))

    assert ["8.8.8.8/32", "8.8.8.0/24", "8.0.0.0/8"] == [view.subject for view in four]
    assert (["2600::/16"], []) == ([view.subject for view in six], list(none))


def test_a_name_is_listed_and_ended_as_a_network_is(opened: Store) -> None:
    """In its canonical form, with journal and audit, and it expires."""
    name = names.parse_owner_name("Spam.Example.")
    below = names.parse_owner_name("*.spam.example")
    start(opened, NewListing(ZONE, name, "spam"))
    start(opened, NewListing(ZONE, below, "spam", expires_at=NOW + DAY))
    with opened.writing() as session:
        ended = listings.end(session, ZONE, name, "spam", act("a mistake"))
        past = listings.past(session, ZONE, name)
    expired = end_expired(opened, DAY)

    assert (1, [ended]) == (expired, list(past))
    assert [
        (Change.LISTED, "spam.example"),
        (Change.LISTED, "*.spam.example"),
        (Change.DELISTED, "spam.example"),
        (Change.DELISTED, "*.spam.example"),
    ] == steps.changes(opened)
    assert [("list-name", None, "spam"), ("end-name", "spam", None)] == steps.actions(
        opened, f"{ZONE} spam.example"
    )


@pytest.mark.parametrize("name", ["test", "invalid"])
def test_the_test_points_of_a_list_of_names_are_not_listed(opened: Store, name: str) -> None:
    """RFC 5782 §5 says what a list answers for them."""
    with pytest.raises(BadInput, match=f"^{name} cannot be listed: a test point") as refusal:
        start(opened, NewListing(ZONE, names.parse_owner_name(name), "spam", allow_reserved=True))

    assert ("test-point", []) == (refusal.value.code, steps.changes(opened))


def test_a_name_by_hand_and_an_imported_one_are_one_listing(opened: Store) -> None:
    """What an import listed is known by hand, and the other way round."""
    with opened.writing() as session:
        bulk.add(session, ZONE, [("spam.example", "spam", None), ("*.spam.example", "spam", None)], act())
    for text in ("SPAM.example.", "*.spam.example"):
        with pytest.raises(Conflict, match="is listed already for spam"):
            start(opened, NewListing(ZONE, names.parse_owner_name(text), "spam"))
    start(opened, NewListing(ZONE, names.parse_owner_name("ham.example"), "spam"))
    with opened.writing() as session:
        again = bulk.add(session, ZONE, [("ham.example", "spam", None)], act())
        listings.end(session, ZONE, names.parse_owner_name("spam.example"), "spam", act())

    assert bulk.Added(listed=0, known=1) == again


def test_what_covers_a_name_or_a_network_is_found(opened: Store) -> None:
    """A wildcard covers what is below it and not its own name; a network what lies in it whole."""
    for text in ("b.example", "*.b.example", "a.b.example", "*.example"):
        start(opened, NewListing(ZONE, names.parse_owner_name(text), "spam"))
    for network in ("8.0.0.0/8", "8.8.8.0/24", "8.8.8.8/32"):
        start(opened, NewListing(ZONE, ip_network(network), "spam"))
    with opened.reading() as session:
        found = [
            [view.subject for view in listings.covering(session, ZONE, subject)]
            for subject in (
                names.parse_owner_name("a.b.example"),
                names.parse_owner_name("b.example"),
                ip_network("8.8.8.0/24"),
            )
        ]

    assert [
        ["a.b.example", "*.b.example", "*.example"],
        ["b.example", "*.example"],
        ["8.8.8.0/24", "8.0.0.0/8"],
    ] == found
