"""A part of the corpus, in every run of the tests; the whole is ``make corpus``.

Each configuration is what its file says, by what a stranger gets through it; and the program takes it
for that. Those that it is known to take for something else stand in ``NOT_YET``, and no others.
"""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from tests.e2e import needs
from tests.e2e.corpus import configuration, network, report, stage
from tests.e2e.corpus.configuration import Configuration, Standing, Truth
from tests.e2e.corpus.forms import FORMS
from tests.e2e.corpus.stranger import Found
from tests.e2e.corpus.tester import Outcome

PATIENCE = timedelta(seconds=100)

# What the program takes for another thing than its file says: a configuration, or configuration/change.
# A line that is right by now is a fault of this list, so that it says what is left to do.
NOT_YET: frozenset[str] = frozenset()


@pytest.mark.root
@pytest.mark.timeout(420)  # three rounds as long as PATIENCE at most, on a machine that is busy
def test_part_of_the_corpus(tmp_path: Path, sqlite_url: str) -> None:
    """Every host of the part is what its file says, and is taken for that, but for those of NOT_YET."""
    needs.decide(needs.missing())
    chosen = [each for each in configuration.read_all() if each.in_ci]
    database = Path(sqlite_url.removeprefix("sqlite:///"))
    with stage.set_up(tmp_path / "internet", chosen) as hosts:
        trials = stage.run(hosts, database, PATIENCE)
    text = report.of(trials)
    taken = {
        each.configuration.name: each.outcome.standing for each in trials if each.outcome is not None
    } | {
        f"{each.configuration.name}/{name}": outcome.standing
        for each in trials
        for name, outcome in each.later.items()
    }
    expected = {each.name: each.expect for each in chosen} | {
        f"{each.name}/{change.name}": change.expect for each in chosen for change in each.later
    }

    assert report.untrue(trials) == [], text
    assert listed_closed_hosts(trials) == [], text
    wrong = {name for name, standing in expected.items() if taken.get(name) is not standing}
    assert wrong == NOT_YET, text


def listed_closed_hosts(trials: list[stage.Trial]) -> list[str]:
    """Return the names of the hosts that relay nothing and were listed: there must be none, ever."""
    return [
        each.configuration.name
        for each in trials
        if each.configuration.truth is Truth.CLOSED
        and each.outcome is not None
        and each.outcome.standing is Standing.LISTED
    ]


def test_every_file_can_be_read() -> None:
    """Every file of the corpus says something, of at least forty hosts, and of each kind some."""
    corpus = configuration.read_all()

    assert len(corpus) >= 40
    assert {each.truth for each in corpus} == set(Truth)
    assert {each.server for each in corpus} == {
        "courier", "exim", "haraka", "opensmtpd", "postfix", "sendmail",
    }  # fmt: skip
    assert {family for each in corpus for family in each.families} == {4, 6}


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('colour = "red"', "nobody reads colour"),
        ('open_by = ["magic"]', "there is no form magic"),
        ('truth = "closed"', "a host is closed when it relays no form"),  # yet open by one
    ],
)
def test_file_that_says_nonsense(tmp_path: Path, text: str, fault: str) -> None:
    """A slip in a file is no configuration that is tested less."""
    lines = {"truth": 'truth = "open"', "open_by": 'open_by = ["plain"]', text.partition(" ")[0]: text}
    file = tmp_path / "wrong.toml"
    file.write_text("\n".join(['server = "postfix"', 'remarks = ""', *lines.values()]))

    with pytest.raises(ValueError, match=fault):
        configuration.read(file)


def test_report_names_what_is_wrong() -> None:
    """The report says of each host that is not what its file says, or was taken for another, how."""
    place = network.places([next(each for each in configuration.read_all() if each.in_ci)])[0]
    host: Configuration = replace(
        place.configuration,
        name="host",
        truth=Truth.OPEN,
        open_by=frozenset({"bang"}),
        expect=Standing.LISTED,
    )
    found = Found(frozenset({"bang", "quoted"}), frozenset(), dict.fromkeys(FORMS, ""))
    outcome = Outcome(Standing.CLOSED, "it relayed nothing", 1.25, 4, 79)
    trial = stage.Trial(host, place, truth=found, outcome=outcome, others={"nmap": "open 1/16"})
    text = report.of([trial])

    assert report.untrue([trial]) == ["host: is said to be open by bang, and is by bang, quoted"]
    assert report.misjudged([trial]) == ["host: closed, not listed (it relayed nothing)"]
    assert "host           open   closed (!)  4      79        1.2      open 1/16" in text
    assert "truth           listed    closed    review   nothing\nopen                 0         1" in text
