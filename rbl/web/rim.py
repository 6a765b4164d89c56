"""The rim of the application: what holds for every request, whatever it asks for.

Its one Host, the limit of its body (counted as it arrives), the headers that keep a page from harm, the
count for ``/metrics``, and the end of every exception that nobody foresaw: logged once with its
traceback (event ``request_failed``) and told as a bare 500, without details.
"""

import asyncio
import re
from collections.abc import Callable

import structlog
from fastapi.exceptions import HTTPException
from prometheus_client import CollectorRegistry, Counter
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rbl.web import problems
from rbl.web.paths import ENDLESS

_log = structlog.get_logger()

# No script or style but our own files, nothing from elsewhere, no frames: CSP 3.
_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self';"
    " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
# RFC 3986 §3.2.2 and §3.2.3: a name or an IPv4 address, or an IP literal in brackets, and a port.
_HOST = re.compile(rb"(?:\[[0-9A-Za-z:.]{2,}\]|[0-9A-Za-z._~!$&'()*+,;=%-]*)(?::[0-9]*)?")
_YEAR_SECONDS = 31_536_000  # RFC 6797 §6.1.1


class Rim:
    """Wraps the application; *largest_body* gives the limit in octets for a path."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        public_url: str,
        largest_body: Callable[[str], int],
        registry: CollectorRegistry,
    ) -> None:
        self._app = app
        self._public_url = public_url
        self._largest_body = largest_body
        self._headers = dict(_HEADERS)
        if public_url.startswith("https://"):
            self._headers["Strict-Transport-Security"] = f"max-age={_YEAR_SECONDS}"
        self._requests = Counter(
            "rbl_http_requests",
            "HTTP requests by method and status",
            ("method", "status"),
            registry=registry,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on, and its answer back."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False
        method = _method(scope)
        scope = _as_get(scope)

        async def send_with_headers(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
                headers.setdefault("Cache-Control", "no-cache")
                self._requests.labels(method, message["status"]).inc()
            await send(message)

        body = _LimitedBody(scope, receive, self._largest_body(scope["path"]))
        try:
            if (refusal := self._refusal(scope, body)) is not None:
                await refusal(scope, receive, send_with_headers)
                return
            await self._app(scope, body.receive, send_with_headers)
        except asyncio.CancelledError:
            # The program stops, and the time for what is under way is over.
            if not started:
                await self._tell_of_stop(scope, receive, send_with_headers)
        except Exception:
            _log.exception("request_failed", method=method, path=scope["path"][:200])
            if started:
                raise  # nothing can be said any more: the server closes the connection
            problem = problems.document(
                self._public_url, "internal", 500, "an unexpected fault; it was logged with the time"
            )
            await problems.answer(problem)(scope, receive, send_with_headers)

    def _refusal(self, scope: Scope, body: "_LimitedBody") -> ASGIApp | None:
        """Return the answer to a request of which no more is read; the connection ends with it."""
        if (fault := _host_fault(scope)) is not None:
            problem = problems.document(self._public_url, "bad-request", 400, fault)
        elif body.is_announced_too_large:
            problem = problems.document(self._public_url, "too-large", 413, _too_large(body.limit))
        else:
            return None
        return problems.answer(problem, {"Connection": "close"})

    async def _tell_of_stop(self, scope: Scope, receive: Receive, send: Send) -> None:
        problem = problems.document(self._public_url, "error", 503, "the server starts anew: try again")
        await problems.answer(problem, {"Connection": "close", "Retry-After": "60"})(scope, receive, send)


class _LimitedBody:
    """A request's body that ends in a 413 once more than *limit* octets have come."""

    def __init__(self, scope: Scope, receive: Receive, limit: int) -> None:
        self._receive = receive
        self._octets = 0
        self.limit = limit
        announced = Headers(scope=scope).get("content-length", "")
        self.is_announced_too_large = announced.isdecimal() and int(announced[:20]) > limit

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            self._octets += len(message.get("body", b""))
            if self._octets > self.limit:
                raise HTTPException(413, _too_large(self.limit), {"Connection": "close"})
        return message


def _host_fault(scope: Scope) -> str | None:
    """Return why the Host fields of a request are not as RFC 9112 §3.2 wants them, or None."""
    hosts = [value for name, value in scope["headers"] if name == b"host"]
    if len(hosts) > 1:
        return "a request has one Host field (RFC 9112 §3.2)"
    if not hosts:
        return None if scope["http_version"] == "1.0" else "a request has a Host field (RFC 9112 §3.2)"
    return None if _HOST.fullmatch(hosts[0]) else "the Host field names no host (RFC 9110 §7.2)"


def _as_get(scope: Scope) -> Scope:
    """Return a HEAD request as the GET that it is but for the body, which the server leaves out itself."""
    if scope["method"] != "HEAD" or scope["path"].endswith(ENDLESS):
        return scope
    return {**scope, "method": "GET"}


def _too_large(limit: int) -> str:
    return f"the body of this request may have at most {limit} octets"


def _method(scope: Scope) -> str:
    """Return the method, or one word for all that are none, so that nobody can make up metrics."""
    known = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH")
    return scope["method"] if scope["method"] in known else "other"
