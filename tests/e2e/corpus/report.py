"""What the corpus found, as text: a line for each configuration, the confusion matrix, what is wrong."""

from collections import Counter
from collections.abc import Iterable, Sequence

from tests.e2e.corpus.configuration import WIDE_OPEN, Standing, Truth
from tests.e2e.corpus.stage import Trial

_HEAD = ("configuration", "truth", "tester", "conn.", "commands", "seconds")


def of(trials: Sequence[Trial]) -> str:
    """Return the whole report."""
    others = sorted({name for trial in trials for name in trial.others})
    parts = [_table(trials, others), _matrix(trials), _changes(trials)]
    parts += [_matrix_of_other(trials, name) for name in others]
    wrong = [*untrue(trials), *misjudged(trials)]
    parts.append("\n".join(["wrong:", *(f"  {line}" for line in wrong)]) if wrong else "nothing is wrong")
    return "\n\n".join(part for part in parts if part)


def untrue(trials: Iterable[Trial]) -> list[str]:
    """Return a sentence for each configuration that is not what its file says, by the stranger."""
    found: list[str] = []
    for trial in trials:
        assert trial.truth is not None
        configuration, truth = trial.configuration, trial.truth
        relayed = truth.elsewhere if configuration.truth is Truth.CHAIN else truth.direct
        strays = truth.direct if configuration.truth is Truth.CHAIN else truth.elsewhere
        is_wide_open = configuration.open_by == {WIDE_OPEN}
        as_said = WIDE_OPEN in relayed if is_wide_open else relayed == configuration.open_by
        if not as_said or strays:
            found.append(
                f"{configuration.name}: is said to be open by {_words(configuration.open_by)}, and is by"
                f" {_words(relayed)}{f', elsewhere by {_words(strays)}' if strays else ''}"
            )
    return found


def misjudged(trials: Iterable[Trial]) -> list[str]:
    """Return a sentence for each configuration, or change of one, that the program took for another."""
    found: list[str] = []
    for trial in trials:
        configuration, outcome = trial.configuration, trial.outcome
        if outcome is not None and outcome.standing is not configuration.expect:
            found.append(
                f"{configuration.name}: {outcome.standing}, not {configuration.expect} ({outcome.why})"
            )
        for change in configuration.later:
            later = trial.later.get(change.name)
            if later is not None and later.standing is not change.expect:
                name = f"{configuration.name}/{change.name}"
                found.append(f"{name}: {later.standing}, not {change.expect} ({later.why})")
    return found


def _table(trials: Sequence[Trial], others: Sequence[str]) -> str:
    rows = [(*_HEAD, *others)]
    for trial in trials:
        configuration, outcome = trial.configuration, trial.outcome
        cost = ("-", "-", "-", "-") if outcome is None else _cost(trial)
        said = tuple(trial.others.get(name, "-") for name in others)
        rows.append((configuration.name, configuration.truth.value, *cost, *said))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def _cost(trial: Trial) -> tuple[str, str, str, str]:
    outcome = trial.outcome
    assert outcome is not None
    is_right = outcome.standing is trial.configuration.expect
    standing = outcome.standing.value if is_right else f"{outcome.standing.value} (!)"
    return standing, str(outcome.connections), str(outcome.commands), f"{outcome.seconds:.1f}"


def _matrix(trials: Sequence[Trial]) -> str:
    """Return how many of each truth the program took for what."""
    counts = Counter(
        (trial.configuration.truth, trial.outcome.standing) for trial in trials if trial.outcome is not None
    )
    lines = ["".join(["truth".ljust(12), *(each.value.rjust(10) for each in Standing)])]
    for truth in Truth:
        if any(counts[truth, each] for each in Standing):
            cells = (str(counts[truth, each]).rjust(10) for each in Standing)
            lines.append("".join([truth.value.ljust(12), *cells]))
    return "\n".join(lines)


def _matrix_of_other(trials: Sequence[Trial], name: str) -> str:
    """Return the same for another program, in its own words."""
    counts = Counter(
        (trial.configuration.truth, trial.others[name].split(" ")[0])
        for trial in trials
        if name in trial.others
    )
    words = sorted({word for _, word in counts})
    lines = [f"{name}:", "".join(["truth".ljust(12), *(word.rjust(10) for word in words)])]
    for truth in Truth:
        cells = (str(counts[truth, word]).rjust(10) for word in words)
        lines.append("".join([truth.value.ljust(12), *cells]))
    return "\n".join(lines)


def _changes(trials: Sequence[Trial]) -> str:
    """Return what the retests came to after their administrators did something about the listing."""
    lines: list[str] = []
    for trial in trials:
        for change in trial.configuration.later:
            outcome = trial.later.get(change.name)
            name = f"{trial.configuration.name}/{change.name}"
            if outcome is None:
                lines.append(f"{name}: was not listed before")
            else:
                wrong = "" if outcome.standing is change.expect else f" (!), not {change.expect}"
                lines.append(
                    f"{name}: {change.truth}; {outcome.standing}{wrong}, {outcome.seconds:.1f} s,"
                    f" {outcome.connections} connections, {outcome.commands} commands"
                )
    return "\n".join(["after the listing:", *(f"  {line}" for line in lines)]) if lines else ""


def _words(forms: Iterable[str]) -> str:
    return ", ".join(sorted(forms)) or "none"
