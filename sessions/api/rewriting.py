"""Paths that must be read otherwise than Django would: middleware that changes a request before anybody looks at it."""

from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.decorators import sync_and_async_middleware

Response = HttpResponseBase | Awaitable[HttpResponseBase]
Middleware = Callable[[Callable[[HttpRequest], Any]], Callable[[HttpRequest], Response]]


def rewriting(rewrite: Callable[[HttpRequest], None]) -> Middleware:
    """Return Django middleware, sync and async, that lets `rewrite` change each request first."""

    @sync_and_async_middleware
    def middleware(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Response]:
        if iscoroutinefunction(get_response):

            async def handle_async(request: HttpRequest) -> HttpResponseBase:
                rewrite(request)
                response: HttpResponseBase = await get_response(request)
                return response

            return handle_async

        def handle(request: HttpRequest) -> HttpResponseBase:
            rewrite(request)
            response: HttpResponseBase = get_response(request)
            return response

        return handle

    return middleware
