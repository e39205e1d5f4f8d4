"""Django's ASGI handler for what works rather than waits: all of it in one visit to the request's thread."""

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIHandler
from django.http import HttpRequest
from django.http.response import HttpResponseBase


class OneVisitHandler(ASGIHandler):
    """Runs middleware and view one after another on the request's thread, as under WSGI.

    Django's own handler keeps the middleware on the event loop and goes to the thread and back for each step that is
    sync, which is nearly every one, twice a middleware. Its chain holds no thread while an async view waits; here an
    async view holds the thread until it has answered, so what waits belongs to Django's own handler.
    """

    def load_middleware(self, is_async: bool = True) -> None:  # noqa: ARG002, FBT001, FBT002 - Django's signature
        """Build the sync chain, although the handler is asked from the event loop."""
        super().load_middleware(is_async=False)

    async def get_response_async(self, request: HttpRequest) -> HttpResponseBase:
        """Go to the thread once, and come back with the answer."""
        return await sync_to_async(self.get_response, thread_sensitive=True)(request)
