"""A random life of one list: changed, imported into, backed up, restored, and followed all the while.

The clock stands still, so that what a restored database gives out next are the serials that it gave
out before: what follows cannot go by them.
"""

import random
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv4Network, ip_network
from pathlib import Path

from prometheus_client import CollectorRegistry

from rbl.config import Dns
from rbl.errors import Conflict, NotFound, Refused
from rbl.responder.answer import answer
from rbl.responder.catalogue import Catalogue
from rbl.responder.codes import Outcome
from rbl.responder.counters import Counters
from rbl.responder.follower import Follower, index_path
from rbl.responder.rules import rules_of
from rbl.store import bulk, exemptions, journal, listings
from rbl.store.engine import Store
from rbl.store.listings import NewListing
from rbl.terms import Act
from rbl.zone import guards
from rbl.zone.index import compile_index
from tests.responder.lists import ANYBODY, make_zone
from tests.responder.presentation import make_query
from tests.story.backup import Backup

APEX = "bl.test"
ACT = Act("operator", "by hand", datetime(2026, 1, 1, tzinfo=UTC))
HOSTS = [ip_network(f"20.0.0.{number}/32") for number in range(60)]
NETWORKS = [ip_network(f"20.0.0.{number}/28") for number in range(0, 256, 16)]
REASONS = ("relay", "multihop")
_RULES = rules_of(Dns())
_LARGE = 400  # more than the guards let out of themselves


class Life:
    """One list in a real database, and a follower of it in this process, which comes and goes."""

    def __init__(
        self, url: str, folder: Path, seed: int, make_backup: Callable[[int], Backup], *, most_backups: int
    ) -> None:
        self.random = random.Random(seed)
        self.store = Store(url)
        self.restores = 0
        self.forced = 0
        self._folder = folder
        folder.mkdir()
        self._make_backup = make_backup
        self._most_backups = most_backups
        self._backups: list[Backup] = []
        self._old_files: list[Path] = []
        self._zone = make_zone(APEX)
        with self.store.writing() as session:
            journal.open_zone(session, APEX, ACT.at)
        self._reader = journal.JournalReader(self.store)
        self._restart()

    def live(self) -> None:
        """Let one to five things happen."""
        steps: Sequence[tuple[Callable[[], None], int]] = (
            (self._list, 8),
            (self._delist, 6),
            (self._exempt, 2),
            (self._end_exemption, 2),
            (self._import, 3),
            (self._import_much, 1),
            (self._force, 1),
            (self._follow, 4),
            (self._write, 3),
            (self._restart, 2),
            (self._restart_without_file, 1),
            (self._restart_with_an_old_file, 2),
            (self.back_up, 1),
        )
        kinds, weights = zip(*steps, strict=True)
        for step in self.random.choices(kinds, weights, k=self.random.randint(1, 5)):
            step()

    def back_up(self) -> None:
        """Take a backup; of more than are kept it takes the place of one."""
        self.close()
        if len(self._backups) < self._most_backups:
            self._backups.append(self._make_backup(len(self._backups)))
            self._backups[-1].make()
        else:
            self.random.choice(self._backups).make()

    def restore(self) -> None:
        """Put one of the backups back."""
        self.close()
        self.random.choice(self._backups).restore()
        self.restores += 1

    def close(self) -> None:
        """Let every connection go."""
        self._reader.close()
        self.store.close()

    def difference(self) -> str | None:
        """Follow once, and say how DNS differs from an export of the list then; None: not at all.

        What the guards hold back is forced, and followed once more.
        """
        assert self._follower.follow()
        if self._follower.standings()[APEX].held is not None:
            self._force()
            self.forced += 1
            assert self._follower.follow()
        mark, rows = self._reader.snapshot(APEX)
        exported = compile_index(self._zone, mark.serial, rows, mark.chain)
        served = self._catalogue.index(self._zone.apex)
        assert served is not None
        changes = guards.changes_between(served, exported)
        if changes or served.mark != exported.mark:
            return f"{changes} changes from {served.mark} to {exported.mark}"
        for address in (IPv4Address("20.0.0.0") + number for number in range(256)):
            if served.find_address(address) != exported.find_address(address):
                return f"{address}: {served.find_address(address)}, not {exported.find_address(address)}"
        address = IPv4Address("20.0.0.0") + self.random.randrange(64)
        outcome = Outcome.LISTED if exported.find_address(address) else Outcome.NXDOMAIN
        return None if self._ask(address) is outcome else f"DNS: {address} is not {outcome}"

    # --- what happens to the list --------------------------------------------------------------------

    def _list(self) -> None:
        network, reason = self.random.choice(HOSTS), self.random.choice(REASONS)
        with suppress(Conflict, Refused), self.store.writing() as session:
            listings.start(session, NewListing(APEX, network, reason), ACT)

    def _delist(self) -> None:
        network, reason = self.random.choice(HOSTS), self.random.choice(REASONS)
        with suppress(NotFound, Conflict), self.store.writing() as session:
            listings.end(session, APEX, network, reason, ACT)

    def _exempt(self) -> None:
        with suppress(Conflict, Refused), self.store.writing() as session:
            exemptions.add(
                session, self.random.choice(NETWORKS), never_list=True, never_test=False, act=ACT
            )

    def _end_exemption(self) -> None:
        with suppress(NotFound), self.store.writing() as session:
            exemptions.end(session, self.random.choice(NETWORKS), ACT)

    def _import(self) -> None:
        rows = [
            (str(network), reason, self.random.choice([None, "see {url}"]))
            for network in self.random.sample(HOSTS, self.random.randint(1, 20))
            for reason in self.random.sample(REASONS, self.random.randint(1, 2))
        ]
        with self.store.writing() as session:
            bulk.add(session, APEX, rows, ACT)

    def _import_much(self) -> None:
        first = IPv4Address("30.0.0.0") + self.random.randrange(5000)
        rows = [(str(IPv4Network(first + number)), "relay", None) for number in range(_LARGE)]
        with self.store.writing() as session:
            bulk.add(session, APEX, rows, ACT)

    def _force(self) -> None:
        with self.store.writing() as session:
            journal.force(session, APEX, ACT)

    # --- what happens to the follower ----------------------------------------------------------------

    def _follow(self) -> None:
        self._follower.follow()

    def _write(self) -> None:
        self._follower.write()
        file = index_path(self._folder, APEX)
        if file.exists():
            self._old_files.append(self._folder / f"old.{len(self._old_files)}")
            shutil.copy(file, self._old_files[-1])

    def _restart(self) -> None:
        self._catalogue = Catalogue([self._zone])
        self._follower = Follower(
            self._reader,
            self._catalogue,
            [self._zone],
            self._folder,
            Counters(CollectorRegistry()),
            max_change_share=0.3,
        )
        self._follower.load()

    def _restart_without_file(self) -> None:
        index_path(self._folder, APEX).unlink(missing_ok=True)
        self._restart()

    def _restart_with_an_old_file(self) -> None:
        if self._old_files:
            shutil.copy(self.random.choice(self._old_files), index_path(self._folder, APEX))
        self._restart()

    def _ask(self, address: IPv4Address) -> Outcome:
        name = ".".join(reversed(str(address).split(".")))
        packet, _ = make_query(f"{name}.{APEX}. IN A")
        return answer(packet, ANYBODY, self._catalogue, _RULES, 0).outcome
