"""ZeroClaw's SessionBackend over our records: what a client does with sessions that it knows by keys of its own.

The rules are those of version 0.6.9 (contracts/zeroclaw.md 1 and 7.1). A key names one session of one owner and source.
What is written for an unknown key makes nothing and is no error, except that appending makes the session.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.db import models, transaction
from django.utils import timezone

from sessions import indexing, protocol, recounting, retention, revisions, transcripts
from sessions.exceptions import Conflict, InvalidRequest, NotFound
from sessions.models import Message, SearchEntry, Session, Unindexed
from sessions.models.folding import Query, Term, words_of
from sessions.models.search_entry import facet
from sessions.models.session_rows import SessionQuerySet
from sessions.retention import Policy, Rule

if TYPE_CHECKING:
    from django.contrib.auth.models import User

LIMIT = 50
"""Sessions that a search returns when nobody says how many."""
WORDS_AT_ONCE = 200
"""Words of a keyword for which one query looks."""
LONGEST_THRESHOLD = 10**9
"""Seconds: thirty years, and still within the calendar. Nothing is older."""
_CATCH_UP_SECONDS = 2.0
"""How long a search works off what the index lacks, so that it finds what was written just before."""
_RACES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """The sessions of one source. `by` is the word by which events say who did it; new ones get `agent_name`."""

    owner: "User"
    source: str
    agent_name: str
    by: str

    # --- Messages ------------------------------------------------------------------------------------------

    def load(self, key: str) -> list[tuple[str, str]]:
        """Return role and content of all messages, archived ones too, by insertion; of an unknown key none."""
        rows = Message.objects.filter(session__in=self._with_key(key)).order_by("id").values_list("role", "content")
        return [(role, content or "") for role, content in rows]

    def append(self, key: str, *, role: str, content: str, client_id: str | None = None) -> int:
        """Append one message, of any role, to the session, which begins with it; return how many it then has.

        A repeat of `client_id` is not stored again. Raises `InvalidRequest` or `TooLarge`.
        """
        draft = transcripts.MessageDraft(role=role, content=content, client_id=client_id)
        with transaction.atomic():
            pk = self._find(key) or self._start(key)
            return transcripts.append(pk, [draft], any_role=True).message_count

    def remove_last(self, key: str) -> bool:
        """Destroy the newest message; say whether there was one."""
        with transaction.atomic():
            pk = self._find(key)
            return pk is not None and revisions.remove_last(pk, by=self.by)

    def update_last(self, key: str, *, role: str, content: str) -> bool:
        """Let the newest message say something else; say whether there was one. Raises as `append` does."""
        with transaction.atomic():
            pk = self._find(key)
            return pk is not None and revisions.replace_last(pk, role=role, content=content, by=self.by)

    def clear_messages(self, key: str) -> int:
        """Destroy all messages and keep the session; return how many there were."""
        with transaction.atomic():
            pk = self._find(key)
            return 0 if pk is None else revisions.clear(pk, by=self.by)

    # --- Sessions ------------------------------------------------------------------------------------------

    def sessions(self) -> SessionQuerySet:
        """Return all sessions that have a key, newest activity first."""
        rows = Session.objects.active().filter(owner=self.owner, source=self.source, key_digest__isnull=False)
        return rows.order_by("-last_activity_at", "-pk")

    def running(self) -> SessionQuerySet:
        """Return those that run, newest start first; without a start last."""
        return self.sessions().running().order_by(models.F("turn_started_at").desc(nulls_last=True), "-pk")

    def stuck(self, *, threshold_seconds: int, now: datetime | None = None) -> SessionQuerySet:
        """Return those whose turn began strictly longer ago, oldest start first. Raises `InvalidRequest` below 0."""
        if threshold_seconds < 0:
            raise InvalidRequest.field("threshold_secs", "must not be negative")
        threshold = timedelta(seconds=min(threshold_seconds, LONGEST_THRESHOLD))
        return self.sessions().stuck(threshold=threshold, now=now or timezone.now())

    def get(self, key: str) -> Session:
        """Return the session. Raises `NotFound`."""
        session = self._with_key(key).first()
        if session is None:
            raise NotFound("No session has this key.")
        return session

    def delete(self, key: str) -> bool:
        """Delete the session softly, so that the key is free again; say whether there was one."""
        with transaction.atomic():
            session = self._with_key(key).select_for_update(no_key=True).first()
            return session is not None and session.remove(by=self.by)

    def set_name(self, key: str, name: str) -> Session | None:
        """Give the session a name, exactly as written, or with an empty one none; return it, if there is one."""
        with transaction.atomic():
            session = self._with_key(key).select_for_update(no_key=True).first()
            return None if session is None else session.edit(by=self.by, title=name)

    def set_state(self, key: str, state: str, *, turn_id: str | None) -> Session | None:
        """Set state and turn; return the session, if there is one. Raises `InvalidRequest` for another word."""
        with transaction.atomic():
            pk = self._find(key)
            return None if pk is None else protocol.set_state(pk, state, turn_id=turn_id, by=self.by)

    def compact(self, key: str) -> None:
        """Hold the counters against the records and index the session anew; nothing is shortened."""
        with transaction.atomic():
            session = self._with_key(key).select_for_update(no_key=True).first()
            if session is not None:
                recounting.correct(session.pk, by=self.by)
                Unindexed.objects.requeue(session)

    def cleanup_stale(
        self, *, ttl_hours: int, include_running: bool, is_dry_run: bool, is_forced: bool = False
    ) -> list[str]:
        """Destroy for good what was last active strictly longer ago; return the keys, the longest idle first.

        0 hours means off, unless it `is_forced`: then all that was active before this moment goes. Raises
        `InvalidRequest` below 0.
        """
        if ttl_hours == 0 and not is_forced:
            return []
        rule = Rule(
            policy=Policy.STALE, age=ttl_hours, include_running=include_running, is_forced=is_forced,
            asker=self.owner, within=self.sessions(),
        )  # fmt: skip
        keys = dict(self.sessions().values_list("pk", "key"))
        going = retention.preview(rule).session_ids if is_dry_run else retention.purge(rule, by=self.by).session_ids
        return [str(keys[pk]) for pk in going if pk in keys]

    # --- Search --------------------------------------------------------------------------------------------

    def search(self, keyword: str | None, *, limit: int | None = None) -> list[Session]:
        """Return the sessions in whose messages or key one of the words stands, the oldest such message first.

        Words are cut as in ZeroClaw's index: no beginnings, no operators; one with signs inside is a phrase. A session
        without messages is not found, not even by its key. No keyword: all sessions, whatever the limit.
        """
        if keyword is None:
            return list(self.sessions())
        terms = list(dict.fromkeys(Term(tuple(found)) for word in keyword.split() if (found := words_of(word))))
        count = LIMIT if limit is None else limit
        if not terms or count == 0:
            return []
        indexing.catch_up(seconds=_CATCH_UP_SECONDS)
        first_match: dict[int, int] = {}
        for start in range(0, len(terms), WORDS_AT_ONCE):
            query = Query(tuple(terms[start : start + WORDS_AT_ONCE]), is_any=True)
            matches = self._first_matches(query) | self._first_messages(list(self._with_words_in_key(query)))
            first_match |= {pk: min(message, first_match.get(pk, message)) for pk, message in matches.items()}
        best = sorted(first_match, key=lambda pk: first_match[pk])[:count]
        rows = self.sessions().in_bulk(best)
        return [rows[pk] for pk in best if pk in rows]

    def _first_matches(self, query: Query) -> dict[int, int]:
        """Return by session the first message that matches."""
        found = SearchEntry.objects.matching(query, scope=self._scope()).filter(message__isnull=False)
        firsts = found.order_by().values("session").annotate(first=models.Min("message"))
        active = firsts.filter(session__in=self.sessions().order_by())
        return dict(active.values_list("session", "first"))

    def _with_words_in_key(self, query: Query) -> Iterator[int]:
        """Yield the sessions that have a term in their keys; the index, which knows titles too, proposes them."""
        entries = SearchEntry.objects.matching(query, scope=self._scope())
        entries = entries.filter(message=None, tool_call=None)
        keys = self.sessions().order_by().filter(pk__in=entries.values("session")).values_list("pk", "key")
        for pk, key in keys:
            words = words_of(str(key))
            if any(term.length_at(words, at) for term in query.terms for at in range(len(words))):
                yield pk

    @staticmethod
    def _first_messages(session_ids: list[int]) -> dict[int, int]:
        """Return by session its first message: each message bears the key."""
        rows = Message.objects.filter(session__in=session_ids).order_by().values("session")
        return dict(rows.annotate(first=models.Min("pk")).values_list("session", "first"))

    def _scope(self) -> list[list[str]]:
        """Return the terms of the index under which the sessions of this owner and source stand."""
        return [[facet("o", self.owner.pk)], [facet("s", self.source)]]

    # --- Keys ----------------------------------------------------------------------------------------------

    def _with_key(self, key: str) -> SessionQuerySet:
        return Session.objects.with_key(owner=self.owner, source=self.source, key=key)

    def _find(self, key: str) -> int | None:
        """Return the number of the session with this key, its row locked: nobody deletes it before we write."""
        return self._with_key(key).select_for_update(no_key=True).values_list("pk", flat=True).first()

    def _start(self, key: str) -> int:
        """Begin the session, or return the one that somebody else has begun at the same time."""
        for _ in range(_RACES):
            try:
                started = Session.objects.start(
                    owner=self.owner, source=self.source, agent_name=self.agent_name, key=key
                )
            except Conflict:
                pk = self._find(key)
            else:
                pk = started.session.pk
            if pk is not None:
                return pk
        raise Conflict("This session is begun and deleted over and over.")
