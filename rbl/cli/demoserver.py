"""``rbl serve`` in a process of its own, with settings for a demonstration, and its three clients.

Everything is in a temporary folder and on loopback, on ports that the system chooses.
"""

import asyncio
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Self

import httpx2
from dns import message as dns_message
from dns import query as dns_query
from dns import rcode as dns_rcode

from rbl.addresses import parse_address, reversed_labels
from rbl.cli import firstkey
from rbl.config import Listen
from rbl.errors import Unavailable

APEX = "relays.example"
_RELAY = "127.0.0.66"
_TESTER = "127.0.0.10"
_COLLECTOR_DOMAIN = "relaytest.example"
_TIMEOUT_SECONDS = 10
_PATIENCE_SECONDS = 30  # for a state that takes a second or two
_PAUSE_SECONDS = 0.05

_ZONE = """\
apex = "relays.example"
url = "{web}/a/{{address}}"
ttl_seconds = 1

[soa]
mname = "ns1.example"
rname = "hostmaster@example.org"
minimum_seconds = 1

[ns]
names = ["ns1.example"]

[reasons.open-relay]
title = "Open relay"
addresses = ["127.0.0.2"]
text = "Open relay, see {{url}}"

[limits]
list_reserved = true  # the demonstration's relay is on loopback
"""


class DemoServer:
    """``rbl serve`` with its data in *folder*, testing port *relay_port*, as its clients see it.

    It can be stopped, killed and started again: it then listens where it did before. *settings* are
    further environment variables.
    """

    def __init__(self, folder: Path, relay_port: int, settings: Mapping[str, str] | None = None) -> None:
        self.web = f"http://127.0.0.1:{_free_port()}"
        self.dns = Listen("127.0.0.1", 0)
        self.collector = Listen(_TESTER, 0)
        self.collector_domain = _COLLECTOR_DOMAIN
        self.admin_key = ""
        self._folder = folder
        self._relay_port = relay_port
        self._settings = dict(settings or {})
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        """Start the program.

        Raises:
            Unavailable: it does not start; its own words are in the message.
        """
        await self.start()
        return self

    async def __aexit__(self, *fault: object) -> None:
        """Stop the program as an operator does."""
        await self.end(signal.SIGTERM)

    async def start(self) -> None:
        """Start the program on the data that is there.

        Raises:
            Unavailable: it does not start; its own words are in the message.
        """
        (self._folder / "relays.toml").write_text(_ZONE.format(web=self.web), encoding="utf-8")
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "rbl",
                "serve",
                env=self._environment(),
                stdout=subprocess.PIPE,
                stderr=log,
            )
        said = await self._said_at_start(self._process)
        found = re.search(r"dns +(?P<dns>\S+).*collector +(?P<smtp>\S+)", said, re.DOTALL)
        assert found is not None, "rbl serve says where it listens"
        self.dns = Listen("127.0.0.1", int(found["dns"].rpartition(":")[2]))
        self.collector = Listen(_TESTER, int(found["smtp"].rpartition(":")[2]))
        if "first admin API key" in said:
            self.admin_key = (self._folder / firstkey.FILE).read_text(encoding="ascii").strip()

    async def end(self, number: signal.Signals) -> int:
        """End the program with a signal, wait for it, and return its exit status."""
        process, self._process = self._process, None
        if process is None:
            return 0
        if process.returncode is None:
            process.send_signal(number)
        await process.communicate()
        assert process.returncode is not None
        return process.returncode

    @property
    def log(self) -> Path:
        """The file with the program's log lines."""
        return self._folder / "log"

    async def _said_at_start(self, process: asyncio.subprocess.Process) -> str:
        assert process.stdout is not None
        said = ""
        while not said.endswith("ready\n"):
            line = await asyncio.wait_for(process.stdout.readline(), _PATIENCE_SECONDS)
            if not line:
                await process.wait()
                raise Unavailable(
                    f"rbl serve did not start:\n{self.log.read_text(encoding='utf-8')[-2000:]}"
                )
            said += line.decode()
        return said

    def nominate(self, message: bytes) -> Mapping[str, object]:
        """Nominate as the ISP's postmaster: make a key that trusts the ISP's own MX, and use it."""
        made = self._post(
            "/v1/keys",
            json={
                "name": "postmaster of isp.example",
                "role": "nominator",
                "trust": "trusted",
                "mx_names": ["mx.isp.example"],
            },
            key=self.admin_key,
        )
        return self._post(
            "/v1/nominations",
            content=message,
            headers={"Content-Type": "message/rfc822"},
            key=str(made["key"]),
        )

    def ask_retest(self) -> Mapping[str, object]:
        """Ask for a retest, as anybody may."""
        return self._post(f"/v1/addresses/{_RELAY}/retests")

    def story(self) -> Mapping[str, object]:
        """Return what the API tells about the relay."""
        answer = httpx2.get(f"{self.web}/v1/addresses/{_RELAY}", timeout=_TIMEOUT_SECONDS)
        answer.raise_for_status()
        told: Mapping[str, object] = answer.json()
        return told

    async def until(self, state: str, patience_seconds: float = _PATIENCE_SECONDS) -> None:
        """Wait until the relay is in *state*.

        Raises:
            Unavailable: it is not within *patience_seconds*.
        """
        deadline = asyncio.get_running_loop().time() + patience_seconds
        while (told := await asyncio.to_thread(self.story))["state"] != state:
            if asyncio.get_running_loop().time() > deadline:
                raise Unavailable(f"{_RELAY} is still {told['state']}, and should be {state}")
            await asyncio.sleep(_PAUSE_SECONDS)

    def txt(self, address: str) -> str | None:
        """Return the text of the listing of *address*, or None where it is not listed."""
        found = self._ask(address, "TXT")
        texts = [record.to_text().strip('"') for rrset in found.answer for record in rrset]
        return texts[0] if texts else None

    def answers(self) -> list[str]:
        """Return what DNS says about the relay: ``dig``'s own words where it is installed."""
        return [self._answer(rtype) for rtype in ("A", "TXT")]

    def _answer(self, rtype: str) -> str:
        name = _owner_name(_RELAY)
        dig = shutil.which("dig")
        if dig is None:
            reply = self._ask(_RELAY, rtype)
            records = "; ".join(record.to_text() for rrset in reply.answer for record in rrset)
            return f"{name} {rtype:3} → {records or dns_rcode.to_text(reply.rcode())}"
        command = ["dig", f"@{self.dns.host}", "-p", str(self.dns.port), name, rtype]
        said = subprocess.run(  # noqa: S603 — our own words, no shell
            [dig, *command[1:], "+noall", "+answer", "+comments"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        records = "; ".join(
            " ".join(line.split()[3:]) for line in said.splitlines() if line and not line.startswith(";")
        )
        status = re.search(r"status: (\w+)", said)
        return f"$ {' '.join(command)} → {records or (status[1] if status else 'no answer')}"

    def proof(self) -> list[str]:
        """Return what proved the relay open: the envelope, what was said to it, and what came of it."""
        proof = self.story()["proof"]
        assert isinstance(proof, dict), "a relay that a test listed has a proof"
        envelope = proof["envelope"]
        return [
            f"MAIL FROM:{envelope['mail_from']}",
            f"RCPT TO:{envelope['rcpt_to']}",
            f"the relay took the message: {envelope['reply']}",
            f"and delivered it to our collector, {proof['returned_at']}",
        ]

    def _ask(self, address: str, rtype: str) -> dns_message.Message:
        query = dns_message.make_query(_owner_name(address), rtype)
        return dns_query.udp(query, self.dns.host, _TIMEOUT_SECONDS, self.dns.port)

    def _post(
        self,
        path: str,
        *,
        key: str | None = None,
        json: object = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Mapping[str, object]:
        sent = dict(headers or {})
        if key is not None:
            sent["Authorization"] = f"Bearer {key}"
        answer = httpx2.post(
            self.web + path, json=json, content=content, headers=sent, timeout=_TIMEOUT_SECONDS
        )
        told: Mapping[str, object] = answer.json()
        if not answer.is_success:
            raise Unavailable(f"{path}: {told.get('detail', told)}")
        return told

    def _environment(self) -> dict[str, str]:
        """Return the demonstration's settings as environment variables; no file of the user's counts."""
        own = {name: value for name, value in os.environ.items() if not name.startswith("RBL_")}
        (self._folder / "rbl.toml").touch()
        return own | {
            "RBL_CONFIG": str(self._folder / "rbl.toml"),
            "RBL_ZONES": str(self._folder / "relays.toml"),
            "RBL_DATA_DIR": str(self._folder),
            "RBL_DATABASE__URL": f"sqlite:///{self._folder}/rbl.db",
            "RBL_DNS__LISTEN": str(self.dns),
            "RBL_WEB__LISTEN": self.web.removeprefix("http://"),
            "RBL_WEB__PUBLIC_URL": self.web,
            "RBL_COLLECTOR__LISTEN": str(self.collector),
            "RBL_COLLECTOR__DOMAIN": self.collector_domain,
            "RBL_PROBE__ENABLED": "true",
            "RBL_PROBE__ACKNOWLEDGE": "true",
            "RBL_PROBE__EHLO_NAME": "tester.relaytest.example",
            "RBL_PROBE__CONTACT": "postmaster@relaytest.example",
            "RBL_PROBE__SOURCE_ADDRESS": _TESTER,
            "RBL_PROBE__PORT": str(self._relay_port),
            "RBL_PROBE__ALLOW_RESERVED": "127.0.0.0/8",
            "RBL_PROBE__COMMAND_DELAY": "0",
            "RBL_LISTS__FIRST_WAIT": "1",
            "PYTHONUNBUFFERED": "1",
            **self._settings,
        }


def _owner_name(address: str) -> str:
    return b".".join(reversed_labels(parse_address(address))).decode() + f".{APEX}"


def _free_port() -> int:
    """Return a port that was free a moment ago: the pages' address is in the zone file before they run."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port
