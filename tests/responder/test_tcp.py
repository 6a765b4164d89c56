"""Whom a connection is counted for, where one client has many addresses."""

import subprocess
import sys

import pytest

# In a network of its own, whose addresses are all this machine's.
PROGRAM = """
import subprocess, sys
sources = [f"2001:db8:0:7::{host:x}" for host in range(1, 6)] + ["2001:db8:0:8::1", "2001:db8:0:9::1"]
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
for source in ("2001:db8::1", *sources):
    subprocess.run(["ip", "-6", "addr", "add", f"{source}/128", "dev", "lo", "nodad"], check=True)
import contextlib, socket
from prometheus_client import CollectorRegistry
from rbl.config import Listen
from rbl.responder.counters import Counters
from rbl.responder.server import Server
from rbl.responder.tcp import TcpLimits
registry = CollectorRegistry()
server = Server([Listen("2001:db8::1", 0)], None, Counters(registry), TcpLimits(connections_of_client=3))
server.start()
with contextlib.ExitStack() as held:
    for source in sources:
        client = held.enter_context(socket.create_connection(server.bound[0], 20, (source, 0)))
        if source == sources[1]:
            first = client
    assert first.recv(1) == b""  # the fifth of the network made it go
print(registry.get_sample_value("rbl_dns_connections_displaced_total", {"limit": "client"}))
server.stop()
"""


@pytest.mark.root
def test_an_ipv6_client_is_its_network() -> None:
    """Five connections from five addresses of one /64 are of one client, who may have three."""
    ran = subprocess.run(
        ["unshare", "--net", sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False
    )

    assert (0, "2.0") == (ran.returncode, ran.stdout.splitlines()[-1] if ran.stdout else ran.stderr)
