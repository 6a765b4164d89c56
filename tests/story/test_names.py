"""A list of names, as its operator and its users see it: by API, by import and by DNS."""

import time
from pathlib import Path

import httpx2
import pytest
from dns import message as dns_message
from dns import query as dns_query
from dns import rcode as dns_rcode

from tests.cli.process import Installation, Serving

APEX = "names.example"
LISTED, NOT_LISTED = "127.0.0.2", "NXDOMAIN"
BELOW = "NOERROR"  # not listed, but something below it is (RFC 8020)
_PAUSE_SECONDS = 0.02


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    """A list of addresses and a list of names, on SQLite, that test nobody."""
    installation = Installation(tmp_path)
    names = tmp_path / "names.toml"
    zone = installation.zone_file.read_text(encoding="utf-8")
    names.write_text(
        f'apex = "{APEX}"\nkind = "names"\n' + zone.partition("\n")[2] + "\n[keys]\nrequired = false\n",
        encoding="utf-8",
    )
    installation.settings["RBL_ZONES"] = f"{installation.zone_file},{names}"
    return installation


class Operator:
    """Lists and ends by the API of *process*."""

    def __init__(self, process: Serving) -> None:
        self._process = process
        self._headers = {"Authorization": f"Bearer {process.first_key}"}

    def call(
        self, method: str, path: str, body: dict[str, str] | None = None, **parameters: str
    ) -> httpx2.Response:
        """Call the API."""
        url = f"{self._process.web}/v1/{path}"
        return httpx2.request(method, url, headers=self._headers, json=body, params=parameters, timeout=30)

    def list(self, name: str) -> int:
        """List *name* and return the status."""
        body = {"name": name, "reason": "open-relay", "why": "in a million spams"}
        return self.call("POST", "listings", body, zone=APEX).status_code

    def end(self, name: str) -> int:
        """End the listing of *name* and return the status."""
        path = f"listings/open-relay/{name}"
        return self.call("DELETE", path, zone=APEX, why="clean now").status_code

    def ask(self, name: str) -> str:
        """Return what DNS answers for *name*."""
        listen = self._process.dns
        query = dns_message.make_query(f"{name}.{APEX}", "A")
        reply = dns_query.udp(query, listen.host, 10, listen.port)
        records = [record.to_text() for rrset in reply.answer for record in rrset]
        return "; ".join(records) or dns_rcode.to_text(reply.rcode())

    def until(self, expected: str, name: str) -> str:
        """Ask for *name* until the answer is *expected*, which the time limit of tests bounds."""
        while (answer := self.ask(name)) != expected:
            time.sleep(_PAUSE_SECONDS)
        return answer


def test_names_are_listed_and_ended_by_hand(installation: Installation) -> None:
    """A name listed by hand is in DNS, alone or with all below it, until it is ended."""
    with installation.serving("--only", "dns,web") as process:
        operator = Operator(process)
        before = operator.ask("spam.example.com")

        assert (NOT_LISTED, 201) == (before, operator.list("Spam.Example.COM."))
        assert LISTED == operator.until(LISTED, "spam.example.com")
        assert NOT_LISTED == operator.ask("www.spam.example.com")

        assert 201 == operator.list("*.spam.example.com")
        assert LISTED == operator.until(LISTED, "www.spam.example.com")

        assert 200 == operator.end("spam.example.com")
        assert BELOW == operator.until(BELOW, "spam.example.com")
        assert LISTED == operator.ask("www.spam.example.com")

        assert 200 == operator.end("*.spam.example.com")
        assert NOT_LISTED == operator.until(NOT_LISTED, "www.spam.example.com")
        assert [NOT_LISTED, LISTED] == [operator.ask(name) for name in ("spam.example.com", "test")]
        assert 0 == process.end()


def test_an_imported_name_is_ended_by_hand(installation: Installation) -> None:
    """What an import and an operator list is one listing: listed once, and ended once."""
    with installation.serving("--only", "dns,web") as process:
        operator = Operator(process)
        assert 201 == operator.list("ham.example.com")
        (installation.folder / "list").write_text(
            "spam.example.com\n.wild.example.com\nham.example.com\n", encoding="utf-8"
        )
        said = installation.run(
            "import", "rbldnsd", f"{APEX}:dnset:list", "--reason", "open-relay"
        ).stdout.decode()

        assert f"{APEX}: 3 listed, 1 were listed already\n" == said
        assert LISTED == operator.until(LISTED, "spam.example.com")
        assert [409, 409] == [operator.list(name) for name in ("spam.example.com", "*.wild.example.com")]
        names = ("spam.example.com", "wild.example.com", "*.wild.example.com")
        assert [200, 200, 200] == [operator.end(name) for name in names]
        assert NOT_LISTED == operator.until(NOT_LISTED, "www.wild.example.com")
        assert [NOT_LISTED, LISTED] == [
            operator.ask(name) for name in ("spam.example.com", "ham.example.com")
        ]
        assert 0 == process.end()


def test_a_customers_key_made_by_the_api_asks(installation: Installation) -> None:
    """A key from the API asks within a second of being made, and no more once it is revoked."""
    with installation.serving("--only", "dns,web") as process:
        operator = Operator(process)
        made = operator.call("POST", "customers", {"zone": APEX, "name": "isp.example"}).json()

        assert LISTED == operator.until(LISTED, f"test.{made['key']}")
        assert 200 == operator.call("DELETE", f"customers/{made['id']}").status_code
        refused = operator.until("REFUSED", f"test.{made['key']}")
        (told,) = operator.call("GET", "customers").json()["customers"]

        assert ("REFUSED", APEX, False) == (refused, told["zone"], told["revoked_at"] is None)
        assert 0 == process.end()
