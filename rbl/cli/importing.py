"""``rbl import rbldnsd``: takes rbldnsd's data files in as listings."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Self

import typer

from rbl.cli.context import settings_of
from rbl.cli.opening import now, opened
from rbl.errors import BadInput, NotFound

if TYPE_CHECKING:
    from rich.progress import Progress

    from rbl.responder.filefollower import Assignment
    from rbl.store.engine import Store
    from rbl.zone.rbldnsd.dataset import Dataset, Spec
    from rbl.zone.rbldnsd.listings import Row
    from rbl.zone.zonefile import ZoneFile

_SHOWN = 20  # refused lines on the terminal; all of them go into the report
ROWS_AT_ONCE = 10_000  # between two movements of the bar

app = typer.Typer(no_args_is_help=True)


@app.callback()
def importing() -> None:
    """Take lists in from elsewhere."""


@app.command("rbldnsd")
def rbldnsd(
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
) -> None:
    """List what rbldnsd's data files list.

    Lines that cannot be listed are told with their number and reason and left out. Of a dataset that
    cannot be read nothing is taken, and of what is taken all or nothing.
    """
    from rbl.responder.filefollower import parse_assignments  # noqa: PLC0415 — see rbl.cli
    from rbl.zone import zonefile  # noqa: PLC0415

    settings = settings_of(context)
    assignments = parse_assignments(datasets)
    zones = {zone.apex: zone for zone in map(zonefile.read, settings.zones)}
    for each in assignments:
        if each.apex not in zones:
            known = ", ".join(zone.apex_text for zone in zones.values())
            named = b".".join(each.apex).decode("ascii", "replace")
            raise NotFound(f"no zone file has the apex {named}: known are {known}")
    with opened(settings) as store, _progress() as progress, _Refused(report) as refused:
        run = _Run(store, progress, refused, reason, host_bits=host_bits, dry_run=dry_run)
        for apex in dict.fromkeys(each.apex for each in assignments):
            run.take(zones[apex], [each for each in assignments if each.apex == apex])
    if refused.datasets:
        raise typer.Exit(1)


class _Refused:
    """Tells what was refused: the first lines on the terminal, all of them in a report."""

    def __init__(self, report: Path | None) -> None:
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


@dataclass(slots=True)
class _Run:
    """One call of the command."""

    store: "Store"
    progress: "Progress"
    refused: _Refused
    reason: str | None
    host_bits: bool
    dry_run: bool

    def take(self, zone: "ZoneFile", assignments: "list[Assignment]") -> None:
        """Take the datasets of one zone in: together, since what they list they list together."""
        from rbl.store import bulk  # noqa: PLC0415 — see rbl.cli
        from rbl.terms import Act  # noqa: PLC0415
        from rbl.zone.rbldnsd.listings import Listings  # noqa: PLC0415

        before = self.refused.lines
        datasets = [dataset for each in assignments for dataset in self._read(zone, each)]
        listings = Listings(zone, datasets, self.reason)
        rows = self._counted(zone, listings.rows())
        if self.dry_run:
            told = f"{sum(1 for _ in rows)} would be listed"
        else:
            files = " ".join(str(dataset.spec) for dataset in datasets)
            act = Act("shell", f"imported from {files[:200]}", now())
            with self.store.writing() as session:
                added = bulk.add(session, zone.apex_text, rows, act)
            told = f"{added.listed} listed"
            told += f", {added.known} were listed already" if added.known else ""
        for sentence in listings.lost:
            self.refused.add(sentence)
        refused = self.refused.lines - before
        told += f", {refused} refused" if refused else ""
        typer.echo(f"{zone.apex_text}: {told}")

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
            watch = dataset.Watch(ListGate(zone, self.reason), moved, sys.maxsize)
            found = dataset.read(spec, Options(accept_host_bits=self.host_bits), watch=watch)
        except BadInput as fault:
            self._refuse(spec, fault.message)
            return []
        for each in found.faults:
            self.refused.add(str(each))
        return [found]

    def _refuse(self, spec: "Spec", why: str) -> None:
        self.refused.datasets += 1
        self.refused.add(f"{spec}, nothing of which is imported: {why}")

    def _counted(self, zone: "ZoneFile", rows: "Iterable[Row]") -> "Iterator[Row]":
        """Yield *rows* and move the bar."""
        task = self.progress.add_task(f"listing in {zone.apex_text}"[:60], total=None)
        count = 0
        for count, row in enumerate(rows, 1):
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
