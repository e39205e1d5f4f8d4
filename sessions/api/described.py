"""What every contract's API object says of itself."""

from typing import Any

from ninja import NinjaAPI
from ninja.openapi.schema import OpenAPISchema

from sessions.api.problems import CONTENT_TYPE

FIRST_ERROR = 400


class DescribedAPI(NinjaAPI):
    """Says of its errors what they are: problem details, not JSON, unless the contract has a form of its own."""

    error_type = CONTENT_TYPE

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
