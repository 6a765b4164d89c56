"""The tester's own page: what the lines in a mail server's log were, for whoever follows the tester's name.

Made once, from the settings in force, and served from memory: it asks no database, so it is there while
everything else stands still. One file, without scripts, for a phone too. A tester says who it is and what
it does (RFC 6471 §3.6); the policy page of the list says the rest.
"""

import base64
import hashlib
from collections.abc import Awaitable, Callable, Mapping
from importlib.resources import files

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from rbl.config import Settings
from rbl.lifecycle import Policy
from rbl.web import views, wording

_STYLE = "tester.css"
_AGE_SECONDS = 3_600  # what it says changes with the settings


def create_app(settings: Settings, list_name: str, times: Policy) -> Starlette:
    """Return the application that serves the page of *settings*' tester, which tests for *list_name*."""
    style = files("rbl.web").joinpath("static", _STYLE).read_text(encoding="utf-8")
    body = page(settings, list_name, times, style).encode()
    headers = _headers(style)

    async def show(_request: Request) -> Response:
        return Response(body, headers=headers, media_type="text/html")

    async def robots(_request: Request) -> Response:
        return PlainTextResponse("User-agent: *\nAllow: /\n", headers=headers)

    return Starlette(
        routes=[Route("/", show), Route("/robots.txt", robots)],
        exception_handlers={
            404: _saying("there is one page here: /\n", headers),
            405: _saying("GET and HEAD are allowed\n", {**headers, "Allow": "GET, HEAD"}),
        },
    )


def page(settings: Settings, list_name: str, times: Policy, style: str) -> str:
    """Return the page as HTML, with *style* in it."""
    probe = settings.probe
    sources = (probe.source_address, probe.second_source_address)
    return views.ENVIRONMENT.get_template("tester.html.j2").render(
        style=style,
        list_name=list_name,
        name=probe.tester_names[0],
        contact=probe.contact,
        sources=[source for source in sources if source is not None],
        domain=settings.collector.names[0],
        public_url=settings.web.public_url,
        probe=probe,
        times=times,
        day=wording.DAY,
    )


def _headers(style: str) -> Mapping[str, str]:
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return {
        # Nothing but the one style that stands in the page: CSP 3 §6.7.3.
        "Content-Security-Policy": (
            f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none';"
            " frame-ancestors 'none'"
        ),
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": f"public, max-age={_AGE_SECONDS}",
    }


def _saying(text: str, headers: Mapping[str, str]) -> Callable[[Request, Exception], Awaitable[Response]]:
    """Return what answers a fault with *text*."""

    async def say(_request: Request, fault: Exception) -> Response:
        return PlainTextResponse(text, getattr(fault, "status_code", 404), headers)

    return say
