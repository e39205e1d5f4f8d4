"""Search: messages, tool calls, titles and keys, ranked among the newest matches, alike on both databases.

Only the newest `WINDOW` matches are ranked, and pages go on with the next as many: to rank all matches of a common
word takes seconds and helps nobody.
"""

import contextlib
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db import OperationalError, models
from django.db.models.functions import Substr

from sessions import indexing
from sessions.exceptions import InvalidRequest
from sessions.models import Message, Role, SearchEntry, Session, ToolCall, Unindexed, Visibility
from sessions.models.among import Among
from sessions.models.folding import CLIP, Query, parse
from sessions.models.patience import patience
from sessions.models.search_entry import Kind, facet
from sessions.snippets import Part, count_in, snippet

WINDOW = 200
"""Matches that are ranked together, the newest first."""
FACETS = 8
"""Values of a facet that are told."""
_LOOKS = (1_000, 19_000)
"""Matches, newest first, that are gone through; the second time, where the first has not filled the window."""
_RANKED = 4000
"""Characters of a text that its rank goes by."""
_BEHIND = 50
"""Rows of the queue that a search indexes by itself; a longer queue is left to the keeper."""
_BEHIND_SECONDS = 0.1
"""How long it waits for its turn to do so, and how long it goes on."""
_WEIGHTS: dict[str, float] = {Role.USER: 1.3, Role.ASSISTANT: 1.1, Role.SYSTEM: 0.9, Role.TOOL: 0.7}
_WEIGHT_OF_A_SESSION = 2.5
_TYPICAL_WORDS = 80
_CURSOR = re.compile(r"(\d{1,18})-(\d{1,3})(w?)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """What a search is narrowed to; empty text and None narrow nothing. `after` and `before` are strict.

    `state` is a word of `StateFilter`; the others are whole values.
    """

    role: str = ""
    agent_name: str = ""
    project_root: str = ""
    tool: str = ""
    source: str = ""
    state: str = ""
    after: datetime | None = None
    before: datetime | None = None

    def scope(self) -> list[list[str]]:
        """Return the filters that are terms of the index."""
        facts = {"r": self.role, "a": self.agent_name, "p": self.project_root, "t": self.tool, "s": self.source}
        return [[facet(letter, value)] for letter, value in facts.items() if value]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """Something found. `snippet` is plain text in parts: whoever shows it escapes it.

    `message_id` and `tool_call_id` say what matched; both None: title or key of the session. `shown_in` is the call
    in which the transcript shows a result.
    """

    session: Session
    kind: Kind
    role: str
    agent_name: str
    tool: str
    at: datetime
    message_id: int | None
    tool_call_id: int | None
    score: float
    is_archived: bool = False
    shown_in: ToolCall | None = None
    snippet: tuple[Part, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Hits:
    """One page. `count` is how many match, `WINDOW` at most; `is_more` says that there are older ones.

    `facets` counts values among the ranked matches, the most frequent first. `is_behind`: the index lacks something
    that was written. Without `has_terms` there was no word to look for.
    """

    items: list[Hit] = field(default_factory=list)
    next_cursor: str | None = None
    count: int = 0
    is_more: bool = False
    is_behind: bool = False
    has_terms: bool = True
    facets: dict[str, list[tuple[str, int]]] = field(default_factory=dict)


def search(
    q: str,
    *,
    user: AbstractBaseUser | AnonymousUser,
    filters: Filters | None = None,
    limit: int = 20,
    cursor: str | None = None,
) -> Hits:
    """Return what `user` may see and `q` asks for: words, `"phrases"`, `-without`, `begin*`; any text is a query.

    The last word's beginning is enough, unless the very word alone is found more often than a window holds. Without a
    word to look for nothing is found. Raises `InvalidRequest` for a cursor that is none.
    """
    asked, place = parse(q), _read_cursor(cursor)
    if not asked.terms or not user.is_authenticated:
        return Hits(has_terms=bool(asked.terms))
    is_behind = _catch_up()
    query, entries = _window(asked, user, filters or Filters(), place)
    top, offset, mark = place.before, place.offset, "" if query == asked else "w"
    is_more, entries = len(entries) > WINDOW, entries[:WINDOW]
    if not entries:
        return Hits(is_behind=is_behind)
    ranked = _ranked(entries, query)
    page = _described(ranked[offset : offset + limit], query)
    end = min(offset + limit, len(ranked))
    next_cursor = None
    if limit and end < len(ranked):
        next_cursor = f"{top or entries[0].pk + 1}-{end}{mark}"
    elif limit and is_more:
        next_cursor = f"{entries[-1].pk}-0{mark}"
    return Hits(
        items=page, next_cursor=next_cursor, count=len(ranked), is_more=is_more, is_behind=is_behind,
        facets=_facets(entries),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a page begins: before which entry the window lies, how many of it were shown, for which reading."""

    before: int | None = None
    offset: int = 0
    is_closed: bool = False


def _read_cursor(cursor: str | None) -> _Place:
    if cursor is None:
        return _Place()
    mark = _CURSOR.fullmatch(cursor) if cursor.isascii() else None
    if mark is None:
        raise InvalidRequest.field("cursor", "is not a cursor of a search")
    return _Place(int(mark[1]), int(mark[2]), bool(mark[3]))


def _window(
    query: Query, user: AbstractBaseUser | AnonymousUser, filters: Filters, place: _Place
) -> tuple[Query, list[SearchEntry]]:
    """Return how the query is read, and the newest matches, one more than the window holds.

    To gather all words that begin like a common one takes a hundred times as long as the newest texts with it.
    """
    if query.is_open and (place.is_closed or place.before is None):
        closed = query.closed()
        entries = _newest(closed, user, filters, before=place.before, at_least=0 if place.is_closed else WINDOW + 1)
        if place.is_closed or len(entries) > WINDOW:
            return closed, entries
    return query, _newest(query, user, filters, before=place.before)


def _catch_up() -> bool:
    """Index a short queue, so that whoever has just written finds it; say whether something still waits."""
    waiting = Unindexed.objects.all()
    if 0 < waiting[: _BEHIND + 1].count() <= _BEHIND:
        # Others write: an older answer is better than a late one.
        with contextlib.suppress(OperationalError), patience(_BEHIND_SECONDS):
            indexing.catch_up(seconds=_BEHIND_SECONDS)
    return waiting.exists()


def _newest(
    query: Query, user: AbstractBaseUser | AnonymousUser, filters: Filters, *, before: int | None, at_least: int = 0
) -> list[SearchEntry]:
    """Return the newest matches that `user` may see, one more than the window holds; none when fewer than `at_least`.

    The owner is a term of the index, so that what others keep to themselves is not even gone through; who may read
    is decided by the session as it is now.
    """
    scope = filters.scope()
    if not getattr(user, "is_staff", False):
        scope.append([facet("o", user.pk), facet("v", Visibility.PUBLIC.value)])
    sessions = Session.objects.visible_to(user).active().filtered(state=filters.state)
    found: list[SearchEntry] = []
    for count in _LOOKS:
        ids = SearchEntry.objects.newest(query, scope=scope, before=before, count=count)
        if len(found) + len(ids) < at_least:
            return []
        rows = SearchEntry.objects.filter(
            Among("pk", ids), models.Exists(sessions.filter(pk=models.OuterRef("session")))
        )
        if filters.after is not None:
            rows = rows.filter(at__gt=filters.after)
        if filters.before is not None:
            rows = rows.filter(at__lt=filters.before)
        shown = rows.annotate(project=models.F("session__project_root")).defer("words", "scope").order_by("-pk")
        found += shown[: WINDOW + 1 - len(found)]
        if len(found) > WINDOW or len(ids) < count:
            break
        before = ids[-1]
    return found


def _ranked(entries: Sequence[SearchEntry], query: Query) -> list[tuple[float, SearchEntry]]:
    """Return entries with their scores, the best first, and of equals the newest."""
    texts = _texts(entries, length=_RANKED)
    scores = [_score(entry, said.text, query) for entry, said in zip(entries, texts, strict=True)]
    return sorted(zip(scores, entries, strict=True), key=lambda ranked: -ranked[0])


def _score(entry: SearchEntry, text: str, query: Query) -> float:
    """Return how well a text fits, to one decimal, so that of nearly equal ones the newer comes first.

    As in BM25 a repeated term counts less each time, and in a long text less; all matches have all terms, so how
    rare a term is decides nothing. Who says it matters: a person's words before a tool's output.
    """
    counts, length = count_in(text, query)
    norm = 1.2 * (0.25 + 0.75 * length / _TYPICAL_WORDS)
    fit = sum(2.2 * count / (count + norm) for count in counts) / len(counts)
    weight = _WEIGHT_OF_A_SESSION if entry.kind == Kind.SESSION else _WEIGHTS.get(entry.role, 1.0)
    return round(fit * weight, 1)


class _Said(NamedTuple):
    """What an entry stands for says."""

    text: str = ""
    is_archived: bool = False


def _texts(entries: Sequence[SearchEntry], *, length: int) -> list[_Said]:
    """Return the beginning of the text of each, in their order; empty where it has just gone."""
    message_ids = [one.message_id for one in entries if one.message_id]
    call_ids = [one.tool_call_id for one in entries if one.tool_call_id]
    rows = Message.objects.filter(pk__in=message_ids).annotate(text=Substr("content", 1, length))
    of_messages = {
        row.pk: _Said(indexing.text_of(row.text, row.calls()), row.compacted_at is not None)  # type: ignore[attr-defined]
        for row in rows.only("tool_calls", "compacted_at")
    }
    of_calls = indexing.texts_of_calls(ToolCall.objects.filter(pk__in=call_ids))
    sessions = Session.objects.in_bulk([one.session_id for one in entries if one.kind == Kind.SESSION])
    of_sessions = {pk: indexing.text_of_session(session) for pk, session in sessions.items()}
    found = (
        of_messages.get(one.message_id, _Said()) if one.message_id
        else _Said(of_calls.get(one.tool_call_id, "")) if one.tool_call_id
        else _Said(of_sessions.get(one.session_id, ""))
        for one in entries
    )  # fmt: skip
    return [said._replace(text=said.text[:length]) for said in found]


def _described(ranked: Sequence[tuple[float, SearchEntry]], query: Query) -> list[Hit]:
    """Return the hits of a page with their snippets, and where the transcript shows them."""
    entries = [entry for _, entry in ranked]
    results = [entry.message_id for entry in entries if entry.message_id and entry.role == Role.TOOL]
    calls = ToolCall.objects.filter(result_message__in=results, message__isnull=False)
    shown = {call.result_message_id: call for call in calls.only("message", "result_message")}
    sessions = Session.objects.in_bulk({entry.session_id for entry in entries})
    return [
        Hit(
            session=sessions[entry.session_id], kind=entry.kind, role=entry.role, agent_name=entry.agent_name,
            tool=entry.tool, at=entry.at, message_id=entry.message_id, tool_call_id=entry.tool_call_id, score=score,
            is_archived=said.is_archived, snippet=snippet(said.text, query), shown_in=shown.get(entry.message_id),
        )
        for (score, entry), said in zip(ranked, _texts(entries, length=CLIP), strict=True)
        if entry.session_id in sessions  # it may just have been purged
    ]  # fmt: skip


def _facets(entries: Sequence[SearchEntry]) -> dict[str, list[tuple[str, int]]]:
    """Count the values by which these matches can be narrowed."""
    values = {
        "role": [entry.role for entry in entries],
        "agent_name": [entry.agent_name for entry in entries],
        "project_root": [entry.project or "" for entry in entries],  # type: ignore[attr-defined]
        "tool": [entry.tool for entry in entries],
    }
    return {name: Counter(filter(None, found)).most_common(FACETS) for name, found in values.items()}
