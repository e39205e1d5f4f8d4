"""The schema of each contract: complete, and equal to the one that was committed."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ninja import NinjaAPI

from sessions.api.native.api import api as native
from sessions.api.zeroclaw.api import api as zeroclaw
from tests.conftest import ROOT


@dataclass(frozen=True)
class Contract:
    """A contract: where it is mounted, its snapshot, the page with a heading for each route and what else stands there.

    `knows_all` says that a path never answers 404.
    """

    api: NinjaAPI
    root: str
    snapshot: str
    page: str
    other_headings: frozenset[str] = frozenset()
    knows_all: bool = False


CONTRACTS = {
    "native": Contract(native, "/api/v1", "openapi.json", "api.md", frozenset({"GET /healthz", "GET /metrics"})),
    "zeroclaw": Contract(zeroclaw, "/api/zeroclaw", "zeroclaw.json", "zeroclaw.md", knows_all=True),
}


@pytest.fixture(scope="module", params=CONTRACTS)
def contract(request) -> Contract:
    return CONTRACTS[request.param]


@pytest.fixture(scope="module")
def schema(contract) -> dict[str, Any]:
    return json.loads(json.dumps(contract.api.get_openapi_schema(), default=str))


def operations(schema):
    return [
        (method, path, operation) for path, methods in schema["paths"].items() for method, operation in methods.items()
    ]


def test_the_schema_is_the_one_that_was_committed(contract, schema):
    """After a change that is meant: WRITE_SNAPSHOTS=1 pytest tests/api/test_openapi.py, and read the diff."""
    text = json.dumps(schema, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    snapshot = Path(__file__).parent / "snapshots" / contract.snapshot
    if "WRITE_SNAPSHOTS" in os.environ:
        snapshot.write_text(text, encoding="utf-8")

    assert snapshot.read_text(encoding="utf-8") == text


def test_every_operation_says_what_it_is(schema):
    names = [operation["operationId"] for _, _, operation in operations(schema)]

    assert len(names) == len(set(names))
    for _, path, operation in operations(schema):
        assert operation["summary"][0].isupper(), path
        assert operation["description"].endswith("."), path
        assert len(operation["tags"]) == 1, path
        assert operation["security"] == [{"KeyOrBrowser": []}], path


def test_every_error_is_declared_as_problem_details(contract, schema):
    for method, path, operation in operations(schema):
        errors = {int(status): response for status, response in operation["responses"].items() if int(status) >= 400}
        expected = {401, 403, 422, 429, 500, 503}
        if "{" in path and not contract.knows_all:
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
def test_the_schema_and_its_page_are_served(client, contract):
    served = client.get(f"{contract.root}/openapi.json")
    page = client.get(f"{contract.root}/docs")

    assert served.status_code == 200
    assert served.json()["info"]["version"] == contract.api.version
    assert page.status_code == 200
    assert b"Koda Web" in page.content
    assert b"cdn" not in page.content.lower()


def test_every_route_has_its_heading_and_every_heading_its_route(contract, schema):
    lines = (ROOT / "docs" / contract.page).read_text(encoding="utf-8").splitlines()
    headings = {line.removeprefix("### ") for line in lines if line.startswith("### ")}

    routes = {f"{method.upper()} {path.removeprefix(contract.root)}" for method, path, _ in operations(schema)}
    assert headings == routes | contract.other_headings
