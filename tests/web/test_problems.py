from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import httpx2
import pytest
from structlog.testing import capture_logs

from rbl.errors import BadInput, Conflict, NotFound, RblError, Refused, Unavailable
from rbl.web import problems
from rbl.web.parts import Parts
from tests.web.conftest import Served


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (BadInput("x"), 422),
        (BadInput("x", code="too-large"), 413),
        (BadInput("x", code="unsupported-media-type"), 415),
        (BadInput("x", code="bad-request"), 400),
        (NotFound("x"), 404),
        (Conflict("x"), 409),
        (Refused("x"), 403),
        (Refused("x", code="bad-key"), 401),
        (Refused("x", retry_after=timedelta(seconds=1)), 429),
        (Unavailable("x"), 503),
        (RblError("x"), 500),
    ],
)
def test_each_class_of_error_has_its_status(error: RblError, status: int) -> None:
    """As errors.py has it, and more exactly where the code says more."""
    assert status == problems.status_of(error)


@pytest.mark.parametrize(("wait", "seconds"), [(0.0, "1"), (0.2, "1"), (1.2, "2"), (3600.0, "3600")])
def test_retry_after_is_never_too_early(wait: float, seconds: str) -> None:
    """Whole seconds, rounded up (RFC 9110 §10.2.3)."""
    error = Refused("x", retry_after=timedelta(seconds=wait))

    assert {"Retry-After": seconds} == problems.headers_of(error)


def test_a_problem_document_has_its_fields(api: httpx2.Client) -> None:
    """Those of RFC 9457, and the code; the type leads to a page."""
    answer = api.get("/v1/addresses/9.9.9")

    told = answer.json()
    assert ("application/problem+json", 422) == (answer.headers["Content-Type"], answer.status_code)
    assert {
        "type": "http://127.0.0.1:8080/problems/bad-address",
        "title": "This is no IP address",
        "status": 422,
        "detail": "'9.9.9' is not an IP address: write it as 192.0.2.1 or 2001:db8::1",
        "code": "bad-address",
    } == told
    assert 200 == api.get(told["type"].removeprefix("http://127.0.0.1:8080")).status_code


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "no-such-page"),
        ("GET", "/v1/nowhere", 404, "no-such-page"),
        ("DELETE", "/v1/zones", 405, "method-not-allowed"),
        ("PUT", "/healthz", 405, "method-not-allowed"),
    ],
)
def test_what_the_framework_refuses_has_the_same_form(
    api: httpx2.Client, method: str, path: str, status: int, code: str
) -> None:
    """No path, no method: a problem document too."""
    answer = api.request(method, path)

    assert (status, code, "application/problem+json") == (
        answer.status_code,
        answer.json()["code"],
        answer.headers["Content-Type"],
    )


def test_a_wrong_method_names_the_right_ones(api: httpx2.Client) -> None:
    """In the Allow header (RFC 9110 §15.5.6)."""
    assert "GET, HEAD, OPTIONS" == api.delete("/v1/zones").headers["Allow"]


@pytest.mark.parametrize("path", ["/v1/nowhere", "/healthz/nowhere", "/metrics/x", "/static/x"])
def test_programs_are_not_given_pages(browser: httpx2.Client, path: str) -> None:
    """Below the API's paths the answer is a document, whatever the client would like."""
    assert "application/problem+json" == browser.get(path).headers["Content-Type"]


def test_each_wrong_field_is_named(api: httpx2.Client, operator: dict[str, str]) -> None:
    """With its place, and what is wrong with it, without echoing the whole body."""
    told = api.post("/v1/exemptions", headers=operator, json={"network": 7, "never_list": "maybe"}).json()

    assert ["body.network", "body.never_list", "body.why"] == [fault["pointer"] for fault in told["errors"]]


def test_hundreds_of_faults_are_cut(api: httpx2.Client, operator: dict[str, str]) -> None:
    """An answer stays small, whatever was sent."""
    told = api.post("/v1/exemptions", headers=operator, json={f"f{n}": n for n in range(500)}).json()

    assert 20 == len(told["errors"])


def test_a_database_that_is_down_gives_503(serve: Callable[[Parts], Served], parts: Parts) -> None:
    """What the database said is for the log; the client hears when to come again."""
    with parts.store.writing() as session:
        session.connection().exec_driver_sql("ALTER TABLE audit RENAME TO secret_elsewhere")
    served = serve(parts)

    with capture_logs() as logs:
        answer = httpx2.get(f"{served.url}/v1/addresses/9.9.9.9")

    assert (503, "database", "60") == (
        answer.status_code,
        answer.json()["code"],
        answer.headers["Retry-After"],
    )
    assert "audit" not in answer.text
    assert ["request_failed"] == [log["event"] for log in logs]


def test_an_unknown_code_is_an_error_all_the_same() -> None:
    """A code without a page leads to the page of errors."""
    told = problems.document("https://relays.example.org", "brand-new", 409, "what happened")

    assert ("https://relays.example.org/problems/error", "brand-new") == (told.type, told.code)


def test_what_another_part_raises_is_told(serve: Callable[[Parts], Served], parts: Parts) -> None:
    """A refusal of whatever code, by a part that the web does not know, has its sentence."""

    def refuse(platform: str | None) -> None:
        raise Conflict(f"no advice for {platform}", code="brand-new")

    served = serve(replace(parts, advice=refuse))

    answer = httpx2.get(f"{served.url}/a/9.9.9.9")

    assert (409, "no advice for None") == (answer.status_code, answer.json()["detail"])
