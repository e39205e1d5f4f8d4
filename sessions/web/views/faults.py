"""What a page answers when a view failed, or a request did not get as far as one."""

import sys
from http import HTTPStatus

from django.core.exceptions import DisallowedHost
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.template import loader
from django.views.decorators.csrf import requires_csrf_token
from django.views.defaults import server_error

RETRY_AFTER_SECONDS = 5


@requires_csrf_token
def failed(request: HttpRequest) -> HttpResponse:
    """Answer 503 when it was the database that did not, with a page that tries again by itself; else 500."""
    if not isinstance(sys.exc_info()[1], OperationalError | InterfaceError):
        return server_error(request)
    facts = {"is_reading": request.method in {"GET", "HEAD"}, "retry_after": RETRY_AFTER_SECONDS}
    page = loader.get_template("503.html").render(facts)  # without the request: who asks is in the database
    headers = {"Retry-After": str(RETRY_AFTER_SECONDS), "Cache-Control": "no-store"}
    return HttpResponse(page, status=HTTPStatus.SERVICE_UNAVAILABLE, headers=headers)


def misunderstood(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer 400, and name the host when this server does not go by it: whoever runs it has forgotten a setting."""
    host = request.META.get("HTTP_HOST", "") if isinstance(exception, DisallowedHost) else None
    page = loader.get_template("400.html").render({"host": host})  # without the request: it cannot be trusted
    return HttpResponse(page, status=HTTPStatus.BAD_REQUEST)
