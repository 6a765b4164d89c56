"""Probe runs: given to one worker at a time, taken over when it dies, fenced, and never lost."""

import multiprocessing
import random
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from rbl.addresses import neighbourhood
from rbl.errors import Conflict
from rbl.lifecycle import Event, Outcome
from rbl.store import conclusions, hosts, probes, runs, switches
from rbl.store.engine import Store
from rbl.store.probes import Tried
from rbl.store.probetables import ProbeRun, TranscriptRow
from rbl.store.runs import Claim
from rbl.terms import EnvelopeResult, Purpose, State, TranscriptLine, Verdict
from tests.store import steps
from tests.store.steps import DAY, ELSEWHERE, HOUR, LEASE, MINUTE, NEIGHBOUR, NOW, POLICY, RELAY, ZONE, act
from tests.store.worker import ENVELOPES, work

# Children of a process that has loaded everything and has no threads.
_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["tests.store.worker"])


def nominate_all(store: Store, *addresses: str) -> None:
    """Nominate several hosts."""
    who = steps.nominator(store)
    for address in addresses:
        steps.nominate(store, who, steps.nomination(address))


def turn_probing(store: Store, *, on: bool) -> None:
    """Turn the kill switch."""
    with store.writing() as session:
        switches.turn(session, switches.PROBING, act(), on=on)


def next_due(store: Store) -> object:
    """Return when there is work again."""
    with store.reading() as session:
        return runs.next_due(session)


def test_a_nominated_host_is_given_to_a_worker(opened: Store) -> None:
    """A claim says which host is to be tested, why, and for whom; the host is being tested then."""
    nominate_all(opened, RELAY)
    claimed = steps.must_claim(opened)

    expected = Claim(
        run_id=claimed.run_id,
        host_id=steps.host(opened).id,
        zone=ZONE,
        address=steps.PEER,
        purpose=Purpose.NOMINATION,
        owner="worker 1",
        attempt=1,
        retries_done=0,
        steps_done=0,
        hostname=None,
        asked_by="mx-admin",
        created_at=NOW,
        may_connect=True,
        lease_until=NOW + LEASE,
    )
    assert expected == claimed
    assert State.TESTING is steps.host(opened).state


def test_nothing_due_is_nothing_to_do(opened: Store) -> None:
    """Without a due run there is no claim, and no time at which there will be one."""
    assert (None, None) == (steps.claim(opened), next_due(opened))


def test_a_held_run_is_not_given_out_before_its_lease_is_over(opened: Store) -> None:
    """A second worker gets nothing while the first holds the run, and knows when to look again."""
    nominate_all(opened, RELAY)
    before = next_due(opened)
    steps.must_claim(opened)

    assert (NOW, NOW + LEASE) == (before, next_due(opened))
    assert None is steps.claim(opened, NOW + LEASE - timedelta(seconds=1), "worker 2")


def test_an_expired_lease_is_taken_over(opened: Store) -> None:
    """When its worker was silent too long the run goes to another, which goes on with it."""
    nominate_all(opened, RELAY)
    first = steps.must_claim(opened)
    second = steps.must_claim(opened, NOW + LEASE, "worker 2")

    assert replace(first, owner="worker 2", attempt=2, lease_until=NOW + 2 * LEASE) == second
    assert State.TESTING is steps.host(opened).state


def test_a_renewed_lease_is_kept(opened: Store) -> None:
    """A worker that reports in time keeps its run."""
    nominate_all(opened, RELAY)
    claimed = steps.must_claim(opened)
    with opened.writing() as session:
        runs.renew(session, claimed, NOW + MINUTE, LEASE)

    assert None is steps.claim(opened, NOW + LEASE, "worker 2")
    assert None is not steps.claim(opened, NOW + MINUTE + LEASE, "worker 2")


def test_a_lease_that_ran_out_cannot_be_renewed(opened: Store) -> None:
    """Meanwhile another host of the neighbourhood may be under test: the late worker must stop."""
    nominate_all(opened, RELAY, NEIGHBOUR)
    first = steps.must_claim(opened)
    second = steps.must_claim(opened, NOW + LEASE, "worker 2")
    steps.conclude(opened, second, Verdict.CLOSED, NOW + LEASE)
    third = steps.must_claim(opened, NOW + LEASE, "worker 3")

    assert NEIGHBOUR == str(third.address)
    for late in (NOW + LEASE, NOW + 2 * LEASE):
        with pytest.raises(Conflict), opened.writing() as session:
            runs.renew(session, first, late, LEASE)
    with pytest.raises(Conflict), opened.writing() as session:
        runs.renew(session, third, NOW + 2 * LEASE, LEASE)


@pytest.mark.parametrize("write", ["plan", "greeted", "record", "try_again", "renew", "end_step"])
def test_a_fenced_worker_changes_nothing(opened: Store, write: str) -> None:
    """Whatever a worker writes after another has its run is refused, and leaves no trace."""
    nominate_all(opened, RELAY)
    first = steps.must_claim(opened)
    steps.plan(opened, first, 1)
    second = steps.must_claim(opened, NOW + LEASE, "worker 2")
    before = dump(opened)
    line = TranscriptLine(NOW, "us", "QUIT")
    proven = Outcome(Event.PROVE, None, "it came back")

    def write_late(session: Session) -> None:
        match write:
            case "plan":
                probes.plan(session, first, [steps.envelope(first.run_id, 2)], "relay.example")
            case "greeted":
                probes.greeted(session, first, "220 hello", "Postfix")
            case "record":
                probes.record(session, first, [Tried("T01", EnvelopeResult.QUEUED, "250", NOW)], [line])
            case "try_again":
                probes.try_again(session, first)
            case "renew":
                runs.renew(session, first, NOW, LEASE)
            case _:
                conclusions.end_step(session, first, Verdict.OPEN, proven, POLICY, NOW + LEASE)

    with pytest.raises(Conflict) as caught, opened.writing() as session:
        write_late(session)

    assert "lease-lost" == caught.value.code
    assert before == dump(opened)
    assert State.CLOSED is steps.conclude(opened, second, Verdict.CLOSED, NOW + LEASE)


def test_a_worker_whose_run_was_ended_is_fenced(opened: Store) -> None:
    """An operator's no ends the test under way: its worker can write no more."""
    nominate_all(opened, RELAY)
    claimed = steps.must_claim(opened)
    with opened.writing() as session:
        hosts.end_run(session, claimed.host_id, act("no"))

    with pytest.raises(Conflict):
        steps.conclude(opened, claimed, Verdict.OPEN)
    assert None is steps.claim(opened, NOW + DAY)


def test_one_host_of_a_neighbourhood_at_a_time(opened: Store) -> None:
    """Two hosts of one /24 are tested one after the other; one of another network beside them."""
    nominate_all(opened, RELAY, NEIGHBOUR, ELSEWHERE)
    first = steps.must_claim(opened)
    second = steps.must_claim(opened, owner="worker 2")
    none = steps.claim(opened, owner="worker 3")
    steps.conclude(opened, first, Verdict.CLOSED)
    third = steps.must_claim(opened, owner="worker 3")

    assert ([RELAY, ELSEWHERE, NEIGHBOUR], None) == (
        [str(one.address) for one in (first, second, third)],
        none,
    )


def test_runs_are_given_out_in_order_of_their_time(opened: Store) -> None:
    """What has been due longest comes first."""
    who = steps.nominator(opened)
    steps.nominate(opened, who, steps.nomination(RELAY), at=NOW + MINUTE)
    steps.nominate(opened, who, steps.nomination(ELSEWHERE))

    assert ELSEWHERE == str(steps.must_claim(opened, NOW + HOUR).address)


def test_lists_of_other_processes_are_left_alone(opened: Store) -> None:
    """A worker claims runs of the lists it was given the policy of, and of no other."""
    nominate_all(opened, RELAY)
    with opened.writing() as session:
        claimed = runs.claim(session, "worker", NOW, LEASE, {"other.example": POLICY}, outbound=True)

    assert claimed is None


@pytest.mark.parametrize("how", ["kill switch", "no identity"])
def test_no_probe_goes_out_when_it_must_not(opened: Store, how: str) -> None:
    """Without leave to connect a due test stays where it is, and goes on when leave is given."""
    nominate_all(opened, RELAY)
    turn_probing(opened, on=how != "kill switch")
    none = steps.claim(opened, outbound=how != "no identity")
    turn_probing(opened, on=True)

    assert (None, True) == (none, steps.must_claim(opened).may_connect)


@pytest.mark.parametrize("how", ["kill switch", "no identity"])
def test_what_came_back_is_judged_all_the_same(opened: Store, how: str) -> None:
    """A run that waits for returns and got one is given out, with the word that nothing may be sent."""
    nominate_all(opened, RELAY)
    claimed = steps.must_claim(opened)
    steps.plan(opened, claimed)
    steps.take(opened, claimed, NOW)
    steps.conclude(opened, claimed, Verdict.UNPROVEN)
    turn_probing(opened, on=how != "kill switch")
    before = steps.claim(opened, NOW + HOUR, outbound=how != "no identity")
    steps.come_back(opened, claimed.run_id, NOW + HOUR)
    woken = steps.must_claim(opened, NOW + HOUR, outbound=how != "no identity")

    assert (None, False) == (before, woken.may_connect)
    assert State.LISTED is steps.conclude(opened, woken, Verdict.OPEN, NOW + HOUR)


def test_unfinished_runs_are_counted(opened: Store) -> None:
    """The operator sees how much waits, and how much of it is due."""
    nominate_all(opened, RELAY, ELSEWHERE)
    steps.conclude(opened, steps.must_claim(opened), Verdict.DEFERRED)
    with opened.reading() as session:
        found = runs.count_unfinished(session, ZONE, NOW)

    assert (2, 1) == found


def test_many_workers_share_the_work(opened: Store) -> None:
    """However many workers ask at once, none is given to two, and none is left."""
    addresses = [f"203.0.113.{number}" for number in range(1, 4)]
    addresses += [f"2001:db8:0:{number}::1" for number in range(9)]
    nominate_all(opened, *addresses)

    def work(number: int) -> list[Claim]:
        mine = []
        while claimed := steps.claim(opened, owner=f"worker {number}"):
            mine.append(claimed)
        return mine

    claims = [one for found in steps.at_once(4, work) if isinstance(found, list) for one in found]

    assert 1 + 9 == len(claims) == len({one.run_id for one in claims})
    assert 10 == len({neighbourhood(one.address) for one in claims})


def test_an_operator_and_a_worker_do_not_wait_for_each_other(opened: Store) -> None:
    """Claims, decisions and returns about one host at once end without a deadlock, one after the other."""
    who = steps.nominator(opened)
    for round_ in range(5):
        steps.nominate(
            opened, who, steps.nomination(message_id=f"<{round_}@spam>"), at=NOW + 2 * round_ * DAY
        )
        at = NOW + (2 * round_ + 1) * DAY
        claimed = steps.must_claim(opened, at)
        steps.plan(opened, claimed)

        def act_on_host(number: int, claimed: Claim = claimed, at: object = at) -> None:
            assert isinstance(at, type(NOW))
            match number:
                case 0:
                    steps.claim(opened, at + LEASE, "worker 2")
                case 1:
                    steps.come_back(opened, claimed.run_id, at, EnvelopeResult.BOUNCED)
                case 2:
                    steps.conclude(opened, claimed, Verdict.CLOSED, at)
                case _:
                    with opened.writing() as session:
                        host = hosts.lock(session, ZONE, claimed.address)
                        hosts.end_run(session, host.id, act("stop", at))

        outcomes = steps.at_once(4, act_on_host)
        with opened.writing() as session:
            host = hosts.lock(session, ZONE, claimed.address)
            if host.state is State.TESTING:
                hosts.happen(session, host, Event.CLOSE, act(at=at), POLICY)

        assert {"lease-lost"} >= {one.code for one in outcomes if one is not None}


def test_a_worker_that_is_killed_leaves_nothing_lost_and_nothing_doubled(database_url: str) -> None:
    """However a worker ends, the next goes on: each envelope is tried once, and each line written once."""
    store = Store(database_url)
    steps.set_up(store)
    nominate_all(store, RELAY)
    chance = random.Random(20)
    kills = 0
    while run_and_kill(database_url, kills, after=chance.randrange(1, 7)) != "through":
        kills += 1
    with store.reading() as session:
        tried = [row.result for row in probes.envelopes(session, 1)]
        said = session.execute(select(TranscriptRow.text)).scalars().all()
        attempts = session.execute(select(ProbeRun.attempt)).scalar_one()
    store.close()

    assert kills >= 10
    assert ([EnvelopeResult.REFUSED] * ENVELOPES, ENVELOPES, kills + 1) == (tried, len(said), attempts)
    assert len(said) == len(set(said))


def run_and_kill(url: str, number: int, *, after: int) -> str:
    """Start a worker, kill it when it has said *after* words, and return its last word."""
    hear, say = _FORKS.Pipe(duplex=False)
    process = _FORKS.Process(target=work, args=(url, f"worker {number}", number * LEASE, say.send))
    process.start()
    say.close()
    words: list[str] = []
    while len(words) < after and "through" not in words:
        words.append(hear.recv())
    process.kill()
    process.join()
    hear.close()
    return words[-1]


def dump(store: Store) -> list[object]:
    """Return every row of every table."""
    with store.reading() as session:
        return [
            tuple(row)
            for table in ProbeRun.metadata.sorted_tables
            for row in session.execute(select(table).order_by(*table.primary_key.columns))
        ]


def test_a_run_that_may_not_go_out_is_not_waited_for(opened: Store) -> None:
    """While no probe may go out, only a run that something came back for makes a worker look again."""
    steps.nominate(opened, steps.nominator(opened), steps.nomination(steps.RELAY))
    with opened.reading() as session:
        assert steps.NOW == runs.next_due(session)
        assert None is runs.next_due(session, outbound=False)
    with opened.writing() as session:
        switches.turn(session, switches.PROBING, steps.act("complaints"), on=False)
    with opened.reading() as session:
        assert None is runs.next_due(session)
