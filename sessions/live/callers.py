"""Callers: who stands at a socket, what they may see, and whether that still holds."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.http import HttpRequest
from django.utils import timezone

from sessions import rates
from sessions.live.asgi_types import Scope
from sessions.models import ApiKey, Session, who


@dataclass(frozen=True, slots=True)
class Caller:
    """A person with a browser (`session_key`), a program with a key, or anybody (neither), who comes from `origin`."""

    user: AbstractBaseUser | AnonymousUser
    key: ApiKey | None = None
    session_key: str | None = None
    origin: str = ""

    @property
    def name(self) -> str:
        """Return by what name their sockets are counted: all of one person, and of nobody's those of one address."""
        return who(self.user) if self.user.is_authenticated else f"anonymous {self.origin}"

    def may_read(self, session: Session) -> bool:
        """Say whether they may read this session, now that they have named it."""
        return (self.key is None or self.key.can_read) and session.may_be_read_by(self.user)

    def may_change(self, session: Session) -> bool:
        """Say whether they may write to this session; a key needs the scope for it."""
        return (self.key is None or self.key.can_write) and session.may_be_changed_by(self.user)

    def count_frame(self) -> None:
        """Count a frame as one request of the key. Raises `RateLimited`."""
        if self.key is not None:
            rates.count_call(f"key:{self.key.pk}")

    def is_agent_of(self, session: Session) -> bool:
        """Say whether they are the session's own agent: a write key of its owner and its source. Commands go there."""
        key = self.key
        return key is not None and key.can_write and (key.user_id, key.source) == (session.owner_id, session.source)

    def sees(self, session: Session) -> bool:
        """Say whether the board shows them this session: `SessionQuerySet.visible_to` without a query."""
        return self.user.is_authenticated and not session.is_deleted and self.may_read(session)


def of_browser(scope: Scope) -> Caller:
    """Return the caller whom Channels' middlewares found in the cookies."""
    return Caller(user=scope["user"], session_key=scope["session"].session_key, origin=rates.origin_of(*_way(scope)))


def of_key(plain: str, scope: Scope) -> Caller | None:
    """Return the caller with this key, its use noted, or None when no valid key reads so.

    Raises `RateLimited` when too many such came from where `scope` comes from.
    """
    now = timezone.now()
    key = ApiKey.objects.find(plain, now=now)
    if key is None:
        rates.count_bad_key(*_way(scope))
        return None
    key.note_use(now)
    return Caller(user=key.user, key=key)


def _way(scope: Scope) -> tuple[str | None, str]:
    """Return the address of a connection, and what proxies say of its way."""
    forwarded = [value.decode("latin1") for name, value in scope["headers"] if name.lower() == b"x-forwarded-for"]
    return (scope.get("client") or [None])[0], ",".join(forwarded)


def look_again(callers: Collection[Caller]) -> dict[Caller, Caller | None]:
    """Return each caller as the database now knows them; None when they signed out or their key ended."""
    now = timezone.now()
    wanted = {caller.key.pk for caller in callers if caller.key is not None}
    keys = {key.pk: key for key in ApiKey.objects.select_related("user").filter(pk__in=wanted) if key.is_valid(now)}
    return {caller: _still(caller, keys) for caller in callers}


def note_uses(callers: Iterable[Caller]) -> None:
    """Note that the keys of these callers are in use: a program may stay for months and show its key once."""
    ApiKey.objects.note_uses([caller.key for caller in callers if caller.key is not None], timezone.now())


def _still(caller: Caller, keys: dict[int, ApiKey]) -> Caller | None:
    if caller.key is not None:
        key = keys.get(caller.key.pk)
        return Caller(user=key.user, key=key) if key else None
    if not caller.user.is_authenticated:
        return caller
    user = _user_of(caller.session_key)
    return Caller(user=user, session_key=caller.session_key) if user.pk == caller.user.pk else None


def _user_of(session_key: str | None) -> AbstractBaseUser | AnonymousUser:
    """Return who is signed in there; expired sessions, changed passwords and inactive users are nobody."""
    engine: Any = import_module(settings.SESSION_ENGINE)
    request = HttpRequest()
    request.session = engine.SessionStore(session_key)
    return get_user(request)
