"""All hosts of a set of configurations at once: started, asked by the stranger, tested by the program.

What each step found is kept in one trial for each configuration; nothing is judged here.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from tests.e2e import world
from tests.e2e.corpus import making, network, stranger, tester, thirdparty
from tests.e2e.corpus.configuration import Change, Configuration, Standing
from tests.e2e.corpus.network import VANTAGES, Place
from tests.e2e.corpus.stranger import Found
from tests.e2e.corpus.tester import Outcome, Tester
from tests.e2e.corpus.thirdparty import Mailbox
from tests.e2e.hosts import Host, internet
from tests.e2e.postfix import Postfix
from tests.e2e.servers import Server
from tests.e2e.unbound import Unbound

Ask = Callable[[Host, Place], str]
"""Says in words what another program on a host takes a place for."""

_STARTED_AT_ONCE = 4
_ASKED_AT_ONCE = 12
_LOOK_AGAIN_SECONDS = 0.25


@dataclass(slots=True)
class Trial:
    """What was found of one configuration."""

    configuration: Configuration
    place: Place
    truth: Found | None = None
    outcome: Outcome | None = None
    dialogue: str = ""
    others: dict[str, str] = field(default_factory=dict)  # what other programs said: name → words
    later: dict[str, Outcome] = field(default_factory=dict)  # change → what the retest came to


class Stage:
    """The hosts of *configurations*, with their servers running, and everybody around them."""

    def __init__(self, hosts: dict[str, Host], places: Sequence[Place], mailbox: Mailbox) -> None:
        self.trials = [Trial(place.configuration, place) for place in places]
        self.hosts = hosts
        self._mailbox = mailbox
        self._servers: dict[str, Server] = {}
        # A server dies with the thread that started it: these live as long as the stage.
        self._starters = ThreadPoolExecutor(_STARTED_AT_ONCE)

    def start(self) -> None:
        """Start all servers."""

        def start(trial: Trial) -> None:
            place = trial.place
            server = making.server(place, self.hosts[place.key], trial.configuration.settings)
            self._servers[place.key] = server.__enter__()

        _each(self.trials, start, self._starters)

    def stop(self) -> None:
        """End all servers."""
        for server in self._servers.values():
            server.stop()
        self._starters.shutdown()

    def ask(self) -> None:
        """Have the stranger find the truth."""

        def ask(trial: Trial) -> None:
            trial.truth = stranger.ask(self.hosts["stranger"], trial.place, self._mailbox)

        with ThreadPoolExecutor(_ASKED_AT_ONCE) as threads:
            _each(self.trials, ask, threads)

    def test(self, program: Tester, patience: timedelta) -> None:
        """Have the program test every host, and wait for what that comes to as long as *patience*."""
        for trial in self.trials:
            program.nominate(trial.place)
        for trial, outcome in _outcomes(program, self.trials, patience):
            trial.outcome = outcome
            trial.dialogue = program.dialogue(trial.place)

    def ask_other(self, name: str, ask: Ask) -> None:
        """Have another program say what it takes each host for, from where the stranger is."""

        def one(trial: Trial) -> None:
            trial.others[name] = ask(self.hosts["stranger"], trial.place)

        with ThreadPoolExecutor(_ASKED_AT_ONCE) as threads:
            _each(self.trials, one, threads)

    def change(self, program: Tester, patience: timedelta) -> None:
        """For each change of a host that is listed: its administrator makes it, and asks for a retest.

        Changes of one host follow one another, those of different hosts are looked at together.
        """
        for number in range(max((len(each.configuration.later) for each in self.trials), default=0)):
            changed = [
                (trial, trial.configuration.later[number])
                for trial in self.trials
                if number < len(trial.configuration.later) and _is_listed(program, trial)
            ]
            _each(changed, self._make, self._starters)
            for trial, _ in changed:
                program.ask_retest(trial.place)
            names = {trial.place.key: change.name for trial, change in changed}
            for trial, outcome in _outcomes(program, [trial for trial, _ in changed], patience):
                trial.later[names[trial.place.key]] = outcome
                trial.dialogue = program.dialogue(trial.place)

    def _make(self, of: tuple[Trial, Change]) -> None:
        trial, change = of
        old = self._servers[trial.place.key]
        log = old.log()
        old.stop()
        seen = [each for each in VANTAGES if each in log or each in trial.dialogue] or VANTAGES[:1]
        server = making.server(trial.place, self.hosts[trial.place.key], change.settings, seen)
        self._servers[trial.place.key] = server.__enter__()


@contextmanager
def set_up(folder: Path, configurations: Sequence[Configuration]) -> Iterator[Stage]:
    """Yield the stage for *configurations* with all their servers running."""
    places = network.places(configurations)
    with ExitStack() as stack:
        hosts = stack.enter_context(
            internet(folder, network.plan(places), resolver=world.ADDRESSES["resolver"][0])
        )
        stack.enter_context(Unbound(hosts["resolver"], network.names(places), {}))
        mailbox = stack.enter_context(thirdparty.receiving(hosts["third"]))
        everybody = {"mynetworks": "198.18.0.0/15"}
        stack.enter_context(Postfix(hosts["smarthost"], "out.provider.example", everybody))
        stage = Stage(hosts, places, mailbox)
        stack.callback(stage.stop)
        stage.start()
        yield stage


def run(
    stage: Stage, database: Path, patience: timedelta, others: Mapping[str, Ask] | None = None
) -> list[Trial]:
    """Return what the stranger, the program and *others* found, and the program after the changes.

    *database* is a SQLite file of the newest schema. The stranger and the program do not wait for each
    other: no host tells one the other's truth.
    """
    host, visitor = stage.hosts["blocklist"], stage.hosts["stranger"]

    def ask() -> None:
        stage.ask()
        for name, other in (others or {}).items():
            stage.ask_other(name, other)

    with ThreadPoolExecutor(1) as asking, tester.driven(host, visitor, database) as program:
        asked = asking.submit(ask)
        stage.test(program, patience)
        asked.result()
        stage.change(program, patience)
    return stage.trials


def _is_listed(program: Tester, trial: Trial) -> bool:
    return program.undecided(trial.place).standing is Standing.LISTED


def _outcomes(
    program: Tester, trials: Iterable[Trial], patience: timedelta
) -> Iterator[tuple[Trial, Outcome]]:
    """Yield the outcome of the test of each of *trials* as it comes, and at last of what is undecided."""
    waiting = list(trials)
    end = time.monotonic() + patience.total_seconds()
    while waiting and time.monotonic() < end:
        found = program.outcomes([trial.place for trial in waiting])
        yield from ((trial, found[trial.place.key]) for trial in waiting if trial.place.key in found)
        waiting = [trial for trial in waiting if trial.place.key not in found]
        time.sleep(_LOOK_AGAIN_SECONDS)
    for trial in waiting:
        yield trial, program.undecided(trial.place)


def _each(of: Iterable[object], function: Callable[..., None], threads: ThreadPoolExecutor) -> None:
    """Call *function* with each *of* them in *threads*; raise all faults when all are done."""
    started = [threads.submit(function, each) for each in of]
    wait(started)
    if faults := [fault for each in started if isinstance(fault := each.exception(), Exception)]:
        raise ExceptionGroup("not all could be done", faults)
