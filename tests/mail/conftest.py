"""What the tests of evidence share: a nominator, a time, and messages that his MX took."""

from collections.abc import Callable
from datetime import UTC, datetime
from ipaddress import ip_network

import pytest

from rbl.terms import Nominator, Role, Trust


@pytest.fixture(scope="session")
def now() -> datetime:
    """An hour after the date that the tests' Received fields bear."""
    return datetime(2024, 3, 5, 12, 0, tzinfo=UTC)


@pytest.fixture(scope="session")
def nominator() -> Nominator:
    return Nominator(
        key_id=1,
        name="postmaster of nominator.example",
        role=Role.NOMINATOR,
        trust=Trust.NORMAL,
        mx_names=frozenset({"mx.nominator.example", "store.nominator.example", "localhost"}),
        internal_networks=(ip_network("192.0.2.0/24"), ip_network("2001:db8:1::/48")),
    )


@pytest.fixture(scope="session")
def spam() -> Callable[..., bytes]:
    """Build a spam from its Received fields, given without name and date where they have none."""

    def build(*received: str, header: str = "", body: str = "Buy now\n") -> bytes:
        fields = [
            f"Received: {field if ';' in field else field + '; Tue, 5 Mar 2024 12:00:00 +0100'}"
            for field in received
        ]
        text = "\n".join(
            [*fields, "From: a@spam.example", "Message-ID: <1@spam.example>", "Subject: Offer"]
        )
        return f"{text}\n{header}\n{body}".encode("utf-8", "surrogateescape")

    return build
