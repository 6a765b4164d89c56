# ruff: noqa: INP001  # part of a program, not a package
"""What `make bench` measures: each kind of server, what it is started with, and how it is told of a change.

RRL is off. Cookies are answered by rbl and NSD; see Knot for why not there.
"""

import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import bench_list
from bench_list import APEX
from bench_servers import ZONE_FILE, Kind, Running, Setting, append, database_url, libraries, program

COOKIE_SECRET = "000102030405060708090a0b0c0d0e0f"  # noqa: S105  # protects nothing here


@dataclass(frozen=True, slots=True)
class Floor(Kind):
    """The least that a server can do: it sends back what it gets."""

    answers: bool = False

    def command(self, setting: Setting) -> list[str]:
        """Return its command line."""
        return [str(setting.tool), "echo", str(setting.port)]


@dataclass(frozen=True, slots=True)
class Rbl(Kind):
    """`rbl serve --only dns`, from a database; changes are committed there by the caller."""

    path: str = "compiled"
    threads: int = 1

    def command(self, setting: Setting) -> list[str]:  # noqa: ARG002  # as the others
        """Write its configuration where it has one, and return its command line."""
        return [sys.executable, "-m", "rbl", "serve", "--only", "dns"]

    def environment(self, setting: Setting) -> dict[str, str]:
        """Return what its environment has beyond this one's."""
        return {
            "RBL_DATABASE__URL": database_url(setting.folder),
            "RBL_DATA_DIR": str(self.data_folder(setting.folder)),
            "RBL_ZONES": str(ZONE_FILE),
            "RBL_DNS__LISTEN": f"127.0.0.1:{setting.port}",
            "RBL_DNS__PATH": self.path,
            "RBL_DNS__THREADS": str(self.threads),
            "RBL_DNS__MAX_CHANGE_SHARE": "1",
            "RBL_DNS__COOKIE_SECRETS": COOKIE_SECRET,
        }

    def data_folder(self, folder: Path) -> Path:
        """Return where its index lies on disk."""
        return folder / f"data-{self.path}-{self.threads}"


@dataclass(frozen=True, slots=True)
class Rbldnsd(Kind):
    """rbldnsd, which reads its file again when told to."""

    name: str = "rbldnsd"

    def command(self, setting: Setting) -> list[str]:
        """Write its configuration where it has one, and return its command line."""
        folder = self.folder(setting)
        who = [] if os.geteuid() else ["-u", "nobody"]  # it will not run as root
        lists = [f"{APEX}:ip4set:{folder}/rbldnsd4", f"{APEX}:ip6trie:{folder}/rbldnsd6"]
        return [*self.program(), "-n", "-c", "0", "-b", f"127.0.0.1/{setting.port}", *who, *lists]

    def environment(self, setting: Setting) -> dict[str, str]:  # noqa: ARG002  # as the others
        """Return what its environment has beyond this one's."""
        return libraries("rbldnsd")

    def change(self, running: "Running", address: str) -> None:
        """Have it list *address*."""
        append(self.folder(running.setting) / "rbldnsd4", f"{address}\n")
        running.process.send_signal(signal.SIGHUP)

    def program(self) -> list[str]:
        """Return how its command line begins."""
        return [program("rbldnsd")]

    def folder(self, setting: Setting) -> Path:
        """Return where its files are."""
        return setting.folder


@dataclass(frozen=True, slots=True)
class RblFiles(Rbldnsd):
    """`rbl rbldnsd`, from copies of those files: each server has its own changes."""

    name: str = "rbl rbldnsd"

    def command(self, setting: Setting) -> list[str]:
        """Copy the files, and return its command line."""
        folder = self.folder(setting)
        folder.mkdir(exist_ok=True)
        folder.chmod(0o755)  # it gives up being root before it reads
        for name in ("rbldnsd4", "rbldnsd6"):
            shutil.copy(setting.folder / name, folder)
        return Rbldnsd.command(self, setting)  # super() fails in a slotted dataclass

    def environment(self, setting: Setting) -> dict[str, str]:  # noqa: ARG002  # as the others
        """Return what its environment has beyond this one's."""
        return {}

    def program(self) -> list[str]:
        """Return how its command line begins."""
        return [sys.executable, "-m", "rbl", "rbldnsd"]

    def folder(self, setting: Setting) -> Path:
        """Return where its files are."""
        return setting.folder / "files"


@dataclass(frozen=True, slots=True)
class Nsd(Kind):
    """NSD with one server process, which reads its master file again when told to."""

    name: str = "NSD"

    def command(self, setting: Setting) -> list[str]:
        """Write its configuration where it has one, and return its command line."""
        folder = setting.folder
        lines = [
            *("server:", " server-count: 1", f" ip-address: 127.0.0.1@{setting.port}", ' username: ""'),
            *(' chroot: ""', f' zonesdir: "{folder}"', ' database: ""', f' pidfile: "{folder}/nsd.pid"'),
            *(f' xfrdfile: "{folder}/nsd.xfrd"', f' xfrdir: "{folder}"'),
            *(f' zonelistfile: "{folder}/nsd.zones"', " receive-buffer-size: 4194304"),
            *(" rrl-ratelimit: 0", " rrl-whitelist-ratelimit: 0", " answer-cookie: yes"),
            *(f' cookie-secret: "{COOKIE_SECRET}"', "remote-control:", " control-enable: no"),
            *("zone:", f' name: "{APEX}"', f' zonefile: "{folder}/nsd.zone"', ""),
        ]
        configuration = folder / "nsd.conf"
        configuration.write_text("\n".join(lines), encoding="ascii")
        return [program("nsd"), "-d", "-c", str(configuration)]

    def environment(self, setting: Setting) -> dict[str, str]:  # noqa: ARG002  # as the others
        """Return what its environment has beyond this one's."""
        return libraries("nsd")

    def change(self, running: "Running", address: str) -> None:
        """Have it list *address*."""
        append(running.setting.folder / "nsd.zone", bench_list.master_lines(address))
        running.process.send_signal(signal.SIGHUP)


@dataclass(frozen=True, slots=True)
class Knot(Kind):
    """Knot DNS with one UDP worker; its control tool changes the zone in memory."""

    name: str = "Knot"

    def command(self, setting: Setting) -> list[str]:
        """Write its configuration where it has one, and return its command line."""
        folder = setting.folder
        lines = [
            *("server:", f'  listen: "127.0.0.1@{setting.port}"', f'  rundir: "{folder}/knot"'),
            *("  udp-workers: 1", "  tcp-workers: 1", "  background-workers: 1"),
            *("database:", f'  storage: "{folder}/knot"', "log:", "  - target: stderr", "    any: warning"),
            # No mod-cookies: it answers BADCOOKIE to a client's first cookie and looks nothing up.
            *("template:", "  - id: default", "    semantic-checks: off"),
            *("    zonefile-load: whole", "    zonefile-sync: -1", "    journal-content: none"),
            *("zone:", f'  - domain: "{APEX}"', f'    file: "{folder}/knot.zone"', ""),
        ]
        (folder / "knot").mkdir(exist_ok=True)
        configuration = folder / "knot.conf"
        configuration.write_text("\n".join(lines), encoding="ascii")
        return [program("knot", "knotd"), "-c", str(configuration)]

    def environment(self, setting: Setting) -> dict[str, str]:  # noqa: ARG002  # as the others
        """Return what its environment has beyond this one's."""
        return libraries("knot")

    def change(self, running: "Running", address: str) -> None:
        """Have it list *address*."""
        owner = ".".join(reversed(address.split(".")))
        acts = (
            ["zone-begin", APEX],
            ["zone-set", APEX, owner, "300", "A", "127.0.0.2"],
            ["zone-commit", APEX],
        )
        control = [program("knot", "knotc"), "-s", f"{running.setting.folder}/knot/knot.sock", "-t", "600"]
        for act in acts:
            environment = {**os.environ, **libraries("knot")}
            done = subprocess.run(  # noqa: S603  # a program of this list
                [*control, *act], env=environment, capture_output=True, check=False, text=True
            )
            if done.returncode:
                sys.exit(f"knotc {' '.join(act)}: {done.stdout}{done.stderr}")
