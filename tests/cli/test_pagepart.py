"""The tester's own page, served by the worker's process: over both families, whatever else stands still."""

import json
import socket
from pathlib import Path

import httpx2
import pytest

from tests.cli.process import DOMAIN, Installation, Serving

BOTH = "127.0.0.1:0,[::1]:0"
TITLE = f"<h1>tester.{DOMAIN} tested your mail server</h1>"


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    """A list whose tester has a name, and a page at addresses of both families."""
    return Installation(
        tmp_path,
        {
            "RBL_PROBE__PAGE_LISTEN": BOTH,
            "RBL_PROBE__EHLO_NAME": f"tester.{DOMAIN}",
            "RBL_PROBE__CONTACT": f"people@{DOMAIN}",
            "RBL_WEB__LIMITS__HEADER_TIMEOUT": "0.3",
            "RBL_WEB__LIMITS__CONNECTIONS_PER_CLIENT": "2",
        },
    )


def pages(process: Serving) -> list[str]:
    """Return the URLs of the page."""
    return process.places["page"].partition(" for ")[0].split()


def exchanged(url: str, sent: bytes) -> tuple[int, str]:
    """Return the status and code of the answer to octets that are no whole request."""
    parts = httpx2.URL(url)
    with socket.create_connection((parts.host, parts.port or 0), timeout=20) as connection:
        connection.sendall(sent)
        answer = b""
        while more := connection.recv(65_536):
            answer += more
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)["code"]


def test_both_families(installation: Installation) -> None:
    """A process of the worker alone serves it at each of its addresses, and says where."""
    with installation.serving("--only", "worker") as process:
        urls = pages(process)
        answers = [httpx2.get(url) for url in urls]
        assert 0 == process.end()

    assert ["http://127.0.0.1", "http://[::1]"] == [url.rpartition(":")[0] for url in urls]
    assert [(200, True)] * 2 == [(answer.status_code, TITLE in answer.text) for answer in answers]


def test_hostile_clients(installation: Installation) -> None:
    """They have the limits that the web part has: octets and time of a head, connections of a client."""
    with installation.serving("--only", "worker") as process:
        (url, other) = pages(process)
        slow = exchanged(url, b"GET / HTTP/1.1\r\nHost: x\r\n")
        large = exchanged(url, b"GET / HTTP/1.1\r\nX: " + b"x" * 70_000)
        parts = httpx2.URL(url)
        held = [socket.create_connection((parts.host, parts.port or 0), timeout=20) for _ in range(3)]
        crowded_out = held[0].recv(1)
        while_crowded = httpx2.get(other).status_code
        for each in held:
            each.close()

    assert [(408, "too-slow"), (431, "head-too-large")] == [slow, large]
    assert (b"", 200) == (crowded_out, while_crowded)


def test_it_is_taken_over_with_the_rest(installation: Installation) -> None:
    """A successor goes on at the same ports; one whose settings have no page any more closes them."""
    with installation.serving("--only", "worker") as first:
        urls = pages(first)
        with installation.serving("--only", "worker", "--take-over") as second:
            assert 0 == first.wait()
            assert urls == pages(second)
            assert 200 == httpx2.get(urls[1]).status_code
            installation.settings["RBL_PROBE__PAGE_LISTEN"] = ""
            with installation.serving("--only", "worker", "--take-over") as third:
                assert 0 == second.wait()
                assert "page" not in third.places
                with pytest.raises(httpx2.ConnectError):
                    httpx2.get(urls[0])


def test_it_waits_for_no_database(installation: Installation) -> None:
    """While the worker waits for the database its page is there."""
    with installation.serving("--only", "dns,worker"):
        pass
    installation.settings["RBL_DATABASE__URL"] = "postgresql://nobody@127.0.0.1:1/none"
    with installation.beginning("--only", "dns,worker") as process:
        said: list[str] = []
        while "not ready: worker: waiting" not in (said[-1] if said else ""):
            said.append(process.line())
        (place,) = [line.split()[1] for line in said if line.startswith("  page ")]
        answer = httpx2.get(place)

    assert TITLE in answer.text


def test_only_the_worker_has_it(installation: Installation) -> None:
    """A process of other parts leaves the page's address to the one that tests."""
    with installation.serving("--only", "collector") as process:
        assert {"collector"} == set(process.places)


def test_an_address_that_is_taken(installation: Installation) -> None:
    """It is told by the name of its setting."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = f"127.0.0.1:{other.getsockname()[1]}"
        installation.settings["RBL_PROBE__PAGE_LISTEN"] = taken
        ran = installation.run("serve", "--only", "worker")

    assert 1 == ran.returncode
    assert f"probe.page_listen: cannot listen on {taken}: Address already in use" in ran.stderr.decode()
