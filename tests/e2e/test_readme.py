"""What the README tells a postmaster to write, word for word, given to the real servers."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.e2e import blocklist, needs, world
from tests.e2e.blocklist import Blocklist
from tests.e2e.hosts import Host, internet
from tests.e2e.letters import hand_over
from tests.e2e.nameservers import Named
from tests.e2e.postfix import Postfix, mailboxes
from tests.e2e.servers import eventually
from tests.e2e.unbound import Unbound
from tests.e2e.visitor import DnsAnswer, Visitor

README = Path(__file__).parents[2] / "README.md"
CUSTOMER = f"{world.CUSTOMER}@{world.ISP_DOMAIN}"
SPAMMER = world.ADDRESSES["spammer"][0]
TEST_POINT = f"2.0.0.127.{world.ZONE}"
# The list's own machine is the one whose resolver is told where the list is.
RESOLVER = world.ADDRESSES["blocklist"][0]


def block(first_line: str) -> str:
    """Return the indented block of the README that begins with *first_line*."""
    lines = README.read_text(encoding="utf-8").splitlines()
    start = lines.index(f"    {first_line}")
    end = next(at for at in range(start, len(lines)) if lines[at] and not lines[at].startswith("    "))
    return "\n".join(line.removeprefix("    ") for line in lines[start:end])


class DocumentedUnbound(Unbound):
    """Unbound with what the README says; of the made-up internet it knows the names."""

    def configure(self) -> None:
        """Write the harness's settings, then the README's."""
        super().configure()
        file = self.config / "unbound.conf"
        # The harness says of every name that it knows nothing of that it does not exist.
        written = file.read_text().replace(
            "server:\n", f'server:\n  local-zone: "{world.ZONE}." transparent\n'
        )
        file.write_text(written + block("server:") + "\n")


class DocumentedNamed(Named):
    """BIND with what the README says."""

    argv = ("named", "-g", "-n", "1", "-c", "/run/config/documented.conf")

    def configure(self) -> None:
        """Write the README's zone beside a resolver's plain options."""
        options = 'options { directory "/run/config"; pid-file none; allow-recursion { any; };\n'
        options += (
            "  session-keyfile none; listen-on-v6 { none; }; dnssec-validation no; };\ncontrols { };\n"
        )
        (self.config / "documented.conf").write_text(options + block(f'zone "{world.ZONE}" {{') + "\n")


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[dict[str, Host]]:
    """The hosts of the made-up internet, all asking the resolver on the list's own machine."""
    needs.decide(needs.missing())
    with internet(tmp_path, world.ADDRESSES, resolver=RESOLVER) as hosts:
        yield hosts


@pytest.fixture
def rbl(hosts: dict[str, Host], sqlite_url: str) -> Iterator[Blocklist]:
    """The list as ``make run`` starts it: DNS on port 5300 of loopback."""
    settings = {"RBL_DNS__LISTEN": "127.0.0.1:5300"}
    with blocklist.serving(hosts["blocklist"], sqlite_url, settings) as rbl:
        yield rbl


@pytest.mark.root
def test_unbound_and_postfix_as_written(hosts: dict[str, Host], rbl: Blocklist) -> None:
    """With the README's lines and no others, Unbound finds the list and Postfix refuses who is on it."""
    restrictions = " ".join(
        block("smtpd_recipient_restrictions = permit_mynetworks, reject_unauth_destination,").split()
    )
    name, _, value = restrictions.partition(" = ")
    settings = {
        **mailboxes(world.ISP_DOMAIN, [world.CUSTOMER]),
        "mynetworks": "127.0.0.0/8",
        name: value,
        "max_use": "1",
    }
    with (
        DocumentedUnbound(hosts["blocklist"], world.names(), {}),
        Postfix(hosts["isp"], "mx.isp.example", settings),
    ):
        visitor = Visitor(hosts["isp"])
        assert DnsAnswer("NOERROR", ("127.0.0.2",)) == visitor.ask(TEST_POINT, "A", RESOLVER)
        mx = hosts["isp"].address
        assert 250 == hand_over(hosts["spammer"], mx, "a@spammer.example", CUSTOMER).code

        list_by_hand(rbl, SPAMMER)

        eventually(
            lambda: hand_over(hosts["spammer"], mx, "a@spammer.example", CUSTOMER).code == 554,
            lambda: f"never refused:\n{rbl.log()}",
        )


@pytest.mark.root
@pytest.mark.usefixtures("rbl")
def test_bind_as_written(hosts: dict[str, Host]) -> None:
    """With the README's lines BIND finds the list."""
    with DocumentedNamed(hosts["blocklist"], {}, []):
        assert DnsAnswer("NOERROR", ("127.0.0.2",)) == Visitor(hosts["isp"]).ask(TEST_POINT, "A", RESOLVER)


def list_by_hand(rbl: Blocklist, address: str) -> None:
    """List *address* as an operator."""
    body = {"network": address, "reason": "open-relay", "why": "seen by hand"}
    headers = {"Authorization": f"Bearer {rbl.admin_key}", "Content-Type": "application/json"}
    at = f"http://{rbl.host.address}/v1/listings"
    made = rbl.host.call(
        lambda: httpx2.post(at, content=json.dumps(body).encode(), headers=headers, timeout=30)
    )
    assert 201 == made.status_code, made.text
