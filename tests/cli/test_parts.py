"""What the parts are built from, and how they are joined. They run in test_serve and in the stories."""

import asyncio
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from rbl.cli import parts
from rbl.cli.opening import prepare
from rbl.errors import ConfigError
from rbl.lifecycle import Policy
from rbl.responder.follower import index_path
from tests.cli.conftest import Building


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


def test_dns_says_ready_with_its_first_index(building: Building) -> None:
    """After the wait DNS has an index, made from the journal."""
    built = building(dns={"listen": ["127.0.0.1:0"]})
    prepare(built.store, built.zones)

    async def tell() -> bool:
        async with parts.dns(built) as place:
            assert place.startswith("127.0.0.1:")
            await parts.until_dns_is_ready(built)
            return built.catalogue.ready()

    assert asyncio.run(tell())
    assert parts.is_on_disk(built)


def test_dns_waits_for_nothing_that_it_does_not_need() -> None:
    """What the other parts are made of is not imported before DNS answers from the index on disk."""
    late = {"aiosmtpd", "alembic", "dns", "email.mime", "fastapi", "httpx2", "jinja2"}
    late |= {"psycopg", "sqlalchemy", "sqlite3", "starlette", "uvicorn"}
    # What was there before is the measuring of coverage.
    program = "import sys; there = {*sys.modules}; import rbl.cli.parts; print(*{*sys.modules} - there)"
    imported = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert set() == late & set(imported.stdout.split())
