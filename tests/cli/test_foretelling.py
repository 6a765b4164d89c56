"""What is told before an import is what a DNS server then makes of it."""

import random
from ipaddress import ip_network
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from rbl.cli.foretelling import held_back
from rbl.responder.catalogue import Catalogue
from rbl.responder.counters import Counters
from rbl.responder.follower import Follower
from rbl.store import bulk, exemptions, journal
from rbl.store.engine import Store
from rbl.store.journal import JournalReader
from rbl.zone.zonefile import Kind, ZoneFile
from tests.store import steps
from tests.store.steps import NOW
from tests.zone.conftest import make_zone

Rows = list[tuple[str, str, str | None]]


class Server:
    """A DNS server that follows the list of *zone*, and stands still unless told."""

    def __init__(self, store: Store, zone: ZoneFile, folder: Path) -> None:
        catalogue, counters = Catalogue([zone]), Counters(CollectorRegistry())
        self._reader = JournalReader(store)
        self._zone = zone
        self._follower = Follower(self._reader, catalogue, [zone], folder, counters, max_change_share=0.3)

    def held(self) -> str | None:
        """Return why it holds back what is in the journal now."""
        assert self._follower.follow()
        return self._follower.standings()[self._zone.apex_text].held

    def close(self) -> None:
        """Let its connection go."""
        self._reader.close()


def some(dice: random.Random) -> Rows:
    """Return made-up rows, several reasons for some addresses."""
    found = {
        (f"5.0.{dice.randrange(3)}.{dice.randrange(256)}/32", dice.choice(("open-relay", "multihop")))
        for _ in range(dice.choice((20, 90, 150, 400, 700)))
    }
    return [(subject, reason, None) for subject, reason in sorted(found)]


@pytest.mark.parametrize("number", range(12))
def test_a_server_does_as_foretold(sqlite_url: str, tmp_path: Path, number: int) -> None:
    """Whatever was listed and exempt before, the server holds back what was said, with the same numbers."""
    dice, zone, store = random.Random(number), make_zone(), Store(sqlite_url)
    server = Server(store, zone, tmp_path)
    with store.writing() as session:
        journal.open_zone(session, zone.apex_text, NOW)
        bulk.add(session, zone.apex_text, some(dice), steps.act())
        network = ip_network(f"5.0.{dice.randrange(3)}.0/25")
        exemptions.add(session, network, never_list=True, never_test=False, act=steps.act())
    assert server.held() is None
    rows = some(dice)
    told = held_back(store, zone, rows, steps.act(), 0.3)
    with store.writing() as session:
        bulk.add(session, zone.apex_text, rows, steps.act())
    held = server.held()
    server.close()
    store.close()

    assert (told is None) == (held is None)
    if told is not None and held is not None:
        assert told.can_be_forced
        assert held.partition(" from ")[0] == told.why.partition(" (")[0]


def test_every_name_there_is(sqlite_url: str) -> None:
    """What is too wide is told where a list is filled for the first time, too."""
    zone, store = make_zone(Kind.NAMES), Store(sqlite_url)
    with store.writing() as session:
        journal.open_zone(session, zone.apex_text, NOW)
    told = held_back(store, zone, [("*", "open-relay", None)], steps.act(), 0.3)
    store.close()

    assert told is not None
    assert ("* is listed, which is every name there is", True) == (
        told.why.partition(":")[0],
        told.can_be_forced,
    )


def test_what_nobody_can_let_out(sqlite_url: str) -> None:
    """A list that holds reserved space already is held back whatever comes, and that is told."""
    zone, store = make_zone(), Store(sqlite_url)
    with store.writing() as session:
        journal.open_zone(session, zone.apex_text, NOW)
        bulk.add(session, zone.apex_text, [("10.0.0.0/24", "open-relay", None)], steps.act())
    told = held_back(store, zone, [("5.0.0.1/32", "open-relay", None)], steps.act(), 0.3)
    store.close()

    assert told is not None
    assert ("10.0.0.0/24 is listed, but 10.0.0.0/8 is reserved", False) == (
        told.why.partition(":")[0],
        told.can_be_forced,
    )
