"""What the DNS side counts, for /metrics.

The labelled children are kept: looking them up costs more than counting. Logs nothing.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Metric
from prometheus_client.registry import Collector

from rbl.responder.codes import Outcome, Transport


@dataclass(frozen=True, slots=True)
class CountedElsewhere:
    """What the compiled path answered of one zone since the start; of none of ours, the empty name."""

    zone: str
    outcomes: Mapping[Outcome, int]
    octets_in: int
    octets_out: int


class Counters:
    """The metrics of the server and the follower in one *registry*."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._elsewhere = _CountedElsewhere()
        registry.register(self._elsewhere)  # before the others, and so asked before them
        self._queries = Counter(
            "rbl_dns_queries",
            "DNS queries by zone (empty: none of ours), transport and outcome",
            ("zone", "transport", "outcome"),
            registry=registry,
        )
        self._children: dict[tuple[str, Transport, Outcome], Counter] = {}
        self.send_failures = Counter(
            "rbl_dns_send_failures", "DNS answers that the system would not send", registry=registry
        )
        self.overruns = Counter(
            "rbl_dns_overruns",
            "DNS queries for the reference path that were dropped: they came faster than it answers",
            registry=registry,
        )
        self.unplaced_hits = Counter(
            "rbl_dns_hits_unplaced",
            "Answers of listings that were not counted by listing: too many listings were asked for",
            registry=registry,
        )
        displaced = Counter(
            "rbl_dns_connections_displaced",
            "TCP connections, of all or of one client, closed while idle because another one came",
            ("limit",),
            registry=registry,
        )
        self.displaced_total = displaced.labels("total")
        self.displaced_client = displaced.labels("client")
        self.connections = Gauge("rbl_dns_connections", "TCP connections open now", registry=registry)
        self.serial = Gauge("rbl_zone_serial", "Serial that DNS answers from", ("zone",), registry=registry)
        self.listings = Gauge(
            "rbl_zone_listings", "Listings that DNS answers from", ("zone",), registry=registry
        )
        self.refused_batches = Counter(
            "rbl_zone_refused_batches",
            "Generations of a list that the guards refused",
            ("zone",),
            registry=registry,
        )
        self.held = Gauge(
            "rbl_zone_held",
            "1 while the guards hold back a change of the list",
            ("zone",),
            registry=registry,
        )
        self._lag = Gauge(
            "rbl_journal_read_age_seconds",
            "Seconds since the journal was last read with success",
            ("zone",),
            registry=registry,
        )

    def count(self, zone: str, transport: Transport, outcome: Outcome, queries: int = 1) -> None:
        """Count one query, or several alike."""
        child = self._children.get((zone, transport, outcome))
        if child is None:
            child = self._queries.labels(zone, transport.value, outcome.value)
            self._children[zone, transport, outcome] = child
        child.inc(queries)

    def watch(self, tell_counts: Callable[[], None]) -> None:
        """Call *tell_counts* before the metrics are read: it adds here what was counted elsewhere."""
        self._elsewhere.tellers.append(tell_counts)

    def watch_lag(self, zone: str, lag_seconds: Callable[[], float]) -> None:
        """Have the age of the last read of *zone* asked for whenever the metrics are read."""
        self._lag.labels(zone).set_function(lag_seconds)


class _CountedElsewhere(Collector):
    """Has no metric of its own; brings the others up to the moment they are read."""

    def __init__(self) -> None:
        self.tellers: list[Callable[[], None]] = []

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterable[Metric]:
        for tell_counts in self.tellers:
            tell_counts()
        return ()
