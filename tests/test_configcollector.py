"""What the collector may keep."""

import pytest
from pydantic import ValidationError

from rbl.configcollector import CollectorDomains, CollectorStore


def test_the_parts_fit_the_whole() -> None:
    """A quota that a smaller one lies in is not the smaller of the two."""
    one, two = 32 * 1024, 64 * 1024
    CollectorStore(octets_per_token=one, octets_per_test=one, octets=one, postbox_octets=0)
    for wrong in (
        {"octets_per_token": two, "octets_per_test": one},
        {"octets_per_token": one, "octets_per_test": two, "octets": one},
    ):
        with pytest.raises(ValidationError, match="octets must not be less than octets_per_test"):
            CollectorStore.model_validate(wrong)


def test_the_domains_of_the_collector() -> None:
    """The old setting stands for the main one, before those of the new; without any it is the default."""
    assert ("relaytest.localhost",) == CollectorDomains().names
    assert ("a.example",) == CollectorDomains(domain="a.example").names
    assert ("b.example", "c.example") == CollectorDomains(domains=("b.example", "c.example")).names
    assert ("a.example", "b.example") == CollectorDomains(
        domain="a.example", domains=("b.example", "a.example")
    ).names
