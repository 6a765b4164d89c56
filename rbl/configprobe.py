"""The settings of the names that tests go by, part of ``[probe]``."""

from rbl.configvalues import Hostname, Section, Several


class NamesOfTests(Section):
    """Who the tester says it is, and in whose name it writes."""

    ehlo_name: Hostname | None = None
    """The tester's host name; must resolve to each of its addresses and back."""
    sender_domain: Hostname | None = None
    """The domain of the test senders; by default the collector's."""
    sender_domains: Several[Hostname] = ()
    """The same where there are several; bounces to each must reach the collector, or nobody."""
    ehlo_names: Several[Hostname] = ()
    """Further host names of the tester, each as ehlo_name; a retest greets with one that the host has not
    seen."""

    @property
    def tester_names(self) -> tuple[str, ...]:
        """Every host name that the tester goes by, the main one first."""
        return tuple(dict.fromkeys((*filter(None, (self.ehlo_name,)), *self.ehlo_names)))

    @property
    def author_domains(self) -> tuple[str, ...]:
        """Every domain of test senders, the main one first; empty: the collector's."""
        return tuple(dict.fromkeys((*filter(None, (self.sender_domain,)), *self.sender_domains)))
