"""``rbl customer``: from the shell to what DNS answers."""

from collections.abc import Callable
from pathlib import Path

import pytest
from dns import message as dns_message
from dns import query as dns_query
from dns import rcode as dns_rcode

from rbl.config import Listen
from rbl.customerkey import is_key
from tests.cli.conftest import Ran
from tests.cli.process import Installation

KEYS = "\n[keys]\nrequired = true\n"


@pytest.fixture
def keyed(zone_file: Path) -> Path:
    """The zone file, asking for keys."""
    zone_file.write_text(zone_file.read_text(encoding="utf-8") + KEYS, encoding="utf-8")
    return zone_file


@pytest.mark.usefixtures("keyed")
def test_life_of_a_customers_key(rbl: Callable[..., Ran]) -> None:
    """A key is printed once when it is made, listed without itself, and revoked by number."""
    made = rbl("customer", "make", "isp.example", "--zone", "Relays.Example.")
    listed = rbl("customer", "list")
    revoked = rbl("customer", "revoke", "1")

    label = made.out.strip()
    assert is_key(label.encode())
    assert f"7.100.51.198.{label}.relays.example asks for 198.51.100.7\n" == made.err
    assert label not in listed.out
    assert ["1", "isp.example", "relays.example", "0", "never", "valid"] == listed.out.split()
    assert "the key of isp.example in relays.example is revoked\n" == revoked.out
    assert "revoked" == rbl("customer", "list").out.split()[-1]


@pytest.mark.usefixtures("keyed")
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["make", "x", "--zone", "none.example"], "there is no zone none.example"),
        (["make", ""], "a customer needs a name of 1 to 100 printable characters"),
        (["revoke", "9"], "there is no customer's key 9"),
    ],
)
def test_refusals(rbl: Callable[..., Ran], arguments: list[str], words: str) -> None:
    """What cannot be done ends with status 1 and a sentence."""
    assert Ran(1, "", f"rbl: {words}\n") == rbl("customer", *arguments)


def test_a_list_without_keys_gets_none(rbl: Callable[..., Ran], zone_file: Path) -> None:
    """A key of a list that asks for none would be an ordinary label: it is not made."""
    ran = rbl("customer", "make", "isp.example")

    assert f"rbl: {zone_file} has no keys: write [keys] and required = false, or true, into it\n" == ran.err


def ask(listen: Listen, label: str) -> str:
    """Return what DNS answers of 127.0.0.2 with this key."""
    qname = f"2.0.0.127.{label}.relays.example"
    reply = dns_query.udp(dns_message.make_query(qname, "A"), listen.host, 10, listen.port)
    records = [record.to_text() for rrset in reply.answer for record in rrset]
    return "; ".join(records) or dns_rcode.to_text(reply.rcode())


def wait_until(listen: Listen, label: str, answer: str) -> int:
    """Ask until *answer* comes, and return how often another came."""
    asked = 0
    while ask(listen, label) != answer:
        asked += 1
    return asked


def test_a_running_server_learns_of_keys(tmp_path: Path) -> None:
    """A key made while it runs is valid soon, a revoked one is refused soon, and its use is counted."""
    installation = Installation(tmp_path)
    zone = installation.zone_file
    zone.write_text(zone.read_text(encoding="utf-8") + KEYS, encoding="utf-8")
    with installation.serving("--only", "dns") as process:
        label = installation.run("customer", "make", "isp.example").stdout.decode().strip()
        wait_until(process.dns, label, "127.0.0.2")
        installation.run("customer", "revoke", "1")
        counted = 1 + wait_until(process.dns, label, "REFUSED")
        assert 0 == process.end()
    line = installation.run("customer", "list").stdout.decode().split()

    assert [str(counted), "revoked"] == [line[3], line[-1]]
