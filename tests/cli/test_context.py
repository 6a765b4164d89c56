"""Which settings a command uses."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Ran


@pytest.mark.parametrize("way", ["option", "variable", "folder"])
def test_where_settings_come_from(
    rbl: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, way: str
) -> None:
    """From --config, from the file that RBL_CONFIG names, or from rbl.toml where the user is."""
    monkeypatch.delenv("RBL_DATABASE__URL")
    file = tmp_path / ("rbl.toml" if way == "folder" else "other.toml")
    file.write_text(f'[database]\nurl = "sqlite:///{tmp_path}/{way}.db"\n', encoding="utf-8")
    if way == "variable":
        monkeypatch.setenv("RBL_CONFIG", str(file))

    ran = rbl(*(["--config", str(file)] if way == "option" else []), "probing", "on")

    assert (0, "probing is on\n") == (ran.status, ran.out)
    assert (tmp_path / f"{way}.db").exists()


def test_the_option_wins(rbl: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """--config wins over RBL_CONFIG."""
    monkeypatch.setenv("RBL_CONFIG", str(tmp_path / "missing.toml"))
    file = tmp_path / "given.toml"
    file.touch()

    assert 0 == rbl("--config", str(file), "key", "list").status
