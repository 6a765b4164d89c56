"""Whether a step may go on talking to its host: looked at before each envelope and each connection."""

from rbl.config import Probe
from rbl.errors import Refused
from rbl.lifecycle import DAY
from rbl.probe.connection import Clock
from rbl.probe.dialogue import PROOFS
from rbl.probe.lease import Lease
from rbl.store import exemptions, probes, runs, switches
from rbl.store.engine import Store
from rbl.store.runs import Claim
from rbl.terms import Address


class Leave:
    """The leave of the step of one claim."""

    def __init__(self, store: Store, probe: Probe, claim: Claim, lease: Lease, clock: Clock) -> None:
        self._store = store
        self._probe = probe
        self._claim = claim
        self._lease = lease
        self._clock = clock

    def is_over(self) -> bool:
        """Whether no further envelope may go out: lost, switched off, opted out, or proven already."""
        with self._store.reading() as session:
            if not (self._lease.holds() and runs.is_held(session, self._claim, self._clock())):
                return True
            try:
                exemptions.refuse_test_of(session, self._claim.address)
            except Refused:
                return True
            proven = any(one.kind in PROOFS for one in probes.receipts(session, self._claim.run_id))
            return proven or not switches.is_on(session, switches.PROBING)

    def connect(self, source: Address | None) -> bool:
        """Count one more connection to the host, and return whether it may be made today.

        From *source*, by default the run's vantage.
        """
        now = self._clock()
        with self._store.writing() as session:
            count = probes.count_connections(session, self._claim.host_id, now - DAY)
            if count >= self._probe.connections_per_day:
                return False
            probes.connect(session, self._claim, now, vantage=source)
        return True
