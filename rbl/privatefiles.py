"""Files and folders for the program's user alone, whatever the umask: evidence, keys' digests, lists.

What is there already keeps its mode, which its owner may have chosen; ``mode_for_others`` tells of it.
"""

import os
import stat
from pathlib import Path

FILE_MODE = 0o600
FOLDER_MODE = 0o700
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


def make_folder(folder: Path) -> None:
    """Make *folder*, and every one above it that is missing, for this user alone.

    Raises:
        OSError: one cannot be made, or is there and no folder.
    """
    missing = [folder, *folder.parents]
    for each in reversed([each for each in missing if not each.exists()]):
        try:
            each.mkdir(FOLDER_MODE)
        except FileExistsError:  # another process was quicker
            continue
        each.chmod(FOLDER_MODE)  # the umask may have taken something away
    folder.mkdir(exist_ok=True)  # fails where it is a file


def make_file(file: Path) -> None:
    """Make *file*, empty and for this user alone, unless it is there.

    Raises:
        OSError: it cannot be made.
    """
    try:
        descriptor = os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, FILE_MODE)
    except FileExistsError:
        return
    try:
        os.fchmod(descriptor, FILE_MODE)  # the umask may have taken something away
    finally:
        os.close(descriptor)


def mode_for_others(path: Path, *, only_writing: bool = False) -> int | None:
    """Return the mode of *path* where others than its owner may use it; None: nobody else may.

    With *only_writing*, where they may change it; in a folder like /tmp nobody removes another's files.
    """
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError:
        return None
    if only_writing and mode & stat.S_ISVTX:
        return None
    return mode if mode & (_OTHERS_WRITE if only_writing else _OTHERS) else None
