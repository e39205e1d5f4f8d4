"""What every contract's API object is made of, and what it says of itself."""

from collections.abc import Callable, Iterable
from typing import Any

from django.http import HttpResponse
from ninja import NinjaAPI, Router
from ninja.openapi.schema import OpenAPISchema

from sessions.api import idempotency, problems
from sessions.api.auth import KeyOrBrowser
from sessions.api.docs_page import Reference
from sessions.api.json_format import JsonParser, JsonRenderer
from sessions.api.problems import CONTENT_TYPE
from sessions.exceptions import KodaError

FIRST_ERROR = 400


class DescribedAPI(NinjaAPI):
    """Knows keys, JSON, errors and repeated POSTs as all contracts do.

    Says of its errors what they are: problem details, not JSON, unless the contract has a form of its own (`answer`,
    `error_type`).
    """

    error_type = CONTENT_TYPE

    def __init__(
        self,
        *,
        routers: Iterable[Router],
        parser: JsonParser,
        answer: Callable[[KodaError], HttpResponse] = problems.problem,
        **facts: Any,
    ) -> None:
        """Take the routes of a contract, and what it says of itself: title, version, description, urls_namespace."""
        super().__init__(auth=KeyOrBrowser(), parser=parser, renderer=JsonRenderer(), docs=Reference(), **facts)
        problems.install(self, answer=answer)
        idempotency.install(self)
        for router in routers:
            self.add_router("", router)

    def get_openapi_schema(
        self, *, path_prefix: str | None = None, path_params: dict[str, Any] | None = None
    ) -> OpenAPISchema:
        """Return the schema."""
        schema = super().get_openapi_schema(path_prefix=path_prefix, path_params=path_params)
        operations = [operation for path in schema["paths"].values() for operation in path.values()]
        for operation in operations:
            for status, response in operation["responses"].items():
                if int(status) >= FIRST_ERROR:
                    response["content"] = {self.error_type: response["content"]["application/json"]}
        return schema
