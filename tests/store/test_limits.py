"""What one key may bring about: nominations and networks a day, tests waiting; and who is next."""

from dataclasses import replace
from datetime import datetime, timedelta
from ipaddress import ip_address

import pytest

from rbl.errors import NotFound, RblError, Refused
from rbl.quotas import Alarm, Measure, Quota, Quotas
from rbl.store import decisions, limits, nominations, retests, runs
from rbl.store.engine import Store
from rbl.store.limits import NewLimit
from rbl.terms import Nominator, Purpose, State, Trust, Verdict
from tests.store import steps
from tests.store.steps import DAY, HOUR, LEASE, MINUTE, NOW, POLICY, RELAY, ZONE, act

SMALL = Quotas(normal=Quota(nominations=5, networks=3, waiting=100), alarm_share=0.8)


def address(network: int, host: int = 1) -> str:
    """Return the address of a *host* in one of many /64s."""
    return f"2001:db8:0:{network:x}::{host:x}"


def nominate(
    store: Store,
    who: Nominator,
    network: int,
    *,
    host: int = 1,
    at: datetime = NOW,
    quotas: Quotas = SMALL,
    alarms: list[Alarm] | None = None,
) -> State:
    """Nominate a host of a network."""
    new = steps.nomination(address(network, host), f"<{network}.{host}@spam>")
    tell = (alarms if alarms is not None else []).append
    with store.writing() as session:
        view, _ = nominations.nominate(session, new, who, POLICY, at, quotas=quotas, tell=tell)
    return view.state


def refusal(store: Store, who: Nominator, network: int, at: datetime = NOW, **more: object) -> Refused:
    """Return what the nominator is told."""
    with pytest.raises(Refused) as caught:
        nominate(store, who, network, at=at, **more)  # type: ignore[arg-type]
    return caught.value


def used(store: Store, who: Nominator, at: datetime = NOW) -> dict[Measure, int]:
    """Return what a key has used."""
    with store.reading() as session:
        return dict(limits.of_key(session, who.key_id, SMALL, at).used)


def test_a_key_nominates_so_often_a_day(opened: Store) -> None:
    """The sixth is refused until the first is a day old; who asks is told how long that is."""
    who = steps.nominator(opened)
    for number in range(5):
        nominate(opened, who, 1, host=number + 1, at=NOW + number * HOUR)
    told = refusal(opened, who, 1, at=NOW + 5 * HOUR, host=9)
    nominate(opened, who, 1, host=9, at=NOW + DAY)

    assert ("quota", 19 * HOUR) == (told.code, told.retry_after)
    assert (
        "the key 'mx-admin' has 5 nominations within a day, and may have 5:"
        " try again later, or ask the operator for more" == told.message
    )


def test_refused_is_not_kept(opened: Store) -> None:
    """Nothing of what is over the quota is in the database."""
    who = steps.nominator(opened)
    with opened.writing() as session:
        limits.change(session, who.key_id, NewLimit(nominations=0), act())
    before = steps.lengths(opened)
    told = refusal(opened, who, 1)

    assert (before, 10 * MINUTE) == (steps.lengths(opened), told.retry_after)
    assert 0 == used(opened, who)[Measure.NOMINATIONS]


def test_tests_of_so_many_networks_a_day(opened: Store) -> None:
    """Hosts of networks tested before are still taken; of a fourth network none is, until a day is over."""
    who = steps.nominator(opened)
    for number in range(3):
        nominate(opened, who, number, at=NOW + number * HOUR)
    told = refusal(opened, who, 3, at=NOW + 3 * HOUR)
    nominate(opened, who, 0, host=2, at=NOW + 4 * HOUR)

    assert ("quota", 21 * HOUR) == (told.code, told.retry_after)
    assert "3 networks tested within a day for its nominations, and may have 3" in told.message
    again = refusal(opened, who, 3, at=NOW + 5 * HOUR)
    assert 20 * HOUR == again.retry_after  # the network of the second test is the first to leave


def test_so_many_tests_wait_at_once(opened: Store) -> None:
    """When one has begun there is room for the next."""
    quotas = replace(SMALL, normal=Quota(100, 100, 2))
    who = steps.nominator(opened)
    for number in range(2):
        nominate(opened, who, number, quotas=quotas)
    told = refusal(opened, who, 2, quotas=quotas)
    steps.must_claim(opened)
    nominate(opened, who, 2, quotas=quotas)

    assert "2 tests waiting to begin, and may have 2" in told.message
    assert 10 * MINUTE == told.retry_after


def test_trust_says_how_much(opened: Store) -> None:
    """A key of more trust may more, and a key on trial has nothing tested at all."""
    trusted = steps.nominator(opened, Trust.TRUSTED, "trusted")
    trial = steps.nominator(opened, Trust.TRIAL, "trial")
    quotas = replace(SMALL, trial=Quota(1, 1, 1))
    for number in range(7):
        nominate(opened, trusted, number, quotas=quotas)
    nominate(opened, trial, 70, quotas=quotas)

    assert "may have 1" in refusal(opened, trial, 71, quotas=quotas).message
    assert {Measure.NOMINATIONS: 1, Measure.NETWORKS: 0, Measure.WAITING: 0} == used(opened, trial)


def test_what_others_do_is_not_counted(opened: Store) -> None:
    """Each key has a quota of its own, and retests are nobody's."""
    first, second = steps.nominator(opened, name="first"), steps.nominator(opened, name="second")
    for number in range(3):
        nominate(opened, first, number)
    for number in range(3, 6):
        nominate(opened, second, number)

    assert used(opened, first) == used(opened, second)


def test_the_same_again_counts_once(opened: Store) -> None:
    """A filter that hands everything in twice uses half of what it does."""
    who = steps.nominator(opened)
    for _ in range(9):
        nominate(opened, who, 1)

    assert 1 == used(opened, who)[Measure.NOMINATIONS]


def test_many_at_once_are_counted_right(opened: Store) -> None:
    """However many clients use one key at the same moment, none slips through."""
    who = steps.nominator(opened)
    found = steps.at_once(8, lambda number: nominate(opened, who, 1, host=number + 1))

    assert (5, 3) == (
        sum(one is State.QUEUED for one in found),
        sum(isinstance(one, RblError) and one.code == "quota" for one in found),
    )


def test_an_alarm_at_the_share_and_at_the_whole(opened: Store) -> None:
    """Once each, when the key comes to it; not again for what is refused."""
    alarms: list[Alarm] = []
    who = steps.nominator(opened)
    for number in range(5):
        nominate(opened, who, number % 3, host=number + 1, alarms=alarms)
    refusal(opened, who, 1, host=9, alarms=alarms)

    assert [
        Alarm("mx-admin", Measure.NETWORKS, 2, 3),
        Alarm("mx-admin", Measure.NETWORKS, 3, 3),
        Alarm("mx-admin", Measure.NOMINATIONS, 4, 5),
        Alarm("mx-admin", Measure.NOMINATIONS, 5, 5),
    ] == alarms


def test_an_operator_allows_more(opened: Store) -> None:
    """For one key, until it is taken back; the audit has it."""
    who = steps.nominator(opened)
    with opened.writing() as session:
        limits.change(session, who.key_id, NewLimit(6, 7, 8), act())
    for number in range(6):
        nominate(opened, who, number)
    refusal(opened, who, 6)
    with opened.writing() as session:
        limits.change(session, who.key_id, NewLimit(), act())
    told = refusal(opened, who, 6)

    assert "has 6 nominations within a day, and may have 5" in told.message
    assert ("limit-key", "by trust", "6") == steps.actions(opened, "mx-admin")[1]


def test_a_suspended_key_may_do_nothing(opened: Store) -> None:
    """Its nominations are refused, its tests wait and are not waited for; resumed, it goes on."""
    who = steps.nominator(opened)
    nominate(opened, who, 1)
    with opened.writing() as session:
        limits.suspend(session, who.key_id, act())
        limits.suspend(session, who.key_id, act())
    told = refusal(opened, who, 2)
    none = steps.claim(opened)
    with opened.reading() as session:
        due = runs.next_due(session)
    with opened.writing() as session:
        limits.resume(session, who.key_id, act())
        limits.resume(session, who.key_id, act())

    assert ("suspended", None, None, None) == (told.code, told.retry_after, none, due)
    assert "is suspended since 2026-03-01 12:00:00 UTC: write to the operator" in told.message
    assert ip_address(address(1)) == steps.must_claim(opened).address
    assert ["suspend-key", "resume-key"] == [what for what, _, _ in steps.actions(opened, "mx-admin")][1:]


def test_a_test_under_way_of_a_suspended_key_is_ended_well(opened: Store) -> None:
    """What was begun before goes on to its verdict."""
    who = steps.nominator(opened)
    nominate(opened, who, 1)
    claimed = steps.must_claim(opened)
    with opened.writing() as session:
        limits.suspend(session, who.key_id, act())
    again = steps.must_claim(opened, NOW + LEASE)

    assert claimed.run_id == again.run_id


def test_anothers_word_frees_a_test_from_a_suspended_key(opened: Store) -> None:
    """A host is not left untested because a flood named it first."""
    flood, other = steps.nominator(opened, name="flood"), steps.nominator(opened, name="other")
    nominate(opened, flood, 1)
    with opened.writing() as session:
        limits.suspend(session, flood.key_id, act())
    nominate(opened, other, 1)

    assert ip_address(address(1)) == steps.must_claim(opened).address


def test_there_must_be_such_a_key(opened: Store) -> None:
    """A number that no key has is told."""
    with opened.writing() as session:
        for change in (limits.suspend, limits.resume):
            with pytest.raises(NotFound, match="there is no key 99"):
                change(session, 99, act())
        with pytest.raises(NotFound, match="there is no key 99"):
            limits.of_key(session, 99, SMALL, NOW)


def test_all_keys_are_told_of_but_revoked_ones(opened: Store) -> None:
    """For the metrics: what each has used of what it may."""
    who = steps.nominator(opened)
    nominate(opened, who, 1)
    with opened.reading() as session:
        (view,) = limits.of_all(session, SMALL, NOW)

    assert ("mx-admin", 1, 5) == (view.name, view.used[Measure.NOMINATIONS], view.quota.nominations)


LARGE = Quotas(normal=Quota(1000, 1000, 1000))


def test_one_key_does_not_fill_the_queue(opened: Store) -> None:
    """Behind a hundred tests of one key, those of another begin with the next free place."""
    flood, other = steps.nominator(opened, name="flood"), steps.nominator(opened, name="other")
    for number in range(100):
        nominate(opened, flood, number, quotas=LARGE)
    first = [steps.must_claim(opened).asked_by for _ in range(6)]
    for number in range(100, 103):
        nominate(opened, other, number, at=NOW + MINUTE, quotas=LARGE)
    then = [steps.must_claim(opened, NOW + MINUTE).asked_by for _ in range(4)]

    assert ["flood"] * 6 == first  # nobody else was there
    assert ["other"] * 3 + ["flood"] == then


def test_a_retest_goes_before_all_nominations(opened: Store) -> None:
    """Whoever closed his host does not wait behind a flood, nor for the places of the slow ones."""
    steps.make_listed(opened)
    flood = steps.nominator(opened, name="flood")
    for number in range(20):
        nominate(opened, flood, number, quotas=LARGE)
    with opened.writing() as session:
        retests.ask(session, POLICY, ip_address(RELAY), "public", NOW + MINUTE)
        claimed = runs.claim(
            session, "worker", NOW + MINUTE, LEASE, {ZONE: POLICY}, outbound=True, retests_only=True
        )
        none = runs.claim(
            session, "worker", NOW + MINUTE, LEASE, {ZONE: POLICY}, outbound=True, retests_only=True
        )

    assert claimed is not None
    assert (Purpose.RETEST, None) == (claimed.purpose, none)


def test_a_rejected_flood_is_still_counted(opened: Store) -> None:
    """What an operator declines was handed in all the same."""
    who = steps.nominator(opened)
    for number in range(3):
        nominate(opened, who, number)
        with opened.writing() as session:
            decisions.reject(session, POLICY, ip_address(address(number)), act())

    assert 3 == used(opened, who)[Measure.NOMINATIONS]
    assert "3 networks" in refusal(opened, who, 4).message


def test_after_a_day_everything_is_free_again(opened: Store) -> None:
    """Nothing is remembered for longer than a day, but what waits still waits."""
    who = steps.nominator(opened)
    for number in range(3):
        nominate(opened, who, number)
        steps.conclude(opened, steps.must_claim(opened), Verdict.CLOSED)

    assert {Measure.NOMINATIONS: 0, Measure.NETWORKS: 0, Measure.WAITING: 0} == used(
        opened, who, NOW + DAY + timedelta(seconds=1)
    )
