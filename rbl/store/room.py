"""Whether the database takes more: a full disk is known before somebody's nomination is lost by it.

SQLite: the free space of the disk that its file lies on, which costs nothing to ask. PostgreSQL, whose
disk may be another machine's: a row larger than a page is written and taken back, every ten seconds.
"""

import os
import secrets
import threading
import time
from pathlib import Path

from sqlalchemy import insert
from sqlalchemy.exc import SQLAlchemyError

from rbl.errors import RblError
from rbl.store.engine import Store
from rbl.store.tables import Secret

_EVERY_SECONDS = 10.0
# More than PostgreSQL keeps in a page, and random, so that it is not made smaller: it needs new pages.
_TRIAL_OCTETS = 32 * 1024
_MIB = 1024 * 1024


class Room:
    """Says what keeps the database of *store* from taking more; *least_free_mib* 0: any space will do."""

    def __init__(self, store: Store, least_free_mib: int, *, every_seconds: float = _EVERY_SECONDS) -> None:
        self._store = store
        self._least_free = least_free_mib * _MIB
        self._every_seconds = every_seconds
        self._asking = threading.Lock()
        self._asked_at: float | None = None
        self._fault: str | None = None

    def fault(self) -> str | None:
        """Return why nothing can be written, or soon cannot; None: there is room."""
        if self._store.is_sqlite:
            return self._free_space()
        with self._asking:
            if self._asked_at is None or time.monotonic() - self._asked_at >= self._every_seconds:
                self._fault = self._trial()
                self._asked_at = time.monotonic()
            return self._fault

    def _free_space(self) -> str | None:
        folder = Path(self._store.writer.url.database or "").absolute().parent
        try:
            disk = os.statvfs(folder)
        except OSError as fault:
            return f"the folder of the database cannot be looked at: {folder}: {fault.strerror}"
        if disk.f_flag & os.ST_RDONLY:
            return f"the disk of the database is read-only: {folder}"
        free = disk.f_bavail * disk.f_frsize
        if free < self._least_free:
            return (
                f"the disk of the database is full: {free // _MIB} MiB are free in {folder}, less than"
                " database.min_free_mib"
            )
        return None

    def _trial(self) -> str | None:
        row = {"name": f"room {secrets.token_hex(8)}", "value": os.urandom(_TRIAL_OCTETS)}
        try:
            with self._store.writing() as session, session.begin_nested() as trial:
                session.execute(insert(Secret).values(row))
                trial.rollback()
        except RblError as fault:
            return f"nothing can be written: {fault.message}"
        except SQLAlchemyError as fault:  # it is read-only, for one
            return f"nothing can be written: {fault}"
        return None
