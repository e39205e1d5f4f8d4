"""The API object of this contract, with its routes and its description."""

from typing import Any

from ninja import NinjaAPI
from ninja.openapi.schema import OpenAPISchema

from sessions.api import idempotency, problems
from sessions.api.auth import KeyOrBrowser
from sessions.api.json_format import JsonParser, JsonRenderer
from sessions.api.native.routers import commands, compaction, findings, messages, records, search, sessions, turns
from sessions.api.problems import CONTENT_TYPE

DESCRIPTION = """
Keeps the sessions of coding agents and shows them live.

Send `Authorization: Bearer <key>`; `manage.py createapikey` makes keys. Errors are problem details (RFC 9457):
branch on `code`.
A 2xx means committed. Any POST may carry an `Idempotency-Key`: the same key, path and body replays the stored answer.
"""
FIRST_ERROR = 400


class NativeAPI(NinjaAPI):
    """Says of its errors what they are: problem details, not JSON."""

    def get_openapi_schema(
        self, *, path_prefix: str | None = None, path_params: dict[str, Any] | None = None
    ) -> OpenAPISchema:
        """Return the schema."""
        schema = super().get_openapi_schema(path_prefix=path_prefix, path_params=path_params)
        operations = [operation for path in schema["paths"].values() for operation in path.values()]
        for operation in operations:
            for status, response in operation["responses"].items():
                if int(status) >= FIRST_ERROR:
                    response["content"] = {CONTENT_TYPE: response["content"]["application/json"]}
        return schema


api = NativeAPI(
    title="Koda Web",
    version="1",
    description=DESCRIPTION,
    urls_namespace="api-native",
    auth=KeyOrBrowser(),
    parser=JsonParser(),
    renderer=JsonRenderer(),
)
problems.install(api)
idempotency.install(api)
for _noun in (sessions, messages, search, turns, commands, findings, records, compaction):
    api.add_router("", _noun.router)
