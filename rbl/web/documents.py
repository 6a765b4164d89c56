"""The OpenAPI document: problem documents for every operation, each code with its example."""

from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from rbl.web import problems
from rbl.web.codes import CODES
from rbl.web.problems import Problem

_SCHEMA = "#/components/schemas/{model}"
_EXAMPLE_URL = "https://relays.example.org"
# What may happen to every request.
_ALWAYS = {"bad-request": 400, "invalid": 422, "internal": 500, "database": 503}

Responses = dict[int | str, dict[str, Any]]


def tells(**codes: int) -> Responses:
    """Return the responses of an operation that may fail with *codes*: code=status, ``_`` for ``-``."""
    by_status: defaultdict[int, dict[str, Any]] = defaultdict(dict)
    for name, status in (_ALWAYS | codes).items():
        code = name.replace("_", "-")
        problem = problems.document(_EXAMPLE_URL, code, status, CODES[code].advice)
        by_status[status][code] = {
            "summary": CODES[code].title,
            "value": problem.model_dump(exclude_none=True),
        }
    return {
        status: {
            "description": "; ".join(example["summary"] for example in examples.values()),
            "content": {
                problems.MEDIA_TYPE: {
                    "schema": {"$ref": _SCHEMA.format(model="Problem")},
                    "examples": examples,
                }
            },
        }
        for status, examples in sorted(by_status.items())
    }


def writer(app: FastAPI) -> Callable[[], dict[str, Any]]:
    """Return the function that makes the OpenAPI document of *app*, with the schema of problems in it."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            written = get_openapi(
                title=app.title,
                version=app.version,
                summary=app.summary,
                description=app.description,
                routes=app.routes,
                tags=app.openapi_tags,
                servers=app.servers,
                contact=app.contact,
                license_info=app.license_info,
            )
            problem: Mapping[str, Any] = Problem.model_json_schema(ref_template=_SCHEMA)
            own = {name: schema for name, schema in problem.items() if name != "$defs"}
            written["components"]["schemas"] |= {**problem["$defs"], "Problem": own}
            app.openapi_schema = written
        return app.openapi_schema

    return openapi
