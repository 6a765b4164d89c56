from collections.abc import Callable
from dataclasses import replace

import httpx2
import pytest

from rbl.web.parts import Parts
from tests.web.conftest import Served


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/v1/listings", "GET, POST, HEAD, OPTIONS"),
        ("/v1/listings/open-relay/192.0.2.1", "DELETE, OPTIONS"),
        ("/v1/listings/192.0.2.0/28", "GET, HEAD, OPTIONS"),
        ("/v1/listings/2001:db8::/32", "GET, HEAD, OPTIONS"),
        ("/v1/listings/spam.example", "GET, HEAD, OPTIONS"),
        ("/v1/exemptions", "GET, POST, HEAD, OPTIONS"),
        ("/v1/exemptions/192.0.2.0/24", "DELETE, OPTIONS"),
        ("/v1/switches/probing", "GET, PUT, HEAD, OPTIONS"),
        ("/v1/addresses/192.0.2.1/events", "GET, OPTIONS"),
        ("/", "GET, HEAD, OPTIONS"),
        ("/a/192.0.2.1/retest", "POST, OPTIONS"),
    ],
)
def test_every_method_of_a_path_is_told(api: httpx2.Client, path: str, methods: str) -> None:
    """To whoever asks for the options (RFC 9110 §9.3.7), and to whoever uses another method (§15.5.6)."""
    options, patch = api.options(path), api.patch(path)

    assert (204, methods, b"") == (options.status_code, options.headers["Allow"], options.content)
    assert (405, methods) == (patch.status_code, patch.headers["Allow"])


def test_where_nothing_is_there_are_no_options(api: httpx2.Client) -> None:
    """It is not found, whatever is asked of it."""
    assert 404 == api.options("/nowhere").status_code


@pytest.mark.parametrize(
    ("path", "leads_to"),
    [
        ("/policy/", "/policy"),
        ("/v1/zones/?a=b%20c", "/v1/zones?a=b%20c"),
        ("/v1/addresses/2001%3Adb8::1/", "/v1/addresses/2001%3Adb8::1"),
        ("/nowhere/", None),
        ("//evil.example/", None),
        ("/%0d%0aX:%20y/", None),
    ],
)
def test_a_slash_too_many_leads_to_the_public_url(
    serve: Callable[[Parts], Served], parts: Parts, path: str, leads_to: str | None
) -> None:
    """Not to the host that the client, or whoever made his link, wrote into the request."""
    web = parts.settings.web.model_copy(update={"public_url": "https://relays.example.org"})
    served = serve(replace(parts, settings=parts.settings.model_copy(update={"web": web})))

    answer = httpx2.get(served.url + path, headers={"Host": "evil.example"})

    if leads_to is None:
        assert 404 == answer.status_code
    else:
        assert (307, f"https://relays.example.org{leads_to}") == (
            answer.status_code,
            answer.headers["Location"],
        )
