import json
from typing import Any

import httpx2
import pytest

METHODS = {"get", "post", "put", "delete", "patch"}


@pytest.fixture
def document(api: httpx2.Client) -> dict[str, Any]:
    """The OpenAPI document, as it is served."""
    told = api.get("/v1/openapi.json").json()
    assert isinstance(told, dict)
    return told


def operations(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return every operation by its method and path."""
    return {
        f"{method} {path}": operation
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if method in METHODS
    }


def shown(document: dict[str, Any], media: dict[str, Any]) -> bool:
    """Whether a body has an example, of its own or in its schema."""
    if "example" in media or "examples" in media:
        return True
    name = media["schema"].get("$ref", "").rpartition("/")[2]
    return bool(document["components"]["schemas"].get(name, {}).get("examples"))


def test_every_operation_is_explained(document: dict[str, Any]) -> None:
    """Each has a summary, a description and one of the tags."""
    tags = {tag["name"] for tag in document["tags"]}

    faults = [
        name
        for name, operation in operations(document).items()
        if not (operation["summary"] and operation["description"] and set(operation["tags"]) <= tags)
    ]

    assert [] == faults


def test_every_body_and_answer_has_an_example(document: dict[str, Any]) -> None:
    """What is sent and what comes back is shown, not only described."""
    faults = []
    for name, operation in operations(document).items():
        bodies = dict(operation.get("requestBody", {}).get("content", {}))
        for status, response in operation["responses"].items():
            bodies |= {f"{status} {kind}": media for kind, media in response.get("content", {}).items()}
        faults += [f"{name}: {kind}" for kind, media in bodies.items() if not shown(document, media)]

    assert [] == faults


def test_every_operation_tells_how_it_fails(document: dict[str, Any]) -> None:
    """Errors are problem documents, and nothing else."""
    faults = []
    for name, operation in operations(document).items():
        errors = {status: r for status, r in operation["responses"].items() if int(status) >= 400}
        if not {"422", "500", "503"} <= errors.keys():
            faults.append(name)
        faults += [
            f"{name} {status}"
            for status, response in errors.items()
            if ["application/problem+json"] != list(response["content"])
        ]

    assert [] == faults


def test_every_parameter_has_an_example(document: dict[str, Any]) -> None:
    """So that whoever reads it can try it."""
    faults = [
        f"{name}: {parameter['name']}"
        for name, operation in operations(document).items()
        for parameter in operation.get("parameters", [])
        if not ({"example", "examples"} & (parameter.keys() | parameter["schema"].keys()))
    ]

    assert [] == faults


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    """No $ref names a schema that is not there."""
    text = json.dumps(document)
    known = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}

    named = {part.partition('"')[0] for part in text.split('"$ref": "')[1:]}

    assert set() == named - known


def test_keys_are_asked_for_where_they_are_needed(document: dict[str, Any]) -> None:
    """Operations with a security requirement say how they fail without a key, and only those."""
    faults = [
        name
        for name, operation in operations(document).items()
        if ("security" in operation) is not ("401" in operation["responses"])
    ]

    assert {"type": "http", "scheme": "bearer"}.items() <= document["components"]["securitySchemes"][
        "key"
    ].items()
    assert [] == faults


def test_pages_are_no_part_of_the_api(document: dict[str, Any]) -> None:
    """The document is of what programs use."""
    assert all(path.startswith(("/v1/", "/healthz", "/readyz", "/metrics")) for path in document["paths"])


def test_the_document_is_made_once(api: httpx2.Client) -> None:
    """Asking again gives the same."""
    assert api.get("/v1/openapi.json").content == api.get("/v1/openapi.json").content
