"""The way to the door for the parts of an open page.

Signed out in another tab, or shut out of a session that turned private, a page goes on asking for its parts. Its script
would follow a redirect to the sign-in and put that page where the part stands; so the whole page is sent there.
"""

from collections.abc import Awaitable, Callable
from http import HTTPStatus

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.http.response import HttpResponseBase
from django.shortcuts import resolve_url
from django.utils.http import url_has_allowed_host_and_scheme
from django_htmx.http import HttpResponseClientRedirect

from sessions.web.requests import PageRequest, page_around

Response = HttpResponseBase | Awaitable[HttpResponseBase]


class DoorMiddleware:
    """Django middleware within htmx's: a part that is only for who is signed in sends its whole page to the door."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[PageRequest], Response]) -> None:
        """Take the rest of the chain, sync or async."""
        self.get_response = get_response
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request: PageRequest) -> Response:
        """Let the request through and look at what comes back."""
        response = self.get_response(request)
        return _led(request, response) if isinstance(response, HttpResponseBase) else self._later(request, response)

    async def _later(self, request: PageRequest, coming: Awaitable[HttpResponseBase]) -> HttpResponseBase:
        """Do the same when the chain is async."""
        return _led(request, await coming)


def _led(request: PageRequest, response: HttpResponseBase) -> HttpResponseBase:
    """Return the answer, or, where it sends a part of a page to the door, one that sends the page itself."""
    if response.status_code != HTTPStatus.FOUND or not request.htmx:
        return response
    if response["Location"].partition("?")[0] != resolve_url(settings.LOGIN_URL):
        return response
    led = HttpResponseClientRedirect(redirect_to_login(_page_of(request)).url)
    led.cookies = response.cookies
    led["Cache-Control"] = "no-store"
    return led


def _page_of(request: PageRequest) -> str:
    """Return the page of ours in which the part stands, by its path; where it names none, the first page."""
    page = page_around(request)
    is_ours = url_has_allowed_host_and_scheme(page, allowed_hosts=None, require_https=request.is_secure())
    return page if is_ours else resolve_url(settings.LOGIN_REDIRECT_URL)
