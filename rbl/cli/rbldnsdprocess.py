"""As whom, where and beside which terminal ``rbl rbldnsd`` runs: what a daemon asks of the system."""

import ctypes
import gc
import grp
import logging
import os
import pwd
import signal
import socket
from collections.abc import Iterable
from contextlib import suppress
from logging.handlers import SysLogHandler
from pathlib import Path

from rbl.errors import ConfigError

_USERS = ("rbldns", "nobody")  # who it runs as where root starts it and says nothing


def user(text: str | None) -> tuple[int, int] | None:
    """Return the user and group that ``-u`` names, or None to stay who we are.

    Raises:
        ConfigError: there is no such user or group, or it is root.
    """
    if text is None and os.getuid():
        return None
    names = [text] if text is not None else [name for name in _USERS if _known_user(name)]
    if not names:
        raise ConfigError([f"unknown user {_USERS[0]}: specify one with -u"])
    name, colon, group = names[0].partition(":")
    try:
        if name.isdigit():
            uid = gid = int(name)
        else:
            entry = pwd.getpwnam(name)
            uid, gid = entry.pw_uid, entry.pw_gid
        if colon:
            gid = int(group) if group.isdigit() else grp.getgrnam(group).gr_gid
    except KeyError as fault:
        raise ConfigError([f"-u {names[0]}: {fault.args[0]}"]) from None
    if not uid:
        raise ConfigError(["daemon should not run as root, specify -u option"])
    return uid, gid


def _known_user(name: str) -> bool:
    with suppress(KeyError):
        return bool(pwd.getpwnam(name))
    return False


def become(user: tuple[int, int] | None) -> None:
    """Be *user* and group from now on, in all threads; None: stay who we are.

    Raises:
        ConfigError: the system does not let us.
    """
    if user is None:
        return
    uid, gid = user
    try:
        os.setgroups([gid])
        os.setgid(gid)
        os.setuid(uid)
    except OSError as fault:
        raise ConfigError([f"unable to setuid({uid}:{gid}): {fault.strerror}"]) from None


def enter_folders(root: Path | None, folder: Path) -> None:
    """Change to *folder*, within the tree at *root* where that is to be the only one.

    Raises:
        ConfigError: there is no such folder, or it may not be entered.
    """
    try:
        if root is not None:
            os.chdir(root)
            os.chroot(root)
        os.chdir(folder)
    except OSError as fault:
        raise ConfigError([f"unable to enter {fault.filename}: {fault.strerror}"]) from None


def write_process_file(path: Path) -> None:
    """Write the number of this process to *path*.

    Raises:
        ConfigError: it cannot be written.
    """
    try:
        path.write_text(f"{os.getpid()}\n", encoding="ascii")
    except OSError as fault:
        raise ConfigError([f"unable to write pidfile {path}: {fault.strerror}"]) from None


def give_memory_back() -> None:
    """Give the system what was needed to read files and is free: the C library keeps it for the next time.

    One million lines need three times as much while they are read as when they are served.
    """
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # of the GNU C library alone
    if trim is not None:
        trim(0)


def log_to_syslog(facility: str) -> None:
    """Send log lines to the system's log too, where there is one: the terminal will be gone."""
    root = logging.getLogger()
    with suppress(OSError):
        handler = _Syslog("/dev/log", SysLogHandler.facility_names[facility])
        handler.ident = "rbldnsd: "
        handler.setFormatter(root.handlers[0].formatter)
        root.addHandler(handler)


class _Syslog(SysLogHandler):
    """Loses a line rather than complain of the system's log on the terminal."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 — logging calls it so
        """Do nothing."""


class Signals:
    """The signals of *numbers* from now on, in the order in which they came.

    The system may give a signal to any thread, and Python runs a handler only once the main thread does
    something: a thread that waits elsewhere would sleep on. A socket that each signal writes to does not.
    """

    def __init__(self, numbers: Iterable[int]) -> None:
        self._reading, self._writing = socket.socketpair()
        self._writing.settimeout(0)
        for number in numbers:
            signal.signal(number, lambda *_: None)
        signal.set_wakeup_fd(self._writing.fileno(), warn_on_full_buffer=False)

    def next(self, seconds: float | None) -> int | None:
        """Return the next signal, or None where none comes within *seconds*, for which None means ever."""
        self._reading.settimeout(seconds)
        try:
            return self._reading.recv(1)[0]
        except (TimeoutError, BlockingIOError):  # the latter for no time at all
            return None

    def close(self) -> None:
        """Hear of no further signal; they do nothing any more."""
        signal.set_wakeup_fd(-1)
        self._reading.close()
        self._writing.close()


def nowhere() -> int:
    """Return a descriptor of /dev/null, which the tree of ``-r`` need not have."""
    return os.open(os.devnull, os.O_RDWR)


def leave_terminal(nowhere: int, *, keep_output: bool) -> None:
    """Be a session of our own, with *nowhere* to read from and write to but perhaps standard output."""
    os.setsid()
    for descriptor in (0, 2) if keep_output else (0, 1, 2):
        os.dup2(nowhere, descriptor)
    os.close(nowhere)
