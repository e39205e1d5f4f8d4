"""What views ask of a request: who may see the session it names, and whether it wants a page or a part of one."""

import uuid as uuids
from collections.abc import Callable
from datetime import datetime
from functools import wraps
from typing import TYPE_CHECKING, Any, Concatenate
from urllib.parse import urlencode

from django.contrib.auth.models import User
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import resolve_url
from django.utils.cache import patch_vary_headers
from django.utils.http import url_has_allowed_host_and_scheme
from django_htmx.middleware import HtmxDetails

from sessions.models import Session
from sessions.models.prepared import Place, prepared
from sessions.models.rows import with_requests, worded
from sessions.models.session_rows import SessionQuerySet

if TYPE_CHECKING:

    class PageRequest(HttpRequest):
        """A request that has passed our middleware."""

        htmx: HtmxDetails

else:
    PageRequest = HttpRequest

SessionView = Callable[Concatenate[PageRequest, Session, ...], HttpResponseBase]
View = Callable[..., HttpResponseBase]


def page_url(request: HttpRequest) -> str:
    """Return the address of this page with its query, by which a form says where to go back to."""
    return request.get_full_path()


def page_around(request: PageRequest) -> str:
    """Return the page of ours in which the part stands that htmx asks for, by its path; "" when it names none."""
    try:
        return request.htmx.current_url_abs_path or ""
    except ValueError:  # what anybody may send there need not be an address
        return ""


def return_to_page(request: HttpRequest, *, otherwise: Any) -> HttpResponseRedirect:
    """Go back to the page that a form names (`page_url`), or to `otherwise` when that is none of ours.

    What the form says is a path and never the name of a view, as Django's `redirect` would take it.
    """
    before = request.POST.get("next", "")
    return HttpResponseRedirect(before if is_page_of_ours(request, before) else resolve_url(otherwise))


def return_to_referrer(request: HttpRequest, *, otherwise: Any) -> HttpResponseRedirect:
    """Go back as `return_to_page`, with the query that the browser says that page has by now.

    What stands in a form is the address with which a page was opened; filters have changed it since. A page that was
    drawn in answer to a form names another one, since its own address takes that form alone.
    """
    _, _, place = request.headers.get("Referer", "").partition("://")
    host, slash, path = place.partition("/")
    is_same = _without_query(slash + path) == _without_query(request.POST.get("next", ""))
    if is_same and host == request.get_host() and is_page_of_ours(request, slash + path):
        return HttpResponseRedirect(slash + path)
    return return_to_page(request, otherwise=otherwise)


def _without_query(path: str) -> str:
    return path.partition("#")[0].partition("?")[0]


def is_page_of_ours(request: HttpRequest, path: str) -> bool:
    """Say whether what somebody named as the place to go on leads to a page of this server."""
    return path.startswith("/") and url_has_allowed_host_and_scheme(
        path, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )


def socket_url(path: str, now: datetime, words: dict[str, str] | None = None) -> str:
    """Return the socket of a page that was rendered at `now`, from which time on it must be told, with its filter."""
    return f"{path}?{urlencode({'since': int(now.timestamp() * 1_000_000), **(words or {})})}"


def wants_fragment(request: PageRequest) -> bool:
    """Say whether htmx asks for a part of the page; a boosted link wants the whole."""
    return bool(request.htmx) and not request.htmx.boosted


@prepared
def _opened(uuid: Place) -> SessionQuerySet:
    """Ask for the session of a page: its own columns, those of the session above it, and what its row says."""
    return worded(Session.objects.filter(uuid=uuid)).select_related("parent")


def with_readable_session(view: SessionView) -> View:
    """Give `view` the session that the path names, if this reader may see it.

    Whoever is not signed in is sent there, also for what does not exist; for everybody else the
    invisible and the absent are 404 alike.
    """

    @wraps(view)
    def inner(request: PageRequest, uuid: uuids.UUID, **rest: Any) -> HttpResponseBase:
        session = next(iter(with_requests(_opened(uuid))), None)
        if session is None or not session.may_be_read_by(request.user):
            if not request.user.is_authenticated:
                return redirect_to_login(request.get_full_path())
            raise Http404("There is no session here that you may see.")
        response = view(request, session, **rest)
        patch_vary_headers(response, ["HX-Request"])
        return response

    return inner


def with_changeable_session(view: SessionView) -> View:
    """Give `view` the session that the path names, if this person may change it; else 403 (404 when invisible)."""

    def checked(request: PageRequest, session: Session, **rest: Any) -> HttpResponseBase:
        if not session.may_be_changed_by(request.user):
            raise PermissionDenied("You may read this session; only its owner and staff may change it.")
        return view(request, session, **rest)

    return with_readable_session(wraps(view)(checked))


def person_of(request: PageRequest) -> User:
    """Return who is signed in, in a view that asks for that."""
    assert isinstance(request.user, User)  # `login_required` stands above
    return request.user
