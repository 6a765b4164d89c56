"""What others on the machine may read of a list's files, or change: told at the start, with what to do.

New files and folders are the user's alone (``privatefiles``). Those of an earlier version, or from a
backup, keep their mode, since their owner may have chosen it. In them are evidence, mail addresses and the
digests of keys.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rbl import privatefiles


@dataclass(frozen=True, slots=True)
class Exposed:
    """A file or folder that is open to others, and the command that closes it."""

    path: Path
    mode: int
    remedy: str

    def __str__(self) -> str:
        """Return it as a sentence."""
        return f"{self.path} is open to others on this machine (mode {self.mode:04o}): {self.remedy}"


def exposed(database: Path | None, data_dir: Path) -> list[Exposed]:
    """Return what is open to others: of the SQLite file *database*, where there is one, and of *data_dir*.

    The folder of the database may be anybody's, like /srv, and is told only where others may change it.
    """
    return [*_of_database(database, data_dir), *_of_folder(data_dir)]


def _of_database(database: Path | None, data_dir: Path) -> Iterator[Exposed]:
    if database is None:
        return
    for beside in ("", "-wal", "-shm", "-journal"):
        yield from _of_file(database.with_name(database.name + beside))
    folder = database.parent
    mode = privatefiles.mode_for_others(folder, only_writing=True)
    if mode is not None and not (data_dir.exists() and folder.samefile(data_dir)):
        yield Exposed(folder, mode, f"chmod go-w {folder}")


def _of_folder(folder: Path) -> Iterator[Exposed]:
    mode = privatefiles.mode_for_others(folder)
    if mode is not None:
        yield Exposed(folder, mode, f"chmod {privatefiles.FOLDER_MODE:o} {folder}")
        for file in sorted(folder.glob("*.index")):
            yield from _of_file(file)


def _of_file(file: Path) -> Iterator[Exposed]:
    mode = privatefiles.mode_for_others(file)
    if mode is not None:
        yield Exposed(file, mode, f"chmod {privatefiles.FILE_MODE:o} {file}")
