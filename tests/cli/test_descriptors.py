import resource
import subprocess
import sys

import pytest
from structlog.testing import capture_logs

from rbl.cli import descriptors
from rbl.cli.descriptors import Shares
from rbl.config import Settings
from rbl.errors import ConfigError


def test_with_enough_each_part_has_what_it_wants() -> None:
    """The settings' connections for the web, and nothing is logged."""
    settings = Settings.model_validate({"web": {"limits": {"connections": 1000}}})

    with capture_logs() as logs:
        shares = descriptors.divide(settings, 20_000)

    assert Shares(web=1000, dns=500, collector=240) == shares
    assert [] == logs


def test_the_page_has_its_share() -> None:
    """Where the tester has a page, its connections are among those that are wanted, and never all."""
    page = {"ehlo_name": "tester.example", "contact": "a@b.example", "page_listen": "127.0.0.1:80"}
    settings = Settings.model_validate({"probe": page})

    assert Shares(web=512, dns=500, collector=240, page=128) == descriptors.divide(settings, 20_000)
    assert 16 <= descriptors.divide(settings, 400).page < 128


@pytest.mark.parametrize("limit", [1024, 512, 300])
def test_with_less_each_has_less(limit: int) -> None:
    """Alike, so that all together, and the files that all need, have place; and it is said."""
    with capture_logs() as logs:
        shares = descriptors.divide(Settings(), limit)

    assert shares.web + shares.dns + shares.collector < limit - 160
    assert shares.web >= shares.dns >= shares.collector >= 16
    assert [("descriptors_scarce", limit)] == [(log["event"], log["limit"]) for log in logs]


def test_with_far_too_little_nothing_starts() -> None:
    """It says what is wanted, and how to have it."""
    with pytest.raises(
        ConfigError, match=r"may have 200 files open here, and 1444 are wanted: raise the limit"
    ):
        descriptors.divide(Settings(), 200)


@pytest.mark.parametrize(("soft", "hard", "expected"), [(64, 700, 700), (700, 700, 700)])
def test_a_process_takes_what_it_may(soft: int, hard: int, expected: int) -> None:
    """The limit that a shell or a supervisor set for programs of old is raised as far as it goes."""
    ours = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert ours[1] >= hard
    program = (
        "import resource; from rbl.cli import descriptors;"
        "print(descriptors.raise_limit(), *resource.getrlimit(resource.RLIMIT_NOFILE))"
    )

    ran = subprocess.run(
        ["prlimit", f"--nofile={soft}:{hard}", sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
    )

    assert f"{expected} {expected} {hard}" == ran.stdout.strip()
