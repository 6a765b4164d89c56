"""A made-up internet: hosts in network namespaces of their own, joined by one switch.

Every host has the addresses it is given and reaches all others directly; no namespace has a link to
the machine's network, so no packet leaves. Servers on the hosts are left to ``servers``.
"""

import ctypes
import itertools
import os
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import TypeVar

_T = TypeVar("_T")
_PREFIX = "rbl-e2e-"
_NAMESPACES = Path("/run/netns")  # where ip netns keeps them
_CLONE_NEWNET = 0x40000000  # linux/sched.h
_libc = ctypes.CDLL(None, use_errno=True)
_numbers = itertools.count(1)

# What a process on a host sees in /etc: the machine's own, with the files of the host on top.
_WITH_ETC = 'mount -t overlay -o ro,lowerdir="$0:/etc" none /etc; exec "$@"'


@dataclass(frozen=True, slots=True)
class Host:
    """One machine of the made-up internet."""

    name: str
    addresses: tuple[str, ...]
    namespace: str
    folder: Path  # what its programs read and write; kept after the test, to be looked at
    hub: str  # the namespace of the switch
    port: str  # where the host is plugged into it

    @property
    def address(self) -> str:
        """The first address: what it connects from unless told otherwise."""
        return self.addresses[0]

    @property
    def etc(self) -> Path:
        """The files laid over the machine's /etc for the programs on this host."""
        return self.folder / "etc"

    def call(self, function: Callable[[], _T]) -> _T:
        """Return what *function* returns when run in the host's network.

        Sockets that it opens stay in that network, whoever uses them later. Names are not resolved
        by the host's resolver here: use addresses.
        """
        results: list[_T] = []
        faults: list[BaseException] = []

        def run() -> None:
            try:
                self._enter()
                results.append(function())
            except BaseException as fault:  # noqa: BLE001 - raised again in the caller's thread
                faults.append(fault)

        # A namespace is joined by one thread, which ends with the call: nothing to put back.
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        if faults:
            raise faults[0]
        return results[0]

    def _enter(self) -> None:
        handle = os.open(_NAMESPACES / self.namespace, os.O_RDONLY | os.O_CLOEXEC)
        try:
            if _libc.setns(handle, _CLONE_NEWNET) != 0:
                number = ctypes.get_errno()
                raise OSError(number, os.strerror(number))
        finally:
            os.close(handle)

    @contextmanager
    def cut_off(self) -> Iterator[None]:
        """Lose every packet to and from the host meanwhile: links stay up, and nobody is told."""
        _batch(self.hub, [f"link set {self.port} nomaster"])
        try:
            yield
        finally:
            _batch(self.hub, [f"link set {self.port} master hub"])

    def command(self, argv: Sequence[str]) -> list[str]:
        """Return the command line that runs *argv* on this host, with its network and resolver.

        Each step replaces itself by the next: the process that is started is the program itself, so
        a signal to it reaches the program. It dies with its parent.
        """
        enter = ["setpriv", "--pdeathsig", "KILL", "ip", "netns", "exec", self.namespace]
        return [*enter, "unshare", "--mount", "sh", "-ec", _WITH_ETC, str(self.etc), *argv]


@contextmanager
def internet(folder: Path, plan: Mapping[str, Sequence[str]], resolver: str) -> Iterator[dict[str, Host]]:
    """Yield the hosts of *plan* (name → addresses), all of which ask the DNS at *resolver*."""
    _remove_left_over()
    number = next(_numbers)
    prefix = f"{_PREFIX}{os.getpid()}-{number}-"
    hub = f"{prefix}hub"
    hosts = {
        name: Host(name, tuple(addresses), f"{prefix}{name}", folder / name, hub, f"port{number}")
        for number, (name, addresses) in enumerate(plan.items())
    }
    try:
        _ip("netns", "add", hub)
        _batch(hub, ["link add name hub type bridge", "link set hub up"])
        for host in hosts.values():
            _connect(host)
            host.etc.mkdir(parents=True)
            (host.etc / "resolv.conf").write_text(f"nameserver {resolver}\n")
            (host.etc / "hosts").write_text("127.0.0.1 localhost\n")
        yield hosts
    finally:
        for namespace in (hub, *(host.namespace for host in hosts.values())):
            if (_NAMESPACES / namespace).exists():
                _ip("netns", "delete", namespace)


def _connect(host: Host) -> None:
    _ip("netns", "add", host.namespace)
    _batch(
        host.hub,
        [
            f"link add name {host.port} type veth peer name eth0 netns {host.namespace}",
            f"link set {host.port} master hub up",
        ],
    )
    # The whole internet is on the wire: every address is asked for by ARP, and no other route exists.
    # A family in which the host has no address has none at all: else it would speak from its link's.
    versions = {ip_address(address).version for address in host.addresses}
    everywhere = {4: "0.0.0.0/0", 6: "::/0"}
    _batch(
        host.namespace,
        [
            "link set lo up",
            "link set eth0 up",
            *(f"address add {address} dev eth0 nodad" for address in host.addresses),
            *(f"route add {everywhere[version]} dev eth0" for version in sorted(versions)),
        ],
    )


def _remove_left_over() -> None:
    """Remove the namespaces of runs that were killed before they could."""
    for namespace in _NAMESPACES.glob(f"{_PREFIX}*"):
        pid = namespace.name.removeprefix(_PREFIX).split("-")[0]
        if not Path("/proc", pid).exists():
            # A parallel run may have been quicker.
            subprocess.run(["ip", "netns", "delete", namespace.name], capture_output=True, check=False)


def _ip(*arguments: str, lines: str | None = None) -> None:
    done = subprocess.run(["ip", *arguments], input=lines, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise OSError(f"ip {' '.join(arguments)}: {done.stderr.strip()}\n{lines or ''}")


def _batch(namespace: str, lines: Sequence[str]) -> None:
    _ip("-netns", namespace, "-batch", "-", lines="\n".join(lines))
