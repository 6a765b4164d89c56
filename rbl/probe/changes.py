"""What a plan is made with beside the host's greeting, and how it changes under way: kept in the database.

What it changes to is said by ``course`` and ``plan``. Each method is one transaction.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from rbl.probe import control, plan
from rbl.probe.dialogue import EnvelopeOutcome
from rbl.probe.plan import Envelope, Identity, TokenSource
from rbl.probe.rows import planned_row
from rbl.store import formhistory, nominations, probes
from rbl.store.engine import Store
from rbl.store.probes import EnvelopeRow
from rbl.store.runs import Claim
from rbl.terms import EnvelopeResult

# What came at or after DATA: the recipient had been taken.
_PAST_RCPT = frozenset({EnvelopeResult.QUEUED, EnvelopeResult.REFUSED_DATA})


@dataclass(frozen=True, slots=True)
class Changes:
    """The plan of the claimed run, in *store*."""

    store: Store
    claim: Claim

    def rows(self) -> list[EnvelopeRow]:
        """Return the plan as it stands; empty before it is made."""
        with self.store.reading() as session:
            return list(probes.envelopes(session, self.claim.run_id))

    def relayed_last(self) -> str | None:
        """Return the form by which the host relayed when it was proven last, or None."""
        with self.store.reading() as session:
            return probes.relayed_last(session, self.claim.host_id)

    def weights(self, platform: str | None) -> Mapping[str, int]:
        """Return how much each form is to be preferred on a server of the kind *platform*."""
        with self.store.reading() as session:
            return formhistory.weights(session, platform)

    def proven(self, platform: str | None) -> frozenset[str]:
        """Return the forms that relayed before, on this host or on others of its kind."""
        with self.store.reading() as session:
            last = probes.relayed_last(session, self.claim.host_id)
            return formhistory.seen_on(session, platform) | ({last} if last is not None else set())

    def known_name(self) -> str | None:
        """Return the name by which the host greeted whoever received the newest spam, or None."""
        with self.store.reading() as session:
            return nominations.known_name(session, self.claim.host_id)

    def ask_controls_again(self) -> None:
        """Forget what the controls were told long ago, so that they are asked together with the forms.

        Raises:
            Conflict: the run is held by this worker no more.
        """
        with self.store.writing() as session:
            probes.ask_again(session, self.claim, control.IDS)

    def readdress(self, envelopes: Collection[Envelope]) -> None:
        """Keep that *envelopes* are offered from other senders now.

        Raises:
            Conflict: the run is held by this worker no more.
        """
        if not envelopes:
            return
        with self.store.writing() as session:
            probes.readdress(session, self.claim, {one.test: one.mail_from for one in envelopes})

    def widen(
        self, outcome: EnvelopeOutcome, identity: Identity, hostname: str | None, token: TokenSource
    ) -> None:
        """Add the longer forms of one that was not refused at RCPT to the plan.

        Raises:
            Conflict: the run is held by this worker no more.
        """
        if outcome.result not in _PAST_RCPT:
            return
        with self.store.writing() as session:
            there = {row.test_id for row in probes.envelopes(session, self.claim.run_id)}
            tests = plan.suggested(None, frozenset({outcome.test})) - there
            further = plan.further(tests, self.claim.address, identity, hostname, token)
            probes.widen(session, self.claim, [planned_row(each, identity.ehlo_name) for each in further])
