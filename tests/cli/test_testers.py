"""What a worker says at its start of the addresses that it tests from."""

import pytest

from rbl.cli.testers import described
from rbl.config import Probe

MORE = (
    "; with a second {} address, here or of a worker on another machine, a robot"
    " can tell a host that refuses only this one from a closed one (docs/probing.md)"
)


@pytest.mark.parametrize(
    ("sources", "said"),
    [
        (("192.0.2.1",), "tests go out from 192.0.2.1" + MORE.format("IPv4")),
        (("192.0.2.1", "192.0.2.2"), "tests go out from 192.0.2.1, 192.0.2.2"),
        (
            ("192.0.2.1", "192.0.2.2", "2001:db8::1"),
            "tests go out from 192.0.2.1, 192.0.2.2, 2001:db8::1" + MORE.format("IPv6"),
        ),
        (
            ("192.0.2.1", "2001:db8::1"),
            "tests go out from 192.0.2.1, 2001:db8::1" + MORE.format("IPv4 and IPv6"),
        ),
    ],
)
def test_a_worker_says_from_where_tests_go_out(sources: tuple[str, ...], said: str) -> None:
    """And, for a family in which it has one address only, what a second would add."""
    probe = Probe.model_validate(
        {
            "enabled": True,
            "acknowledge": True,
            "ehlo_name": "tester.example",
            "contact": "postmaster@tester.example",
            "source_addresses": sources,
        }
    )

    assert said == described(probe)


def test_a_worker_that_tests_nobody_says_so() -> None:
    """Addresses without leave are none."""
    probe = Probe.model_validate({"source_addresses": "192.0.2.1, 192.0.2.2"})

    assert "tests are off (probe.enabled = false)" == described(probe)
