"""``rbl serve``: the whole program in one process, or some of its parts.

The parts are in ``parts``; this file prepares the database, starts them in order, says where they
listen, and stops them in reverse when a signal comes: no query, request or message is cut off, and
a test under way is laid down to be taken up again. A second signal kills. SIGUSR2 starts another
process that takes over (``takeover``).

Where an index of every zone is on disk, DNS answers from it before the database is asked, and while
it does not answer the other parts wait. Where there is none, DNS answers SERVFAIL until there is a list.
What is not ready is said, and why, and "ready" when all is.

Log events: ``database_awaited`` (once for each reason), ``not_ready`` (a list that DNS cannot answer from),
``files_exposed`` (to others on the machine).
"""

import asyncio
import errno
import os
import signal
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import structlog
import typer

from rbl import __version__
from rbl.cli import exposure, garbage, logs, supervisor
from rbl.cli.context import settings_of
from rbl.cli.opening import connected_late, prepare_first
from rbl.cli.partnames import Part, chosen
from rbl.cli.watching import database_room, watched
from rbl.config import Settings
from rbl.errors import ConfigError, Unavailable

if TYPE_CHECKING:
    from rbl.cli.parts import Built
    from rbl.cli.takeover import Handing, Successor

    Starter = Callable[[Built], AbstractAsyncContextManager[str]]

_STOPS = (signal.SIGTERM, signal.SIGINT)
_SUCCESSION = signal.SIGUSR2  # start another process as this one was, which takes over
# Between two looks whether the database answers, while DNS goes on without it.
_DATABASE_PAUSE_SECONDS = 2.0

_log = structlog.get_logger()


def serve(
    context: typer.Context,
    only: Annotated[
        str | None, typer.Option(help=f"Run only these parts, with commas: {','.join(Part)}.")
    ] = None,
    take_over: Annotated[  # noqa: FBT002 — Typer calls it so
        bool,
        typer.Option("--take-over", help="Go on with the sockets of the process that runs; it then ends."),
    ] = False,
    take_over_from: Annotated[
        int | None, typer.Option(help="The same, of the process with this number.", min=1)
    ] = None,
) -> None:
    """Run the list: DNS, web, collector and worker, in one process."""
    settings = settings_of(context)
    wanted = chosen(only)
    logs.set_up(settings.log)
    follow = Following(take_over or take_over_from is not None, take_over_from)
    run(settings, wanted, typer.echo, follow)


@dataclass(frozen=True, slots=True)
class Following:
    """Whether this process takes the place of one that runs, and of which where there are several."""

    wanted: bool = False
    pid: int | None = None


def run(
    settings: Settings,
    wanted: frozenset[Part],
    say: Callable[[str], None],
    following: Following = Following(),
) -> None:
    """Run *wanted* parts until SIGTERM or SIGINT, telling where they listen by *say*.

    Raises:
        ConfigError: something cannot be started as it is configured; names every fault.
        Unavailable: the database does not answer at the start, and DNS has nothing to answer from.
    """
    import uvloop  # noqa: PLC0415 — see rbl.cli

    from rbl.cli import parts, takeover  # noqa: PLC0415

    names = frozenset(part.value for part in wanted)
    with connected_late(settings) as open_store:
        built = parts.build(settings, open_store)
        before = None
        if following.wanted:
            before = takeover.take_over(settings.data_dir, names, built.sockets, following.pid)
        uvloop.run(_Run(built, wanted, say, before).until_stopped())


class _Run:
    """The program from its start to its stop."""

    def __init__(
        self,
        built: "Built",
        wanted: frozenset[Part],
        say: Callable[[str], None],
        before: "Successor | None",
    ) -> None:
        self._built = built
        self._wanted = wanted
        self._say = say
        self._before = before
        self._successor: int | None = None  # who has taken over
        self._stopping = asyncio.Event()
        self._running = AsyncExitStack()
        self._lines = [f"rbl {__version__}: {', '.join(built.zones)}"]  # not said yet
        self._faults: list[str] = []
        self._started: set[str] = set()

    async def until_stopped(self) -> None:
        loop = asyncio.get_running_loop()
        for number in _STOPS:
            loop.add_signal_handler(number, self._stop)
        signal.signal(_SUCCESSION, signal.SIG_IGN)
        async with watched(self._built.watches), self._running:
            await self._start()
            handing = self._handing()
            handing.start()
            if self._before is not None and not self._stopping.is_set():
                await asyncio.to_thread(self._before.finish)
            loop.add_signal_handler(_SUCCESSION, supervisor.Successors().start_one)
            garbage.look_as_ever()
            self._say_lines(*([] if self._stopping.is_set() else ["ready"]))
            supervisor.tell(READY=1)
            await self._stopping.wait()
            if self._successor is None:
                supervisor.tell(STOPPING=1)
            await asyncio.to_thread(handing.stop)
            self._say("stopping; a second signal ends it at once")
        self._say("stopped")

    def _stop(self) -> None:
        """Begin to stop; from now on a signal kills, of which nothing that is kept takes harm."""
        self._stopping.set()
        for number in _STOPS:
            asyncio.get_running_loop().remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL)
        asyncio.get_running_loop().remove_signal_handler(_SUCCESSION)
        signal.signal(_SUCCESSION, signal.SIG_IGN)

    def _handing(self) -> "Handing":
        """Return what waits for the successor of this process."""
        from rbl.cli import parts, takeover  # noqa: PLC0415 — see rbl.cli

        loop = asyncio.get_running_loop()

        def leave(successor: int) -> None:
            self._successor = successor
            supervisor.tell(MAINPID=successor)
            loop.call_soon_threadsafe(self._stop)
            self._say(f"process {successor} has taken over")

        return takeover.Handing(
            self._built.settings.data_dir,
            frozenset(part.value for part in self._wanted),
            self._built.sockets,
            lambda: parts.write_indexes(self._built),
            leave,
        )

    async def _start(self) -> None:
        """Start every part that is wanted, DNS before the database where it can.

        In the place of another process DNS comes last: until then that one answers.
        """
        from rbl.cli import parts  # noqa: PLC0415 — see rbl.cli

        built = self._built
        starters = {
            Part.DNS: parts.dns,
            Part.COLLECTOR: parts.collector,
            Part.WORKER: parts.worker,
            Part.WEB: parts.web,
        }
        left = [part for part in starters if part in self._wanted]
        if self._before is None and Part.DNS in left and parts.is_on_disk(built):
            left.remove(Part.DNS)
            await self._start_part(Part.DNS, parts.dns)
            await self._start_first()
            first_key = await self._prepared_at_last()
        elif self._before is not None:
            left.sort(key=lambda part: part is Part.DNS)
            await self._start_first()
            first_key = await self._prepared()
        else:
            await self._start_first()
            first_key = await self._prepared_at_first(left)
        if self._wanted != {Part.DNS}:  # which writes nothing but counts, and those can wait
            room = database_room(built.store, built.settings.database)
            self._running.enter_context(built.watches.of("database", room))
        for part in left:
            if not self._stopping.is_set():
                await self._start_part(part, starters[part])
        if self._faults:
            raise self._all_faults()
        if first_key is not None:
            self._lines.append(f"  {first_key}")
        self._tell_of_exposure()
        await self._start_presence()
        if Part.DNS in self._wanted:
            await self._until_dns_is_ready()

    async def _start_presence(self) -> None:
        """Tell the other processes of this one from now on."""
        from rbl.cli import presence  # noqa: PLC0415 — see rbl.cli

        if not self._stopping.is_set():
            names = frozenset(part.value for part in self._wanted)
            own = presence.Presence(self._built, names, self._ready)
            await self._running.enter_async_context(presence.present(own))

    async def _start_first(self) -> None:
        """Start what needs no database: the metrics and the tester's page, where they are set."""
        from rbl.cli import parts  # noqa: PLC0415 — see rbl.cli

        await self._start_metrics()
        if Part.WORKER in self._wanted and self._built.settings.probe.page_listen:
            await self._start_part("page", parts.page)

    async def _start_metrics(self) -> None:
        """Let this process be watched, where that is set, from before its parts are ready."""
        listen = self._built.settings.metrics.listen
        if listen is None:
            return
        from rbl.cli import metricspart  # noqa: PLC0415 — see rbl.cli

        def ready() -> dict[str, bool]:
            if self._wanted == {Part.DNS}:  # which answers on without the database
                return self._ready()
            has_room = self._built.watches.fault("database") is None
            return {**self._ready(), "database": has_room and metricspart.database_answers(self._built)}

        await self._start_part("metrics", lambda built: metricspart.metrics(built, listen, ready))

    def _ready(self) -> dict[str, bool]:
        """Return whether each part does its work; one that has not started yet does not."""
        watches = self._built.watches
        return {
            part.value: part.value in self._started and watches.fault(part.value) is None
            for part in self._wanted
        }

    async def _start_part(self, part: str, starter: "Starter") -> None:
        try:
            line = await self._running.enter_async_context(starter(self._built))
        except ConfigError as fault:  # the other parts may have faults too: all are told together
            self._faults += fault.faults
        else:
            self._started.add(part)
            self._lines.append(f"  {part!s:10} {line}")

    def _all_faults(self) -> ConfigError:
        """Return what could not be started, and what to do where another process of ours is in the way."""
        from rbl.cli import takeover  # noqa: PLC0415 — see rbl.cli

        in_use = any(os.strerror(errno.EADDRINUSE) in fault for fault in self._faults)
        running = takeover.running(self._built.settings.data_dir) if in_use and not self._before else []
        return ConfigError([*self._faults, *running])

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

    async def _prepared(self) -> str | None:
        """Prepare the database, and return what is to be said of the first key."""
        built = self._built
        return await asyncio.to_thread(
            prepare_first, built.open_store, built.zones, built.settings.data_dir
        )

    async def _prepared_at_first(self, left: list[Part]) -> str | None:
        """Prepare the database; where it is away and may come back by itself, DNS goes first.

        A SQLite file that cannot be used waits for a person.
        """
        from rbl.cli import parts  # noqa: PLC0415 — see rbl.cli

        try:
            return await self._prepared()
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
                return await self._prepared()
            except Unavailable as fault:
                if self._faults:
                    raise self._all_faults() from None
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
