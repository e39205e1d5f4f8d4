"""A page for who comes to an address in a way that it does not take.

Reloaded after signing in, or opened from the browser's history, an address that takes forms alone is asked with GET.
Django refuses that with an empty answer.
"""

import re
from collections.abc import Awaitable, Callable
from http import HTTPStatus

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import Resolver404, resolve

Response = HttpResponseBase | Awaitable[HttpResponseBase]

_LAST_PART = re.compile(r"[^/]+/?$")


class MethodPageMiddleware:
    """Django middleware, the innermost: an empty 405 becomes a page that leads on."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Response]) -> None:
        """Take the rest of the chain, sync or async."""
        self.get_response = get_response
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Response:
        """Let the request through and look at what comes back; only a refusal costs a change of threads."""
        response = self.get_response(request)
        if isinstance(response, HttpResponseBase):
            return _explained(request, response) if _is_bare(request, response) else response
        return self._later(request, response)

    async def _later(self, request: HttpRequest, coming: Awaitable[HttpResponseBase]) -> HttpResponseBase:
        """Do the same when the chain is async."""
        response = await coming
        return await sync_to_async(_explained)(request, response) if _is_bare(request, response) else response


def _is_bare(request: HttpRequest, response: HttpResponseBase) -> bool:
    """Say whether a person would see nothing: programs and fragments are told by the status alone."""
    is_person = "text/html" in request.headers.get("Accept", "") and "HX-Request" not in request.headers
    return is_person and isinstance(response, HttpResponseNotAllowed) and not response.content


def _explained(request: HttpRequest, refusal: HttpResponseBase) -> HttpResponse:
    parent = parent_of(request.path)
    page = render(request, "405.html", {"parent": parent, "here": parent}, status=HTTPStatus.METHOD_NOT_ALLOWED)
    page["Allow"] = refusal["Allow"]
    page["Cache-Control"] = "no-store"
    return page


def parent_of(path: str) -> str:
    """Return the nearest path above this one at which something stands."""
    while path != "/":
        path = _LAST_PART.sub("", path) or "/"
        try:
            resolve(path)
        except Resolver404:
            continue
        return path
    return path
