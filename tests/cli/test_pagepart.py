"""The tester's own page, served beside the worker: over both families, whatever else stands still."""

import asyncio
import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import httpx2
import pytest

from rbl.cli import pagepart, parts
from rbl.cli.opening import prepare
from rbl.cli.parts import Built
from rbl.errors import ConfigError
from tests.cli.conftest import Building
from tests.cli.process import DOMAIN, Installation, Serving

BOTH = ("127.0.0.1:0", "[::1]:0")
TITLE = f"<h1>tester.{DOMAIN} tested your mail server</h1>"
T = TypeVar("T")


@pytest.fixture
def built(building: Building) -> Built:
    """A list whose tester has a name, and a page at addresses of both families."""
    return building(
        probe={"page_listen": BOTH, "ehlo_name": f"tester.{DOMAIN}", "contact": f"people@{DOMAIN}"},
        web={"limits": {"header_timeout": 0.3, "connections_per_client": 2}},
    )


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    """The same as processes."""
    return Installation(
        tmp_path,
        {
            "RBL_PROBE__PAGE_LISTEN": ",".join(BOTH),
            "RBL_PROBE__EHLO_NAME": f"tester.{DOMAIN}",
            "RBL_PROBE__CONTACT": f"people@{DOMAIN}",
        },
    )


def served(built: Built, visit: Callable[[list[str]], T]) -> T:
    """Return what *visit* returns, called with the page's URLs while it is served."""

    async def story() -> T:
        async with pagepart.page(built) as place:
            return await asyncio.to_thread(visit, urls_of(place))

    return asyncio.run(story())


def urls_of(place: str) -> list[str]:
    """Return the URLs that the program says."""
    return place.partition(" for ")[0].split()


def exchanged(url: str, sent: bytes) -> tuple[int, str]:
    """Return the status and code of the answer to octets that are no whole request."""
    with connected(url) as connection:
        connection.sendall(sent)
        answer = b""
        while more := connection.recv(65_536):
            answer += more
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)["code"]


def connected(url: str) -> socket.socket:
    """Return a connection to the server at *url*."""
    place = httpx2.URL(url)
    return socket.create_connection((place.host, place.port or 0), timeout=20)


def test_both_families(built: Built) -> None:
    """It is there at each of its addresses, and is watched as a part is."""

    def visit(urls: list[str]) -> None:
        assert ["http://127.0.0.1", "http://[::1]"] == [url.rpartition(":")[0] for url in urls]
        assert [True, True] == [TITLE in httpx2.get(url).text for url in urls]
        assert {"page": True} == built.watches.ready()

    served(built, visit)


def test_hostile_clients(built: Built) -> None:
    """They have the limits that the web part has: octets and time of a head, connections of a client."""

    def visit(urls: list[str]) -> None:
        url, other = urls
        slow = exchanged(url, b"GET / HTTP/1.1\r\nHost: x\r\n")
        large = exchanged(url, b"GET / HTTP/1.1\r\nX: " + b"x" * 70_000)
        held = [connected(url) for _ in range(3)]
        crowded_out = held[0].recv(1)
        while_crowded = httpx2.get(other).status_code
        for each in held:
            each.close()

        assert [(408, "too-slow"), (431, "head-too-large")] == [slow, large]
        assert (b"", 200) == (crowded_out, while_crowded)

    served(built, visit)


def test_an_address_that_is_taken(built: Built, building: Building) -> None:
    """It is told by the name of its setting."""

    def visit(urls: list[str]) -> None:
        taken = urls[0].removeprefix("http://")
        second = building(probe={**built.settings.probe.model_dump(), "page_listen": [taken]})
        with pytest.raises(ConfigError) as fault:
            served(second, lambda _: None)
        assert [
            f"probe.page_listen: cannot listen on {taken}: Address already in use"
        ] == fault.value.faults

    served(built, visit)


def test_a_successor_without_a_page_closes_it(building: Building) -> None:
    """Where the settings have no page any more nobody waits at its address."""
    successor = building()
    prepare(successor.store, successor.zones)
    with socket.create_server(("127.0.0.1", 0)) as before:
        inherited = socket.socket(fileno=before.detach())
        successor.sockets.inherit("page", [inherited])

    async def work() -> None:
        async with parts.worker(successor):
            assert -1 == inherited.fileno()

    asyncio.run(work())


def test_it_is_taken_over_with_the_rest(installation: Installation) -> None:
    """A process of the worker alone has it, and its successor goes on at the same ports."""
    with installation.serving("--only", "worker") as first:
        urls = pages(first)
        with installation.serving("--only", "worker", "--take-over") as second:
            assert 0 == first.wait()
            assert urls == pages(second)
            assert [True, True] == [TITLE in httpx2.get(url).text for url in urls]
            assert 0 == second.end()


def test_it_waits_for_no_database(installation: Installation) -> None:
    """While the worker waits for the database its page is there."""
    with installation.serving("--only", "dns,worker"):
        pass
    installation.settings["RBL_DATABASE__URL"] = "postgresql://nobody@127.0.0.1:1/none"
    with installation.beginning("--only", "dns,worker") as process:
        said = [process.line()]
        while "not ready: worker: waiting" not in said[-1]:
            said.append(process.line())
        (place,) = [line.split()[1] for line in said if line.startswith("  page ")]
        answer = httpx2.get(place)

    assert TITLE in answer.text


def pages(process: Serving) -> list[str]:
    """Return the URLs of the page of a process."""
    return urls_of(process.places["page"])
