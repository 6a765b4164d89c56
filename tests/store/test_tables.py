"""The tables: what the database itself forbids, should the program ever try."""

from ipaddress import ip_network

import pytest
from sqlalchemy import func, insert, select

from rbl.errors import Conflict
from rbl.store import exemptions, retests
from rbl.store.columns import Base
from rbl.store.engine import Store
from rbl.store.probetables import ProbeEnvelope, ProbeRun
from rbl.store.tables import ApiKey, Exemption, Host, Listing
from tests.store import steps
from tests.store.steps import NOW

UNIQUE: dict[str, tuple[type[Base], dict[str, object]]] = {
    "two stories of one address in a list": (Host, {}),
    "two live listings of one network for one reason": (Listing, {}),
    "two live exemptions of one network": (Exemption, {}),
    "two unfinished runs of one host": (ProbeRun, {}),
    "two envelopes of one form in a run": (ProbeEnvelope, {"token": "r", "sender_token": "s"}),
    "two envelopes with one token": (ProbeEnvelope, {"test_id": "T09", "sender_token": "s"}),
    "two envelopes with one sender token": (ProbeEnvelope, {"test_id": "T09", "token": "r"}),
    "two keys of one name": (ApiKey, {"digest": b"other"}),
    "two keys of one digest": (ApiKey, {"name": "other"}),
}


@pytest.fixture
def filled(opened: Store) -> Store:
    """A database with a listed host whose retest is under way, and an exemption."""
    steps.make_listed(opened)
    with opened.writing() as session:
        retests.ask(session, steps.POLICY, steps.PEER, "public", NOW)
        network = ip_network("203.0.113.0/24")
        exemptions.add(session, network, never_list=True, never_test=False, act=steps.act())
    return opened


@pytest.mark.parametrize("what", UNIQUE)
def test_the_database_forbids(filled: Store, what: str) -> None:
    """A second row of what there can be only one is refused by the database."""
    table, changed = UNIQUE[what]
    newest = select(table.__table__).order_by(table.__table__.c.id.desc()).limit(1)
    with filled.reading() as session:
        row = dict(session.execute(newest).mappings().one())
    del row["id"]
    with pytest.raises(Conflict), filled.writing() as session:
        session.execute(insert(table).values(**{**row, **changed}))


@pytest.mark.parametrize("table", [Listing, Exemption, ProbeRun])
def test_what_is_over_does_not_stand_in_the_way(filled: Store, table: type[Base]) -> None:
    """Past listings, exemptions and runs may be as many as there were."""
    with filled.writing() as session:
        row = dict(session.execute(select(table.__table__).limit(1)).mappings().one())
        del row["id"]
        ended = "finished_at" if table is ProbeRun else "ended_at"
        for _ in range(2):
            session.execute(insert(table).values(**{**row, ended: NOW}))
        count = session.execute(select(func.count()).select_from(table)).scalar_one()

    assert count >= 3
