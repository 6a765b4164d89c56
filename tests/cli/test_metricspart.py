"""Processes of one part each, watched from outside and known to each other."""

import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import httpx2

from rbl import __version__
from tests.cli.process import Installation, Serving

PARTS = ("web", "collector", "worker", "dns")


def watched(process: Serving, path: str) -> httpx2.Response:
    """Return what the listener for watchers says."""
    return httpx2.get(process.places["metrics"].removesuffix("/metrics") + path, timeout=20)


def eventually(is_so: Callable[[], bool]) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def of_parts(web: Serving, key: str) -> dict[str, dict[str, Any]]:
    """Return what the web part knows of every process, by its parts."""
    answer = httpx2.get(f"{web.web}/v1/processes", headers={"Authorization": f"Bearer {key}"}, timeout=20)
    assert 200 == answer.status_code, answer.text
    return {",".join(each["parts"]): each for each in answer.json()["processes"]}


def test_split_processes_can_be_watched(tmp_path: Path) -> None:
    """Each tells how it is and what it counts, and the web part what the others last said of themselves."""
    installation = Installation(tmp_path, {"RBL_METRICS__LISTEN": "127.0.0.1:0"})
    with ExitStack() as running:
        by_part = {part: running.enter_context(installation.serving("--only", part)) for part in PARTS}
        web, dns, worker = by_part["web"], by_part["dns"], by_part["worker"]
        key = web.first_key or ""
        for part, process in by_part.items():
            ready = watched(process, "/readyz")
            database = {} if part == "dns" else {"database": True}
            assert (200, {part: True, **database}) == (ready.status_code, ready.json()["parts"])
            assert {"alive": True} == watched(process, "/healthz").json()
        assert ["relays.example"] == list(watched(dns, "/readyz").json()["lists"])
        assert 'rbl_zone_serial{zone="relays.example"}' in watched(dns, "/metrics").text
        assert (404, 405) == (
            watched(dns, "/v1/keys").status_code,
            httpx2.post(dns.places["metrics"], timeout=20).status_code,
        )

        eventually(lambda: set(PARTS) == set(of_parts(web, key)))
        told = of_parts(web, key)
        assert dict.fromkeys(PARTS, (__version__, False)) == {
            part: (each["version"], each["stale"]) for part, each in told.items()
        }
        assert {part: process.pid for part, process in by_part.items()} == {
            part: each["pid"] for part, each in told.items()
        }
        standing = told["dns"]["lists"]["relays.example"]
        assert standing["serial"] == standing["newest"] > 0

        assert 0 == by_part["collector"].end()
        dns.send(signal.SIGKILL)
        dns.wait()
        assert {"web", "worker", "dns"} == set(of_parts(web, key))

        with sqlite3.connect(tmp_path / "rbl.db") as connection:
            connection.execute("ALTER TABLE switches RENAME TO gone")
        connection.close()
        lost = watched(worker, "/readyz")
        assert (503, "not ready: database") == (lost.status_code, lost.json()["detail"])


def test_a_header_without_end(tmp_path: Path) -> None:
    """Whoever can reach the listener cannot fill the memory of a process with one request."""
    installation = Installation(tmp_path, {"RBL_METRICS__LISTEN": "127.0.0.1:0"})
    with installation.serving("--only", "dns") as dns:
        host, _, port = (
            dns.places["metrics"].removeprefix("http://").removesuffix("/metrics").partition(":")
        )
        sent = 0
        with socket.create_connection((host, int(port)), 20) as client, suppress(ConnectionError):
            client.sendall(b"GET /healthz HTTP/1.1\r\nX-Long: ")
            while sent < 64 * 2**20:
                sent += client.send(b"x" * 65536)

        assert sent < 16 * 2**20
        assert 200 == watched(dns, "/healthz").status_code


def test_the_listener_for_watchers_is_light() -> None:
    """It loads neither a framework nor SQL: a process that answers DNS alone needs none of them."""
    program = "import sys, rbl.cli.metricspart, uvicorn.protocols.http.h11_impl; print(*sys.modules)"
    imported = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert set() == {"fastapi", "starlette", "sqlalchemy", "jinja2"} & set(imported.stdout.split())
