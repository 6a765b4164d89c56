"""The settings of what mail the collector takes, and of what it keeps: ``[collector.store]``."""

from typing import Self

from pydantic import Field, model_validator

from rbl.configvalues import Hostname, Section, Several


class CollectorDomains(Section):
    """Whose mail the collector takes."""

    domain: Hostname = "relaytest.localhost"
    """The domain of the test recipients. Its MX must be this collector and nothing else."""
    domains: Several[Hostname] = ()
    """The same where there are several, the main one first; a domain that is set stands before them. In
    different top-level domains and of different depths, each with an MX of its own name: tests choose among
    them, and a retest takes one that the host has not seen."""

    @property
    def names(self) -> tuple[str, ...]:
        """Every domain whose mail is taken, the main one first."""
        main = (self.domain,) if "domain" in self.model_fields_set or not self.domains else ()
        return tuple(dict.fromkeys((*main, *self.domains)))


class CollectorStore(Section):
    """How much the collector keeps of what strangers send it. What has no room is put off (452)."""

    octets_per_token: int = Field(default=1024 * 1024, ge=32 * 1024)
    """Of what comes back to one address of a test, compressed; two of the largest messages at least."""
    octets_per_test: int = Field(default=4 * 1024 * 1024, ge=32 * 1024)
    """Of what comes back to all addresses of one test, compressed."""
    octets: int = Field(default=1024 * 1024 * 1024, ge=32 * 1024)
    """Of what came back in all tests, compressed."""
    postbox_octets: int = Field(default=16 * 1024 * 1024, ge=0)
    """Of mail to postmaster@ and abuse@, in the folder postbox of data_dir; 0: none is taken."""

    @model_validator(mode="after")
    def _parts_fit_the_whole(self) -> Self:
        if not self.octets_per_token <= self.octets_per_test <= self.octets:
            msg = "octets must not be less than octets_per_test, nor that than octets_per_token"
            raise ValueError(msg)
        return self
