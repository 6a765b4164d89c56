"""What there is at a path: which methods, and where it is found with or without the slash at its end.

Also what parts of a path look like where two routes would otherwise mean each other.

The framework asks its routes one by one and tells of the first that fits: of one method where a path has
several, and of a host that the client named where it redirects.
"""

from fastapi import Request
from starlette.convertors import Convertor, register_url_convertor
from starlette.routing import BaseRoute, Match
from starlette.types import Scope

ENDLESS = "/events"  # a stream has no end to wait for: there is no HEAD of it
# In the path of a route; what they fit is said at the end of this file.
SUBJECT = "{subject:subject}"
REASON = "{reason:reason}"
_METHODS = ("GET", "POST", "PUT", "DELETE", "PATCH")


def allowed(request: Request) -> str:
    """Return the value of the Allow field for the path of *request* (RFC 9110 §10.2.1)."""
    routes, scope = request.app.routes, dict(request.scope)
    methods = [method for method in _METHODS if _has(routes, {**scope, "method": method})]
    if "GET" in methods and not scope["path"].endswith(ENDLESS):
        methods.append("HEAD")
    return ", ".join([*methods, "OPTIONS"])


def with_other_slash(request: Request) -> str | None:
    """Return path and query with a slash more or less at the end, where something is there; else None."""
    path = request.scope["path"]
    raw = request.scope["raw_path"].decode("ascii")
    if path == "/":
        return None
    if path.endswith("/"):
        path, raw = path.rstrip("/"), raw.rstrip("/")
    else:
        path, raw = f"{path}/", f"{raw}/"
    if not _has(request.app.routes, {**request.scope, "path": path}):
        return None
    query = request.scope["query_string"].decode("ascii", "replace")
    return f"{raw}?{query}" if query else raw


def _has(routes: list[BaseRoute], scope: Scope) -> bool:
    return any(route.matches(scope)[0] is Match.FULL for route in routes)


class _Text(Convertor[str]):
    """Part of a path, as it stands there."""

    def convert(self, value: str) -> str:
        """Return it."""
        return value

    def to_string(self, value: str) -> str:
        """Return it."""
        return value


class _SubjectConvertor(_Text):
    """Anything without a slash, or with one where an address is before it: what is looked up."""

    regex = r"[^/]+|[^/]*[.:][^/]*/.*"


class _ReasonConvertor(_Text):
    """What is no address: so ``/listings/{reason}/…`` and a network never mean each other."""

    regex = r"[^/.:]+"


register_url_convertor("subject", _SubjectConvertor())
register_url_convertor("reason", _ReasonConvertor())
