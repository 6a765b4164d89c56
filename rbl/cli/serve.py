"""``rbl serve``: the whole program in one process, or some of its parts.

The parts are in ``parts``; this file opens the database, starts them in order, says where they
listen, and stops them in reverse when a signal comes: no query, request or message is cut off, and
a test under way is laid down to be taken up again.
"""

import asyncio
import signal
from collections.abc import Callable
from contextlib import AsyncExitStack
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from rbl import __version__
from rbl.cli import logs
from rbl.cli.context import settings_of
from rbl.cli.opening import now, opened
from rbl.config import Settings
from rbl.errors import BadInput

if TYPE_CHECKING:
    from rbl.store.engine import Store


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
        ConfigError: something cannot be started as it is configured.
        Unavailable: the database does not answer at the start.
    """
    import uvloop  # noqa: PLC0415 — see rbl.cli

    from rbl.store import keys  # noqa: PLC0415

    with opened(settings) as store:
        with store.writing() as session:
            first_key = keys.make_first(session, now=now())
        uvloop.run(_run_parts(settings, store, wanted, say, first_key))


async def _run_parts(
    settings: Settings,
    store: "Store",
    wanted: frozenset[Part],
    say: Callable[[str], None],
    first_key: str | None,
) -> None:
    from rbl.cli import parts  # noqa: PLC0415 — see rbl.cli

    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    built = parts.build(settings, store)
    starters = {
        Part.DNS: parts.dns,
        Part.COLLECTOR: parts.collector,
        Part.WORKER: parts.worker,
        Part.WEB: parts.web,
    }
    async with AsyncExitStack() as running:
        lines = [f"rbl {__version__}: {', '.join(built.policies)}"]
        for part, starter in starters.items():
            if part in wanted:
                line = await running.enter_async_context(starter(built))
                lines.append(f"  {part.value:10} {line}")
        if first_key is not None:
            lines.append(f"  first admin API key, shown only now: {first_key}")
        lines.append("ready")
        say("\n".join(lines))
        await stopping.wait()
        say("stopping")
    say("stopped")
