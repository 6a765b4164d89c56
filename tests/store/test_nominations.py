"""Nominations: evidence is kept once and for good, and makes exactly one test due."""

from dataclasses import replace
from datetime import timedelta
from ipaddress import ip_address, ip_network

import pytest
from sqlalchemy import func, select

from rbl.errors import BadInput, Conflict, NotFound, RblError, Refused
from rbl.lifecycle import Policy
from rbl.store import decisions, exemptions, hosts, nominations, retests, runs
from rbl.store.engine import Store
from rbl.store.hosts import ZonePolicy
from rbl.store.nominations import NewNomination
from rbl.store.probetables import ProbeRun
from rbl.store.tables import EvidenceItem, Nomination
from rbl.terms import Purpose, State, Trust, Verdict
from tests.store import steps
from tests.store.steps import DAY, ELSEWHERE, HOUR, NOW, PEER, POLICY, RELAY, ZONE, act


def counts(store: Store) -> tuple[int, int, int]:
    """Return how many nominations, pieces of evidence and runs there are."""
    with store.reading() as session:
        return (
            session.execute(select(func.count(Nomination.id))).scalar_one(),
            session.execute(select(func.count(EvidenceItem.id))).scalar_one(),
            session.execute(select(func.count(ProbeRun.id))).scalar_one(),
        )


def next_due(store: Store) -> object:
    """Return when the next run is due."""
    with store.reading() as session:
        return runs.next_due(session)


def test_a_nomination_makes_a_test_due_at_once(opened: Store) -> None:
    """The nominee is queued, and the answer says what the nominator may see."""
    view, is_new = steps.nominate(opened, steps.nominator(opened))
    claimed = steps.must_claim(opened)

    assert (True, ZONE, PEER, State.QUEUED) == (is_new, view.zone, view.address, view.state)
    assert ("mx-admin", NOW - HOUR, NOW) == (view.nominator, view.received_at, view.created_at)
    assert (Purpose.NOMINATION, "mx-admin") == (claimed.purpose, claimed.asked_by)


def test_evidence_is_kept_octet_by_octet(opened: Store) -> None:
    """The spam comes back as it was handed in; a number that was never given is told."""
    evidence = replace(steps.spam(), message=bytes(range(256)) * 10)
    new = replace(steps.nomination(), evidence=evidence)
    view, _ = steps.nominate(opened, steps.nominator(opened), new)
    with opened.writing() as session:
        kept = nominations.evidence_of(session, view.id, steps.act("read"))
        of_id = nominations.of_id(session, view.id)
        with pytest.raises(NotFound, match="there is no nomination 77"):
            nominations.evidence_of(session, 77, steps.act("read"))
        with pytest.raises(NotFound, match="there is no nomination 77"):
            nominations.of_id(session, 77)

    assert (evidence.message, view) == (kept, of_id)
    assert [("read-evidence", None, None)] == steps.actions(opened, f"nomination {view.id}")


def test_spam_without_a_message_id_is_known_by_all_of_it(opened: Store) -> None:
    """Two different messages without a Message-ID are two nominations; the same one twice is one."""
    who = steps.nominator(opened)
    first = replace(steps.nomination(), evidence=replace(steps.spam(), message_id="", message=b"one"))
    second = replace(first, evidence=replace(first.evidence, message=b"two"))
    news = [steps.nominate(opened, who, new)[1] for new in (first, second, first)]

    assert [True, True, False] == news


def test_more_spam_through_the_same_host_is_one_more_nomination_and_no_more_tests(opened: Store) -> None:
    """Each spam is evidence; the host is under test already."""
    who = steps.nominator(opened)
    for number in range(3):
        steps.nominate(opened, who, steps.nomination(message_id=f"<{number}@spam>"))
    with opened.reading() as session:
        host = hosts.find(session, ZONE, PEER)
        assert host is not None
        found = nominations.of_host(session, host.id, limit=2)

    assert ((3, 3, 1), [3, 2]) == (counts(opened), [view.id for view in found])


def test_one_message_through_two_hosts_is_kept_once(opened: Store) -> None:
    """The same octets handed in for two hosts are two nominations of one piece of evidence."""
    who = steps.nominator(opened)
    first = steps.nomination()
    elsewhere = replace(first.evidence, address=ip_address(ELSEWHERE))
    for new in (first, replace(first, evidence=elsewhere)):
        steps.nominate(opened, who, new)

    assert (2, 1, 2) == counts(opened)


@pytest.mark.parametrize("message_id", ["<1@spam>", ""])
def test_the_same_nomination_from_eight_clients_at_once_makes_one(opened: Store, message_id: str) -> None:
    """However many hand in the same spam at the same moment: one nomination, one host, one test."""
    who = steps.nominator(opened)
    new = replace(steps.nomination(), evidence=replace(steps.spam(), message_id=message_id))
    found = steps.at_once(8, lambda _: steps.nominate(opened, who, new))
    outcomes = [one for one in found if not isinstance(one, RblError)]

    assert ([*found], 1) == (outcomes, sum(is_new for _, is_new in outcomes))
    assert {1} == {view.id for view, _ in outcomes}
    assert (1, 1, 1) == counts(opened)


def test_an_idempotency_key_repeats_the_answer(opened: Store) -> None:
    """A client that did not hear the answer may ask again: same key, same body, same nomination."""
    who = steps.nominator(opened)
    new = steps.nomination(idempotency_key="a")
    first, _ = steps.nominate(opened, who, new)
    again, is_new = steps.nominate(opened, who, new)
    other, other_new = steps.nominate(opened, who, steps.nomination(message_id="<2@spam>"))

    assert (first, False, True) == (again, is_new, other_new)
    assert other.id != first.id


def test_idempotency_keys_of_two_nominators_are_apart(opened: Store) -> None:
    """Each nominator chooses keys without knowing the others'."""
    first, _ = steps.nominate(opened, steps.nominator(opened), steps.nomination(idempotency_key="a"))
    new = steps.nomination(message_id="<2@spam>", idempotency_key="a")
    second, is_new = steps.nominate(opened, steps.nominator(opened, name="other"), new)

    assert is_new
    assert first.id != second.id


@pytest.mark.parametrize("key", ["", "x" * 256, "a\x00b", "a\nb"])
def test_an_idempotency_key_has_a_form(opened: Store, key: str) -> None:
    """A key is 1 to 255 printable characters."""
    with pytest.raises(BadInput, match="1 to 255 printable characters"):
        steps.nominate(opened, steps.nominator(opened), steps.nomination(idempotency_key=key))


def test_an_idempotency_key_stands_for_one_body(opened: Store) -> None:
    """The same key with another message is a fault of the client."""
    who = steps.nominator(opened)
    steps.nominate(opened, who, steps.nomination(idempotency_key="a"))
    with pytest.raises(Conflict) as caught:
        steps.nominate(opened, who, steps.nomination(message_id="<2@spam>", idempotency_key="a"))

    assert ("idempotency-mismatch", (1, 1, 1)) == (caught.value.code, counts(opened))


RESERVED = ZonePolicy(ZONE, "relay", Policy())


@pytest.mark.parametrize(
    ("new", "policy", "kind", "code", "message"),
    [
        (
            replace(steps.nomination(), claimed=ip_address(ELSEWHERE)),
            POLICY,
            BadInput,
            "wrong-address",
            f"the message was handed to your MX by {RELAY}, not by {ELSEWHERE}: nominate {RELAY}",
        ),
        (
            steps.nomination(),
            RESERVED,
            BadInput,
            "reserved-address",
            f"{RELAY} cannot be nominated: documentation (RFC 5737)",
        ),
        (
            steps.nomination("10.1.2.3"),
            POLICY,
            BadInput,
            "reserved-address",
            "10.1.2.3 cannot be nominated: private use (RFC 1918)",
        ),
        (
            steps.nomination("192.0.2.1"),
            POLICY,
            Refused,
            "exempt",
            "192.0.2.1/32 cannot be listed: 192.0.2.0/25 is exempt (ours)",
        ),
        (
            steps.nomination("192.0.2.200"),
            POLICY,
            Refused,
            "do-not-test",
            "192.0.2.200 is not tested: 192.0.2.200/32 is on the do-not-test list",
        ),
    ],
)
def test_what_is_refused_and_in_which_words(
    opened: Store, new: NewNomination, policy: ZonePolicy, kind: type[RblError], code: str, message: str
) -> None:
    """Each refusal names the value, the reason, and leaves nothing behind."""
    who = steps.nominator(opened)
    with opened.writing() as session:
        exemptions.add(
            session, ip_network("192.0.2.0/25"), never_list=True, never_test=False, act=act("ours")
        )
        exemptions.add(
            session, ip_network("192.0.2.200/32"), never_list=False, never_test=True, act=act("his")
        )
    with pytest.raises(kind) as caught:
        steps.nominate(opened, who, new, policy=policy)

    assert (code, message, (0, 0, 0)) == (caught.value.code, caught.value.message, counts(opened))


def test_a_claimed_address_that_is_proven_is_taken(opened: Store) -> None:
    """The nominator may name the nominee, and is held to it."""
    view, is_new = steps.nominate(
        opened, steps.nominator(opened), replace(steps.nomination(), claimed=PEER)
    )

    assert (PEER, True) == (view.address, is_new)


def test_a_nominator_on_trial_waits_for_an_operator(opened: Store) -> None:
    """Nothing is tested on the word of a nominator on trial, until an operator says yes."""
    view, _ = steps.nominate(opened, steps.nominator(opened, Trust.TRIAL))
    none = steps.claim(opened)
    with opened.writing() as session:
        decisions.approve(session, POLICY, PEER, act())

    assert (State.NOMINATED, None) == (view.state, none)
    assert PEER == steps.must_claim(opened).address


def test_another_nominators_word_spares_the_wait(opened: Store) -> None:
    """A host that waits for an operator is tested when somebody with more trust nominates it too."""
    steps.nominate(opened, steps.nominator(opened, Trust.TRIAL, "trial"))
    view, _ = steps.nominate(opened, steps.nominator(opened), steps.nomination(message_id="<2@spam>"))

    assert (State.QUEUED, PEER) == (view.state, steps.must_claim(opened).address)


@pytest.mark.parametrize("verdict", [Verdict.CLOSED, Verdict.TESTER_BLOCKED])
def test_a_host_tested_today_waits_a_day(opened: Store, verdict: Verdict) -> None:
    """New spam through a host makes a new test due, but not sooner than a day after the last one."""
    who = steps.nominator(opened)
    steps.nominate(opened, who)
    steps.conclude(opened, steps.must_claim(opened), verdict, NOW + HOUR)
    view, _ = steps.nominate(opened, who, steps.nomination(message_id="<2@spam>"), at=NOW + 2 * HOUR)

    assert (State.QUEUED, NOW + HOUR + DAY) == (view.state, next_due(opened))
    assert None is steps.claim(opened, NOW + DAY)


def test_a_host_tested_long_ago_is_tested_at_once(opened: Store) -> None:
    """More than a day after its last test a nominated host is tested at once."""
    who = steps.nominator(opened)
    steps.nominate(opened, who)
    steps.conclude(opened, steps.must_claim(opened), Verdict.CLOSED)
    steps.nominate(opened, who, steps.nomination(message_id="<2@spam>"), at=NOW + 3 * DAY)

    assert NOW + 3 * DAY == next_due(opened)


def test_a_delisted_host_that_is_nominated_again_is_tested_for_that(opened: Store) -> None:
    """The follow-up that waits for its day gives way to the new test."""
    steps.make_listed(opened)
    with opened.writing() as session:
        retests.ask(session, POLICY, PEER, "public", NOW + DAY)
    steps.conclude(opened, steps.must_claim(opened, NOW + DAY), Verdict.CLOSED, NOW + DAY)
    new = steps.nomination(message_id="<2@spam>")
    view, _ = steps.nominate(opened, steps.nominator(opened, name="other"), new, at=NOW + DAY + HOUR)
    early = steps.claim(opened, NOW + 2 * DAY - HOUR)
    claimed = steps.must_claim(opened, NOW + 2 * DAY)

    assert (State.QUEUED, None, Purpose.NOMINATION) == (view.state, early, claimed.purpose)
    steps.check(opened)


def test_a_withdrawn_host_can_be_nominated_again(opened: Store) -> None:
    """An operator's withdrawal ends a listing, not the right to nominate on new evidence."""
    steps.make_listed(opened)
    with opened.writing() as session:
        decisions.withdraw(session, POLICY, PEER, act(at=NOW + DAY))
    new = steps.nomination(message_id="<2@spam>")
    view, _ = steps.nominate(opened, steps.nominator(opened, name="other"), new, at=NOW + 3 * DAY)

    assert State.QUEUED is view.state
    steps.check(opened)


def test_a_listed_host_gathers_evidence(opened: Store) -> None:
    """New spam through a listed host is kept, and tests nothing: it is listed already."""
    steps.make_listed(opened)
    new = steps.nomination(message_id="<2@spam>")
    view, is_new = steps.nominate(opened, steps.nominator(opened, name="other"), new, at=NOW + DAY)

    assert (State.LISTED, True, None) == (view.state, is_new, next_due(opened))


def test_a_test_given_up_is_begun_again(opened: Store) -> None:
    """A host whose tests said nothing is tested anew when it is nominated anew."""
    who = steps.nominator(opened)
    steps.nominate(opened, who)
    at = NOW
    while (due := next_due(opened)) is not None:
        assert isinstance(due, type(NOW))
        at = due
        steps.conclude(opened, steps.must_claim(opened, at), Verdict.DEFERRED, at)
    steps.nominate(opened, who, steps.nomination(message_id="<2@spam>"), at=at + timedelta(days=2))

    assert (State.QUEUED, at + timedelta(days=2)) == (steps.host(opened).state, next_due(opened))
