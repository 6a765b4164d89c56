"""``rbl rbldnsd``: takes rbldnsd's place, with its command line and its data files.

Reads and answers are elsewhere; here is the daemon around them: going into the background, the user and
the folders it runs as and in, signals, and what it writes down. TERM and INT end it, HUP reads what
changed and opens the log anew, USR1 tells the numbers, USR2 tells and resets them.

Log events: ``rbldnsd_started``, ``rbldnsd_stopped``, ``queries_counted``, ``log_unwritten``.
"""

import grp
import logging
import os
import pwd
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from logging.handlers import SysLogHandler
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
import typer

from rbl import __version__
from rbl.cli import logs, rbldnsdoptions
from rbl.cli.rbldnsdoptions import CommandLine
from rbl.config import Dns, Listen, Log
from rbl.errors import BadInput, ConfigError, RblError

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from rbl.responder.answer import Reply
    from rbl.responder.client import Client
    from rbl.responder.filefollower import Assignment, FileFollower

_USERS = ("rbldns", "nobody")  # who it runs as where root starts it and says nothing
_LARGEST_REPLY = 2048  # octets over UDP, as rbldnsd
_STOPS = frozenset({signal.SIGTERM, signal.SIGINT})
_SIGNALS = (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, *_STOPS)

_log = structlog.get_logger()


def rbldnsd(context: typer.Context) -> None:
    """Answer DNS from rbldnsd's data files, with rbldnsd's own command line (-h shows it)."""
    line = rbldnsdoptions.parse(context.args)
    if line.help:
        typer.echo(rbldnsdoptions.USAGE, nl=False)
        return
    from rbl.responder.filefollower import parse_assignments  # noqa: PLC0415 — see rbl.cli

    assignments = parse_assignments(line.zones)
    logs.set_up(Log())
    if line.dump:
        _dump(line, assignments)
        return
    if line.foreground:
        Daemon(line, assignments).run(lambda: None)
    else:
        _in_background(line, assignments)


def _dump(line: CommandLine, assignments: "tuple[Assignment, ...]") -> None:
    """Print all zones as a BIND file.

    Raises:
        BadInput: a dataset cannot be loaded.
    """
    from rbl.zone.rbldnsd import dump  # noqa: PLC0415 — see rbl.cli

    from prometheus_client import CollectorRegistry  # noqa: PLC0415

    follower = _follower(line, assignments, CollectorRegistry())
    _enter_folders(line)
    if not follower.follow():
        raise BadInput("zone loading errors, aborting: " + "; ".join(follower.failed), code="not-loaded")
    out = sys.stdout.buffer
    out.write(f"; zone dump made by rbl {__version__} at {time.asctime()}\n".encode())
    for zone, datasets in follower.by_zone():
        out.writelines(dump.lines(zone, datasets))


def _in_background(line: CommandLine, assignments: "tuple[Assignment, ...]") -> None:
    """Run the daemon in a process of its own; return once it has started, or raise when it did not.

    Raises:
        typer.Exit: it ended instead of starting; it has said why.
    """
    reading, writing = os.pipe()
    if os.fork():
        os.close(writing)
        with os.fdopen(reading, "rb") as told:
            if not told.read(1):
                raise typer.Exit(1)
        return
    os.close(reading)

    def started() -> None:
        os.write(writing, b"\0")
        os.close(writing)
        os.setsid()
        _leave_terminal(line)

    status = 1
    try:
        Daemon(line, assignments).run(started)
        status = 0
    except ConfigError as fault:
        typer.echo("\n".join(f"rbl rbldnsd: {each}" for each in fault.faults), err=True)
    except RblError as fault:
        typer.echo(f"rbl rbldnsd: {fault.message}", err=True)
    finally:
        logging.shutdown()
        os._exit(status)  # the rest of the program is the other process's


def _leave_terminal(line: CommandLine) -> None:
    with Path(os.devnull).open("r+b") as nowhere:
        keeps_output = line.query_log is not None and line.query_log.path == "-"
        for descriptor in (0, 2) if keeps_output else (0, 1, 2):
            os.dup2(nowhere.fileno(), descriptor)


class Daemon:
    """The program from its start to its stop."""

    def __init__(self, line: CommandLine, assignments: "tuple[Assignment, ...]") -> None:
        from prometheus_client import CollectorRegistry  # noqa: PLC0415 — see rbl.cli

        from rbl.cli.rbldnsdlogs import QueryLog, Statistics  # noqa: PLC0415
        from rbl.responder import filezones  # noqa: PLC0415
        from rbl.responder.counters import Counters  # noqa: PLC0415
        from rbl.responder.server import Server  # noqa: PLC0415

        self._line = line
        self._registry = CollectorRegistry()
        self._follower = _follower(line, assignments, self._registry)
        self._zones = self._follower.zone_names
        self._statistics = Statistics(self._zones, relative=line.statistics is not None and line.statistics.plus)
        self._query_log = QueryLog(line.query_log)
        version = f"rbldnsd (rbl {__version__})" if line.hidden == 0 else "rbldnsd"
        dns = Dns(version="" if line.hidden > 1 else version, max_udp_octets=_LARGEST_REPLY)
        self._style = filezones.Style(dns, line.minimal)
        self._answer = filezones.answer
        self._open = threading.Event()
        self._signals: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._server = Server(
            rbldnsdoptions.listening(line), self._answered, Counters(self._registry)
        )

    def run(self, started: Callable[[], None]) -> None:
        """Run until TERM or INT; *started* is called once queries are answered.

        Raises:
            ConfigError: something cannot be as the command line says.
            BadInput: a dataset cannot be loaded, and ``-q`` is not given.
        """
        for number in _SIGNALS:
            signal.signal(number, lambda number, _: self._signals.put(number))
        line = self._line
        if not line.foreground:
            _log_to_syslog(line.facility)
        user = _user(line.user)
        if line.metrics is not None:
            _serve_metrics(line.metrics, self._registry)
        self._server.start()  # as root; what is asked waits until the files are read
        try:
            if line.process_file is not None:
                _write_process_file(line.process_file)
            _enter_folders(line)
            _become(user)
            if line.quick:
                self._start(started)
                self._follower.follow()
            else:
                if not self._follower.follow():
                    why = "; ".join(self._follower.failed)
                    raise BadInput(f"zone loading errors, aborting: {why}", code="not-loaded")
                self._start(started)
            self._until_stopped()
        finally:
            self._open.set()
            self._server.stop()
            self._query_log.close()
        _log.info("rbldnsd_stopped")

    def _start(self, started: Callable[[], None]) -> None:
        """Answer from now on."""
        self._reopen_query_log()
        self._write_statistics("")
        self._open.set()
        addresses = " ".join(map(str, self._server.bound))
        _log.info("rbldnsd_started", addresses=addresses, zones=" ".join(self._zones))
        started()

    def _answered(self, packet: bytes, client: "Client") -> "Reply":
        """Answer *packet* and write it down."""
        self._open.wait()
        now = time.time()
        reply = self._answer(packet, client, self._follower.catalogue, self._style, now)
        self._statistics.count(reply, len(packet))
        self._query_log.write(reply, client, now)
        return reply

    def _until_stopped(self) -> None:
        """Look for files that changed, and do what signals ask for, until one asks to stop."""
        timeout = self._line.check_seconds or None
        while True:
            try:
                number = self._signals.get(timeout=timeout)
            except queue.Empty:
                self._write_statistics(self._statistics.line(time.time()))
                self._follower.follow()
                continue
            if number in _STOPS:
                break
            if number == signal.SIGHUP:
                self._reopen_query_log()
                self._follower.follow()
            else:
                self._tell_numbers(reset=number == signal.SIGUSR2)
        self._tell_numbers(reset=False)

    def _tell_numbers(self, *, reset: bool) -> None:
        self._write_statistics(self._statistics.line(time.time()))
        for zone, numbers in self._statistics.totals().items():
            _log.info(
                "queries_counted",
                zone=zone,
                ok=numbers.found,
                nxdomain=numbers.absent,
                failed=numbers.failed,
                octets_in=numbers.octets_in,
                octets_out=numbers.octets_out,
            )
        if reset:
            self._statistics.reset()
            self._write_statistics("")

    def _write_statistics(self, line: str) -> None:
        """Append *line*, or for the beginning of a count the time alone."""
        log = self._line.statistics
        if log is None:
            return
        try:
            with Path(log.path).open("a", encoding="ascii") as file:
                file.write((line or str(int(time.time()))) + "\n")
        except OSError as fault:
            _log.warning("log_unwritten", file=log.path, why=str(fault))

    def _reopen_query_log(self) -> None:
        try:
            self._query_log.reopen()
        except OSError as fault:
            _log.warning("log_unwritten", file=self._line.query_log, why=str(fault))


def _follower(
    line: CommandLine, assignments: "tuple[Assignment, ...]", registry: "CollectorRegistry"
) -> "FileFollower":
    """Return what reads the files; their names are relative to the working folder."""
    from rbl.responder.filefollower import FileFollower, FileMetrics  # noqa: PLC0415 — see rbl.cli
    from rbl.zone.rbldnsd.reading import Options  # noqa: PLC0415

    options = Options(
        ttl_seconds=line.ttl_seconds,
        least_ttl_seconds=line.least_ttl_seconds,
        most_ttl_seconds=line.most_ttl_seconds,
        accept_host_bits=line.accept_host_bits,
        decompress=line.decompress,
    )
    return FileFollower(assignments, options, Path(), FileMetrics(registry))


def _serve_metrics(at: Listen, registry: "CollectorRegistry") -> None:
    """Serve /metrics for Prometheus.

    Raises:
        ConfigError: the address cannot be listened on.
    """
    from prometheus_client import start_http_server  # noqa: PLC0415 — see rbl.cli

    try:
        start_http_server(at.port, at.host, registry)
    except OSError as fault:
        raise ConfigError([f"--metrics: cannot listen on {at}: {fault.strerror}"]) from None


def _user(text: str | None) -> tuple[int, int] | None:
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


def _become(user: tuple[int, int] | None) -> None:
    if user is None:
        return
    uid, gid = user
    try:
        os.setgroups([gid])
        os.setgid(gid)
        os.setuid(uid)
    except OSError as fault:
        raise ConfigError([f"unable to setuid({uid}:{gid}): {fault.strerror}"]) from None


def _enter_folders(line: CommandLine) -> None:
    """Change to the folder with the files, in the tree that is to be the only one.

    Raises:
        ConfigError: there is no such folder, or it may not be entered.
    """
    try:
        if line.root is not None:
            os.chdir(line.root)
            os.chroot(line.root)
        os.chdir(line.folder)
    except OSError as fault:
        raise ConfigError([f"unable to enter {fault.filename}: {fault.strerror}"]) from None


def _write_process_file(path: Path) -> None:
    try:
        path.write_text(f"{os.getpid()}\n", encoding="ascii")
    except OSError as fault:
        raise ConfigError([f"unable to write pidfile {path}: {fault.strerror}"]) from None


def _log_to_syslog(facility: str) -> None:
    """Send log lines to the system's log too, where there is one: the terminal will be gone."""
    root = logging.getLogger()
    with suppress(OSError):
        handler = SysLogHandler("/dev/log", SysLogHandler.facility_names[facility])
        handler.ident = "rbldnsd: "
        handler.setFormatter(root.handlers[0].formatter)
        root.addHandler(handler)
