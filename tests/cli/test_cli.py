"""What holds for every command."""

from collections.abc import Callable
from pathlib import Path

import pytest

from rbl import __version__
from rbl.responder import compiled
from tests.cli.conftest import Ran

Rbl = Callable[..., Ran]


def test_version(rbl: Rbl) -> None:
    """``rbl --version`` prints the version, and which path answers DNS."""
    assert Ran(0, f"rbl {__version__}, DNS by the {compiled.describe()}\n", "") == rbl("--version")


def test_help_without_a_command(rbl: Rbl) -> None:
    """``rbl`` alone lists the commands."""
    ran = rbl()

    for command in ("serve", "demo", "nominate", "zone", "key", "probing", "settings"):
        assert command in ran.out + ran.err


def test_faults_of_the_configuration_are_told_together(rbl: Rbl, tmp_path: Path) -> None:
    """A wrong configuration ends with status 1 and a line for each fault, never a traceback."""
    file = tmp_path / "wrong.toml"
    file.write_text('[dns]\nlisten = ["nowhere"]\n[log]\nlevel = "loud"\n', encoding="utf-8")

    ran = rbl("--config", str(file), "key", "list")

    assert 1 == ran.status
    assert "" == ran.out
    first, *faults = ran.err.splitlines()
    assert "rbl cannot start, since the configuration has faults:" == first
    assert ["dns.listen", "log.level"] == [line.split(": ")[1] for line in faults]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--config", "nowhere.toml", "key", "list"], "nowhere.toml: there is no such file"),
        (["zone", "check", "nowhere.toml"], "nowhere.toml"),
        (["nominate", "nowhere.eml"], "nowhere.eml cannot be read: No such file or directory"),
        (["key", "revoke", "9"], "there is no key 9"),
        (["key", "make", ""], "a key needs a name of 1 to 100 printable characters"),
        (["key", "make", "x", "--internal", "10.0.0.1/8"], "did you mean 10.0.0.0/8?"),
        (["key", "make", "x", "--internal", "everywhere"], "'everywhere' is not an IP address"),
        (
            ["serve", "--only", "dns,mail"],
            "--only takes some of dns, web, collector, worker, not 'dns,mail'",
        ),
        (["serve", "--only", ","], "--only takes some of"),
    ],
)
def test_refusals(rbl: Rbl, arguments: list[str], words: str) -> None:
    """Bad input ends with status 1 and a sentence that names the value, never a traceback."""
    ran = rbl(*arguments)

    assert 1 == ran.status
    assert words in ran.err
    assert "Traceback" not in ran.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["key", "make"], "Missing argument 'name'"),
        (["key", "make", "x", "--role", "king"], "king"),
        (["key", "revoke", "four"], "should be a valid integer"),
        (["fly"], "No such command 'fly'"),
    ],
)
def test_wrong_usage(rbl: Rbl, arguments: list[str], words: str) -> None:
    """A command that does not exist, or is called wrongly, ends with status 2 and says how."""
    ran = rbl(*arguments)

    assert 2 == ran.status
    assert words in ran.err


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("mysql://db/rbl", "mysql is not supported: use sqlite or postgresql"),
        ("not a url", "is no database URL"),
        ("sqlite://", "SQLite needs a file"),
    ],
)
def test_wrong_database(rbl: Rbl, monkeypatch: pytest.MonkeyPatch, url: str, words: str) -> None:
    """A database that cannot be used is a fault of the configuration."""
    monkeypatch.setenv("RBL_DATABASE__URL", url)

    ran = rbl("key", "list")

    assert 1 == ran.status
    assert words in ran.err


def test_database_that_does_not_answer(rbl: Rbl, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A database that is down ends a command with a sentence."""
    monkeypatch.setenv("RBL_DATABASE__URL", f"postgresql:///rbl?host={tmp_path}")

    ran = rbl("key", "list")

    assert 1 == ran.status
    assert "rbl: the database does not answer" in ran.err
