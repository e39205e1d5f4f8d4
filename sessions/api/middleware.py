"""The last word on every answer of an API path, whoever gave it."""

from collections.abc import Awaitable, Callable
from http import HTTPStatus

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from sessions.api.metrics import count_answer
from sessions.api.problems import CONTENT_TYPE, of_status, problem

Response = HttpResponseBase | Awaitable[HttpResponseBase]


def is_api_path(path: str) -> bool:
    """Say whether `path` belongs to a door that speaks problem details."""
    return path == "/api" or path.startswith("/api/")


def unknown_path(_request: HttpRequest) -> HttpResponse:
    """Answer for every path below `/api/` at which there is nothing."""
    return problem(of_status(404))


class ProblemMiddleware:
    """Django middleware, first of all: an API path answers problem details whoever refuses, never HTML."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Response]) -> None:
        """Take the rest of the chain, sync or async."""
        self.get_response = get_response
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Response:
        """Let the request through and look at what comes back."""
        response = self.get_response(request)
        if isinstance(response, HttpResponseBase):
            return _finished(request, response)
        return self._later(request, response)

    async def _later(self, request: HttpRequest, response: Awaitable[HttpResponseBase]) -> HttpResponseBase:
        """Do the same when the chain is async."""
        return _finished(request, await response)


def _finished(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    """Return what may leave: from an API path never an error page, and nothing that a cache keeps."""
    if not is_api_path(request.path):
        return response
    is_error = response.status_code >= HTTPStatus.BAD_REQUEST
    if is_error and response.get("Content-Type") != CONTENT_TYPE and isinstance(response, HttpResponse):
        _rewrite(response)
    response.setdefault("Cache-Control", "no-store")
    count_answer(request.method, response.status_code)
    return response


def _rewrite(response: HttpResponse) -> None:
    """Put problem details in the place of an error page; headers that others set, such as Allow, stay."""
    answer = problem(of_status(response.status_code))
    response.content = answer.content
    for name, value in (*answer.items(), ("Content-Length", str(len(answer.content)))):
        response[name] = value
