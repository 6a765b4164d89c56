"""Problem documents: every error in the one form of RFC 9457, for whatever went wrong.

The program's own errors keep their sentence and code; FastAPI's and Starlette's are put into the
same words. What nobody foresaw becomes a bare 500 in ``rim``. A person who asked for a page gets a
page that says the same. Logs ``request_failed`` where a part of ours does not answer.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response

from rbl.errors import BadInput, Conflict, NotFound, RblError, Refused, Unavailable
from rbl.web import paths, views
from rbl.web.codes import CODES
from rbl.web.parts import parts_of

_log = structlog.get_logger()

MEDIA_TYPE = "application/problem+json"
_MOST_FAULTS = 20  # of one request; whoever sends more has another problem

# errors.py says which class has which status; these codes say more than their class.
_STATUS_OF_CODE = {
    "bad-json": 400,
    "bad-request": 400,
    "no-key": 401,
    "bad-key": 401,
    "method-not-allowed": 405,
    "too-large": 413,
    "unsupported-media-type": 415,
    "internal": 500,
}
_STATUS_OF_CLASS: Sequence[tuple[type[RblError], int]] = (
    (BadInput, 422),
    (NotFound, 404),
    (Conflict, 409),
    (Refused, 403),
    (Unavailable, 503),
)
_CODE_OF_STATUS = {
    404: "no-such-page",
    405: "method-not-allowed",
    413: "too-large",
    415: "unsupported-media-type",
}


class Fault(BaseModel):
    """One field that is missing or wrong."""

    model_config = ConfigDict(frozen=True)

    pointer: str = Field(description="Where: body, query, path or header, and the field.")
    detail: str


class Standing(BaseModel):
    """What DNS answers from, for one list, as this process has it."""

    model_config = ConfigDict(frozen=True, from_attributes=True)

    serial: int | None = Field(description="The serial of the answers; null: there is no list yet.")
    newest: int | None = Field(description="The last serial read from the journal, held back or not.")
    lag_seconds: float = Field(description="How long ago the journal was last read with success.")
    held: str | None = Field(description="Why the guards hold back what is newer; null: nothing is held.")


class Problem(BaseModel):
    """A problem document (RFC 9457): what went wrong, in words and for programs."""

    model_config = ConfigDict(frozen=True)

    type: str = Field(description="A page about this kind of problem; its last part is the code.")
    title: str
    status: int
    detail: str = Field(description="What was wrong this time, with the value.")
    code: str = Field(description="Stable: compare this.")
    errors: list[Fault] | None = None
    parts: dict[str, bool] | None = Field(None, description="Of not-ready: which part is ready.")
    lists: dict[str, Standing] | None = Field(
        None, description="Of not-ready: what DNS answers from, by the list's apex."
    )


def status_of(error: RblError) -> int:
    """Return the HTTP status of *error*, as errors.py has it; 429 where it says when to come back."""
    if isinstance(error, Refused) and error.retry_after is not None:
        return 429
    if error.code in _STATUS_OF_CODE:
        return _STATUS_OF_CODE[error.code]
    return next((status for kind, status in _STATUS_OF_CLASS if isinstance(error, kind)), 500)


def headers_of(error: RblError | None) -> dict[str, str]:
    """Return the headers that belong to *error*: how to identify oneself, when to come back."""
    headers = {}
    if error is not None and status_of(error) == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="rbl"'
    if isinstance(error, Refused) and error.retry_after is not None:
        headers["Retry-After"] = str(max(1, math.ceil(error.retry_after.total_seconds())))
    return headers


def document(
    public_url: str,
    code: str,
    status: int,
    detail: str,
    *,
    errors: list[Fault] | None = None,
    parts: Mapping[str, bool] | None = None,
    lists: Mapping[str, Standing] | None = None,
) -> Problem:
    """Return the problem document of *code*; a code without a place in the table is an ``error``."""
    known = CODES.get(code)
    return Problem(
        type=f"{public_url}/problems/{code if known else 'error'}",
        title=(known or CODES["error"]).title,
        status=status,
        detail=detail,
        code=code,
        errors=errors,
        parts=None if parts is None else dict(parts),
        lists=None if lists is None else dict(lists),
    )


def answer(problem: Problem, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """Return *problem* as an HTTP response."""
    return JSONResponse(
        problem.model_dump(exclude_none=True),
        status_code=problem.status,
        headers=dict(headers or {}),
        media_type=MEDIA_TYPE,
    )


def install(app: FastAPI) -> None:
    """Let *app* answer every error that it knows of with a problem document."""
    app.add_exception_handler(RblError, _own)
    app.add_exception_handler(RequestValidationError, _validation)
    app.add_exception_handler(HTTPException, _http)


def _own(request: Request, error: Exception) -> Response:
    assert isinstance(error, RblError)
    if isinstance(error, Unavailable):
        # The sentence may name hosts and files of ours: it is for the log, the reader gets the code's.
        _log.warning("request_failed", path=request.url.path[:200], code=error.code, why=error.message)
        return _tell(request, error.code, 503, CODES["database"].title, {"Retry-After": "60"})
    return _tell(request, error.code, status_of(error), error.message, headers_of(error))


def _validation(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    found: Sequence[Mapping[str, Any]] = error.errors()
    if any(fault["type"] == "json_invalid" for fault in found):
        return _of_body(request, "bad-json", "the body is not JSON")
    faults = [
        Fault(pointer=".".join(str(part) for part in fault["loc"]), detail=str(fault["msg"]))
        for fault in found[:_MOST_FAULTS]
    ]
    detail = "; ".join(f"{fault.pointer}: {fault.detail}" for fault in faults)
    return _tell(request, "invalid", 422, detail, errors=faults)


def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    public_url = parts_of(request).settings.web.public_url
    headers = error.headers
    if error.status_code == 404 and (elsewhere := paths.with_other_slash(request)) is not None:
        # Never where the client's Host field says: what is behind it may be somebody else's.
        return RedirectResponse(f"{public_url}{elsewhere}", status_code=307)
    if error.status_code == 405:
        headers = {"Allow": paths.allowed(request)}
        if request.method == "OPTIONS":
            return Response(status_code=204, headers=headers)
    if error.status_code == 400:
        return _of_body(request, "bad-request", error.detail)
    code = _CODE_OF_STATUS.get(error.status_code, "bad-request" if error.status_code < 500 else "internal")
    detail = error.detail if error.status_code not in _CODE_OF_STATUS else CODES[code].title
    return _tell(request, code, error.status_code, detail, headers)


def _of_body(request: Request, code: str, detail: str) -> Response:
    """Tell that a body cannot be read, where whoever sent it has a key or needs none.

    The framework reads a body before it asks for a key.
    """
    needs_key = 401 in getattr(request.scope.get("route"), "responses", {})
    if needs_key and "authorization" not in request.headers:
        return _own(request, Refused(CODES["no-key"].title, code="no-key"))
    return _tell(request, code, 400, detail)


def _tell(
    request: Request,
    code: str,
    status: int,
    detail: str,
    headers: Mapping[str, str] | None = None,
    errors: list[Fault] | None = None,
) -> Response:
    parts = parts_of(request)
    problem = document(parts.settings.web.public_url, code, status, detail, errors=errors)
    if views.wants_page(request):
        page = {"problem": problem, "advice": CODES.get(code, CODES["error"]).advice}
        return views.page(request, "error.html.j2", page, status=status, headers=headers)
    return answer(problem, headers)
