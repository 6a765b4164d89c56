"""What a supervisor (systemd) is told, and a successor that this process starts itself. sd_notify(3).

SIGUSR2 has this process start another one as it was started itself, which takes over (``takeover``) and
is then named to the supervisor as the one to watch. Log events: ``successor_started``,
``successor_failed``.
"""

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress

import structlog

_OPTION = "--take-over-from"

_log = structlog.get_logger()


def tell(**fields: object) -> None:
    """Tell the supervisor *fields*, ``READY=1`` say, where there is one; it may be gone."""
    place = os.environ.get("NOTIFY_SOCKET")  # no setting of ours: sd_notify(3) has it so
    if not place:
        return
    lines = "\n".join(f"{name}={value}" for name, value in fields.items())
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as telling:
        telling.sendto(lines.encode(), f"\0{place[1:]}" if place.startswith("@") else place)


def successor_arguments(arguments: Sequence[str]) -> list[str]:
    """Return *arguments* of this process as its successor is to have them."""
    kept, skip = [], False
    for each in arguments:
        if not skip and each != "--take-over" and not each.startswith(f"{_OPTION}=") and each != _OPTION:
            kept.append(each)
        skip = each == _OPTION
    return [*kept, _OPTION, str(os.getpid())]


class Successors:
    """Starts successors of this process, one at a time."""

    def __init__(self) -> None:
        self._watching: threading.Thread | None = None

    def start_one(self) -> None:
        """Start one, unless one is starting; what becomes of it is logged."""
        if self._watching is not None and self._watching.is_alive():
            return
        command = [sys.executable, "-m", "rbl", *successor_arguments(sys.argv[1:])]
        try:
            child = subprocess.Popen(command)  # noqa: S603 — as we were called ourselves
        except OSError as fault:
            _log.error("successor_failed", why=str(fault))
            return
        _log.info("successor_started", pid=child.pid)
        self._watching = threading.Thread(target=_watch, args=(child,), name="successor", daemon=True)
        self._watching.start()


def _watch(child: "subprocess.Popen[bytes]") -> None:
    """Wait for a successor that ends, and so did not take over: else this process would end first."""
    status = child.wait()
    _log.error("successor_failed", pid=child.pid, status=status)
