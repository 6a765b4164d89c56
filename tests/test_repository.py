"""What holds for the repository as a whole: what may be committed, and where things stand."""

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from rbl import __version__

ROOT = Path(__file__).parent.parent

# What no stranger has or needs. Written so that this file does not match itself.
FOREIGN = {
    "a package registry's host": r"pypi\.org|python[h]osted|npm[j]s\.|crates\.io|(?:deb|security)\.debian",
    "an index address": r"index[-]url|find[-]links|registry *= *[\"']?http",
    "a path of the machine it was written on": r"(?<![\w.-])/(?:work|farm|root|home/\w+)/",
    "a folder beside the checkout": r"\.\./share[d]",
}

# No test file of their own, and why.
UNTESTED_ALONE = {
    "rbl/__main__.py": "two calls, which every process of the tests makes",
    "rbl/configsource.py": "of config, and tested through it",
    "rbl/mail/delivery.py": "facts only",
    "rbl/mail/session.py": "of collector, and tested through it",
    "rbl/cli/listening.py": "of takeover, and tested through it",
    "rbl/cli/partnames.py": "words only, which test_serve gives to the command",
    "rbl/cli/presence.py": "tested with the processes that tell, in test_metricspart",
    "rbl/cli/supervisor.py": "of takeover, and tested through it",
    "rbl/mail/readable.py": "of redact, and tested through it",
    "rbl/mail/wrapping.py": "of evidence, and tested through it",
    "rbl/probe/connection.py": "of smtp, and tested through it",
    "rbl/probe/dialogue.py": "facts only",
    "rbl/probe/leave.py": "of step, and tested through it",
    "rbl/probe/rows.py": "of step, and tested through it",
    "rbl/probe/step.py": "of runner, and tested through it",
    "rbl/responder/binding.py": "of server and of rbl/cli/takeover.py, and tested through them",
    "rbl/responder/codes.py": "words only",
    "rbl/responder/filerecords.py": "of filezones, and tested through it",
    "rbl/responder/following.py": "of follower, and tested through it",
    "rbl/responder/lookup.py": "of answer, and tested through it",
    "rbl/store/due.py": "of runs and vantages, and tested through them",
    "rbl/store/held.py": "tested through rbl zone force, which shows it",
    "rbl/store/probetables.py": "of tables, and tested with them",
    "rbl/store/keytables.py": "of tables, and tested with them",
    "rbl/responder/counters.py": "of server and follower, and tested through them",
    "rbl/responder/udp.py": "of server, and tested through it",
    "rbl/web/server.py": "of connection and door, and tested through them",
    "rbl/zone/answers.py": "of index, and tested through it",
    "rbl/zone/flatten.py": "of index, and tested through it",
    "rbl/zone/ranges.py": "of index, and tested through it",
    "rbl/zone/rbldnsd/kinds.py": "words only",
}
# Tests of no single source file, and why.
TESTS_OF_THE_WHOLE = {
    "tests/test_repository.py": "of the repository",
    "tests/web/test_statements.py": "of a page, through pages and store",
    "tests/probe/test_retest.py": "of a retest through plan, step and conclusion",
    "tests/probe/test_blocking.py": "of retests of hosts that keep the tester out, in every wording",
    "tests/probe/test_siege.py": "of retests through store and tester, on a clock of their own",
    "tests/store/test_renominations.py": "of nominations after every story that a host may have",
    "tests/web/test_openapi.py": "of the whole API: it does as its description says",
    "tests/web/test_roles.py": "of the whole API: who may do what",
    "tests/store/test_kept.py": "of the migrations: what the database refuses",
    "tests/web/test_notes.py": "of every operation that takes a reason",
    "tests/web/test_retired.py": "of pages and API, once evidence and dialogues are kept no longer",
    "tests/web/test_plans.py": "of every statement that the parts execute, seen in the web's world",
    "tests/test_patterns.py": "of every regular expression",
    "tests/cli/test_cli.py": "of rbl/cli/__init__.py: what holds for every command",
    "tests/cli/test_looking.py": "of every command that only reads",
}
FOLDERS_OF_THE_WHOLE = {
    "tests/attacks": "what strangers do to a running list, and what is left of it",
    "tests/e2e": "whole stories with real servers",
    "tests/story": "whole stories with a pretend relay: kills, and a process for each part",
    "tests/refusals": "what a running list refuses, over every way in",
    "tests/golden": "answers in text that two answer paths are held to",
}


def committed() -> list[Path]:
    """Return every file that git keeps."""
    # As root in a user's checkout git would refuse to look.
    listing = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True
    )
    return [ROOT / name for name in listing.stdout.decode().split("\0") if name and (ROOT / name).is_file()]


@pytest.mark.parametrize("what", FOREIGN)
@pytest.mark.skipif(
    not (ROOT / ".git").exists(), reason="unpacked without git: what is committed is unknown"
)
def test_nothing_of_the_authors_machine_is_committed(what: str) -> None:
    """No committed file names a package registry, an index, or a path that only its author has."""
    pattern = re.compile(FOREIGN[what])

    found = [
        f"{file.relative_to(ROOT)}:{number}: {line.strip()[:120]}"
        for file in committed()
        for number, line in enumerate(file.read_text("latin-1").splitlines(), start=1)
        if pattern.search(line)
    ]

    assert [] == found


def sources() -> set[str]:
    """Return the modules that hold code; a package's __init__ only says what the folder is."""
    found = [*ROOT.glob("rbl/**/*.py"), *ROOT.glob("rbl/**/*.pyx")]
    return {str(file.relative_to(ROOT)) for file in found if file.name != "__init__.py"}


def its_test(source: str) -> str:
    """Return the test file of a source file: rbl/zone/index.py is tested in tests/zone/test_index.py."""
    file = Path(source)
    return str(Path("tests", *file.parts[1:-1], f"test_{file.stem.strip('_')}.py"))


def test_each_source_file_has_its_test_file() -> None:
    """A source file without a test file of its own is on the short list, with its reason."""
    missing = {source for source in sources() if not (ROOT / its_test(source)).exists()}

    assert set() == missing - UNTESTED_ALONE.keys()


def test_each_test_file_has_its_source_file() -> None:
    """A test file of no single source file is on the short list, with its reason."""
    tests = {str(file.relative_to(ROOT)) for file in ROOT.glob("tests/**/test_*.py")}
    of_the_whole = {test for test in tests if any(test.startswith(f"{f}/") for f in FOLDERS_OF_THE_WHOLE)}

    assert (
        set()
        == tests - {its_test(source) for source in sources()} - of_the_whole - TESTS_OF_THE_WHOLE.keys()
    )


def test_files_stay_short() -> None:
    """A source file has one reason to exist: 350 lines are enough for it."""
    lengths = {source: len((ROOT / source).read_text().splitlines()) for source in sources()}

    assert {} == {source: lines for source, lines in lengths.items() if lines > 350}


def test_import_contracts_hold() -> None:
    """The layers and the one place of each library are kept, as pyproject.toml states them."""
    linter = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache", "--no-logo"]

    done = subprocess.run(linter, cwd=ROOT, capture_output=True, text=True, check=False)

    assert 0 == done.returncode, done.stdout + done.stderr


LOCK_LINE = re.compile(
    r"(?P<name>[a-z0-9][a-z0-9-]*)==(?P<version>[\w.]+)(?: ; (?P<marker>[^\\]+))? \\"
    r"|    --hash=sha256:[0-9a-f]{64}(?: \\)?"
)


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-dev.lock"])
def test_locks_hold_names_versions_and_hashes_only(lock: str) -> None:
    """A lock works with whatever index a machine has: it names none."""
    lines = (ROOT / lock).read_text().splitlines()

    assert [] == [line for line in lines if not LOCK_LINE.fullmatch(line)]


@pytest.mark.parametrize(
    ("lock", "groups"), [("requirements.lock", ["build"]), ("requirements-dev.lock", ["build", "dev"])]
)
def test_locks_follow_the_project(lock: str, groups: list[str]) -> None:
    """Each dependency is locked at a version that the project allows: else run tools/lock.sh."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = project["project"]["dependencies"] + [
        requirement for group in groups for requirement in project["dependency-groups"][group]
    ]
    locked: dict[str, list[str]] = {}
    for line in map(LOCK_LINE.fullmatch, (ROOT / lock).read_text().splitlines()):
        if line and line["name"]:
            locked.setdefault(line["name"], []).append(line["version"])

    unmet = [
        str(requirement)
        for requirement in map(Requirement, wanted)
        if not any(requirement.specifier.contains(version) for version in locked.get(requirement.name, []))
    ]

    assert [] == unmet


def test_a_wheel_holds_all_that_the_program_needs(tmp_path: Path) -> None:
    """Installed from a wheel, the program finds its migrations, zone files, pages and type marker."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    (wheel,) = tmp_path.glob("rbl-*.whl")
    held = set(zipfile.ZipFile(wheel).namelist())

    needed = {
        **{file: f"rbl/store/{file.relative_to(ROOT)}" for file in ROOT.glob("migrations/**/*.py")},
        **{file: f"rbl/{file.relative_to(ROOT)}" for file in ROOT.glob("zones/*.toml")},
        **{
            file: str(file.relative_to(ROOT))
            for file in ROOT.glob("rbl/**/*")
            if file.suffix not in {".pyc", ".so", ".c"} and file.is_file()
        },
    }
    assert set() == set(needed.values()) - held


def test_the_changelog_knows_this_version() -> None:
    """What is released, or about to be, is told to those who use it."""
    assert f"`{__version__}`" in (ROOT / "CHANGELOG.md").read_text()
