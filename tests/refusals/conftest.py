"""A running list with something in it, and a look at every row of its database."""

import asyncio
import hashlib
import signal
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import httpx2
import pytest

from rbl.cli.demoserver import DemoServer

# A nominee that nothing forbids; no test goes out, since this list has no tester.
NOMINEE = "5.9.0.1"


def spam(peer: str = NOMINEE, by: str = "mx.isp.example", age: timedelta = timedelta(hours=1)) -> bytes:
    """Return a spam that *by* took from *peer* so long ago."""
    date = format_datetime(datetime.now(UTC) - age)
    return (
        f"Received: from x.example (x.example [{peer}]) by {by} with ESMTP; {date}\r\n"
        f"From: a@bulk.example\r\nTo: c@isp.example\r\nMessage-ID: <{peer}@bulk.example>\r\n\r\nBuy\r\n"
    ).encode()


@dataclass(slots=True, eq=False)
class Running:
    """The list, its keys, and a fingerprint of all its rows."""

    server: DemoServer
    folder: Path
    keys: Mapping[str, str]

    def rows(self) -> str:
        """Return a hash of everything in the database but what is written beside what is done.

        That is what processes say of themselves, and when a key was used: making one is in the audit too.
        """
        told = ('"collector_spans"', '"processes"', 'INSERT INTO "api_keys"')
        with sqlite3.connect(self.folder / "rbl.db") as database:
            dump = "\n".join(
                line for line in database.iterdump() if not any(table in line for table in told)
            )
        database.close()
        return hashlib.sha256(dump.encode()).hexdigest()

    def log(self) -> str:
        """Return what the program logged so far."""
        return self.server.log.read_text(encoding="utf-8")

    def post(self, path: str, json: object, key: str) -> httpx2.Response:
        """Send *json* with the key of that name, for the set-up."""
        answer = httpx2.post(
            self.server.web + path, json=json, headers={"Authorization": f"Bearer {self.keys[key]}"}
        )
        answer.raise_for_status()
        return answer


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A list with keys of each role, an exemption, a do-not-test network, a listing, and a nomination."""
    folder = tmp_path_factory.mktemp("refusals")
    server = DemoServer(folder, 25, {"RBL_PROBE__ENABLED": "false"})
    with asyncio.Runner() as runner:
        runner.run(server.start())
        yield _filled(Running(server, folder, {"admin": server.admin_key}))
        assert 0 == runner.run(server.end(signal.SIGTERM))


def _filled(running: Running) -> Running:
    """Return *running* with its keys, after everything that the tables speak of was put into it."""
    server = running.server
    keys = {"admin": server.admin_key, "none": "", "wrong": "rbl_nobody"}
    body: dict[str, object]
    for role in ("operator", "nominator"):
        body = {"name": f"{role} of isp.example", "role": role, "mx_names": ["mx.isp.example"]}
        keys[role] = running.post("/v1/keys", body, "admin").json()["key"]
    revoked = running.post("/v1/keys", {"name": "admin who left", "role": "admin"}, "admin").json()
    keys["revoked"] = revoked["key"]
    httpx2.delete(
        f"{server.web}/v1/keys/{revoked['id']}", headers={"Authorization": f"Bearer {server.admin_key}"}
    ).raise_for_status()
    running.keys = keys
    for body in (
        {"network": "9.9.9.0/24", "never_list": True, "why": "a big provider"},
        {"network": "8.8.8.0/24", "never_test": True, "why": "asked by its owner"},
    ):
        running.post("/v1/exemptions", body, "operator")
    running.post(
        "/v1/listings", {"network": "5.5.5.5", "reason": "open-relay", "why": "by hand"}, "operator"
    )
    httpx2.post(
        f"{server.web}/v1/nominations",
        content=spam(),
        headers={
            "Authorization": f"Bearer {keys['nominator']}",
            "Content-Type": "message/rfc822",
            "Idempotency-Key": "used",
        },
    ).raise_for_status()
    return running
