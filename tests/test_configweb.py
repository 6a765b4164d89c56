"""The limits of the web server, as settings."""

from datetime import timedelta

import pytest
from pydantic import ValidationError

from rbl.configweb import WebLimits


def test_a_browser_is_within_the_defaults() -> None:
    """It opens six connections, sends some kilobytes of fields, and takes seconds for it."""
    limits = WebLimits()

    assert limits.connections > limits.connections_per_client > 6
    assert limits.header_octets >= 2 * 8_000  # RFC 9112 §3: a line of 8,000 octets
    assert limits.body_timeout > limits.header_timeout >= timedelta(seconds=5)


@pytest.mark.parametrize(
    "changed", [{"connections": 0}, {"connections_per_client": 0}, {"header_octets": 100}, {"unknown": 1}]
)
def test_what_would_let_nobody_in_is_refused(changed: dict[str, int]) -> None:
    """A limit that shuts out everybody is a mistake."""
    with pytest.raises(ValidationError):
        WebLimits.model_validate(changed)
