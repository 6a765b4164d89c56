"""The web application: the public pages, the API under ``/v1``, and what watches the program."""

from fastapi import FastAPI
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from rbl import __version__
from rbl.config import Settings
from rbl.web import (
    api_addresses,
    api_audit,
    api_customers,
    api_events,
    api_exemptions,
    api_hosts,
    api_keys,
    api_limits,
    api_listings,
    api_nominations,
    api_processes,
    api_switches,
    api_zones,
    documents,
    health,
    pages,
    problems,
)
from rbl.web.gone import Gone
from rbl.web.keywatch import KeyWatch
from rbl.web.parts import Parts
from rbl.web.rim import Rim

_NOMINATIONS = "/v1/nominations"
_LARGEST_BODY_OCTETS = 64 * 1024  # every other body is a form or a few fields
_TAGS = [
    {"name": "nominations", "description": "Handing in spam as evidence; needs a nominator's key."},
    {"name": "addresses", "description": "What everybody may look up, and ask for, without a key."},
    {"name": "operators", "description": "Deciding, listing by hand, exempting, reading the audit."},
    {"name": "administrators", "description": "Making and revoking keys."},
    {"name": "watching", "description": "For monitoring."},
]


def create_app(parts: Parts) -> FastAPI:
    """Return the application that serves *parts*; its metrics are added to ``parts.registry``."""
    settings = parts.settings
    app = FastAPI(
        title="rbl",
        summary="A relay blocklist: nominate, look up, retest",
        description="Errors are problem documents (RFC 9457), `application/problem+json`; compare `code`.",
        version=__version__,
        openapi_url="/v1/openapi.json",
        docs_url=None,  # they load scripts from elsewhere, which our pages never do
        redoc_url=None,
        redirect_slashes=False,  # it would lead to whatever host the client named: see problems
        openapi_tags=_TAGS,
        servers=[{"url": settings.web.public_url}],
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
    )
    app.state.parts = parts
    app.state.streams = api_events.Streams()
    app.state.keywatch = KeyWatch(parts.registry)
    for module in (
        api_nominations,
        api_events,
        api_addresses,
        api_hosts,
        api_listings,
        api_exemptions,
        api_keys,
        api_limits,
        api_customers,
        api_audit,
        api_processes,
        api_switches,
        api_zones,
        health,
        pages,
    ):
        app.include_router(module.router)
    problems.install(app)
    app.openapi = documents.writer(app)  # type: ignore[method-assign]  # FastAPI's documented way
    largest_nomination = largest_body_octets(settings)

    def largest_body(path: str) -> int:
        return largest_nomination if path.rstrip("/") == _NOMINATIONS else _LARGEST_BODY_OCTETS

    app.add_middleware(Gone)
    app.add_middleware(
        Rim, public_url=settings.web.public_url, largest_body=largest_body, registry=parts.registry
    )
    # Outermost: whatever counts by client must see the client, not the proxy.
    app.add_middleware(
        ProxyHeadersMiddleware, trusted_hosts=[str(network) for network in settings.web.trusted_proxies]
    )
    parts.registry.register(health.StoreCollector(parts))
    return app


def largest_body_octets(settings: Settings) -> int:
    """Return the limit of the largest body that any request may have: of a nomination.

    The evidence in JSON with every octet escaped is at most six times as long as the message.
    """
    return 6 * settings.lists.max_evidence_octets + _LARGEST_BODY_OCTETS
