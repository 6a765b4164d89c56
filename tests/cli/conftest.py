"""Running the command line inside the test's process, with settings of its own."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from rbl.cli import main, parts
from rbl.cli.opening import prepare
from rbl.cli.parts import Built
from rbl.config import Settings
from rbl.store.engine import Store

Building = Callable[..., Built]

ZONE = """\
apex = "relays.example"
url = "http://127.0.0.1:8080/a/{address}"

[soa]
mname = "ns1.example"
rname = "hostmaster@example.org"

[ns]
names = ["ns1.example"]

[reasons.open-relay]
title = "Open relay"
addresses = ["127.0.0.2"]
text = "Open relay, see {url}"
"""


@dataclass(frozen=True, slots=True)
class Ran:
    """What a command said, and its exit status."""

    status: int
    out: str
    err: str


@pytest.fixture
def zone_file(tmp_path: Path) -> Path:
    """A small zone file without faults."""
    file = tmp_path / "zone.toml"
    file.write_text(ZONE, encoding="utf-8")
    return file


@pytest.fixture
def rbl(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    zone_file: Path,
    tmp_path: Path,
    sqlite_template: Path,
) -> Callable[..., Ran]:
    """Run ``rbl`` with the arguments given, on a database and a folder of this test.

    The database is there as ``rbl serve`` makes it.
    """
    monkeypatch.chdir(tmp_path)
    shutil.copy(sqlite_template, tmp_path / "rbl.db")
    store = Store(f"sqlite:///{tmp_path}/rbl.db")
    prepare(store, ["relays.example"])
    store.close()
    monkeypatch.setenv("RBL_ZONES", str(zone_file))
    monkeypatch.setenv("RBL_DATA_DIR", str(tmp_path / "var"))
    monkeypatch.setenv("RBL_DATABASE__URL", f"sqlite:///{tmp_path}/rbl.db")

    def run(*arguments: str) -> Ran:
        monkeypatch.setattr("sys.argv", ["rbl", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        status = ended.value.code
        return Ran(status if isinstance(status, int) else 0, said.out, said.err)

    return run


@pytest.fixture
def building(zone_file: Path, tmp_path: Path, sqlite_url: str) -> Iterator[Building]:
    """Builds from settings that differ from the defaults as given."""
    stores = []

    def build(**changed: object) -> Built:
        settings = Settings.model_validate(
            {"zones": [zone_file], "data_dir": tmp_path / "var", "database": {"url": sqlite_url}, **changed}
        )
        stores.append(Store(sqlite_url))
        return parts.build(settings, lambda: stores[-1])

    yield build
    for store in stores:
        store.close()
