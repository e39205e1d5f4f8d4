"""Who came with the one-time password of the first start chooses their own before anything else.

It was printed where others may read it: a terminal, the log of a container, a journal.
"""

from urllib.parse import urlencode

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.deprecation import MiddlewareMixin

_HELD = "koda_newcomer"
"""Stands in the session of a browser while its reader has a password that was chosen for them."""
_OPEN_PAGES = ("web:password", "web:sign-out", "web:appearance")


def hold(request: HttpRequest) -> None:
    """Let this browser get to nothing but the page for an own password."""
    request.session[_HELD] = True


def let_go(request: HttpRequest) -> None:
    """Let it go on: the password is the reader's own."""
    request.session.pop(_HELD, None)


def own_password_url(wanted: str = "/") -> str:
    """Return the page for an own password, which leads on to the one that its reader came for."""
    goes_on = {} if wanted == "/" else {"next": wanted}
    return f"{reverse('web:password')}?{urlencode({'first': 1, **goes_on})}"


class OwnPasswordMiddleware(MiddlewareMixin):
    """Django middleware, behind those of session and user: leads newcomers to the page for an own password."""

    def process_request(self, request: HttpRequest) -> HttpResponse | None:
        """Return where to go, None for everybody else. Raises `PermissionDenied` for who reads no pages."""
        if settings.SESSION_COOKIE_NAME not in request.COOKIES or _HELD not in request.session:
            return None
        if not request.user.is_authenticated or request.path in map(reverse, _OPEN_PAGES):
            return None
        if "text/html" not in request.headers.get("Accept", ""):
            raise PermissionDenied("Choose a password of your own first.")
        return redirect(own_password_url())
