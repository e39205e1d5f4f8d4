"""Static files, where the chain of middleware is async, and nowhere else."""

from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import iscoroutinefunction
from django.core.exceptions import MiddlewareNotUsed
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.decorators import sync_and_async_middleware
from servestatic.middleware import ServeStaticMiddleware


@sync_and_async_middleware
def serve_static_files(
    get_response: Callable[[HttpRequest], Any],
) -> Callable[[HttpRequest], Awaitable[HttpResponseBase]]:
    """Return ServeStatic's middleware, which is async only; leave a sync chain without it.

    There it would take each request from the thread to the event loop and back. `koda_web.asgi` gives the sync chain
    no request for a static file.
    """
    if not iscoroutinefunction(get_response):
        raise MiddlewareNotUsed
    middleware: Callable[[HttpRequest], Awaitable[HttpResponseBase]] = ServeStaticMiddleware(get_response)
    return middleware
