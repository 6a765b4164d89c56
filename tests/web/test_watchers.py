from collections.abc import Callable
from dataclasses import replace

import httpx2
import pytest

from rbl.web.parts import Parts
from tests.web.conftest import Served

PROXIED = {"X-Forwarded-For": "192.0.2.9"}


@pytest.mark.parametrize("path", ["/metrics", "/readyz"])
@pytest.mark.parametrize(
    ("web", "headers", "status"),
    [
        ({}, {}, 200),
        ({"watchers": []}, {}, 403),
        ({"watchers": ["192.0.2.0/24", "::1/128"]}, {}, 403),
        ({}, PROXIED, 403),
        ({"trusted_proxies": ["127.0.0.0/8"]}, PROXIED, 403),
        ({"trusted_proxies": ["127.0.0.0/8"]}, {"X-Forwarded-For": "unknown"}, 403),
        ({"trusted_proxies": ["127.0.0.0/8"], "watchers": ["192.0.2.0/24"]}, PROXIED, 200),
        ({"trusted_proxies": ["127.0.0.0/8"]}, {}, 200),
    ],
    ids=[
        "from this machine",
        "nobody is named",
        "another network is named",
        "through a proxy of which nothing was said",
        "through a proxy, from elsewhere",
        "through a proxy, from somewhere",
        "through a proxy, from a network that is named",
        "from the proxy's own machine",
    ],
)
def test_how_the_program_does_is_told_to_watchers_alone(
    serve: Callable[[Parts], Served],
    parts: Parts,
    path: str,
    web: dict[str, object],
    headers: dict[str, str],
    status: int,
) -> None:
    """Others are told why not, and whether it lives is told to everybody."""
    served = serve(replace(parts, settings=parts.settings.model_validate({"web": web})))

    answer = httpx2.get(served.url + path, headers=headers)

    assert status == answer.status_code
    assert ("no-watcher" in answer.text) is (status == 403)
    assert 200 == httpx2.get(f"{served.url}/healthz", headers=headers).status_code
