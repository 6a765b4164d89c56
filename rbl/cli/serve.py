"""``rbl serve``: the whole program in one process, or some of its parts.

The parts are in ``parts``; this file prepares the database, starts them in order, says where they
listen, and stops them in reverse when a signal comes: no query, request or message is cut off, and
a test under way is laid down to be taken up again. A second signal kills.

Where an index of every zone is on disk, DNS answers from it before the database is asked, and while
it does not answer the other parts wait. Where there is none, DNS answers SERVFAIL until there is a list.
What is not ready is said, and why, and "ready" when all is.

Log events: ``database_awaited`` (once for each reason), ``not_ready`` (a list that DNS cannot answer from),
``schema_changed`` (from what to what, also when it is made), ``files_exposed`` (to others on the machine).
"""

import asyncio
import signal
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, suppress
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import structlog
import typer

from rbl import __version__
from rbl.cli import exposure, logs
from rbl.cli.context import settings_of
from rbl.cli.opening import connected_late, now, prepare
from rbl.cli.watching import watched
from rbl.config import Settings
from rbl.errors import BadInput, ConfigError, Unavailable

if TYPE_CHECKING:
    from rbl.cli.parts import Built

    Starter = Callable[[Built], AbstractAsyncContextManager[str]]

_STOPS = (signal.SIGTERM, signal.SIGINT)
# Between two looks whether the database answers, while DNS goes on without it.
_DATABASE_PAUSE_SECONDS = 2.0

_log = structlog.get_logger()


class Part(StrEnum):
    """What can run by itself."""

    DNS = "dns"  # the responder and its follower
    WEB = "web"  # pages and API
    COLLECTOR = "collector"  # SMTP: test messages come back here
    WORKER = "worker"  # tests hosts, ends expired listings


def serve(
    context: typer.Context,
    only: Annotated[
        str | None, typer.Option(help=f"Run only these parts, with commas: {','.join(Part)}.")
    ] = None,
) -> None:
    """Run the list: DNS, web, collector and worker, in one process."""
    settings = settings_of(context)
    wanted = chosen(only)
    logs.set_up(settings.log)
    run(settings, wanted, typer.echo)


def chosen(only: str | None) -> frozenset[Part]:
    """Return the parts that ``--only`` names, or all of them.

    Raises:
        BadInput: it names something that is no part.
    """
    if only is None:
        return frozenset(Part)
    names = [name.strip() for name in only.split(",") if name.strip()]
    unknown = set(names) - set(Part)
    if unknown or not names:
        raise BadInput(f"--only takes some of {', '.join(Part)}, not {only!r}", code="bad-part")
    return frozenset(Part(name) for name in names)


def run(settings: Settings, wanted: frozenset[Part], say: Callable[[str], None]) -> None:
    """Run *wanted* parts until SIGTERM or SIGINT, telling where they listen by *say*.

    Raises:
        ConfigError: something cannot be started as it is configured; names every fault.
        Unavailable: the database does not answer at the start, and DNS has nothing to answer from.
    """
    import uvloop  # noqa: PLC0415 — see rbl.cli

    from rbl.cli import parts  # noqa: PLC0415

    with connected_late(settings) as open_store:
        uvloop.run(_Run(parts.build(settings, open_store), wanted, say).until_stopped())


class _Run:
    """The program from its start to its stop."""

    def __init__(self, built: "Built", wanted: frozenset[Part], say: Callable[[str], None]) -> None:
        self._built = built
        self._wanted = wanted
        self._say = say
        self._stopping = asyncio.Event()
        self._running = AsyncExitStack()
        self._lines = [f"rbl {__version__}: {', '.join(built.zones)}"]  # not said yet
        self._faults: list[str] = []

    async def until_stopped(self) -> None:
        loop = asyncio.get_running_loop()
        for number in _STOPS:
            loop.add_signal_handler(number, self._stop)
        async with watched(self._built.watches), self._running:
            await self._start()
            await self._stopping.wait()
            self._say("stopping; a second signal ends it at once")
        self._say("stopped")

    def _stop(self) -> None:
        """Begin to stop; from now on a signal kills, of which nothing that is kept takes harm."""
        self._stopping.set()
        for number in _STOPS:
            asyncio.get_running_loop().remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL)

    async def _start(self) -> None:
        """Start every part that is wanted, DNS before the database where it can."""
        from rbl.cli import parts  # noqa: PLC0415 — see rbl.cli

        built = self._built
        starters = {
            Part.DNS: parts.dns,
            Part.COLLECTOR: parts.collector,
            Part.WORKER: parts.worker,
            Part.WEB: _web,
        }
        left = [part for part in starters if part in self._wanted]
        if Part.DNS in left and parts.is_on_disk(built):
            left.remove(Part.DNS)
            await self._start_part(Part.DNS, parts.dns)
            first_key = await self._prepared_at_last()
        else:
            first_key = await self._prepared_at_first(left)
        if self._wanted != {Part.DNS}:  # which writes nothing but counts, and those can wait
            self._watch_the_database()
        for part in left:
            if not self._stopping.is_set():
                await self._start_part(part, starters[part])
        if self._faults:
            raise ConfigError(self._faults)
        if first_key is not None:
            self._lines.append(f"  first admin API key, shown only now: {first_key}")
        self._tell_of_exposure()
        if Part.DNS in self._wanted:
            await self._until_dns_is_ready()
        self._say_lines(*([] if self._stopping.is_set() else ["ready"]))

    def _watch_the_database(self) -> None:
        from rbl.store.room import Room  # noqa: PLC0415 — see rbl.cli

        built = self._built
        room = Room(built.store, built.settings.database.min_free_mib)
        self._running.enter_context(built.watches.of("database", room.fault))

    async def _start_part(self, part: Part, starter: "Starter") -> None:
        try:
            line = await self._running.enter_async_context(starter(self._built))
        except ConfigError as fault:  # the other parts may have faults too: all are told together
            self._faults += fault.faults
        else:
            self._lines.append(f"  {part.value:10} {line}")

    async def _until_dns_is_ready(self) -> None:
        """Wait until DNS can answer from every list, and say which it cannot, and why."""
        from rbl.cli import parts  # noqa: PLC0415 — see rbl.cli

        told: Mapping[str, str] = {}
        while missing := await parts.until_dns_is_ready(self._built, self._stopping, told):
            for apex, why in missing.items():
                _log.error("not_ready", zone=apex, why=why)
                self._lines.append(f"not ready: DNS answers SERVFAIL for {apex}: {why}")
            self._say_lines()
            told = missing

    def _say_lines(self, *more: str) -> None:
        """Say what was not said yet, and *more*."""
        lines, self._lines = [*self._lines, *more], []
        if lines:
            self._say("\n".join(lines))

    def _tell_of_exposure(self) -> None:
        """Tell of files that others on this machine may read or change."""
        for each in exposure.exposed(self._built.store.file, self._built.settings.data_dir):
            _log.warning("files_exposed", path=str(each.path), mode=f"{each.mode:04o}", do=each.remedy)
            self._lines.append(f"warning: {each}")

    async def _prepared_at_first(self, left: list[Part]) -> str | None:
        """Prepare the database; where it is away and may come back by itself, DNS goes first.

        A SQLite file that cannot be used waits for a person.
        """
        from rbl.cli import parts  # noqa: PLC0415 — see rbl.cli

        try:
            return await asyncio.to_thread(_prepared, self._built)
        except Unavailable:
            if Part.DNS not in left or self._built.store.is_sqlite:
                raise
        left.remove(Part.DNS)
        await self._start_part(Part.DNS, parts.dns)
        return await self._prepared_at_last()

    async def _prepared_at_last(self) -> str | None:
        """Prepare the database, and wait for it while it does not answer: DNS answers meanwhile."""
        told = ""
        while not self._stopping.is_set():
            try:
                return await asyncio.to_thread(_prepared, self._built)
            except Unavailable as fault:
                if self._faults:
                    raise ConfigError(self._faults) from None
                if told != fault.message:
                    _log.warning("database_awaited", why=fault.message)
                    self._tell_of_waiting(fault.message)
                told = fault.message
            with suppress(TimeoutError):
                async with asyncio.timeout(_DATABASE_PAUSE_SECONDS):
                    await self._stopping.wait()
        return None

    def _tell_of_waiting(self, why: str) -> None:
        """Say what is not ready while the database is away."""
        for zone in self._built.catalogue.zones():
            what = "SERVFAIL: there never was a list" if zone.served is None else "from the list on disk"
            self._lines.append(f"not ready: {' '.join(why.split())}; DNS answers for {zone.name} {what}")
        waiting = ", ".join(part for part in Part if part in self._wanted - {Part.DNS})
        if waiting:
            self._lines.append(f"not ready: {waiting}: waiting for the database")
        self._say_lines()


def _web(built: "Built") -> AbstractAsyncContextManager[str]:
    from rbl.cli import webpart  # noqa: PLC0415 — see rbl.cli

    return webpart.web(built)


def _prepared(built: "Built") -> str | None:
    """Bring the database to what this program needs, and return the first admin key where it made it.

    Raises:
        ConfigError: the database is of a newer version of the program.
        Unavailable: it does not answer.
    """
    store = built.store  # first: it sees to it that no two threads import SQLAlchemy at once
    from rbl.store import keys  # noqa: PLC0415 — see rbl.cli

    changed = prepare(store, built.zones)
    if changed is not None:
        _log.info("schema_changed", was=changed.was or "none", became=changed.became)
    with store.writing() as session:
        return keys.make_first(session, now=now())
