"""By which names a test goes: the tester's in EHLO, the domains of its recipients and of its senders.

Who discards or refuses the names that he knows of us must meet others: so a test takes, as long as there
are any, names that its host has not seen, and shows no more of them than it needs. A pure choice
(``choose``), and the look into the database that it needs.
"""

import secrets
from collections.abc import Sequence
from dataclasses import replace
from random import Random

from rbl.config import Settings
from rbl.probe.plan import Identity
from rbl.store import probes
from rbl.store.engine import Store
from rbl.store.probes import EnvelopeRow, Names

# With fewer domains a plan keeps to one, so that the next test has another.
_LEAST_FOR_TWO = 3


def of_step(store: Store, settings: Settings, host_id: int, rows: Sequence[EnvelopeRow]) -> Identity:
    """Return by which names a step goes: those of its plan in *rows*, else some that the host has not seen.

    Raises:
        Unavailable: the database does not answer.
    """
    planned = of_plan(rows)
    own = settings.probe.tester_names
    if planned is not None and own and planned.ehlo_name not in own:  # drawn by a worker with other names
        return replace(planned, ehlo_name=own[0])
    if planned is not None:
        return planned
    with store.reading() as session:
        seen = probes.names_seen(session, host_id)
    return choose(settings, seen, secrets.SystemRandom())


def choose(settings: Settings, seen: Sequence[Names | None], dice: Random) -> Identity:
    """Return by which names a test goes whose host has *seen* those, the latest last.

    None among them stands for the main names, and a name counts as seen in whatever place it was. What
    has not been seen comes first, drawn by *dice*; then what was not seen for longest. Of three and more
    domains the forms take turns with a second one, in another top-level domain where there is one, and
    one that was seen before rather than a new one. One form has its recipient under another top-level
    domain than the others, where there is one.
    """
    main = _main(settings)
    known = [
        name
        for names in (names or main for names in seen)
        for name in (names.recipient_domain, names.sender_domain, names.ehlo_name)
    ]
    domains = _freshest(settings.collector.names, known, dice)
    senders = _freshest(settings.probe.author_domains, known, dice)
    tester = _freshest(settings.probe.tester_names, known, dice)
    domain, *further = domains
    others: tuple[tuple[str, str], ...] = ()
    if len(domains) >= _LEAST_FOR_TWO:
        shown = [one for one in further if one in known]
        second = min(shown or further, key=lambda one: _top(one) == _top(domain))
        others = ((second, senders[0] if senders else second),)
    elsewhere = sorted(further, key=lambda one: one not in known)
    other = next((one for one in elsewhere if _top(one) != _top(domain)), None)
    return Identity(tester[0] if tester else "", domain, senders[0] if senders else domain, others, other)


def of_plan(rows: Sequence[EnvelopeRow]) -> Identity | None:
    """Return by which names the newest plan in *rows* goes, None where there is none that tells it."""
    names = next((row.names for row in reversed(rows) if row.names is not None), None)
    return None if names is None else Identity(names.ehlo_name, names.recipient_domain, names.sender_domain)


def _main(settings: Settings) -> Names:
    """Return the names that every test went by before there were several."""
    domain = settings.collector.names[0]
    senders, testers = settings.probe.author_domains, settings.probe.tester_names
    return Names(domain, senders[0] if senders else domain, testers[0] if testers else "")


def _freshest(names: Sequence[str], seen: Sequence[str], dice: Random) -> list[str]:
    """Return *names*, those that were not seen first and in any order, then those seen longest ago."""
    latest = {name: at for at, name in enumerate(seen)}
    drawn = dice.sample(names, len(names))
    return sorted(drawn, key=lambda name: latest.get(name, -1))


def _top(domain: str) -> str:
    return domain.rpartition(".")[2]
