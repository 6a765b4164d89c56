"""The index on disk is written over, cut or emptied under the running server: DNS answers as before."""

import os
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
from dns import message as dns_message
from dns import query as dns_query
from dns import rcode as dns_rcode

from rbl.responder.follower import index_path
from rbl.store import bulk, journal, migrate
from rbl.store.engine import Store
from rbl.terms import Act
from rbl.zone import snapshot, zonefile
from rbl.zone.index import compile_index
from tests.attacks.target import Target, attacked
from tests.dnspaths import DNS_PATHS

ZONE = "relays.example"
_LISTED = 3000


def _cut(path: Path) -> None:
    os.truncate(path, 0)


def _write_over(path: Path) -> None:
    """As cp and rsync --inplace do."""
    with path.open("r+b") as file:
        file.write(os.urandom(path.stat().st_size))


def _put_an_empty_list_in_place(path: Path) -> None:
    """The same list as it was before anything was in it, written into the file itself."""
    other = path.with_name("other.index")
    snapshot.write(compile_index(zonefile.read(path.parents[1] / "zone.toml"), 1, []), other)
    shutil.copyfile(other, path)


SPOIL = (_put_an_empty_list_in_place, _write_over, _cut)


def _fill(url: str) -> None:
    """List 20.0.x.y, enough for many pages of memory."""
    store = Store(url)
    migrate.upgrade(store)
    rows = [(f"20.0.{number >> 8}.{number & 255}/32", "open-relay", None) for number in range(_LISTED)]
    act = Act("test", "test", datetime.now(UTC))
    with store.writing() as session:
        journal.open_zone(session, ZONE, act.at)
        bulk.add(session, ZONE, rows, act)
    store.close()


def _ask(target: Target, number: int) -> str:
    query = dns_message.make_query(f"{number & 255}.{number >> 8}.0.20.{ZONE}", "A")
    reply = dns_query.udp(query, target.dns.host, 5, target.dns.port)
    records = [record.to_text() for rrset in reply.answer for record in rrset]
    return "; ".join(records) or dns_rcode.to_text(reply.rcode())


@pytest.mark.parametrize("path", DNS_PATHS)
def test_the_index_on_disk_is_spoilt(tmp_path: Path, path: str) -> None:
    """Nobody notices, and the program goes on until it is told to stop."""
    settings = {"RBL_DNS__PATH": path}
    _fill(f"sqlite:///{tmp_path}/rbl.db")
    with attacked(tmp_path, settings) as target:
        assert 0 == target.process.end()
    file = index_path(tmp_path / "var", ZONE)
    answers = []
    with attacked(tmp_path, settings) as target:
        for spoil in SPOIL:
            spoil(file)
            listed = {_ask(target, number) for number in range(0, _LISTED, 50)}
            not_listed = {_ask(target, number) for number in range(_LISTED, 2 * _LISTED, 500)}
            answers.append((spoil.__name__, listed, not_listed))
        target.is_well()
        target.used(memory_mib=16, disk_mib=1, log_lines=5)
        status = target.process.end()

    assert [(spoil.__name__, {"127.0.0.2"}, {"NXDOMAIN"}) for spoil in SPOIL] == answers
    assert 0 == status
