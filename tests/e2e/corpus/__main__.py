"""Tests every configuration of the corpus and prints the report: ``python -m tests.e2e.corpus [name …]``.

As root on Debian and its relatives; what is missing is said. A name is the beginning of a file's name in
``configurations/``, as a regular expression. Exits 1 where something is not as its file says.
"""

import argparse
import sys
import tempfile
from datetime import timedelta
from pathlib import Path

from rbl.store import migrate
from rbl.store.engine import Store
from tests.e2e import needs
from tests.e2e.corpus import configuration, nmap, report, stage
from tests.e2e.corpus.configuration import Configuration
from tests.e2e.corpus.making import PACKAGE_OF

_PATIENCE_SECONDS = 120


def main() -> int:
    """Do what the command line says, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.e2e.corpus", description=__doc__)
    parser.add_argument("names", nargs="*", help="only configurations whose names begin so")
    parser.add_argument(
        "--truth", action="store_true", help="ask the stranger alone, and show what he heard"
    )
    parser.add_argument("--dialogues", action="store_true", help="show the dialogues of what is misjudged")
    parser.add_argument("--nmap", action="store_true", help="ask nmap's smtp-open-relay too")
    parser.add_argument(
        "--patience",
        type=int,
        default=_PATIENCE_SECONDS,
        metavar="SECONDS",
        help=f"how long a test may take, by default {_PATIENCE_SECONDS}; tarpits need more",
    )
    parser.add_argument("--keep", type=Path, help="a folder for the servers' files and logs")
    given = parser.parse_args()
    if missing := needs.missing():
        sys.stderr.write("".join(f"{each}\n" for each in missing))
        return 2
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.keep or Path(temporary)
        trials = _run(folder, given)
    if given.truth:
        sys.stdout.write(_heard(trials))
        wrong = report.untrue(trials)
        sys.stdout.write("\n".join([*wrong, ""]))
    else:
        sys.stdout.write(f"{report.of(trials)}\n")
        wrong = [*report.untrue(trials), *report.misjudged(trials)]
    if given.dialogues:
        names = {line.split(":")[0].split("/")[0] for line in wrong}
        for trial in trials:
            if trial.configuration.name in names:
                sys.stdout.write(f"\n== {trial.configuration.name}\n{trial.dialogue}\n")
    return 1 if wrong else 0


def _run(folder: Path, given: argparse.Namespace) -> list[stage.Trial]:
    configurations = _startable(configuration.read_all(given.names))
    with stage.set_up(folder, configurations) as hosts:
        if given.truth:
            hosts.ask()
            return hosts.trials
        database = folder / "rbl.db"
        store = Store(f"sqlite:///{database}")
        migrate.upgrade(store)
        store.close()
        others = {nmap.NAME: nmap.ask} if given.nmap else {}
        return stage.run(hosts, database, timedelta(seconds=given.patience), others)


def _startable(configurations: list[Configuration]) -> list[Configuration]:
    """Return *configurations* but for those whose servers are not there, which it says."""
    absent = {
        each.server for each in configurations if not (needs.PACKAGES / PACKAGE_OF[each.server]).exists()
    }
    for server in sorted(absent):
        sys.stderr.write(
            f"{server} is left out: it is not unpacked in {needs.PACKAGES} (make corpus does)\n"
        )
    return [each for each in configurations if each.server not in absent]


def _heard(trials: list[stage.Trial]) -> str:
    lines: list[str] = []
    for trial in trials:
        assert trial.truth is not None
        lines.append(f"== {trial.configuration.name}")
        for form, reply in trial.truth.replies.items():
            came = "*" if form in trial.truth.direct else "+" if form in trial.truth.elsewhere else " "
            lines.append(f"{came} {form:18} {reply}")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    sys.exit(main())
