"""What the parts are built from, and how they are joined. They run in test_serve and in the stories."""

import asyncio
from collections.abc import Callable, Iterator
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest

from rbl.cli import parts
from rbl.cli.opening import now, prepare
from rbl.cli.parts import Built
from rbl.config import Settings
from rbl.errors import BadInput, ConfigError
from rbl.lifecycle import Policy
from rbl.responder.follower import index_path
from rbl.store.engine import Store
from rbl.terms import Nominator, Role, Trust
from tests.cli.process import spam

Building = Callable[..., Built]
NOMINATOR = Nominator(1, "isp.example", Role.NOMINATOR, Trust.NORMAL, frozenset({"mx.isp.example"}), ())


@pytest.fixture
def building(zone_file: Path, tmp_path: Path, sqlite_url: str) -> Iterator[Building]:
    """Builds from settings that differ from the defaults as given."""
    stores = []

    def build(**changed: object) -> Built:
        settings = Settings.model_validate(
            {"zones": [zone_file], "data_dir": tmp_path / "var", "database": {"url": sqlite_url}, **changed}
        )
        stores.append(Store(sqlite_url))
        return parts.build(settings, stores[-1])

    yield build
    for store in stores:
        store.close()


def test_policy_is_of_the_zone_and_the_settings(building: Building) -> None:
    """A list has the times of the settings, and lists for the first reason of its zone file."""
    built = building(lists={"approve_listings": True, "retries": [60, 120], "follow_up": 3600})

    (policy,) = built.policies.values()
    assert ("relays.example", "open-relay", ()) == (policy.apex, policy.relay_reason, policy.allow_reserved)
    assert policy.times.approve_listings
    assert (timedelta(minutes=1), timedelta(minutes=2)) == policy.times.retries
    assert timedelta(hours=1) == policy.times.follow_up


def test_every_time_of_the_settings_reaches_the_lifecycle(building: Building) -> None:
    """The defaults of the settings and of the lifecycle are the same."""
    built = building()

    assert Policy() == built.policies["relays.example"].times


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        ({"zones": []}, "name at least one zone file"),
        ({"zones": "{zone},{zone}"}, "has the apex relays.example"),
    ],
)
def test_wrong_zones(building: Building, zone_file: Path, changed: dict[str, object], fault: str) -> None:
    """No zone at all, or the same twice, is a fault of the configuration."""
    zones = changed["zones"]
    given = zones.format(zone=zone_file) if isinstance(zones, str) else zones

    with pytest.raises(ConfigError, match=fault):
        building(zones=given)


def test_mark_key_is_made_once(building: Building) -> None:
    """Every process signs with the same key."""
    built = building()

    assert parts.mark_key(built.store) == parts.mark_key(building().store)


def test_is_on_disk(building: Building, tmp_path: Path) -> None:
    """DNS can begin without the database once there is an index of every zone."""
    built = building()
    before = parts.is_on_disk(built)
    (tmp_path / "var").mkdir()
    index_path(tmp_path / "var", "relays.example").touch()

    assert (False, True) == (before, parts.is_on_disk(built))


def test_worker_names_differ() -> None:
    """A worker's name says on which machine and in which process it is."""
    assert parts.worker_name() == parts.worker_name()
    assert parts.worker_name().rpartition("-")[2].isdecimal()


def test_evidence_of_a_test_network(building: Building) -> None:
    """A reserved address is inside of the nominator's own network, unless it is one that may be tested."""
    outside = parts.web_parts(building(probe={"allow_reserved": ["127.0.0.0/8"]}))
    inside = parts.web_parts(building())

    found = outside.read_evidence(spam("127.0.0.66"), NOMINATOR, now())

    assert ip_address("127.0.0.66") == found.address
    with pytest.raises(BadInput, match="from outside"):
        inside.read_evidence(spam("127.0.0.66"), NOMINATOR, now())


def test_web_alone_says_nothing_of_dns(building: Building) -> None:
    """A process that answers no DNS is ready without it."""
    alone = parts.web_parts(building())

    assert ({}, {}) == (alone.ready(), dict(alone.lists()))


def test_dns_says_ready_with_its_first_index(building: Building) -> None:
    """After the wait DNS has an index, made from the journal."""
    built = building(dns={"listen": ["127.0.0.1:0"]})
    prepare(built.store, built.zones)

    web = parts.web_parts(built)

    async def tell() -> bool:
        async with parts.dns(built) as place:
            assert place.startswith("127.0.0.1:")
            await parts.until_dns_is_ready(built)
            return built.catalogue.ready()

    assert asyncio.run(tell())
    standing = web.lists()["relays.example"]
    assert {"dns": True} == web.ready()
    assert (standing.newest, None) == (standing.serial, standing.held)
    assert parts.is_on_disk(built)
