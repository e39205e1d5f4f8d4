"""How sessions come to be, and how one is looked up by what names it."""

import hashlib
import json
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db import IntegrityError, models, transaction
from django.utils import timezone

from sessions import redaction
from sessions.exceptions import Conflict, InvalidRequest, NotFound
from sessions.models.among import Among, joined
from sessions.models.event import EventDraft
from sessions.models.fields import NAME_BYTES, require_name
from sessions.models.holding import hold_rows
from sessions.models.prepared import Place, prepared
from sessions.models.session_rows import KEY_BYTES, LISTED, SessionQuerySet, digest_of_key

if TYPE_CHECKING:
    from django.contrib.auth.models import User

    from sessions.models.session import Session

LONGEST_BYTES = {"key": KEY_BYTES, "source": 100}
"""Bytes that these names have at most, where it is not `NAME_BYTES`; SQLite would not mind the column's length."""


@dataclass(frozen=True, slots=True)
class Started:
    """What `Session.objects.start` did: the session, and whether it is new."""

    session: "Session"
    is_new: bool


_SessionManager = models.Manager.from_queryset(SessionQuerySet)


class SessionManager(_SessionManager["Session"]):
    """Births and lookups of sessions."""

    def start(
        self,
        *,
        owner: "User",
        source: str,
        agent_name: str,
        uuid: uuid.UUID | None = None,
        now: datetime | None = None,
        **facts: Any,
    ) -> Started:
        """Create a session and its first event, or return the one that a repeat of this call made.

        `facts` are optional columns: key, project_root, title, visibility, mode, model, provider,
        parent (a Session), parent_tool_call_id, is_imported, created_at. Raises `Conflict` when the id
        or the key (of this owner and source) is taken by something else, without saying by whom,
        and `InvalidRequest` for a name that cannot be one, or a parent that has been destroyed.
        """
        now = now or timezone.now()
        _require_names({"source": source, "agent_name": agent_name, **facts})
        if title := redaction.clean(facts.pop("title", None)):  # an empty one is none, as in `edit`
            facts["title"] = title
        session = self.model(
            owner=owner, source=source, agent_name=agent_name, liveness_since=now, updated_at=now,
            **{"created_at": now, "last_activity_at": facts.get("created_at") or now, **facts},
        )  # fmt: skip
        if uuid is not None:
            session.uuid = uuid
        if session.mode is not None:
            session.trust(session.mode)
        if session.key is not None:
            session.key_digest = digest_of_key(session.key)
        session.birth_digest = _digest_of_birth(session, facts)
        try:
            with transaction.atomic():
                self._hold_parent(session)
                session.save(force_insert=True)
                session.record([EventDraft(type="server.session_created")], now=now)
        except IntegrityError:
            if not session._state.adding:  # noqa: SLF001 - it was written: what it points to had gone at the commit
                raise
            return Started(self._repeat_of(session, facts), is_new=False)
        return Started(session, is_new=True)

    def _hold_parent(self, child: "Session") -> None:
        """Let nobody destroy the parent until this transaction ends. Raises `InvalidRequest` when somebody has."""
        try:
            if child.parent_id is not None:
                self.held(child.parent_id)
        except NotFound:
            raise InvalidRequest.field("parent_id", "there is no such session") from None

    def _repeat_of(self, wanted: "Session", facts: dict[str, Any]) -> "Session":
        """Return the session that an equal earlier call made. Raises `Conflict` when none did.

        It may have changed since: it was born of the same facts. Of those that an older server made only the columns
        are known, as they are now.
        """
        taken = self.filter(uuid=wanted.uuid).first()
        is_known = taken is not None and taken.birth_digest is not None
        same = ("owner_id", "birth_digest") if is_known else ("owner_id", "source", "agent_name", *facts)
        if taken is None or any(getattr(taken, name) != getattr(wanted, name) for name in same):
            raise Conflict("A session with this id or key exists and differs.")
        return taken

    def locked(self, pk: int) -> "Session":
        """Return the session with its row locked until the transaction ends. Raises `NotFound`.

        Of two that lock it one waits. Who only writes a row that points to it does not: the search index does, and
        would wait for a writer that waits for it. On SQLite the IMMEDIATE transaction is the lock.
        """
        return self._own(_locked.first(pk, sessions=self))

    def locked_to_destroy(self, pk: int) -> "Session":
        """Return the session locked against those, too, who would write a row that points to it. Raises `NotFound`."""
        return self._own(_locked_to_destroy.first(pk, sessions=self))

    def held(self, pk: int) -> "Session":
        """Return the session, which nobody destroys until this transaction ends, while verbs go on. Raises `NotFound`.

        For what begins another one that points to it.
        """
        session = _by_pk.first(pk, sessions=self) if hold_rows(self.model, [pk]) else None
        if session is None:
            raise NotFound("No such session.")
        return session

    def _own(self, session: "Session | None") -> "Session":
        """Make a locked session ready to be changed."""
        if session is None:
            raise NotFound("No such session.")
        session.remember_columns()
        return session

    def locked_if_free(self, pk: int) -> "Session | None":
        """Return the same session unless somebody else holds its row, or it has gone: then None, without a wait."""
        session = _locked_if_free.first(pk, sessions=self)
        if session is not None:
            session.remember_columns()
        return session

    def at_present(self, pk: int) -> "Session | None":
        """Return the session as it is now, None when it has been destroyed."""
        return _by_pk.first(pk, sessions=self)

    def last_seqs(self, pks: Iterable[int]) -> dict[int, int]:
        """Return the newest seq of each of these sessions that there is."""
        return dict(_last_seqs(joined(pks), sessions=self))

    def readable(self, session_uuid: uuid.UUID, *, user: AbstractBaseUser | AnonymousUser) -> "Session":
        """Return the session with this public id, if `user` may see it. Raises `NotFound`."""
        return _seen(_by_uuid.first(session_uuid, sessions=self), user)

    def listed(self, session_uuid: uuid.UUID, *, user: AbstractBaseUser | AnonymousUser) -> "Session":
        """Return the same session with its newest checkpoint and that one's parent; without one it is not found."""
        return _seen(_listed.first(session_uuid, sessions=self), user)

    def addressed(self, session_uuid: uuid.UUID, *, user: AbstractBaseUser | AnonymousUser) -> "Session":
        """Return the same session for who will change it: the verb reads under its lock what is not read here."""
        return _seen(_addressed.first(session_uuid, sessions=self), user)


def _require_names(facts: dict[str, Any]) -> None:
    """Raise `InvalidRequest` when a text among the facts of a birth cannot be a name."""
    for field, value in facts.items():
        if isinstance(value, str):
            require_name(field, value, longest_bytes=LONGEST_BYTES.get(field, NAME_BYTES))


def _digest_of_birth(session: "Session", facts: dict[str, Any]) -> str:
    """Return what two calls have in common that are to make the same session; what is null was not said."""
    said = {name: str(value) for name, value in facts.items() if value is not None}
    if session.parent_id is not None:
        said["parent"] = str(session.parent_id)
    told = {"source": session.source, "agent_name": session.agent_name, **said}
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def _seen(session: "Session | None", user: AbstractBaseUser | AnonymousUser) -> "Session":
    if session is None or not session.may_be_read_by(user):
        raise NotFound("No such session.")
    return session


@prepared
def _locked(pk: Place, *, sessions: SessionManager) -> SessionQuerySet:
    return sessions.filter(pk=pk).select_for_update(of=("self",), no_key=True)


@prepared
def _locked_to_destroy(pk: Place, *, sessions: SessionManager) -> SessionQuerySet:
    return sessions.filter(pk=pk).select_for_update(of=("self",))


@prepared
def _locked_if_free(pk: Place, *, sessions: SessionManager) -> SessionQuerySet:
    return sessions.filter(pk=pk).select_for_update(of=("self",), no_key=True, skip_locked=True)


@prepared
def _by_pk(pk: Place, *, sessions: SessionManager) -> SessionQuerySet:
    return sessions.filter(pk=pk)


@prepared
def _last_seqs(pks: Place, *, sessions: SessionManager) -> "models.QuerySet[Session, tuple[int, int]]":
    return sessions.filter(Among("pk", pks)).values_list("pk", "last_seq")


@prepared
def _by_uuid(session_uuid: Place, *, sessions: SessionManager) -> SessionQuerySet:
    return sessions.filter(uuid=session_uuid)


@prepared
def _addressed(session_uuid: Place, *, sessions: SessionManager) -> SessionQuerySet:
    columns = ("uuid", "owner", "source", "visibility", "status", "active_checkpoint")
    return sessions.filter(uuid=session_uuid).only(*columns)


@prepared
def _listed(session_uuid: Place, *, sessions: SessionManager) -> SessionQuerySet:
    return sessions.filter(LISTED, uuid=session_uuid).select_related("active_checkpoint__parent")
