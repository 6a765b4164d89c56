# ruff: noqa: INP001  # part of a program, not a package
"""A server that `make bench` measures, of whatever kind: started, watched and stopped.

Each runs in the foreground on a loopback port of its own and in a session of its own, which is how its
processes are found. ``bench_kinds`` has the kinds.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import bench_list

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ROOT / ".make" / "bench"  # unpacked there by tests/e2e/packages.sh
ZONE_FILE = ROOT / "zones" / "relays.example.toml"
_START_SECONDS = 1800  # NSD and Knot read ten million names in minutes
_STOP_SECONDS = 120
_LOOK_AGAIN_SECONDS = 0.0005


@dataclass(frozen=True, slots=True)
class Setting:
    """What a server is started with. *database* is a URL; *files* are the lists in every form."""

    folder: Path
    port: int
    tool: Path  # bench_udp.c, compiled


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of server. *answers*: from the list, and not like an echo."""

    name: str
    all_cores: bool = False
    answers: bool = True

    def command(self, setting: Setting) -> list[str]:
        """Write what it reads beside the list, and return its command line."""
        raise NotImplementedError

    def environment(self, setting: Setting) -> dict[str, str]:  # noqa: ARG002  # most need nothing
        """Return what its environment has beyond this one's."""
        return {}

    def change(self, running: "Running", address: str) -> None:
        """Have it list *address*, and return as soon as it has been told."""
        raise NotImplementedError


@dataclass(slots=True)
class Running:
    """A server that answers. Memory as it was once it did."""

    kind: Kind
    setting: Setting
    process: subprocess.Popen[bytes]
    log: Path
    load_seconds: float = 0.0
    memory_octets: int = 0
    port: int = field(init=False)

    def __post_init__(self) -> None:
        self.port = self.setting.port

    def processes(self) -> list[Path]:
        """Return the /proc folders of its session: NSD has several, and new ones after a reload."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            fields = _stat(folder)
            if fields and int(fields[3]) == self.process.pid:
                found.append(folder)
        return found

    def cpu_seconds(self) -> float:
        """Return the user and system time that its threads have had, to the nanosecond."""
        return sum(_run_nanoseconds(task) for folder in self.processes() for task in _tasks(folder)) / 1e9

    def resident_octets(self) -> int:
        """Return the memory it has; what several of its processes share is counted once (PSS)."""
        folders = self.processes()
        word = "Rss:" if len(folders) == 1 else "Pss:"
        total = 0
        for folder in folders:
            for line in (folder / "smaps_rollup").read_text(encoding="ascii").splitlines():
                if line.startswith(word):
                    total += int(line.split()[1]) * 1024
        return total

    def has_room_to_reload(self) -> bool:
        """Whether the machine can hold what it holds once more, and half of that to spare."""
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
        return self.memory_octets * 3 // 2 < free

    def until_listed(self, address: str, patience_seconds: float) -> float | None:
        """Ask until *address* is listed, and return after how many seconds; None when it never was."""
        query = bench_list.query_for(address)
        started = time.perf_counter()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            asking.settimeout(0.2)
            asking.connect(("127.0.0.1", self.port))
            while time.perf_counter() - started < patience_seconds and self.process.poll() is None:
                time.sleep(_LOOK_AGAIN_SECONDS)
                try:
                    asking.send(query)
                    packet = asking.recv(4096)
                except OSError:  # nobody is at the port yet, or he is busy
                    continue
                if packet[2] & 0x80 and (not self.kind.answers or (packet[3] & 15, packet[7]) == (0, 1)):
                    return time.perf_counter() - started
        return None


def available() -> dict[str, str]:
    """Return the version of each package that was unpacked."""
    versions = {}
    for folder in sorted(mark.parent for mark in PACKAGES.glob("*/.complete")):
        command = ["apt-cache", "policy", folder.name]
        told = subprocess.run(command, capture_output=True, text=True, check=True).stdout  # noqa: S603
        versions[folder.name] = next(line.split()[1] for line in told.splitlines() if "Candidate:" in line)
    return versions


def database_url(folder: Path) -> str:
    """Return the URL of the database in *folder*."""
    return f"sqlite:///{folder}/rbl.db"


@contextmanager
def started(kind: Kind, folder: Path, tool: Path, listed: str, cores: Sequence[int]) -> Iterator[Running]:
    """Run a server on *cores*, and yield it once it answers that *listed* is listed."""
    setting = Setting(folder, _free_port(), tool)
    log = folder / f"{kind.name.replace(' ', '-').replace('/', '-')}.log"
    command = ["taskset", "-c", ",".join(map(str, cores)), *kind.command(setting)]
    environment = {**os.environ, **kind.environment(setting)}
    with log.open("wb") as out:
        began = time.perf_counter()
        process = subprocess.Popen(  # noqa: S603  # a program of this list
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    # If memory runs short, a list that is only measured goes first, and no one else's work.
    Path(f"/proc/{process.pid}/oom_score_adj").write_text("1000", encoding="ascii")
    running = Running(kind, setting, process, log)
    try:
        if running.until_listed(listed, _START_SECONDS) is None:
            sys.exit(f"{kind.name} does not answer:\n{log.read_text(errors='replace')[-2000:]}")
        running.load_seconds = time.perf_counter() - began
        running.memory_octets = running.resident_octets()
        yield running
    finally:
        _stop(running)


def _stop(running: Running) -> None:
    """End the server's own session and no other process."""
    running.process.terminate()
    try:
        running.process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        running.process.kill()
        running.process.wait()
    for folder in running.processes():
        os.kill(int(folder.name), signal.SIGKILL)


def program(package: str, name: str = "") -> str:
    """Return where a program of an unpacked package is, or its name."""
    name = name or package
    for folder in ("usr/sbin", "usr/bin"):
        if (PACKAGES / package / folder / name).exists():
            return str(PACKAGES / package / folder / name)
    return name


def libraries(package: str) -> dict[str, str]:
    """Return where the libraries of an unpacked package are."""
    return {"LD_LIBRARY_PATH": ":".join(map(str, (PACKAGES / package).glob("usr/lib/*-linux-*")))}


def append(path: Path, lines: str) -> None:
    """Add *lines* to a file."""
    with path.open("a", encoding="ascii") as file:
        file.write(lines)


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _tasks(folder: Path) -> list[Path]:
    """Return the /proc folders of a process's threads; none where it is gone."""
    try:
        return list((folder / "task").iterdir())
    except OSError:
        return []


def _run_nanoseconds(task: Path) -> int:
    """Return how long a thread has run: the first word of schedstat. Nothing where it is gone."""
    try:
        return int((task / "schedstat").read_text(encoding="ascii").split()[0])
    except OSError:
        return 0


def _stat(folder: Path) -> list[str]:
    """Return the fields of a process's stat behind its name; none where it is gone."""
    try:
        return (folder / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return []
