"""The parts of the program, built from the settings and joined: what runs under ``rbl serve``.

Each part is a context manager that starts it, yields the words that say where it listens, and stops
it. Parts know nothing of each other: what one needs of another is handed over here. What is heavy to
import is imported by the part that needs it: DNS answers from the index on disk before the others, and
SQL, are there. The web part is in ``webpart``.
"""

import asyncio
import os
import socket
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry

from rbl import lifecycle, privatefiles
from rbl.cli import counts, descriptors, testers
from rbl.cli.latereader import LateReader
from rbl.cli.listening import Sockets
from rbl.cli.opening import now
from rbl.cli.watching import Watch, Watches, task_runs, threads_alive
from rbl.config import UNFRAGMENTED_OCTETS, Settings
from rbl.errors import ConfigError
from rbl.responder import compiled
from rbl.responder.answer import Reply, answer
from rbl.responder.catalogue import Catalogue
from rbl.responder.client import Client
from rbl.responder.counters import Counters
from rbl.responder.follower import Follower, index_path
from rbl.responder.hits import ListingHits
from rbl.responder.rules import Rules, rules_of
from rbl.responder.server import Hot, Server
from rbl.responder.tcp import TcpLimits
from rbl.responder.usage import KeyUsage
from rbl.zone import zonefile
from rbl.zone.zonefile import ZoneFile

if TYPE_CHECKING:
    from rbl.store.engine import Store
    from rbl.store.hosts import ZonePolicy

# For the first index of all: one million listings take three seconds from SQL, and none from disk.
_FIRST_INDEX_SECONDS = 60
_LOOK_AGAIN_SECONDS = 0.01
_NO_LIST_YET = "none could be read from the database yet (journal_lost in the log says why)"


@dataclass(frozen=True, slots=True)
class Built:
    """What several parts share."""

    settings: Settings
    open_store: "Callable[[], Store]"  # always the same one, opened when it is first asked for
    zones: Mapping[str, ZoneFile]  # by apex, the first is the default list
    registry: CollectorRegistry
    catalogue: Catalogue
    watches: Watches
    shares: descriptors.Shares  # of the file descriptors that this process may have
    followers: list[Follower] = field(default_factory=list)  # those that run, of this process
    sockets: Sockets = field(default_factory=Sockets)  # of the process before, and of this one

    @property
    def store(self) -> "Store":
        """The database."""
        return self.open_store()

    @property
    def policies(self) -> "Mapping[str, ZonePolicy]":
        """The policy of each list by apex, in the order of *zones*."""
        return {apex: policy_of(self.settings, zone) for apex, zone in self.zones.items()}


def build(settings: Settings, open_store: "Callable[[], Store]") -> Built:
    """Return what the parts are built from; nothing is asked of the database yet.

    Raises:
        ConfigError: a zone file is wrong, or two have one apex.
    """
    zones: dict[str, ZoneFile] = {}
    for path in settings.zones:
        zone = zonefile.read(path)
        if zone.apex_text in zones:
            raise ConfigError([f"zones: {path} has the apex {zone.apex_text} of another zone file"])
        zones[zone.apex_text] = zone
    if not zones:
        raise ConfigError(["zones: name at least one zone file"])
    registry = CollectorRegistry()
    return Built(
        settings=settings,
        open_store=open_store,
        zones=zones,
        registry=registry,
        watches=Watches(registry),
        catalogue=Catalogue(zones.values()),
        shares=descriptors.divide(settings, descriptors.raise_limit()),
    )


def policy_of(settings: Settings, zone: ZoneFile) -> "ZonePolicy":
    """Return the policy of *zone*: its first reason is what a proven relay is listed for."""
    from rbl.store.hosts import ZonePolicy  # noqa: PLC0415 — see above

    lists = settings.lists
    times = lifecycle.Policy(
        approve_listings=lists.approve_listings,
        first_wait=lists.first_wait,
        return_window=lists.return_window,
        retries=lists.retries,
        retest_interval=lists.retest_interval,
        retest_pause=lists.retest_pause,
        early_retests=lists.early_retests,
        early_retests_each=lists.early_retests_each,
        periodic_retest=lists.periodic_retest,
        follow_up=lists.follow_up,
        unreachable_delists_after=lists.unreachable_delists_after,
    )
    return ZonePolicy(zone.apex_text, zone.first_reason.name, times, settings.probe.allow_reserved)


@asynccontextmanager
async def dns(built: Built) -> AsyncIterator[str]:
    """Answer DNS and follow the journal."""
    settings = built.settings
    _make_writable(settings.data_dir)
    counters = Counters(built.registry)
    reader = LateReader(built.open_store)
    follower = Follower(
        reader,
        built.catalogue,
        built.zones.values(),
        settings.data_dir,
        counters,
        max_change_share=settings.dns.max_change_share,
    )
    rules, usage = rules_of(settings.dns), KeyUsage()
    hits = ListingHits(built.catalogue, counters)

    def respond(packet: bytes, client: Client) -> Reply:
        reply = answer(packet, client, built.catalogue, rules, time.time_ns())
        if reply.key:
            usage.count(reply.zone, reply.key)
        if reply.hit is not None:
            hits.count(reply.zone, reply.hit)
        return reply

    hot = _hot(built, rules, usage)
    fragments = settings.dns.max_udp_octets > UNFRAGMENTED_OCTETS
    limits = TcpLimits(connections=built.shares.dns)
    server = Server(settings.dns.listen, respond, counters, limits, hot=hot, fragments=fragments)
    hits.watch(server.take_hits)
    async with counts.kept(counts.Counts(built.open_store, usage, hits)):
        follower.start()
        built.followers.append(follower)
        try:
            inherited = built.sockets.take("dns")
            if inherited:  # the process before answers from as much
                await _until_caught_up(follower)
                if not follower.ready():
                    _close(inherited)
                    raise ConfigError(
                        ["dns: there is no list to answer from, which the process before has"]
                    )
            server.start(inherited)
            built.sockets.offer("dns", server.share)
            with built.watches.of("dns", _dns_watch(built, follower)):
                yield f"{' '.join(map(str, server.bound))} (UDP and TCP), {_path_in_words(hot)}"
        finally:
            await asyncio.to_thread(server.stop)
            reader.give_up()
            await asyncio.to_thread(follower.stop)
            reader.close()


def _dns_watch(built: Built, follower: Follower) -> Watch:
    """Return what says why DNS does not answer, or from an old list."""
    threads = threads_alive("dns-")  # of the server, which was started just now

    def look() -> str | None:
        if not built.catalogue.ready():
            return "there is no list yet to answer from"
        return threads() or follower.behind(built.settings.dns.max_lag)

    return look


def _hot(built: Built, rules: Rules, usage: KeyUsage) -> Hot | None:
    """Return the compiled hot path, where it is there and wanted.

    Raises:
        ConfigError: it is wanted and not there.
    """
    if not compiled.is_wanted(built.settings.dns):
        return None
    from rbl.responder.hotpath import HotPath  # noqa: PLC0415 — where it was built

    return Hot(HotPath(built.catalogue, rules, usage), built.settings.dns.threads)


def _path_in_words(hot: Hot | None) -> str:
    if hot is None:
        return compiled.describe(wanted=False)
    return f"{compiled.describe()}, {hot.count()} threads"


def is_on_disk(built: Built) -> bool:
    """Whether DNS can begin without the database: a run before left an index of every zone on disk."""
    return all(index_path(built.settings.data_dir, apex).exists() for apex in built.zones)


async def until_dns_is_ready(
    built: Built, stopping: asyncio.Event | None = None, known: Mapping[str, str] = MappingProxyType({})
) -> Mapping[str, str]:
    """Wait until DNS can answer from every list, or for the stop, and return nothing.

    Not for ever: where it is clear why a list is missing, return those that are, by apex, each with why.
    What is *known* already is waited for.
    """
    end = time.monotonic() + _FIRST_INDEX_SECONDS
    while not built.catalogue.ready() and not (stopping and stopping.is_set()):
        missing = _without_index(built)
        clear = _NO_LIST_YET not in missing.values() or time.monotonic() > end
        if missing and missing != known and clear:
            return missing
        await asyncio.sleep(_LOOK_AGAIN_SECONDS)
    return {}


def _without_index(built: Built) -> Mapping[str, str]:
    """Return the apexes of the zones that have no index, each with why."""
    held = {apex: each.held for follower in built.followers for apex, each in follower.standings().items()}
    zones = [zone.name for zone in built.catalogue.zones() if zone.served is None]
    return {apex: held.get(apex) or _NO_LIST_YET for apex in zones}


def _close(sockets: list[socket.socket]) -> None:
    for each in sockets:
        each.close()


async def _until_caught_up(follower: Follower) -> None:
    """Wait until every zone is at the head of its journal, with a list to answer from; not for ever."""
    end = time.monotonic() + _FIRST_INDEX_SECONDS
    while not (follower.ready() and follower.has_caught_up()) and time.monotonic() < end:  # noqa: ASYNC110
        await asyncio.sleep(_LOOK_AGAIN_SECONDS)


def write_indexes(built: Built) -> None:
    """Write what DNS answers from to disk, for the process that takes over; from any thread."""
    for follower in built.followers:
        follower.write()


def mark_key(store: "Store") -> bytes:
    """Return the key that signs our test messages, made where there is none yet.

    Raises:
        Unavailable: the database does not answer.
    """
    from rbl.store import secrets  # noqa: PLC0415 — see above

    with store.writing() as session:
        return secrets.get_or_make(session, secrets.PROBE_MARK)


@asynccontextmanager
async def collector(built: Built) -> AsyncIterator[str]:
    """Take messages for our tokens."""
    from rbl.cli import collectorpart  # noqa: PLC0415 — see above

    key = await asyncio.to_thread(mark_key, built.store)
    limits = collectorpart.limits_of(built.shares.collector)
    async with collectorpart.listening(
        built.settings, built.store, key, worker_name(), built.sockets, limits
    ) as line:
        yield line


@asynccontextmanager
async def worker(built: Built) -> AsyncIterator[str]:
    """Test hosts, judge what came back, end what has expired."""
    from rbl.probe.retention import Retention  # noqa: PLC0415 — see above
    from rbl.probe.worker import Worker  # noqa: PLC0415

    settings = built.settings
    key = await asyncio.to_thread(mark_key, built.store)
    retention = Retention(built.store, settings.retention, built.registry, clock=now)
    work = Worker(built.store, built.policies, settings, key, owner=worker_name(), clock=now)
    async with retention.going_on():
        task = asyncio.create_task(work.run())
        try:
            with built.watches.of("worker", task_runs(task)):
                yield testers.described(settings.probe)
        finally:
            work.stop()
            await task


def worker_name() -> str:
    """Return a name for this process that no other worker has: host and process number."""
    return f"{socket.gethostname()}-{os.getpid()}"


def _make_writable(folder: Path) -> None:
    """Make *folder* where it is missing, and see that a file can be made in it.

    Raises:
        ConfigError: it cannot.
    """
    try:
        privatefiles.make_folder(folder)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as fault:
        raise ConfigError([f"data_dir: cannot write to {folder}: {fault.strerror}"]) from None
