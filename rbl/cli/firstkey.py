"""The first admin key of a new list: into a file that only its operator can read, or to his terminal.

What a program prints goes into journals and logs that others read. So the key is printed only where a
person sits in front of it; else it is in ``first-admin-key`` in the data folder, and its path is told.
"""

import os
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from rbl.errors import ConfigError

if TYPE_CHECKING:
    from rbl.store.engine import Store

FILE = "first-admin-key"
_REPLACE = "replace it: rbl key rotate 1 --overlap-hours 0"


def tell_or_keep(store: "Store", folder: Path, *, is_terminal: bool, now: datetime) -> str | None:
    """Return what is to be said of the first admin key, which is made where there is no key at all yet.

    None: there is nothing to say. A key that cannot be kept is not made.

    Raises:
        ConfigError: the file cannot be written.
        Unavailable: the database does not answer.
    """
    from rbl.store import keys  # noqa: PLC0415 — see rbl.cli

    file = folder.absolute() / FILE
    with store.writing() as session:
        secret = keys.make_first(session, now=now)
        if secret is not None and not is_terminal:
            _write(file, secret)
    if secret is None:
        return f"first key   still in {file}; {_REPLACE}, and remove the file" if file.exists() else None
    if is_terminal:
        return f"first admin API key, shown only now ({_REPLACE}): {secret}"
    return f"first admin API key, for you alone to read ({_REPLACE}): {file}"


def _write(file: Path, secret: str) -> None:
    """Put *secret* into *file*, which nobody else can read at any moment, in place of what was there.

    It is written before the commit: a key that nobody can know must not be there.
    """
    written = file.with_name(f".{FILE}.{os.getpid()}")
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        written.unlink(missing_ok=True)
        descriptor = os.open(written, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as opened:
            os.fchmod(descriptor, 0o600)
            opened.write(f"{secret}\n")
            opened.flush()
            os.fsync(descriptor)
        written.replace(file)
    except OSError as fault:
        raise ConfigError(
            [
                (
                    f"data_dir: cannot write to {file}: {fault.strerror}. The first admin key is kept"
                    " there, unless you make one before the first start: rbl key make NAME --role admin"
                )
            ]
        ) from None
