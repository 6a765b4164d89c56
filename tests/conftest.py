"""What holds for every test, and the databases that tests of several folders use.

Where CI=true says that nothing is missing, a skip is a failure.
"""

import os
import shutil
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from rbl.store import migrate
from rbl.store.engine import Store
from tests import postgresql
from tests.measuring import unmeasured
from tests.postgresql import Databases

# Whole programs that others have measured part by part: a third of their time would go into it.
_UNMEASURED_FOLDERS = ("attacks", "e2e", "refusals", "story")

_MEMORY = "/dev/shm"
_MOST_OCTETS = 4 * 2**30  # far above what tests have at once; that of those which failed is kept

_Report = TypeVar("_Report", pytest.TestReport, pytest.CollectReport)


def _keep_in_memory() -> None:
    """Let tests have their files in memory, where there is a folder of that kind with room for them.

    A thousand tests write to SQLite, and each commit waits for the disk: as long again as the tests take.
    """
    try:
        state = os.statvfs(_MEMORY)
    except OSError:
        return
    has_room = state.f_bavail * state.f_frsize >= _MOST_OCTETS
    if has_room and not state.f_flag & os.ST_NOEXEC and os.access(_MEMORY, os.W_OK):
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", _MEMORY)


_keep_in_memory()


def _no_skip(report: _Report) -> _Report:
    """Return *report* with a skip turned into a failure that tells its reason."""
    if report.skipped and not hasattr(report, "wasxfail") and os.environ.get("CI") == "true":
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = (
            f"{reason}\n(CI=true: what a test needs must be there; make test as root installs it)"
        )
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn the skip of a test into a failure."""
    return _no_skip((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Turn the skip of a whole file into a failure."""
    return _no_skip((yield))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Measure no coverage in a test that is marked so, or is of such a folder, nor in what it starts."""
    of_folder = item.path.parent.name in _UNMEASURED_FOLDERS
    if item.get_closest_marker("unmeasured") is None and not of_folder:
        return (yield)
    with unmeasured():
        return (yield)


@pytest.fixture(scope="session")
def databases() -> Iterator[Databases]:
    """The PostgreSQL of this test process, started for the first test that asks."""
    given = os.environ.get("TEST_PG_URL")
    with postgresql.running(given) as url:
        databases = Databases(url)
        yield databases
        databases.close()


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with the newest schema and nothing in it, to be copied."""
    file = tmp_path_factory.mktemp("sqlite") / "template.db"
    store = Store(f"sqlite:///{file}")
    migrate.upgrade(store)
    store.close()
    return file


@pytest.fixture
def postgresql_url(databases: Databases) -> Iterator[str]:
    """The URL of a PostgreSQL database of the newest schema, with nothing in it, for the test alone."""
    with databases.lent() as url:
        yield url


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    """The URL of a SQLite file of the test's own, with the newest schema and nothing in it."""
    return f"sqlite:///{shutil.copy(sqlite_template, tmp_path / 'rbl.db')}"


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """The URL of an empty database of the newest schema: each test runs on both kinds."""
    return str(request.getfixturevalue(f"{request.param}_url"))


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    """An empty database of the newest schema: each test runs on both kinds."""
    store = Store(database_url)
    yield store
    store.close()
