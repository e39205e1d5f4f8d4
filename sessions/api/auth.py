"""Who calls: a key of an agent, or a browser in which somebody has signed in."""

from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import User
from django.http import HttpRequest
from django.utils import timezone
from ninja.security.base import AuthBase
from ninja.utils import check_csrf

from sessions import rates
from sessions.exceptions import Forbidden, KodaError, Unauthorized
from sessions.models import ApiKey, Scope, who

BROWSER_SOURCE = "web"
"""The source of what a signed-in browser makes."""
_NO_SUCH_KEY = "This key is unknown, expired or revoked."


@dataclass(frozen=True, slots=True)
class Caller:
    """A user, and the key that speaks for them; without a key it is their browser, which may do all they may."""

    user: User
    key: ApiKey | None = None

    @property
    def scopes(self) -> frozenset[str]:
        """Return what the caller may do."""
        return frozenset(Scope.values) if self.key is None else self.key.scopes

    @property
    def source(self) -> str:
        """Return the installation for which the caller speaks."""
        return BROWSER_SOURCE if self.key is None else self.key.source

    @property
    def name(self) -> str:
        """Return the word by which events say who did it: `key:7` or `user:3`."""
        return who(self.user) if self.key is None else f"key:{self.key.pk}"

    def has(self, scope: str) -> bool:
        """Say whether the caller holds `scope`."""
        return scope in self.scopes

    def require(self, scope: str) -> None:
        """Raise `Forbidden` unless the caller holds `scope`."""
        if not self.has(scope):
            raise Forbidden(f"This key lacks the scope {scope}.")


def authenticate(request: HttpRequest) -> Caller:
    """Return who calls; found once a request, however often it is asked.

    Raises `Unauthorized`, `RateLimited`, or `Forbidden` for a browser without its CSRF token.
    """
    known: Caller | KodaError | None = getattr(request, "_koda_caller", None)
    if known is None:
        known = _look_up(request)
        request._koda_caller = known  # type: ignore[attr-defined] # noqa: SLF001 - a note of our own on Django's object
    if isinstance(known, KodaError):
        raise known
    return known


def look_again(caller: Caller) -> Caller:
    """Return a caller as the database knows them by now: a request may wait for long.

    Raises `Unauthorized` when their key has ended meanwhile.
    """
    if caller.key is None:
        return caller
    key = ApiKey.objects.select_related("user").filter(pk=caller.key.pk).first()
    if key is None or not key.is_valid(timezone.now()):
        raise Unauthorized(_NO_SUCH_KEY)
    return Caller(user=key.user, key=key)


def _look_up(request: HttpRequest) -> Caller | KodaError:
    """Return who calls, or why nobody is known to."""
    try:
        header = request.headers.get("Authorization")
        caller = _with_key(request, header) if header is not None else _with_browser(request)
        rates.count_call(caller.name)
    except KodaError as error:
        return error
    return caller


def _with_key(request: HttpRequest, header: str) -> Caller:
    """Return the caller whose key the header holds."""
    scheme, _, plain = header.partition(" ")
    if scheme.lower() != "bearer" or not plain.strip():
        raise Unauthorized("Send a key: Authorization: Bearer koda_…")
    now = timezone.now()
    key = ApiKey.objects.find(plain.strip(), now=now)
    if key is None:
        rates.count_bad_key(request.META.get("REMOTE_ADDR"), request.headers.get("X-Forwarded-For", ""))
        raise Unauthorized(_NO_SUCH_KEY)
    key.note_use(now)
    return Caller(user=key.user, key=key)


def _with_browser(request: HttpRequest) -> Caller:
    """Return the caller who has signed in with this browser."""
    if not request.user.is_authenticated:
        raise Unauthorized("Send a key: Authorization: Bearer koda_…")
    if check_csrf(request):
        raise Forbidden("The CSRF token is missing or wrong.")
    return Caller(user=request.user)


class KeyOrBrowser(AuthBase):
    """Lets ninja ask `authenticate`; its caller is then `request.auth`."""

    openapi_type = "http"
    openapi_scheme = "bearer"
    openapi_description = "An API key. A signed-in browser may send its session cookie and CSRF token instead."

    def __call__(self, request: HttpRequest) -> Any:
        """Return the caller, or raise."""
        return authenticate(request)
