"""The last word on every answer of an API path, whoever gave it."""

from collections.abc import Awaitable, Callable
from http import HTTPStatus

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.views.decorators.csrf import csrf_exempt

from sessions.api.metrics import count_answer
from sessions.api.problems import CONTENT_TYPE, of_status, problem
from sessions.api.stakpak.envelope import CONTENT_TYPE as ENVELOPE_TYPE
from sessions.api.stakpak.envelope import envelope
from sessions.api.stakpak.paths import is_stakpak_path

Response = HttpResponseBase | Awaitable[HttpResponseBase]


def is_api_path(path: str) -> bool:
    """Say whether `path` belongs to a door for programs."""
    return path == "/api" or path.startswith("/api/") or is_stakpak_path(path)


@csrf_exempt  # A key is no cookie, and nothing here could be changed.
def unknown_path(request: HttpRequest) -> HttpResponse:
    """Answer for every path of a door for programs at which there is nothing."""
    return _told(request, 404)


def _told(request: HttpRequest, status: int) -> HttpResponse:
    """Return the error of a status in the form of the door that the path belongs to."""
    return (envelope if is_stakpak_path(request.path) else problem)(of_status(status))


class ProblemMiddleware:
    """Django middleware, first of all: whoever refuses, a path for programs is answered in its own form."""

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
    form = ENVELOPE_TYPE if is_stakpak_path(request.path) else CONTENT_TYPE
    if is_error and response.get("Content-Type") != form and isinstance(response, HttpResponse):
        _rewrite(response, _told(request, response.status_code))
    response.setdefault("Cache-Control", "no-store")
    count_answer(request.method, response.status_code)
    return response


def _rewrite(response: HttpResponse, answer: HttpResponse) -> None:
    """Put our answer in the place of an error page; headers that others set, such as Allow, stay.

    But not how the page was packed: the answer is not.
    """
    del response["Content-Encoding"]
    response.content = answer.content
    for name, value in (*answer.items(), ("Content-Length", str(len(answer.content)))):
        response[name] = value
