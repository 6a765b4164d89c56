"""The made-up internet, with real servers on it, each started by the test that asks for it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e import needs, world
from tests.e2e.hosts import Host, internet
from tests.e2e.postfix import OPEN_RELAY, Postfix, mail_exchanger, mailboxes
from tests.e2e.unbound import Unbound


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[dict[str, Host]]:
    """The hosts of the made-up internet by name, with no server on any."""
    needs.decide(needs.missing())
    with internet(tmp_path, world.ADDRESSES, resolver=world.ADDRESSES["resolver"][0]) as hosts:
        yield hosts


@pytest.fixture
def resolver(hosts: dict[str, Host]) -> Iterator[Unbound]:
    """What every host asks: knows all names, and asks the blocklist host for the blocklist's zone."""
    with Unbound(hosts["resolver"], world.names(), {world.ZONE: hosts["blocklist"].address}) as unbound:
        yield unbound


@pytest.fixture
def isp(hosts: dict[str, Host], resolver: Unbound) -> Iterator[Postfix]:
    """The ISP's mail exchanger, which asks the blocklist about every client."""
    settings = mail_exchanger(world.ISP_DOMAIN, [world.CUSTOMER], blocklist=world.ZONE)
    with Postfix(hosts["isp"], "mx.isp.example", settings) as postfix:
        yield postfix


@pytest.fixture
def relay(hosts: dict[str, Host], resolver: Unbound) -> Iterator[Postfix]:
    """A mail server that relays for anybody, and keeps the mail of its own user."""
    settings = {**mailboxes(world.RELAY_DOMAIN, [world.RELAY_USER]), **OPEN_RELAY}
    with Postfix(hosts["relay"], "mail.relay.example", settings) as postfix:
        yield postfix
