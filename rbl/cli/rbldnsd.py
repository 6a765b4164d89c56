"""``rbl rbldnsd``: takes rbldnsd's place, with its command line and its data files.

Reads and answers are elsewhere; here is the daemon around them: its start, signals, and what it writes
down; ``rbldnsdprocess`` says as whom and where it runs. TERM and INT end it, HUP reads what
changed and opens the log anew, USR1 tells the numbers, USR2 tells and resets them. Where the compiled
path was built it answers over UDP what it can, but with ``-l``, which wants a line for each query.

Log events: ``rbldnsd_started``, ``rbldnsd_stopped``, ``metrics_listening``, ``queries_counted``,
``log_unwritten``.
"""

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
import typer

from rbl import __version__
from rbl.cli import garbage, logs, rbldnsdoptions, rbldnsdprocess
from rbl.cli.preloading import preload
from rbl.cli.rbldnsdoptions import CommandLine
from rbl.config import Dns, Listen, Log
from rbl.errors import BadInput, ConfigError, RblError
from rbl.responder import compiled

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from rbl.responder.answer import Reply
    from rbl.responder.client import Client
    from rbl.responder.filefollower import Assignment, FileFollower
    from rbl.responder.hotfiles import HotFiles

# Typer hands its arguments over as they are: rbldnsdoptions takes them apart.
UNPARSED = {"ignore_unknown_options": True, "allow_extra_args": True, "allow_interspersed_args": False}
_LARGEST_REPLY = 2048  # octets over UDP, as rbldnsd
# Between two looks at a file that is being written.
_SETTLING_SECONDS = 1.0
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
    from prometheus_client import CollectorRegistry  # noqa: PLC0415

    from rbl.zone.rbldnsd import dump  # noqa: PLC0415 — see rbl.cli

    follower = _follower(line, assignments, CollectorRegistry())
    rbldnsdprocess.enter_folders(line.root, line.folder)
    if not follower.follow():
        raise BadInput("zone loading errors, aborting: " + "; ".join(follower.failed), code="not-loaded")
    out = sys.stdout.buffer
    out.write(f"; zone dump made by rbl {__version__} at {time.asctime()}\n".encode())
    for zone, datasets in follower.by_zone():
        out.writelines(dump.lines(zone, datasets, time.time()))


def _in_background(line: CommandLine, assignments: "tuple[Assignment, ...]") -> None:
    """Run the daemon in a process of its own; return once it has started, or raise when it did not.

    Raises:
        typer.Exit: it ended instead of starting; it has said why.
    """
    reading, writing = os.pipe()
    nowhere = rbldnsdprocess.nowhere()  # while there is one
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
        to_output = line.query_log is not None and line.query_log.path == "-"
        rbldnsdprocess.leave_terminal(nowhere, keep_output=to_output)

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


class Daemon:
    """The program from its start to its stop."""

    def __init__(self, line: CommandLine, assignments: "tuple[Assignment, ...]") -> None:
        from prometheus_client import CollectorRegistry  # noqa: PLC0415 — see rbl.cli

        from rbl.cli.rbldnsdlogs import QueryLog, Statistics  # noqa: PLC0415
        from rbl.responder import filezones  # noqa: PLC0415
        from rbl.responder.counters import Counters  # noqa: PLC0415
        from rbl.responder.server import Hot, Server  # noqa: PLC0415

        self._line = line
        self._registry = CollectorRegistry()
        self._follower = _follower(line, assignments, self._registry)
        self._zones = self._follower.zone_names
        self._statistics = Statistics(
            self._zones, relative=line.statistics is not None and line.statistics.plus
        )
        self._query_log = QueryLog(line.query_log)
        version = f"rbldnsd (rbl {__version__})" if line.hidden == 0 else "rbldnsd"
        dns = Dns(version="" if line.hidden > 1 else version, max_udp_octets=_LARGEST_REPLY)
        self._style = filezones.Style(dns, line.minimal)
        self._answer = filezones.answer
        self._open = threading.Event()
        self._hot = self._hot_files()
        self._server = Server(
            rbldnsdoptions.listening(line),
            self._answered,
            Counters(self._registry),
            hot=None if self._hot is None else Hot(self._hot),
            # The largest replies fit no Ethernet: rbldnsd has the system send those in pieces.
            fragments=True,
        )

    def _hot_files(self) -> "HotFiles | None":
        """Return what the compiled path answers from, where it is there and no query is logged."""
        if self._line.query_log is not None or not compiled.is_built():
            return None
        from rbl.responder.hotfiles import HotFiles  # noqa: PLC0415 — where it was built

        hot = HotFiles(self._follower.catalogue, self._style)
        self._statistics.watch(hot.counted)
        return hot

    def run(self, started: Callable[[], None]) -> None:
        """Run until TERM or INT; *started* is called once queries are answered.

        Raises:
            ConfigError: something cannot be as the command line says.
            BadInput: a dataset cannot be loaded, and ``-q`` is not given.
        """
        signals = rbldnsdprocess.Signals(_SIGNALS)
        line = self._line
        if not line.foreground:
            rbldnsdprocess.log_to_syslog(line.facility)
        user = rbldnsdprocess.user(line.user)
        if line.metrics is not None:
            _serve_metrics(line.metrics, self._registry)
        self._server.start()  # as root; what is asked waits until the files are read
        try:
            if line.process_file is not None:
                rbldnsdprocess.write_process_file(line.process_file)
            preload()
            garbage.look_as_ever()
            rbldnsdprocess.enter_folders(line.root, line.folder)
            rbldnsdprocess.become(user)
            if line.quick:
                self._start(started)
                self._follower.follow()
            else:
                if not self._follower.follow():
                    why = "; ".join(self._follower.failed)
                    raise BadInput(f"zone loading errors, aborting: {why}", code="not-loaded")
                self._start(started)
            self._until_stopped(signals)
        finally:
            self._open.set()
            self._server.stop()
            self._query_log.close()
        _log.info("rbldnsd_stopped")

    def _start(self, started: Callable[[], None]) -> None:
        """Answer from now on."""
        self._reopen_query_log()
        self._write_statistics("")
        if self._hot is not None:
            self._follower.watch(self._hot.publish)
        # After the compiled path: what it answered from until now is free by then.
        self._follower.watch(lambda _: rbldnsdprocess.give_memory_back())
        self._open.set()
        _log.info(
            "rbldnsd_started",
            addresses=" ".join(map(str, self._server.bound)),
            zones=" ".join(self._zones),
            answered_by=compiled.describe(wanted=self._hot is not None, unwanted="-l logs each query"),
        )
        started()

    def _answered(self, packet: bytes, client: "Client") -> "Reply":
        """Answer *packet* and write it down."""
        self._open.wait()
        now = time.time()
        reply = self._answer(packet, client, self._follower.catalogue, self._style, now)
        self._statistics.count(reply, len(packet))
        self._query_log.write(reply, client, now)
        return reply

    def _until_stopped(self, signals: rbldnsdprocess.Signals) -> None:
        """Look for files that changed, and do what signals ask for, until one asks to stop."""
        check_seconds = self._line.check_seconds
        look_at = time.monotonic() + check_seconds
        while True:
            until_look = max(0.0, look_at - time.monotonic()) if check_seconds else None
            number = signals.next(_SETTLING_SECONDS if self._follower.is_settling else until_look)
            if number is None:
                if check_seconds and time.monotonic() >= look_at:
                    self._write_statistics(self._statistics.line(time.time()))
                    look_at = time.monotonic() + check_seconds
                self._follower.follow()
                continue
            if number in _STOPS:
                break
            if number == signal.SIGHUP:
                self._reopen_query_log()
                self._follower.follow(told=True)
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
            file = self._line.query_log.path if self._line.query_log else ""
            _log.warning("log_unwritten", file=file, why=str(fault))


def _follower(
    line: CommandLine, assignments: "tuple[Assignment, ...]", registry: "CollectorRegistry"
) -> "FileFollower":
    """Return what reads the files; their names are relative to the working folder."""
    from rbl.responder.filechanges import Caution  # noqa: PLC0415 — see rbl.cli
    from rbl.responder.filefollower import FileFollower, FileMetrics  # noqa: PLC0415
    from rbl.zone.rbldnsd.reading import Options  # noqa: PLC0415

    options = Options(
        ttl_seconds=line.ttl_seconds,
        least_ttl_seconds=line.least_ttl_seconds,
        most_ttl_seconds=line.most_ttl_seconds,
        accept_host_bits=line.accept_host_bits,
        decompress=line.decompress,
    )
    caution = None if line.any_change else Caution()
    return FileFollower(assignments, options, Path(), FileMetrics(registry), caution)


def _serve_metrics(at: Listen, registry: "CollectorRegistry") -> None:
    """Serve /metrics for Prometheus.

    Raises:
        ConfigError: the address cannot be listened on.
    """
    from prometheus_client import start_http_server  # noqa: PLC0415 — see rbl.cli

    try:
        server, _ = start_http_server(at.port, at.host, registry)
    except OSError as fault:
        raise ConfigError([f"--metrics: cannot listen on {at}: {fault.strerror}"]) from None
    _log.info("metrics_listening", address=str(Listen(at.host, server.server_port)))
