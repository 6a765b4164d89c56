"""Where a run is tested from: the vantages of living workers, drawn at random, one at a time."""

from datetime import datetime, timedelta
from ipaddress import ip_address

import pytest

from rbl.store import probes, retests, runs, vantages
from rbl.store.engine import Store
from rbl.store.probes import Tried
from rbl.store.probetables import ProbeConnection, ProbeRun, TranscriptRow
from rbl.store.runs import Claim
from rbl.store.vantages import Prober
from rbl.terms import Address, EnvelopeResult, State, TranscriptLine, Verdict
from tests.store import steps
from tests.store.steps import DAY, MINUTE, NOW, POLICY, ZONE

HERE = ip_address("192.0.2.1")
THERE = ip_address("192.0.2.2")
SIXTH = ip_address("2001:db8::25")
BEAT = timedelta(seconds=5)
HOST6 = "2001:db8:1::9"


def live(store: Store, worker: str, *addresses: Address, at: datetime = NOW) -> None:
    """Let a worker say that it lives."""
    with store.writing() as session:
        vantages.tell(session, worker, addresses, at, BEAT)


def living(store: Store, at: datetime = NOW) -> list[Address]:
    """Return what lives."""
    with store.reading() as session:
        return list(vantages.living(session, at))


def claim(
    store: Store, worker: str, *own: Address, at: datetime = NOW, told: list[str] | None = None
) -> Claim | None:
    """Let a worker with *own* addresses ask for a run."""
    prober = Prober(frozenset(own), lambda _, why: (told if told is not None else []).append(why))
    with store.writing() as session:
        return runs.claim(
            session,
            worker,
            at,
            steps.LEASE,
            {ZONE: POLICY},
            outbound=True,
            prober=prober,
        )


def vantage(store: Store, run_id: int = 1) -> Address | None:
    """Return where a run is tested from now."""
    with store.reading() as session:
        return session.get_one(ProbeRun, run_id).vantage


def test_a_worker_lives_as_long_as_it_says_so(opened: Store) -> None:
    """Three heartbeats without a word and it is gone; one that ends says so, and so does one with less."""
    live(opened, "a", HERE, THERE)
    live(opened, "b", THERE, SIXTH)
    all_of_them = living(opened)
    live(opened, "a", HERE, at=NOW + BEAT)

    assert [HERE, THERE, SIXTH] == all_of_them
    assert [HERE, THERE, SIXTH] == living(opened, NOW + BEAT)
    assert [HERE] == living(opened, NOW + 4 * BEAT)
    with opened.writing() as session:
        vantages.forget(session, "a")
    assert [THERE, SIXTH] == living(opened)
    live(opened, "c", HERE, at=NOW + 2 * DAY)
    assert [HERE] == living(opened), "who was killed is forgotten after a day"


def test_a_run_goes_to_the_worker_it_was_drawn_for(opened: Store) -> None:
    """Whoever asks: of many runs some are drawn for each vantage, and no worker gets those of the other."""
    who = steps.nominator(opened)
    count = 24
    for number in range(count):
        steps.nominate(opened, who, steps.nomination(f"203.0.{number}.9", f"<{number}@spam>"))
    live(opened, "a", HERE)
    live(opened, "b", THERE)
    got = {HERE: 0, THERE: 0}
    for _ in range(count + 2):
        for worker, own in (("a", HERE), ("b", THERE)):
            while (claimed := claim(opened, worker, own)) is not None:
                got[own] += 1
                assert own == claimed.vantage == vantage(opened, claimed.run_id)

    assert count == got[HERE] + got[THERE]
    assert min(got.values()) > 0  # fails once in eight million times


def test_the_run_of_a_worker_that_is_gone_is_drawn_anew(opened: Store) -> None:
    """What the first recorded stays its own, what it left belongs to the next."""
    steps.nominate(opened, steps.nominator(opened))
    live(opened, "a", HERE)
    first = claim(opened, "a", HERE)
    assert first is not None
    steps.plan(opened, first, count=3)
    line = TranscriptLine(NOW, "us", "EHLO here")
    with opened.writing() as session:
        probes.connect(session, first, NOW)
        probes.record(session, first, [Tried("T01", EnvelopeResult.REFUSED, "no", None, "RCPT")], [line])
    live(opened, "b", THERE, at=NOW + MINUTE)
    under_lease = claim(opened, "b", THERE, at=NOW + MINUTE)
    later = NOW + 3 * MINUTE
    live(opened, "b", THERE, at=later)
    second = claim(opened, "b", THERE, at=later)
    assert second is not None
    with opened.writing() as session:
        probes.connect(session, second, later)
        probes.record(session, second, [Tried("T02", EnvelopeResult.REFUSED, "no", None)], [line])
    with opened.reading() as session:
        rows = probes.envelopes(session, 1)
        lines = [row.vantage for row in session.query(TranscriptRow).order_by(TranscriptRow.seq)]
        connections = [row.vantage for row in session.query(ProbeConnection).order_by(ProbeConnection.id)]

    assert (None, THERE) == (under_lease, second.vantage)
    assert [str(HERE), str(THERE), str(HERE)] == [row.vantage for row in rows]
    assert "RCPT" == rows[0].answered
    assert [HERE, THERE] == lines == connections


def test_a_form_is_offered_once_from_each_vantage(opened: Store) -> None:
    """The same form from another vantage is another envelope, and each keeps its own answer."""
    steps.nominate(opened, steps.nominator(opened))
    live(opened, "a", HERE)
    first = claim(opened, "a", HERE)
    assert first is not None
    steps.plan(opened, first, count=1)
    steps.take(opened, first, NOW, EnvelopeResult.REFUSED)
    with opened.writing() as session:
        runs.release(session, first)
        session.get_one(ProbeRun, 1).confirms = HERE
        session.get_one(ProbeRun, 1).vantage = None
    live(opened, "b", THERE)
    second = claim(opened, "b", THERE)
    assert second is not None
    with opened.writing() as session:
        again = steps.envelope(77, 1)
        probes.plan(session, second, [again], None)
    steps.take(opened, second, NOW, EnvelopeResult.DEFERRED)

    assert (HERE, THERE) == (second.confirms, second.vantage)
    assert [EnvelopeResult.REFUSED, EnvelopeResult.DEFERRED] == steps.results(opened, 1)


@pytest.mark.parametrize("address", [HOST6, "203.0.113.9"])
def test_a_host_that_nobody_can_reach_waits_and_is_shown(opened: Store, address: str) -> None:
    """No vantage of its family: deferred with that reason, told once, and taken up when there is one."""
    steps.nominate(opened, steps.nominator(opened), steps.nomination(address))
    wrong, right = (HERE, SIXTH) if address == HOST6 else (SIXTH, HERE)
    live(opened, "a", wrong)
    told: list[str] = []
    asked = [claim(opened, "a", wrong, at=NOW + number * 6 * MINUTE, told=told) for number in range(3)]
    deferred = steps.host(opened, address)
    later = NOW + 30 * MINUTE
    live(opened, "b", right, at=later)
    taken = claim(opened, "b", right, at=later)

    family = ip_address(address).version
    why = (
        f"no tester has an IPv{family} address to test from: the test waits until one has"
        " (probe.source_addresses)"
    )
    assert [None, None, None] == asked
    assert [why] == told
    assert (State.DEFERRED, why) == (deferred.state, deferred.review)
    assert taken is not None
    assert (State.TESTING, None) == (steps.host(opened, address).state, steps.host(opened, address).review)
    steps.check(opened)


def test_the_follow_up_of_a_host_that_nobody_can_reach_waits_as_well(opened: Store) -> None:
    """A host that is out has no state for that: it stays out, and nothing else is held up by it."""
    steps.make_listed(opened)
    with opened.writing() as session:
        retests.ask(session, POLICY, steps.PEER, "public", NOW)
    claimed = steps.must_claim(opened)
    steps.plan(opened, claimed)
    steps.conclude(opened, claimed, Verdict.CLOSED)
    told: list[str] = []
    asked = claim(opened, "a", SIXTH, at=NOW + DAY, told=told)

    assert (None, 1) == (asked, len(told))
    assert State.DELISTED is steps.host(opened).state
    steps.check(opened)


def test_what_came_back_is_judged_even_where_nobody_can_test(opened: Store) -> None:
    """A run that was begun is given out without leave to connect, so that proof is not lost."""
    steps.nominate(opened, steps.nominator(opened))
    live(opened, "a", HERE)
    first = claim(opened, "a", HERE)
    assert first is not None
    steps.plan(opened, first)
    steps.take(opened, first, NOW)
    steps.conclude(opened, first, Verdict.UNPROVEN)
    steps.come_back(opened, first.run_id, NOW + MINUTE)
    second = claim(opened, "b", SIXTH, at=NOW + 2 * MINUTE)

    assert second is not None
    assert (False, None) == (second.may_connect, second.vantage)


def test_a_worker_does_not_wait_for_what_others_will_do(opened: Store) -> None:
    """The next run that is due is one that this worker may take."""
    steps.nominate(opened, steps.nominator(opened))
    live(opened, "a", HERE)
    live(opened, "b", THERE)
    with opened.writing() as session:
        session.get_one(ProbeRun, 1).vantage = HERE
    with opened.reading() as session:
        dues = [runs.next_due(session, among=vantages.places(session, [own], NOW)) for own in (HERE, THERE)]

    assert [NOW, None] == dues
