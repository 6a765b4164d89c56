"""Rendering pages: the Jinja2 environment, and how texts of strangers, times and spans are shown.

Everything is escaped, and what a hostile mail server or spam put into a text cannot turn the line
around or hide in it. No cookies, no scripts but our own file, nothing from other servers.
"""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from typing import Any

import jinja2
from fastapi import Request
from fastapi.responses import HTMLResponse
from markupsafe import Markup

from rbl import __version__
from rbl.web.parts import parts_of

_PACKAGE = "rbl.web"
STATIC_FILES: Mapping[str, str] = {
    "style.css": "text/css; charset=utf-8",
    "progress.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
# The API and what machines read: never answered with a page.
_FOR_PROGRAMS = ("/v1/", "/static/", "/healthz", "/readyz", "/metrics")
_UNITS = (("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1))


def static_file(name: str) -> bytes:
    """Return the octets of a file of ``static/``."""
    return files(_PACKAGE).joinpath("static", name).read_bytes()


def wants_page(request: Request) -> bool:
    """Whether a person with a browser is asking, rather than a program."""
    path = request.url.path
    return not path.startswith(_FOR_PROGRAMS) and "text/html" in request.headers.get("accept", "")


def page(
    request: Request,
    template: str,
    context: Mapping[str, Any],
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> HTMLResponse:
    """Return *template* rendered with *context* and what every page needs."""
    parts = parts_of(request)
    everywhere = {
        "list_name": parts.default_zone,
        "contact": parts.settings.web.contact,
        "public_url": parts.settings.web.public_url,
        "version": __version__,
        "now": parts.now(),
        "asked": "",
        "refresh_seconds": None,
        "live": False,
    }
    text = ENVIRONMENT.get_template(template).render(everywhere | dict(context))
    return HTMLResponse(text, status_code=status, headers=dict(headers or {}))


def visible(text: str) -> str:
    """Return *text* with what does not print (control characters, marks that turn text) as escapes."""
    return "".join(
        char if char.isprintable() or char in "\n\t" else ascii(char)[1:-1]
        for char in text.replace("\r\n", "\n")
    )


def moment(at: datetime) -> Markup:
    """Return *at* for people, in UTC, and for programs in the markup."""
    at = at.astimezone(UTC)
    return Markup('<time datetime="{}">{}</time>').format(
        at.isoformat(timespec="seconds"), f"{at.day} {at:%B %Y, %H:%M} UTC"
    )


def span(length: timedelta) -> str:
    """Return *length* in words, in its two largest units: ``1 hour 30 minutes``."""
    seconds = max(0, round(length.total_seconds()))
    words: list[str] = []
    for name, size in _UNITS:
        count, seconds = divmod(seconds, size)
        if count:
            words.append(f"{count} {name}{'' if count == 1 else 's'}")
    return " ".join(words[:2]) or "no time"


def _version_of(name: str) -> str:
    """Return the address of a static file, which changes with its content, so that it may be cached."""
    return f"/static/{name}?v={hashlib.sha256(static_file(name)).hexdigest()[:12]}"


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(_PACKAGE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        auto_reload=False,  # else each page looks whether its four files have changed
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"visible": visible, "moment": moment, "span": span}
    environment.globals["static"] = {name: _version_of(name) for name in STATIC_FILES}
    return environment


ENVIRONMENT = _environment()
