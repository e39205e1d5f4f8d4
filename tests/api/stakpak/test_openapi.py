"""The schema of Stakpak's door, equal to the one that was committed."""

import json
import os
from pathlib import Path

from sessions.api.stakpak.api import api
from tests.conftest import ROOT

SNAPSHOT = Path(__file__).parent.parent / "snapshots" / "stakpak.json"
SCHEMA = json.loads(json.dumps(api.get_openapi_schema(), default=str))


def test_the_schema_is_the_one_that_was_committed():
    """After a change that is meant: WRITE_SNAPSHOTS=1 pytest tests/api/stakpak/test_openapi.py, and read the diff."""
    text = json.dumps(SCHEMA, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    if "WRITE_SNAPSHOTS" in os.environ:
        SNAPSHOT.write_text(text, encoding="utf-8")

    assert SNAPSHOT.read_text(encoding="utf-8") == text


def test_every_error_is_declared_in_the_envelope():
    for path, methods in SCHEMA["paths"].items():
        for operation in methods.values():
            errors = {int(status): said for status, said in operation["responses"].items() if int(status) >= 400}
            assert {400, 401, 403, 429, 500, 503} <= errors.keys(), path
            for said in errors.values():
                assert said["content"]["application/json"]["schema"]["$ref"].endswith("/ErrorOut")


def test_every_route_has_its_heading():
    lines = (ROOT / "docs" / "stakpak.md").read_text(encoding="utf-8").splitlines()
    headings = {line.removeprefix("### ") for line in lines if line.startswith("### ")}

    assert headings == {f"{method.upper()} {path}" for path, methods in SCHEMA["paths"].items() for method in methods}
