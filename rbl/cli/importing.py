"""``rbl import rbldnsd``: takes rbldnsd's data files in as listings."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Self

import typer

from rbl import privatefiles
from rbl.cli.context import settings_of
from rbl.cli.opening import looked_into, now, opened
from rbl.errors import BadInput, NotFound

if TYPE_CHECKING:
    from rich.progress import Progress

    from rbl.cli.foretelling import Held
    from rbl.responder.filefollower import Assignment
    from rbl.store.engine import Store
    from rbl.terms import Act
    from rbl.zone.rbldnsd.dataset import Dataset, Spec
    from rbl.zone.rbldnsd.listings import Listings, Row
    from rbl.zone.zonefile import ZoneFile

_SHOWN = 20  # refused lines on the terminal; all of them go into the report
ROWS_AT_ONCE = 10_000  # between two movements of the bar

app = typer.Typer(no_args_is_help=True)


@app.callback()
def importing() -> None:
    """Take lists in from elsewhere."""


@app.command("rbldnsd")
def rbldnsd(  # noqa: PLR0913 — an argument for each option
    context: typer.Context,
    datasets: Annotated[
        list[str], typer.Argument(metavar="ZONE:TYPE:FILE,FILE…", help="As on rbldnsd's command line.")
    ],
    *,
    reason: Annotated[
        str | None, typer.Option(help="List everything for this reason, whatever the values in the files.")
    ] = None,
    report: Annotated[Path | None, typer.Option(help="Write every refused line to this file.")] = None,
    host_bits: Annotated[
        bool, typer.Option("--host-bits", "-e", help="Take 127.2.3.4/24 as 127.2.3.0/24, as rbldnsd -e.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Let out at once what DNS servers would hold back.")
    ] = False,
    why: Annotated[str, typer.Option(help="Why it is let out, for the audit.")] = "",
) -> None:
    """List what rbldnsd's data files list.

    Lines that cannot be listed are told with their number and reason and left out. Of a dataset that
    cannot be read nothing is taken, and of what is taken all or nothing. What DNS servers will hold back,
    since so large a change looks like an accident, is told before and after, and how it is let out.
    """
    from rbl.responder.filefollower import parse_assignments  # noqa: PLC0415 — see rbl.cli
    from rbl.zone import zonefile  # noqa: PLC0415

    if force != bool(why):
        raise BadInput("--force and --why TEXT go together: the audit keeps why a change is let out")
    settings = settings_of(context)
    assignments = parse_assignments(datasets)
    zones = {zone.apex: zone for zone in map(zonefile.read, settings.zones)}
    for each in assignments:
        if each.apex not in zones:
            known = ", ".join(zone.apex_text for zone in zones.values())
            unknown = b".".join(each.apex).decode("ascii", "replace")
            raise NotFound(f"no zone file has the apex {unknown}: known are {known}")
    apexes = list(dict.fromkeys(each.apex for each in assignments))
    named = [zones[apex].apex_text for apex in apexes]
    opening = looked_into(settings, named) if dry_run else opened(settings)
    how = _How(reason, settings.dns.max_change_share, why, host_bits=host_bits, dry_run=dry_run)
    with opening as store, _progress() as progress, _Refused(report) as refused:
        run = _Run(store, progress, refused, how)
        for apex in apexes:
            run.take(zones[apex], [each for each in assignments if each.apex == apex])
    if refused.datasets:
        raise typer.Exit(1)


class _Refused:
    """Tells what was refused: the first lines on the terminal, all of them in a report."""

    def __init__(self, report: Path | None) -> None:
        if report is not None:
            privatefiles.make_file(report)  # it quotes the list
        self._report = report.open("w", encoding="utf-8") if report is not None else None
        self.lines = 0
        self.datasets = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._report is not None:
            self._report.close()
        if self.lines > _SHOWN:
            where = (
                f"all of them are in {self._report.name}" if self._report else "--report FILE has them all"
            )
            typer.echo(f"… {self.lines - _SHOWN} more refused; {where}", err=True)

    def add(self, sentence: str) -> None:
        """Tell of one refused line."""
        self.lines += 1
        if self._report is not None:
            self._report.write(sentence + "\n")
        if self.lines <= _SHOWN:
            typer.echo(f"refused: {sentence}", err=True)


@dataclass(frozen=True, slots=True)
class _How:
    """What the command was told. *force_why*, unless empty: the change is let out at once."""

    reason: str | None
    max_change_share: float
    force_why: str
    host_bits: bool
    dry_run: bool


@dataclass(slots=True)
class _Run:
    """One call of the command."""

    store: "Store"
    progress: "Progress"
    refused: _Refused
    how: _How

    def take(self, zone: "ZoneFile", assignments: "list[Assignment]") -> None:
        """Take the datasets of one zone in: together, since what they list they list together."""
        from rbl.terms import Act  # noqa: PLC0415 — see rbl.cli
        from rbl.zone.rbldnsd.listings import Listings  # noqa: PLC0415

        before = self.refused.lines
        datasets = [dataset for each in assignments for dataset in self._read(zone, each)]
        listings = Listings(zone, datasets, self.how.reason)
        files = " ".join(str(dataset.spec) for dataset in datasets)
        act = Act("shell", f"imported from {files[:200]}", now())
        held = self._held(zone, listings, act)
        if self.how.dry_run:
            told, serial = f"{sum(1 for _ in self._counted(zone, listings))} would be listed", 0
        else:
            told, serial = self._list(zone, listings, act)
        for sentence in listings.lost:
            self.refused.add(sentence)
        refused = self.refused.lines - before
        told += f", {refused} refused" if refused else ""
        typer.echo(f"{zone.apex_text}: {told}")
        if held is not None or (self.how.force_why and not self.how.dry_run):
            typer.echo(f"{zone.apex_text}: {self._outcome(zone.apex_text, held, serial)}")

    def _held(self, zone: "ZoneFile", listings: "Listings", act: "Act") -> "Held | None":
        """Return what DNS servers will hold back, and tell of it before anything is done."""
        from rbl.cli.foretelling import held_back  # noqa: PLC0415 — see rbl.cli

        held = held_back(self.store, zone, listings.rows(), act, self.how.max_change_share)
        listings.lost.clear()  # the rows are taken once more
        if held is not None and not self.how.dry_run:
            typer.echo(f"{zone.apex_text}: DNS servers will hold this import back: {held.why}", err=True)
        return held

    def _list(self, zone: "ZoneFile", listings: "Listings", act: "Act") -> tuple[str, int]:
        """List everything and return how much that was, and the last serial."""
        from rbl.store import bulk, journal  # noqa: PLC0415 — see rbl.cli

        with self.store.writing() as session:
            added = bulk.add(session, zone.apex_text, self._counted(zone, listings), act)
            serial = journal.head(session, zone.apex_text)
            if self.how.force_why:
                journal.force(session, zone.apex_text, replace(act, why=self.how.force_why), serial)
        told = f"{added.listed} listed"
        return told + (f", {added.known} were listed already" if added.known else ""), serial

    def _outcome(self, apex: str, held: "Held | None", serial: int) -> str:
        """Return what DNS makes of it, and what is to be done."""
        dry_run, forced = self.how.dry_run, bool(self.how.force_why)
        if held is not None and not held.can_be_forced:
            return f"DNS servers hold it back, and nobody can let it out: {held.why}"
        if dry_run:
            assert held is not None
            return f"DNS servers would hold it back, unless with --force --why TEXT: {held.why}"
        if forced:
            return f"let out on every DNS server, with all that came before it (up to serial {serial})"
        assert held is not None
        return (
            f"none of it is in DNS, which answers from the list before: {held.why}. Look at it, then let it"
            f" out: rbl zone force {apex} --serial {serial} --why TEXT"
        )

    def _read(self, zone: "ZoneFile", assignment: "Assignment") -> "Iterable[Dataset]":
        """Return the dataset, or nothing where it cannot be read."""
        from rbl.zone.rbldnsd import dataset  # noqa: PLC0415 — see rbl.cli
        from rbl.zone.rbldnsd.listings import ListGate  # noqa: PLC0415
        from rbl.zone.rbldnsd.reading import Options  # noqa: PLC0415

        spec = assignment.spec
        if spec.kind.of_clients:
            self._refuse(spec, "who may ask stands in the zone file, under [access]")
            return []
        sizes = [_size(Path(name)) for name in spec.files]
        task = self.progress.add_task(f"reading {spec}"[:60], total=sum(sizes))
        done = {"octets": 0, "before": 0}

        def moved(octets: int) -> None:
            if octets < done["octets"]:  # the next file
                done["before"] += done["octets"]
            done["octets"] = octets
            self.progress.update(task, completed=done["before"] + octets)

        try:
            watch = dataset.Watch(ListGate(zone, self.how.reason), moved, sys.maxsize)
            found = dataset.read(spec, Options(accept_host_bits=self.how.host_bits), watch=watch)
        except BadInput as fault:
            self._refuse(spec, fault.message)
            return []
        for each in found.faults:
            self.refused.add(str(each))
        return [found]

    def _refuse(self, spec: "Spec", why: str) -> None:
        self.refused.datasets += 1
        self.refused.add(f"{spec}, nothing of which is imported: {why}")

    def _counted(self, zone: "ZoneFile", listings: "Listings") -> "Iterator[Row]":
        """Yield the rows of *listings* and move the bar."""
        task = self.progress.add_task(f"listing in {zone.apex_text}"[:60], total=None)
        count = 0
        for count, row in enumerate(listings.rows(), 1):
            if count % ROWS_AT_ONCE == 0:
                self.progress.update(task, completed=count)
            yield row
        self.progress.update(task, completed=count, total=count)


@contextmanager
def _progress() -> "Iterator[Progress]":
    """Yield a bar on standard error, which a terminal alone shows."""
    from rich.console import Console  # noqa: PLC0415 — see rbl.cli
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn  # noqa: PLC0415

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        yield progress


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
