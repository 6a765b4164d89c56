"""Which path answers: the compiled one where it is there, and what is said where it is not."""

import shutil
import sysconfig
from pathlib import Path

import pytest

from rbl.config import Dns
from rbl.errors import ConfigError
from rbl.responder import compiled

MISSING = "rbl.responder.no_such_module"


def test_where_it_can_be_built_it_is_there() -> None:
    """With a C compiler and Python's headers the package has its compiled path, and all its tests run."""
    can_build = shutil.which("cc") and Path(sysconfig.get_path("include"), "Python.h").exists()

    assert not can_build or compiled.is_built()


@pytest.mark.parametrize(
    ("path", "wanted", "why"),
    [
        ("auto", compiled.is_built(), "what is there"),
        ("reference", False, "the reference path is always there"),
    ],
)
def test_the_settings_choose_the_path(path: str, *, wanted: bool, why: str) -> None:
    """dns.path takes what is there, or the reference path in any case."""
    assert wanted is compiled.is_wanted(Dns.model_validate({"path": path})), why


def test_without_it_the_reference_path_answers_and_says_so() -> None:
    """A package installed without a compiler answers all the same, and tells why it is slower."""
    assert not compiled.is_wanted(Dns(), MISSING)
    assert (
        "reference path: it was not built, for want of a C compiler or of Python's headers"
        == compiled.describe(MISSING)
    )


def test_one_that_cannot_be_loaded_is_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A compiled path of another Python or a damaged one is not taken, and its fault is told."""
    (tmp_path / f"damaged{sysconfig.get_config_var('EXT_SUFFIX')}").write_bytes(b"no library")
    monkeypatch.syspath_prepend(tmp_path)

    assert not compiled.is_wanted(Dns(), "damaged")
    assert compiled.describe("damaged").startswith("reference path: it cannot be loaded (")


def test_to_insist_on_it_where_it_is_not_is_a_fault_of_the_settings() -> None:
    """dns.path = "compiled" does not start without it."""
    with pytest.raises(ConfigError) as raised:
        compiled.is_wanted(Dns(path="compiled"), MISSING)

    why = "it was not built, for want of a C compiler or of Python's headers"
    assert [f"dns.path: the compiled path is wanted, and there is none: {why}"] == raised.value.faults


def test_not_to_want_it_is_said() -> None:
    """Where the settings leave the compiled path aside, the start says whose doing that is."""
    wanted = "reference path: " + (
        "dns.path says so"
        if compiled.is_built()
        else "it was not built, for want of a C compiler or of Python's headers"
    )

    assert wanted == compiled.describe(wanted=False)
    assert wanted.replace("dns.path", "-l") == compiled.describe(wanted=False, unwanted="-l says so")
