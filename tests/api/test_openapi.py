"""The schema at /api/v1/openapi.json: complete, and equal to the one that was committed."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from sessions.api.native.api import api
from tests.conftest import ROOT

SNAPSHOT = Path(__file__).parent / "snapshots" / "openapi.json"


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    return json.loads(json.dumps(api.get_openapi_schema(), default=str))


def operations(schema):
    return [
        (method, path, operation) for path, methods in schema["paths"].items() for method, operation in methods.items()
    ]


def test_the_schema_is_the_one_that_was_committed(schema):
    """After a change that is meant: WRITE_SNAPSHOTS=1 pytest tests/api/test_openapi.py, and read the diff."""
    text = json.dumps(schema, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    if "WRITE_SNAPSHOTS" in os.environ:
        SNAPSHOT.write_text(text, encoding="utf-8")

    assert SNAPSHOT.read_text(encoding="utf-8") == text


def test_every_operation_says_what_it_is(schema):
    names = [operation["operationId"] for _, _, operation in operations(schema)]

    assert len(names) == len(set(names))
    for _, path, operation in operations(schema):
        assert operation["summary"][0].isupper(), path
        assert operation["description"].endswith("."), path
        assert len(operation["tags"]) == 1, path
        assert operation["security"] == [{"KeyOrBrowser": []}], path


def test_every_error_is_declared_as_problem_details(schema):
    for method, path, operation in operations(schema):
        errors = {int(status): response for status, response in operation["responses"].items() if int(status) >= 400}
        expected = {401, 403, 422, 429, 500, 503}
        if "{" in path:
            expected |= {404}
        if "requestBody" in operation:
            expected |= {400, 413, 415}
        if method == "post":
            expected |= {409}
        assert expected <= errors.keys(), (method, path, expected - errors.keys())
        for response in errors.values():
            assert list(response["content"]) == ["application/problem+json"]


def test_every_body_has_an_example(schema):
    parts = schema["components"]["schemas"]

    def has_example(part: dict[str, Any]) -> bool:
        if "$ref" in part:
            return has_example(parts[part["$ref"].rpartition("/")[2]])
        inner = [*part.get("oneOf", []), *part.get("anyOf", []), *part.get("allOf", [])]
        inner += [part["items"]] if "items" in part else []
        return "examples" in part or any(map(has_example, [*inner, *part.get("properties", {}).values()]))

    for _, path, operation in operations(schema):
        if "requestBody" in operation:
            assert has_example(operation["requestBody"]["content"]["application/json"]["schema"]), path


def test_every_reference_leads_somewhere(schema):
    text = json.dumps(schema)
    parts = schema["components"]["schemas"]

    for part in text.split('"#/components/schemas/')[1:]:
        assert part.partition('"')[0] in parts


@pytest.mark.django_db
def test_the_schema_and_its_page_are_served(client):
    served = client.get("/api/v1/openapi.json")
    page = client.get("/api/v1/docs")

    assert served.status_code == 200
    assert served.json()["info"]["version"] == "1"
    assert page.status_code == 200
    assert b"swagger" in page.content
    assert b"cdn" not in page.content.lower()


def test_every_route_has_its_heading_and_every_heading_its_route(schema):
    lines = (ROOT / "docs" / "api.md").read_text(encoding="utf-8").splitlines()
    headings = {line.removeprefix("### ") for line in lines if line.startswith("### ")}

    routes = {f"{method.upper()} {path.removeprefix('/api/v1')}" for method, path, _ in operations(schema)}
    assert headings == routes | {"GET /healthz", "GET /metrics"}
