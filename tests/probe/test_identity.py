"""By which names a test goes."""

from dataclasses import replace
from random import Random

import pytest

from rbl.config import Collector, Probe, Settings
from rbl.probe import identity
from rbl.probe.plan import Identity
from rbl.store import probes
from rbl.store.engine import Store
from rbl.store.probes import Names
from rbl.terms import EnvelopeResult as R
from tests.store import steps

DOMAINS = ("relaytest.example", "t.relays.example.org", "mail.check.example.net", "tests.example.com")
SENDERS = ("senders.example", "post.example.org", "m.example.net")
TESTERS = ("tester.example.net", "probe.example.org")
ONE = Settings(collector=Collector(domain=DOMAINS[0]), probe=Probe(ehlo_name=TESTERS[0]))
MANY = Settings(
    collector=Collector(domains=DOMAINS), probe=Probe(ehlo_names=TESTERS, sender_domains=SENDERS)
)
SEEDS = range(50)


def top(domain: str) -> str:
    """Return the top-level domain."""
    return domain.rpartition(".")[2]


def names(chosen: Identity) -> list[Names]:
    """Return what a host sees of a plan."""
    pairs = ((chosen.recipient_domain, chosen.sender_domain), *chosen.others)
    return [Names(*pair, chosen.ehlo_name) for pair in pairs]


def test_one_of_each_is_all_there_is() -> None:
    """With a single domain and name every test goes by those, whatever was seen."""
    seen = Names(DOMAINS[0], DOMAINS[0], TESTERS[0])

    for known in ([], [None], [seen]):
        assert Identity(TESTERS[0], DOMAINS[0], DOMAINS[0]) == identity.choose(ONE, known, Random(1))


def test_without_an_identity_nothing_is_named() -> None:
    """As far as the settings have none; then nothing is tested."""
    assert "" == identity.choose(Settings(), [], Random(1)).ehlo_name


@pytest.mark.parametrize("seed", SEEDS)
def test_a_retest_goes_by_names_that_the_host_has_not_seen(seed: int) -> None:
    """Its first message has another collector domain, another sender's, another EHLO name."""
    dice = Random(seed)
    first = identity.choose(MANY, [], dice)
    seen = names(first)
    retest = identity.choose(MANY, seen, dice)

    assert retest.recipient_domain not in {each.recipient_domain for each in seen}
    assert retest.sender_domain not in {each.sender_domain for each in seen}
    assert retest.ehlo_name != first.ehlo_name
    third = identity.choose(MANY, [*seen, *names(retest)], dice)
    assert third.recipient_domain not in {first.recipient_domain, retest.recipient_domain}
    assert third.sender_domain not in {first.sender_domain, retest.sender_domain}


@pytest.mark.parametrize("seed", SEEDS)
def test_what_was_seen_longest_ago_comes_when_nothing_is_new(seed: int) -> None:
    """With two of each, tests go by them in turn."""
    settings = Settings(
        collector=Collector(domains=DOMAINS[:2]), probe=Probe(ehlo_name=TESTERS[0], ehlo_names=TESTERS)
    )
    dice, went = Random(seed), []
    seen: list[Names] = []
    for _ in range(6):
        chosen = identity.choose(settings, seen, dice)
        went.append(chosen.recipient_domain)
        assert () == chosen.others
        assert chosen.sender_domain == chosen.recipient_domain
        seen += names(chosen)

    assert went[:2] * 3 == went
    assert set(DOMAINS[:2]) == set(went)


@pytest.mark.parametrize("seed", SEEDS)
def test_forms_take_turns_with_another_top_level_domain(seed: int) -> None:
    """Of three domains and more, two are in a plan, and the sender's is one only."""
    chosen = identity.choose(MANY, [], Random(seed))
    forms = [chosen.of_row(number) for number in range(4)]

    assert top(forms[0].recipient_domain) != top(forms[1].recipient_domain)
    assert forms[:2] == forms[2:]
    assert 1 == len({form.sender_domain for form in forms})


def test_no_name_is_known_beforehand() -> None:
    """Which it is the dice say: each may be the first."""
    chosen = [identity.choose(MANY, [], Random(seed)) for seed in range(200)]

    assert set(DOMAINS) == {each.recipient_domain for each in chosen}
    assert set(SENDERS) == {each.sender_domain for each in chosen}
    assert set(TESTERS) == {each.ehlo_name for each in chosen}


@pytest.mark.parametrize("seed", SEEDS)
def test_tests_of_before_had_the_main_names(seed: int) -> None:
    """Of an envelope without names the host has seen those that come first in the settings."""
    chosen = identity.choose(MANY, [None], Random(seed))

    assert DOMAINS[0] != chosen.recipient_domain
    assert (TESTERS[1], True) == (chosen.ehlo_name, chosen.sender_domain != SENDERS[0])


def test_a_name_is_seen_wherever_it_stood() -> None:
    """A domain of senders that has been seen is no new one of recipients."""
    both = ("a.example", "b.example")
    settings = Settings(collector=Collector(domains=both), probe=Probe(sender_domains=("a.example",)))
    seen = [Names("c.example", "a.example", "t.example")]

    assert {"b.example"} == {
        identity.choose(settings, seen, Random(seed)).recipient_domain for seed in SEEDS
    }


def test_a_step_goes_by_what_the_database_knows(store: Store) -> None:
    """Its plan's names; without a plan, others than those of the test before."""
    steps.set_up(store)
    steps.nominate(store, steps.nominator(store))
    claim = steps.must_claim(store)
    seen = Names(DOMAINS[0], SENDERS[0], TESTERS[0])
    row = replace(steps.envelope(claim.run_id, 1), names=seen, result=R.REFUSED, reply="554")
    with store.writing() as session:
        probes.plan(session, claim, [row], None)
    fresh = identity.of_step(store, MANY, claim.host_id, [])

    assert Identity(TESTERS[0], DOMAINS[0], SENDERS[0]) == identity.of_step(
        store, MANY, claim.host_id, [row]
    )
    assert TESTERS[1] == fresh.ehlo_name
    assert fresh.recipient_domain != DOMAINS[0]
    assert fresh.sender_domain != SENDERS[0]


def test_a_plan_goes_on_by_its_names() -> None:
    """The next step of a run greets as the one before; a plan of before names were kept does not tell."""
    row = steps.envelope(1, 1)
    named = Names("a.example", "b.example", "c.example")
    rows = [row, replace(row, names=named)]

    assert Identity("c.example", "a.example", "b.example") == identity.of_plan(rows)
    assert identity.of_plan([row]) is None
