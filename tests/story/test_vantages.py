"""Two workers with different addresses on one PostgreSQL: one is killed in the middle of a test."""

import asyncio
import signal
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path

from sqlalchemy import select

from rbl.store import keys, nominations, probes, vantages
from rbl.store.engine import Store
from rbl.store.hosts import ZonePolicy
from rbl.store.keys import NewKey
from rbl.store.probes import EnvelopeRow
from rbl.store.probetables import ProbeConnection, ProbeRun, TranscriptRow
from rbl.terms import EnvelopeResult, Role, Trust, Verdict
from tests.cli.process import Installation, Serving
from tests.store import steps
from tests.story import relay as relays
from tests.story.relay import GatedRelay, Manner, Stage
from tests.story.world import until

APEX = "relays.example"
POLICY = ZonePolicy(APEX, "open-relay", steps.POLICY.times, (relays.NETWORK,))
VANTAGES = ("127.0.0.10", "127.0.0.11")


class Seen:
    """What the database says of the only run."""

    def __init__(self, store: Store) -> None:
        self.store = store

    async def alive(self) -> int:
        """How many vantages live."""
        with self.store.reading() as session:
            return len(vantages.living(session, datetime.now(UTC)))

    async def tried(self) -> int:
        """How many envelopes have a result."""
        return len([row for row in self.rows() if row.result is EnvelopeResult.REFUSED])

    async def is_over(self) -> bool:
        """Whether the run is finished."""
        with self.store.reading() as session:
            return session.get_one(ProbeRun, 1).finished_at is not None

    def rows(self) -> Sequence[EnvelopeRow]:
        """The run's envelopes."""
        with self.store.reading() as session:
            return probes.envelopes(session, 1)

    def nominate(self) -> None:
        """Hand in a spam that came through the relay."""
        now = datetime.now(UTC)
        new = steps.nomination(relays.HOST)
        with self.store.writing() as session:
            secret, _ = keys.make(session, NewKey("isp", Role.NOMINATOR, Trust.TRUSTED), steps.act(at=now))
            who = keys.authenticate(session, secret, now)[0]
            nominations.nominate(session, new, who, POLICY, now)


async def _tell(installation: Installation, seen: Seen) -> tuple[GatedRelay, tuple[str, str], str]:
    """Kill the worker that tests a closed host; return by whom what was offered then, and who went on."""
    relay = GatedRelay()
    relay.manner = Manner.CLOSED
    async with relays.serving(relay) as port:
        installation.may_test(port)
        installation.settings |= {"RBL_PROBE__LEASE": "2", "RBL_PROBE__HEARTBEAT": "0.2"}
        with ExitStack() as running:
            workers: dict[str, Serving] = {}
            for vantage in VANTAGES:
                installation.settings["RBL_PROBE__SOURCE_ADDRESS"] = vantage
                workers[vantage] = running.enter_context(installation.serving("--only", "worker"))
            await until(seen.alive, lambda count: count == len(VANTAGES))
            seen.nominate()
            await until(seen.tried, lambda count: count >= 3)
            relay.hold(Stage.RECIPIENT)
            await relay.until_held()
            cut_off = relay.offered[-1]
            killed = cut_off[0]
            assert -signal.SIGKILL == workers[killed].end(signal.SIGKILL)
            relay.release()
            await until(seen.is_over, bool)
            (left,) = set(VANTAGES) - {killed}
            assert 0 == workers[left].end()
    return relay, cut_off, left


def test_a_worker_is_killed_and_another_goes_on_from_elsewhere(tmp_path: Path, postgresql_url: str) -> None:
    """What each saw is stored as its own, nothing is asked twice but what was not answered."""
    installation = Installation(tmp_path, {"RBL_DATABASE__URL": postgresql_url})
    store = Store(postgresql_url)
    seen = Seen(store)
    relay, cut_off, left = asyncio.run(_tell(installation, seen))
    killed = cut_off[0]
    rows = [row for row in seen.rows() if row.result is not EnvelopeResult.NOT_RUN]
    with store.reading() as session:
        run = session.execute(select(ProbeRun.verdict, ProbeRun.vantage, ProbeRun.confirms)).one()
        lines = session.execute(select(TranscriptRow.vantage, TranscriptRow.text)).all()
        connections = session.execute(select(ProbeConnection.vantage)).scalars().all()
        alive = vantages.living(session, datetime.now(UTC))
    store.close()
    by_vantage = {vantage: [row for row in rows if row.vantage == vantage] for vantage in VANTAGES}
    said = {vantage: [text for at, text in lines if str(at) == vantage] for vantage in VANTAGES}

    assert (Verdict.CLOSED, ip_address(left), None) == tuple(run)
    assert {EnvelopeResult.REFUSED} == {row.result for row in rows}
    assert len(rows) == len({row.test_id for row in rows}) == sum(map(len, by_vantage.values()))
    assert len(by_vantage[killed]) >= 3
    for vantage, its in by_vantage.items():
        assert {f"RCPT TO:{row.rcpt_to}" for row in its if row.answered == "RCPT"} <= set(said[vantage])
    tokens = [row.token for row in rows]
    for peer, to in relay.offered:  # aiosmtpd refuses some forms without asking the relay
        (row,) = (row for row in rows if row.token in to)
        assert row.vantage == peer or (peer, to) == cut_off
    assert cut_off[1].partition("@")[0] in tokens, "what was under way is offered again"
    assert {ip_address(vantage) for vantage in VANTAGES} == {vantage for vantage, _ in lines}
    assert {ip_address(vantage) for vantage in VANTAGES} == set(connections)
    for at, text in lines:
        if text.startswith("connected from "):
            assert f"connected from {at}" == text
    assert [] == alive, "the one was killed, and the other said that it ends"
