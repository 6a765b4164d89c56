"""The real application under a real server on SQLite, and a world of hosts in every state."""

import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from ipaddress import IPv4Address
from pathlib import Path

import httpx2
import pytest
from prometheus_client import CollectorRegistry
from starlette.types import ASGIApp

from rbl.config import Settings
from rbl.lifecycle import Policy
from rbl.mail import evidence
from rbl.store import journal, keys, migrate, switches
from rbl.store.engine import Store
from rbl.store.hosts import ZonePolicy
from rbl.store.keys import NewKey
from rbl.terms import Act, Evidence, Nominator, Role, Trust
from rbl.web.app import create_app, largest_body_octets
from rbl.web.parts import Parts
from rbl.web.server import Place, Server
from rbl.zone.zonefile import ApexRecords, Kind, Limits, Reason, Soa, ZoneFile
from tests.web.world import MX, NAMES_ZONE, SECOND_ZONE, START, ZONE, Clock, World


@dataclass(frozen=True, slots=True)
class Hints:
    """How to close one kind of server."""

    title: str
    steps: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Followed:
    """Where a list stands."""

    serial: int | None
    newest: int | None
    lag_seconds: float
    held: str | None


FOLLOWED = Followed(7, 9, 0.25, "too much changes at once")


def zone_file(apex: str, kind: Kind = Kind.ADDRESSES) -> ZoneFile:
    """Return a list with two reasons."""
    name = tuple(label.encode() for label in apex.split("."))
    return ZoneFile(
        apex=name,
        soa=Soa((b"ns1", *name), (b"hostmaster", *name), 300, 3600, 600, 86400, 300),
        name_servers=((b"ns1", *name),),
        name_server_ttl_seconds=3600,
        apex_records=ApexRecords((), (), (), 300),
        reasons={
            "open-relay": Reason("open-relay", (IPv4Address("127.0.0.2"),), "See {url}", 300, "Open relay"),
            "pool": Reason("pool", (IPv4Address("127.0.0.4"),), "See {url}", 600, "Address pool"),
        },
        kind=kind,
        url="http://127.0.0.1:8080/a/{address}",
        limits=Limits(),
        ttl_seconds=300,
    )


IDENTITY = {
    "acknowledge": True,
    "ehlo_name": "tester.example.org",
    "contact": "postmaster@example.org",
    "source_address": "192.0.2.10",
}


@pytest.fixture
def clock() -> Clock:
    """The program's time."""
    return Clock()


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated database, with its lists and switches."""
    file = tmp_path_factory.mktemp("store") / "rbl.db"
    store = Store(f"sqlite:///{file}")
    migrate.upgrade(store)
    with store.writing() as session:
        switches.set_up(session, START)
        journal.open_zone(session, ZONE, START)
        journal.open_zone(session, SECOND_ZONE, START)
        journal.open_zone(session, NAMES_ZONE, START)
    store.close()
    return file


@pytest.fixture
def store(empty_database: Path, tmp_path: Path) -> Iterator[Store]:
    """A database of the test's own."""
    file = tmp_path / "rbl.db"
    shutil.copy(empty_database, file)
    store = Store(f"sqlite:///{file}")
    yield store
    store.close()


@pytest.fixture
def parts(store: Store, clock: Clock) -> Parts:
    """What the application is made of; other parts' callables are plain ones."""
    settings = Settings.model_validate(
        {"web": {"contact": "postmaster@example.org"}, "probe": {**IDENTITY, "enabled": True}}
    )
    lists = settings.lists

    def read(raw: bytes, nominator: Nominator, now: datetime) -> Evidence:
        return evidence.read(raw, nominator, now, lists.max_evidence_age, lists.max_evidence_octets)

    def advice(platform: str | None) -> Hints:
        return (
            Hints("Sendmail", ("Remove FEATURE(promiscuous_relay).", "Rebuild sendmail.cf and restart."))
            if platform == "sendmail"
            else Hints("any server", ("Take mail for other domains from your own users only.",))
        )

    return Parts(
        store=store,
        settings=settings,
        policies={
            ZONE: ZonePolicy(ZONE, "open-relay", Policy()),
            SECOND_ZONE: ZonePolicy(SECOND_ZONE, "open-relay", Policy()),
            NAMES_ZONE: ZonePolicy(NAMES_ZONE, "open-relay", Policy()),
        },
        zone_files={
            ZONE: zone_file(ZONE),
            SECOND_ZONE: zone_file(SECOND_ZONE),
            NAMES_ZONE: zone_file(NAMES_ZONE, Kind.NAMES),
        },
        read_evidence=read,
        published=lambda spam, _: spam.decode("utf-8", "replace"),
        advice=advice,
        form_title=lambda test: {"T15": "percent sign, at the host's name"}.get(test, ""),
        ready=lambda: {"dns": True},
        lists=lambda: {ZONE: FOLLOWED},
        now=clock,
        registry=CollectorRegistry(),
    )


class Served:
    """An application that a real server serves on a port of its own."""

    def __init__(self, parts: Parts, app: ASGIApp | None = None) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))  # connections wait from here on
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self.app = create_app(parts)
        web = parts.settings.web
        self._server = Server(
            app or self.app,
            Place(
                "web",
                [self._socket],
                web.limits.connections,
                largest_body=largest_body_octets(parts.settings),
            ),
            parts.settings,
            parts.registry,
            grace_seconds=1,
        )
        self._thread = threading.Thread(target=self._server.run)
        self._thread.start()

    def stop(self) -> None:
        """Stop serving."""
        self._server.should_exit = True
        self._thread.join()
        self._socket.close()


@pytest.fixture
def serve() -> Iterator[Callable[..., Served]]:
    """Serve an application made of other parts, or another one."""
    served: list[Served] = []

    def start(parts: Parts, app: ASGIApp | None = None) -> Served:
        served.append(Served(parts, app))
        return served[-1]

    yield start
    for each in served:
        each.stop()


@pytest.fixture
def server(serve: Callable[[Parts], Served], parts: Parts) -> Served:
    """The application, served."""
    return serve(parts)


@pytest.fixture
def api(server: Served) -> Iterator[httpx2.Client]:
    """A client of the API, without a key."""
    with httpx2.Client(base_url=server.url) as client:
        yield client


@pytest.fixture
def browser(server: Served) -> Iterator[httpx2.Client]:
    """A client that asks for pages, as a browser without JavaScript does."""
    with httpx2.Client(base_url=server.url, headers={"Accept": "text/html"}) as client:
        yield client


@pytest.fixture
def key(store: Store) -> Callable[..., dict[str, str]]:
    """Make a key, and return the header that shows it."""

    def make(role: Role, name: str = "", trust: Trust = Trust.TRUSTED) -> dict[str, str]:
        new = NewKey(name or f"the {role.value}", role, trust, mx_names=(MX,))
        with store.writing() as session:
            secret, _ = keys.make(session, new, Act("set-up", "made", START))
        return {"Authorization": f"Bearer {secret}"}

    return make


@pytest.fixture
def nominator(key: Callable[..., dict[str, str]]) -> dict[str, str]:
    """A nominator's key."""
    return key(Role.NOMINATOR)


@pytest.fixture
def operator(key: Callable[..., dict[str, str]]) -> dict[str, str]:
    """An operator's key."""
    return key(Role.OPERATOR)


@pytest.fixture
def admin(key: Callable[..., dict[str, str]]) -> dict[str, str]:
    """An administrator's key."""
    return key(Role.ADMIN)


@pytest.fixture
def world(store: Store, clock: Clock, parts: Parts) -> World:
    """A host to which things can happen."""
    return World(store, clock, parts.policies[ZONE])
