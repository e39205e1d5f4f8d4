"""Requests made from each contract's OpenAPI, right and wrong: no fault of ours, every answer in the schema."""

from typing import Any

import pytest
import schemathesis
from django.core.wsgi import get_wsgi_application
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.admin.everything import make_everything
from tests.factories import make_key, make_user

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]

EXAMPLES = 4
"""Requests an operation and mode; there are some seventy operations. More find more."""
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
CONTRACTS = {"native": "/api/v1/openapi.json", "zeroclaw": "/api/zeroclaw/openapi.json", "stakpak": "/v1/openapi.json"}


def load(path: str) -> Any:
    return schemathesis.openapi.from_wsgi(path, get_wsgi_application())


@pytest.mark.parametrize("contract", CONTRACTS)
def test_every_operation_answers_as_its_schema_says(contract):
    owner = make_user("ada")
    session = make_everything(owner=owner, key="k", source="laptop")
    headers = {"Authorization": f"Bearer {make_key(owner, source='laptop').plain}"}
    known = {"session_id": str(session.uuid), "key": "k", "command_id": session.commands.first().pk}
    schema = load(CONTRACTS[contract])
    count = 0
    for found in schema.get_all_operations():
        operation = found.ok()
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            _try(operation, mode, headers, known)
        count += 1
    assert count >= 10


def _try(operation: Any, mode: GenerationMode, headers: dict[str, str], known: dict[str, Any]) -> None:
    """Send some requests of one operation, most of them about what is there."""

    @settings(
        max_examples=EXAMPLES, phases=[Phase.explicit, Phase.generate], database=None, derandomize=True,
        suppress_health_check=list(HealthCheck), deadline=None,
    )  # fmt: skip
    @given(case=operation.as_strategy(generation_mode=mode), is_there=st.booleans())
    def send(case: Any, is_there: bool) -> None:
        if is_there:
            case.path_parameters.update({name: known[name] for name in case.path_parameters if name in known})
        response = case.call(headers=headers)
        case.validate_response(response, checks=CHECKS)

    send()
