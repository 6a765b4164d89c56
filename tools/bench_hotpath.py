# ruff: noqa: INP001  # a program, not a package
"""What an answer of the compiled path costs, beside rbldnsd and beside a server that does nothing.

Usage: python tools/bench_hotpath.py [listings [rounds]]

CPU time of the server's process for each query, user and system, with IPv4 addresses listed one by one
and a client in C on another core that asks as fast as it is answered. Rounds of a few seconds, all
servers in turn, so that what else the machine does falls on each alike; the median counts. Needs a C
compiler; rbldnsd (the Debian package) is measured where it is installed. *plain* queries are what
rbldnsd gets: no EDNS, half of the names listed. The others have EDNS, and 30 % are listed.
"""

import os
import random
import shutil
import socket
import statistics
import struct
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from ipaddress import IPv4Address
from pathlib import Path

from bench_dns import make_catalogue
from prometheus_client import CollectorRegistry

from rbl.addresses import reversed_labels
from rbl.config import Dns, Listen
from rbl.responder import compiled
from rbl.responder.answer import answer
from rbl.responder.codes import Rtype
from rbl.responder.counters import Counters
from rbl.responder.rules import rules_of
from rbl.responder.server import Hot, Server
from rbl.zone.names import parse_name

_SOURCE = Path(__file__).with_name("bench_udp.c")
_APEX = "bl.example"
_PACKETS = 200_000
_SECONDS = 3
# Small enough for the receive buffer that rbldnsd has.
_WINDOW = 128
_OPT = struct.pack("!BHHIH", 0, Rtype.OPT, 1232, 0, 0)
_TICKS = os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Measure and print."""
    if sys.argv[1:2] == ["serve"]:
        serve(int(sys.argv[2]), Path(sys.argv[3]))
        return
    if not compiled.is_built():
        print(f"nothing to measure: {compiled.describe()}")  # noqa: T201
        return
    size = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    chance = random.Random(5782)  # noqa: S311  # the same load each time
    listed = sorted({IPv4Address(chance.getrandbits(32)) for _ in range(size)})
    cores = sorted(os.sched_getaffinity(0))
    with ExitStack() as running:
        folder = Path(running.enter_context(tempfile.TemporaryDirectory()))
        folder.chmod(0o755)  # rbldnsd gives up being root before it reads
        tool = compile_tool(folder)
        addresses = folder / "listed"
        addresses.write_text("\n".join(map(str, listed)), encoding="ascii")
        servers = {
            "floor": [str(tool), "echo"],
            "rbl": [sys.executable, __file__, "serve"],
        }
        if shutil.which("rbldnsd"):
            servers["rbldnsd"] = [str(shutil.which("rbldnsd"))]
        started = {
            name: running.enter_context(run_server(name, words, addresses, cores[0]))
            for name, words in servers.items()
        }
        for kind, hits, opt in (("plain", 0.5, b""), ("EDNS", 0.3, _OPT)):
            packets = folder / f"{kind}.packets"
            packets.write_bytes(make_packets(listed, hits, opt, chance))
            measure(kind, started, tool, packets, rounds, cores[-1])


def compile_tool(folder: Path) -> Path:
    """Compile the client and the floor."""
    tool = folder / "bench_udp"
    compiler = os.environ.get("CC") or (sysconfig.get_config_var("CC") or "cc").split()[0]
    subprocess.run([compiler, "-O2", "-o", str(tool), str(_SOURCE)], check=True)  # noqa: S603
    return tool


def measure(
    kind: str,
    started: dict[str, tuple[int, int]],
    tool: Path,
    packets: Path,
    rounds: int,
    core: int,
) -> None:
    """Print what each server needs for queries of one *kind*."""
    costs: dict[str, list[float]] = {name: [] for name in started}
    rates: dict[str, list[float]] = {name: [] for name in started}
    lost = dict.fromkeys(started, 0)
    for _ in range(rounds):
        for name, (process, port) in started.items():
            before = cpu_seconds(process)
            command = ["taskset", "-c", str(core), str(tool), "ask", str(port), str(_SECONDS), str(_WINDOW)]
            with packets.open("rb") as source:
                told = subprocess.run(command, stdin=source, capture_output=True, check=True)  # noqa: S603
            _, answered, unanswered = map(int, told.stdout.split())
            costs[name].append((cpu_seconds(process) - before) / max(answered, 1))
            rates[name].append(answered / _SECONDS)
            lost[name] += unanswered
    medians = {name: statistics.median(each) for name, each in costs.items()}
    for name, each in medians.items():
        ratio = statistics.median(a / b for a, b in zip(costs[name], costs["rbl"], strict=True))
        print(  # noqa: T201  # what this program is for
            f"{kind:6} {name:8} {each * 1e6:6.2f} µs CPU a query   {ratio:5.2f} of ours"
            f"   {statistics.median(rates[name]):9,.0f} q/s   {lost[name]} lost"
        )


def cpu_seconds(process: int) -> float:
    """Return the user and system time that *process* has had."""
    fields = Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


@contextmanager
def run_server(name: str, words: Sequence[str], addresses: Path, core: int) -> Iterator[tuple[int, int]]:
    """Run a server on *core*, and yield its process and its port once it answers."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = ["taskset", "-c", str(core), *words]
    if name == "rbldnsd":
        zone = addresses.with_name("zone")
        zone.write_text(
            "$SOA 3600 ns1.bl.example ns1.bl.example 1 900 600 604800 300\n$NS 86400 ns1.bl.example\n"
            ":127.0.0.2:$ relays, see https://example.org/lookup/$\n"
            + addresses.read_text(encoding="ascii"),
            encoding="ascii",
        )
        command += ["-n", "-c", "0", "-b", f"127.0.0.1/{port}", *([] if os.geteuid() else ["-u", "nobody"])]
        command += [f"{_APEX}:ip4set:{zone}"]
    else:
        command += [str(port), str(addresses)][: 1 if name == "floor" else 2]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # noqa: S603
    try:
        await_answer(port, process)
        yield process.pid, port
    finally:
        process.terminate()
        process.wait()


def await_answer(port: int, process: subprocess.Popen[bytes]) -> None:
    """Return when *process* answers at *port*."""
    query = make_query(IPv4Address("127.0.0.2"), b"", 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.settimeout(0.1)
        asking.connect(("127.0.0.1", port))
        while process.poll() is None:
            try:
                asking.send(query)
                asking.recv(4096)
            except OSError:
                time.sleep(0.1)
            else:
                return
    sys.exit(f"{process.args!r} has ended")


def make_packets(listed: Sequence[IPv4Address], hits: float, opt: bytes, chance: random.Random) -> bytes:
    """Return queries for A, each after its length, a share *hits* of them for something in *listed*."""
    packets = []
    for number in range(_PACKETS):
        is_hit = chance.random() < hits
        address = chance.choice(listed) if is_hit else IPv4Address(chance.getrandbits(32))
        packet = make_query(address, opt, number)
        packets.append(struct.pack("!H", len(packet)) + packet)
    return b"".join(packets)


def make_query(address: IPv4Address, opt: bytes, number: int) -> bytes:
    """Return the query for the A record of *address*."""
    labels = (*reversed_labels(address), *parse_name(_APEX))
    name = b"".join(bytes((len(label),)) + label for label in labels) + b"\0"
    header = struct.pack("!6H", number & 0xFFFF, 0x0100, 1, 0, 0, 1 if opt else 0)
    return header + name + struct.pack("!HH", Rtype.A, 1) + opt


def serve(port: int, addresses: Path) -> None:
    """Answer with the compiled path, one thread, until killed."""
    from rbl.responder.hotpath import HotPath  # noqa: PLC0415  # where it was built

    listed = [IPv4Address(line) for line in addresses.read_text(encoding="ascii").split()]
    catalogue = make_catalogue(listed)
    rules = rules_of(Dns())
    server = Server(
        [Listen("127.0.0.1", port)],
        lambda packet, client: answer(packet, client, catalogue, rules, time.time_ns()),
        Counters(CollectorRegistry()),
        hot=Hot(HotPath(catalogue, rules), threads=1),
    )
    server.start()
    threading.Event().wait()


if __name__ == "__main__":
    main()
