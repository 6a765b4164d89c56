"""Names of keys must not be taken for what the program calls itself."""

import pytest
from typer.main import get_command

from rbl import cli
from rbl.actors import reads_like_ours


@pytest.mark.parametrize(
    "name",
    [
        "public", "Public", "PUBLIC ", "p.u.b.l.i.c", "pubIic", "publ1c", "рublic", "ΡUBLIC",
        "ｐｕｂｌｉｃ", "públic",
        "timer", "T1MER", "Τimer", "collector", "worker", "operator", "0perator",
        "an operator", "Our Tester",
        "set-up", "SetUp", "shell", "key 9", "Key 9 (mx-admin)", "KEY-12", "кey 9", "key９", "admin",
    ],
)  # fmt: skip
def test_a_name_that_reads_like_ours(name: str) -> None:
    """In whatever case, script or punctuation."""
    assert reads_like_ours(name)


@pytest.mark.parametrize(
    "name",
    [
        "first-admin", "mx.example.net", "postmaster at isp.example", "night shift", "public.example",
        "the operator", "Käthe", "keyhole.example", "Почта", "mx-9", "timers.example", "isp 1",
    ],
)  # fmt: skip
def test_other_names_are_free(name: str) -> None:
    """A word among others says whose key it is."""
    assert not reads_like_ours(name)


def test_commands_are_no_names() -> None:
    """What stands in the audit after a command of the shell is not to be had as a name."""
    commands = get_command(cli.app).commands  # type: ignore[attr-defined]

    assert [] == [name for name in commands if not reads_like_ours(name)]
