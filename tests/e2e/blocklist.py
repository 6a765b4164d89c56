"""The program under test: ``rbl serve`` on the blocklist's host, on the ports that the world uses.

Its settings are those of an operator, but that the made-up internet's addresses may be tested and
listed, that answers are kept for a second, and that it does not pause between two commands.
"""

import json
import os
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.e2e import world
from tests.e2e.hosts import Host
from tests.e2e.servers import eventually, running
from tests.e2e.visitor import Visitor

URL = "http://www.blocklist.example"

_ZONE = f"""\
apex = "{world.ZONE}"
url = "{URL}/a/{{address}}"
ttl_seconds = 1

[soa]
mname = "ns.blocklist.example"
rname = "hostmaster@blocklist.example"
ttl_seconds = 1
minimum_seconds = 1

[ns]
names = ["ns.blocklist.example"]
ttl_seconds = 1

[reasons.open-relay]
title = "Open relay"
addresses = ["127.0.0.2"]
text = "Open relay, see {{url}}"

[limits]
list_reserved = true  # the made-up internet has documentation addresses
"""


@dataclass(frozen=True, slots=True)
class Blocklist:
    """The running program, and what its operator and the ISP's postmaster do with it."""

    host: Host
    admin_key: str
    output: Path  # what it prints and logs

    def nominate(self, postmaster: Visitor, spam: bytes) -> Mapping[str, Any]:
        """Make a key for the ISP's postmaster, hand *spam* in with it, and return what is answered."""
        key = {"name": "postmaster of the ISP", "role": "nominator", "mx_names": ["mx.isp.example"]}
        made = postmaster.post(
            f"{URL}/v1/keys",
            json.dumps(key).encode(),
            {"Authorization": f"Bearer {self.admin_key}", "Content-Type": "application/json"},
        )
        assert made.status_code == 201, made.text
        told = postmaster.post(
            f"{URL}/v1/nominations",
            spam,
            {"Authorization": f"Bearer {made.json()['key']}", "Content-Type": "message/rfc822"},
        )
        assert told.status_code == 201, told.text
        nomination: Mapping[str, Any] = told.json()
        return nomination

    def story(self, address: str) -> Mapping[str, Any]:
        """Return what the API tells everybody about *address*."""
        answer = Visitor(self.host).get(f"{URL}/v1/addresses/{address}")
        assert answer.status_code == 200, answer.text
        told: Mapping[str, Any] = answer.json()
        return told

    def await_state(self, address: str, state: str) -> None:
        """Return when *address* is in *state*."""
        eventually(
            lambda: self.story(address)["state"] == state,
            lambda: f"{address} is {self.story(address)['state']}, not {state}:\n{self.log()}",
        )

    def serial(self) -> int:
        """Return the serial of the zone's SOA."""
        (soa,) = Visitor(self.host).ask(world.ZONE, "SOA", self.host.address).rdata
        return int(soa.split()[2])

    def metric(self, name: str) -> float:
        """Return the value of *name* for the zone."""
        page = Visitor(self.host).get(f"{URL}/metrics").text
        (line,) = re.findall(rf'^{name}{{zone="{re.escape(world.ZONE)}"}} (\S+)$', page, re.MULTILINE)
        return float(line)

    def log(self) -> str:
        """Return all it has printed and logged."""
        return self.output.read_text()


@contextmanager
def serving(
    host: Host, database_url: str, settings: Mapping[str, str] | None = None
) -> Iterator[Blocklist]:
    """Run the program while the context lasts; *settings* are further RBL_ variables.

    It must have logged no fault of its own by then, and end in order.
    """
    output = host.folder / "output"
    argv = [sys.executable, "-m", "rbl", "serve"]
    with running(
        host, argv, port=80, environment=_environment(host, database_url, settings or {})
    ) as process:
        eventually(lambda: "\nready\n" in output.read_text(), lambda: f"never ready:\n{output.read_text()}")
        (admin_key,) = re.findall(r"first admin API key.*: (\S+)", output.read_text())
        yield Blocklist(host, admin_key, output)
    said = output.read_text()
    assert (process.returncode, said.endswith("stopped\n")) == (0, True), said
    assert "Traceback" not in said, said


def _environment(host: Host, database_url: str, settings: Mapping[str, str]) -> dict[str, str]:
    zone, file = host.folder / "zone.toml", host.folder / "rbl.toml"
    zone.write_text(_ZONE)
    file.touch()  # no file of the machine counts
    first, second, *_ = host.addresses
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("RBL_")},
        "RBL_CONFIG": str(file),
        "RBL_ZONES": str(zone),
        "RBL_DATA_DIR": str(host.folder / "var"),
        "RBL_DATABASE__URL": database_url,
        "RBL_DNS__LISTEN": f"{first}:53",
        "RBL_WEB__LISTEN": f"{first}:80",
        "RBL_WEB__PUBLIC_URL": URL,
        "RBL_WEB__CONTACT": "postmaster@blocklist.example",
        "RBL_WEB__WATCHERS": f"127.0.0.0/8,{first}/32",
        "RBL_COLLECTOR__LISTEN": f"{first}:25",
        "RBL_COLLECTOR__DOMAIN": world.COLLECTOR_DOMAIN,
        "RBL_PROBE__ENABLED": "true",
        "RBL_PROBE__ACKNOWLEDGE": "true",
        "RBL_PROBE__EHLO_NAME": world.HOSTNAMES[first],
        "RBL_PROBE__CONTACT": "postmaster@blocklist.example",
        "RBL_PROBE__SOURCE_ADDRESS": first,
        "RBL_PROBE__SECOND_SOURCE_ADDRESS": second,
        "RBL_PROBE__ALLOW_RESERVED": "192.0.2.0/24",
        "RBL_PROBE__COMMAND_DELAY": "0",
        **settings,
    }
