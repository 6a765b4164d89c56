"""A server from a Debian package, run on a made-up host without being installed.

The package is laid over the machine's /usr and /etc in mounts of the server's own, where it also has
processes, /run, /tmp, /var/lib and /var/spool of its own; the machine's files are read-only to it.
Several servers run at once, mail servers that exclude one another too, and end with all they started.
"""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Self, TypeVar

from tests.e2e.hosts import Host
from tests.e2e.needs import PACKAGES

_T = TypeVar("_T")
_PATIENCE = timedelta(seconds=30)  # far beyond what anything here takes: a hang, not a slow machine
_POLL_SECONDS = 0.02

# $0: the server's folder (config, mail), $1: the host's etc, $2: the unpacked package, $3: its folders.
# What lies below /tmp is bound before /tmp is covered.
_PRIVATE_SYSTEM = """
umask 022
own=$0; etc=$1; package=$2; folders=$3; shift 3
mount -t overlay -o "ro,lowerdir=$etc:$package/etc:/etc" none /etc
mount -t overlay -o "ro,lowerdir=$package/usr:/usr" none /usr
for folder in /run /var/lib /var/spool; do mount -t tmpfs -o mode=755 none $folder; done
eval "$folders"
mkdir /run/config
mount --bind "$own/config" /run/config
mount --bind "$own/mail" /var/mail
mount -t tmpfs -o mode=1777 none /tmp
mount -o remount,bind,ro /
exec "$@"
"""


def eventually(ask: Callable[[], _T | None], otherwise: Callable[[], str]) -> _T:
    """Return the first answer of *ask* that is true; fail with the words of *otherwise* if none comes."""
    end = time.monotonic() + _PATIENCE.total_seconds()
    while not (answer := ask()):
        if time.monotonic() > end:
            raise AssertionError(otherwise())
        time.sleep(_POLL_SECONDS)  # between two looks at the condition
    return answer


def answers(host: Host, port: int) -> bool:
    """Whether something accepts TCP connections on *port* of *host*."""
    try:
        host.call(lambda: socket.create_connection((host.address, port), timeout=1).close())
    except OSError:
        return False
    return True


@contextmanager
def running(
    host: Host, argv: Sequence[str], port: int, environment: Mapping[str, str] = os.environ
) -> Iterator[subprocess.Popen[bytes]]:
    """Run the program under test on *host* while the context lasts, once it answers on TCP *port*.

    Nothing of the machine is hidden from it but /etc/resolv.conf. What it prints goes to the host's
    file ``output``. It is ended by SIGTERM; how it takes that is for the test to look at.
    """
    output = host.folder / "output"
    with output.open("ab") as file:
        process = subprocess.Popen(
            host.command(argv), stdin=subprocess.DEVNULL, stdout=file, stderr=file, env=environment
        )

    def ready() -> bool:
        assert process.poll() is None, f"{argv[0]} ended by itself:\n{output.read_text()}"
        return answers(host, port)

    try:
        eventually(ready, lambda: f"{argv[0]} does not answer:\n{output.read_text()}")
        yield process
    finally:
        process.terminate()
        try:
            process.wait(_PATIENCE.total_seconds())
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class Server:
    """One server on one host: a context manager within which it answers on its port.

    Attributes:
        host: where it runs.
        config: its folder of settings; the server finds it as /run/config.
        mail: what it finds as /var/mail.
    """

    package: str
    argv: Sequence[str]
    port: int
    # Users that the package's installation would have made: name → number, also of its group.
    users: Mapping[str, int]
    # Shell commands that make the folders it would have made in /var and /run, which are empty.
    folders: str

    def __init__(self, host: Host) -> None:
        self.host = host
        self.config = host.folder / self.package / "config"
        self.mail = host.folder / self.package / "mail"
        self._log = host.folder / self.package / "log"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.config.mkdir(parents=True, exist_ok=True)
        self.mail.mkdir(exist_ok=True)
        self.mail.chmod(0o1777)
        self._write_users()
        self.configure()
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command(), stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
            )
        try:
            eventually(self._ready, lambda: f"{self.package} does not answer:\n{self.log()}")
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def configure(self) -> None:
        """Write the settings into ``config``; called before the start."""
        raise NotImplementedError

    def stop(self) -> None:
        """End the server and every process it started; return when they are gone."""
        if self._process is None:
            return
        # The end of a process namespace's first process is the end of all in it.
        with suppress(ProcessLookupError):
            os.kill(self._first() or self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._process = None

    def is_up(self) -> bool:
        """Whether it answers on its port."""
        return answers(self.host, self.port)

    def log(self) -> str:
        """Return all it has said so far."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def run(self, *argv: str) -> str:
        """Return what *argv* prints when run beside the server, in its network, mounts and processes."""
        # --root too: where the tests run in a chroot, another mount namespace alone would leave it.
        enter = ["nsenter", "--target", str(self._first()), "--net", "--mount", "--pid", "--root"]
        # What the package brought lies in sbin too, which a plain shell's PATH may lack.
        environment = os.environ | {"PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/bin:/sbin:/bin"}
        done = subprocess.run([*enter, *argv], capture_output=True, text=True, check=False, env=environment)
        assert done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}"
        return done.stdout

    def processes(self) -> dict[int, str]:
        """Return the names of the server's processes by their number on this machine."""
        assert self._process is not None
        found: dict[int, str] = {}
        for folder in Path("/proc").glob("[0-9]*"):
            # A process may end while it is looked at.
            with suppress(OSError):
                namespace = Path(f"/proc/{self._process.pid}/ns/pid_for_children").readlink()
                if (folder / "ns/pid").readlink() == namespace:
                    found[int(folder.name)] = (folder / "comm").read_text().strip()
        return found

    def _ready(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"{self.package} ended by itself:\n{self.log()}"
        return self.is_up()

    def _command(self) -> list[str]:
        system = [str(self.config.parent), str(self.host.etc), str(PACKAGES / self.package), self.folders]
        enter = ["setpriv", "--pdeathsig", "KILL", "ip", "netns", "exec", self.host.namespace]
        private = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
        return [*enter, *private, "sh", "-ec", _PRIVATE_SYSTEM, *system, *self.argv]

    def _write_users(self) -> None:
        for file, line in (("passwd", "{0}:x:{1}:{1}::/:/bin/false\n"), ("group", "{0}:x:{1}:\n")):
            machine = Path("/etc", file).read_text()
            known = {entry.split(":")[0] for entry in machine.splitlines()}
            added = [line.format(name, number) for name, number in self.users.items() if name not in known]
            (self.host.etc / file).write_text(machine + "".join(added))

    def _first(self) -> int | None:
        """Return the process that holds all others of the server."""
        assert self._process is not None
        parent = f"\nPPid:\t{self._process.pid}\n"
        for pid in self.processes():
            with suppress(OSError):
                if parent in Path(f"/proc/{pid}/status").read_text():
                    return pid
        return None
