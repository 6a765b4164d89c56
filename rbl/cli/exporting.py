"""``rbl export``: writes a list out, as other programs read it."""

import os
import stat
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

from rbl.cli.context import settings_of
from rbl.cli.opening import looked_into
from rbl.errors import NotFound, Unavailable

if TYPE_CHECKING:
    from rbl.terms import Listed
    from rbl.zone.zonefile import ZoneFile

    _Writer = Callable[[ZoneFile, int, Iterable[Listed]], Iterator[str]]


class Form(StrEnum):
    """What a list can be written as."""

    RBLDNSD = "rbldnsd"  # a data file: serve it as zone:combined:file
    BIND = "bind"  # a master file
    RPZ = "rpz"  # a response policy zone
    CSV = "csv"  # a table
    JSON = "json"  # a document


def export(
    context: typer.Context,
    form: Annotated[Form, typer.Argument(help="How to write it.")],
    zone: Annotated[
        str | None, typer.Argument(help="The apex of the list; by default the only one.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The file to write, whole or not at all.")
    ] = None,
) -> None:
    """Write a list out as it is now."""
    from rbl.store.journal import JournalReader  # noqa: PLC0415 — see rbl.cli
    from rbl.zone import zonefile  # noqa: PLC0415

    settings = settings_of(context)
    file = _chosen([zonefile.read(path) for path in settings.zones], zone)
    with looked_into(settings, [file.apex_text]) as store, _written(output) as out:
        reader = JournalReader(store)
        serial, listed = reader.snapshot(file.apex_text)
        for line in _writer(form)(file, serial, listed):
            out.write(line + "\n")
        reader.close()


def _chosen(zones: "list[ZoneFile]", apex: str | None) -> "ZoneFile":
    """Return the zone that is meant.

    Raises:
        NotFound: there is none of this name, or several and none is named.
    """
    known = ", ".join(zone.apex_text for zone in zones)
    found = [zone for zone in zones if apex is None or zone.apex_text == apex.lower().rstrip(".")]
    if len(found) != 1:
        raise NotFound(f"name one of the lists: {known}", code="no-such-zone")
    return found[0]


def _writer(form: Form) -> "_Writer":
    from rbl.zone import export_bind, export_rbldnsd, export_rows, export_rpz  # noqa: PLC0415 — see rbl.cli
    from rbl.zone.index import compile_index  # noqa: PLC0415

    match form:
        case Form.RBLDNSD:
            return lambda zone, serial, listed: export_rbldnsd.lines(compile_index(zone, serial, listed))
        case Form.BIND:
            return lambda zone, serial, listed: export_bind.lines(compile_index(zone, serial, listed))
        case Form.RPZ:
            return lambda zone, serial, listed: export_rpz.lines(compile_index(zone, serial, listed))
        case Form.CSV:
            return lambda zone, _, listed: export_rows.csv_lines(zone, listed)
        case Form.JSON:
            return export_rows.json_lines


@contextmanager
def _written(output: Path | None) -> Iterator[TextIO]:
    """Yield a file that takes the place of *output* when it is whole; None: standard output.

    A new file is the user's alone; one that was there hands on its owner, group and mode.

    Raises:
        Unavailable: it cannot be written.
    """
    if output is None:
        yield sys.stdout
        return
    if output.exists() and not output.is_file() and not output.is_dir():
        raise Unavailable(f"{output} cannot be replaced: it is no regular file", code="unwritable")
    try:
        descriptor, temporary = tempfile.mkstemp(dir=output.parent, prefix=f".{output.name}.")
    except OSError as fault:
        raise Unavailable(f"{output} cannot be written: {fault.strerror}", code="unwritable") from None
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            yield file
        _keep_mode(output, Path(temporary))
        Path(temporary).replace(output)
    except OSError as fault:
        raise Unavailable(f"{output} cannot be written: {fault.strerror}", code="unwritable") from None
    finally:
        Path(temporary).unlink(missing_ok=True)


def _keep_mode(output: Path, temporary: Path) -> None:
    """Give *temporary* the owner, group and mode of *output*, where that is there."""
    try:
        before = output.stat()
    except OSError:
        return
    mode = stat.S_IMODE(before.st_mode)
    try:
        os.chown(temporary, -1, before.st_gid)
    except PermissionError:  # not a group of ours: what it might do, ours shall not
        mode &= ~stat.S_IRWXG
    with suppress(PermissionError):  # only root gives a file away
        os.chown(temporary, before.st_uid, -1)
    temporary.chmod(mode)
