"""Takes what was written into the search index: soon after, in large batches, outside the writers' transactions.

To index a thing again does no harm. A batch drops what it finds of its own messages and enters them anew.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from django.db import connection, models, transaction
from django.db.models.functions import Substr

from sessions.models import Event, Message, SearchEntry, Session, ToolCall, Unindexed
from sessions.models.among import Among, joined
from sessions.models.batching import batched
from sessions.models.fields import load_written
from sessions.models.folding import CLIP, folded
from sessions.models.holding import hold_rows
from sessions.models.message import calls_in
from sessions.models.prepared import Place, prepared
from sessions.models.search_entry import Entry, facet, scope_of
from sessions.models.search_index import hold, install, is_sound, make_way
from sessions.models.session_rows import SessionQuerySet
from sessions.models.writing import changed_names, update

BATCH = 1_000
"""Messages or tool calls of one transaction at most: others can write between two."""
SHORT_BATCH = 60
"""The same, where others wait for the turn: a batch then takes as long as they can do without.

An index that is far behind goes on in long ones, which take half the time for a message: the writers would wait for
that by themselves (`keep_up`).
"""
MOST_WAITING = 2_000
"""Messages that may wait: as many as are indexed within a second or two beside all else."""
_WAIT_SECONDS = 0.05
_ANYBODY = facet("v", "PUBLIC")
"""The term of what everybody may read."""


def catch_up(*, seconds: float = 0.25, takes_turns: bool = False) -> int:
    """Index what waits, the oldest first, until nothing does or `seconds` have passed; return how many batches.

    The keeper calls this again and again: by its bound it takes a part of one processor, not all of it. Who
    `takes_turns` with other writers of its process has short batches, unless much waits.
    """
    end = time.monotonic() + seconds
    batches = 0
    while _index_batch(_fitting_size() if takes_turns else BATCH):
        batches += 1
        if time.monotonic() >= end:
            break
    return batches


def _fitting_size() -> int:
    return SHORT_BATCH if Unindexed.objects.message_count() <= MOST_WAITING else BATCH


def keep_up(*, seconds: float = 0.25) -> None:
    """Index until few enough messages wait to be found soon, or `seconds` have passed.

    Whoever writes much calls this between two writes.
    """
    end = time.monotonic() + seconds
    while Unindexed.objects.message_count() > MOST_WAITING and time.monotonic() < end and _index_batch(BATCH):
        pass


def start_again() -> None:
    """Empty the index and queue everything; an interruption leaves a queue that the server works off."""
    with transaction.atomic():
        Unindexed.objects.all().delete()
        make_way(connection)
        SearchEntry.objects.all().delete()
        newest = Message.objects.filter(session=models.OuterRef("pk")).order_by("-id").values("pk")[:1]
        rows = (
            Session.objects.order_by("pk")
            .annotate(newest=models.Subquery(newest))
            .values_list("pk", "newest", "last_seq")
        )
        Unindexed.objects.bulk_create(
            (
                Unindexed(session_id=pk, first_message=1, last_message=message or 0, first_seq=1, last_seq=seq)
                for pk, message, seq in rows.iterator()
            ),
            batch_size=1000,
        )
        install(connection)


def finish(*, tell: Callable[[int], None] = lambda _count: None) -> None:
    """Index all that waits now, and wait for what another process has in its hands; `tell` gets the entries so far."""
    newest = Unindexed.objects.aggregate(newest=models.Max("pk"))["newest"] or 0
    while Unindexed.objects.filter(pk__lte=newest).exists():
        if not catch_up(seconds=1):
            time.sleep(_WAIT_SECONDS)
        tell(indexed_count())


def indexed_count() -> int:
    """Return how many entries the index has."""
    return SearchEntry.objects.count()


def shortcomings() -> dict[str, int]:
    """Return how many messages the index lacks (`missing`), and 1 as `broken` when SQLite's own check fails."""
    with_words = Message.objects.exclude(models.Q(content=None) | models.Q(content=""))
    lacking = with_words.exclude(models.Exists(SearchEntry.objects.filter(message=models.OuterRef("pk"))))
    missing = sum(1 for text in lacking.values_list("content", flat=True).iterator() if folded(text or ""))
    return {"missing": missing, "broken": 0 if is_sound(connection) else 1}


class _Written(NamedTuple):
    """What the index needs of a message. `text` is the beginning of its content."""

    pk: int
    session_id: int
    role: str
    tool_calls: Any
    agent_name: str | None
    created_at: datetime
    text: str | None


_OF_A_SESSION = (
    "owner", "visibility", "project_root", "source", "agent_name", "title", "key", "created_at"
)  # fmt: skip
"""What the index needs of a session."""


def _index_batch(size: int) -> bool:
    """Index up to `size` messages, and as many calls, of what waits; say whether there was anything."""
    if not Unindexed.objects.is_waiting():
        return False  # A look takes no lock; a transaction would, on SQLite.
    with transaction.atomic():
        hold(connection)
        tasks = _as_many_as_fill(size, Unindexed.objects.oldest(size))
        if not tasks:
            return False
        messages, until = _messages_of(tasks, size)
        calls, is_all = _calls_of(tasks, size)
        session_ids = {task.session_id for task in tasks} | {row.session_id for row in messages}
        sessions = {session.pk: session for session in _sessions(joined(session_ids))}
        _drop_entries(messages, calls)
        renewed = {task.session_id: sessions[task.session_id] for task in tasks if task.is_of_session}
        entries = [*_of_sessions(renewed), *_of_messages(messages, sessions), *_of_calls(calls, sessions)]
        SearchEntry.objects.enter(entries)
        _settle(tasks, calls, until=until, is_all=is_all)
    return True


def _as_many_as_fill(size: int, waiting: Sequence[Unindexed]) -> list[Unindexed]:
    """Return the first of what waits, as many as may have more than one batch's messages or calls between them."""
    tasks: list[Unindexed] = []
    spanned = 0
    for task in waiting:
        if spanned > size:
            break
        tasks.append(task)
        spanned += max(task.last_message - task.first_message, task.last_seq - task.first_seq) + 1
    return tasks


def _messages_of(tasks: Sequence[Unindexed], size: int) -> tuple[list[_Written], int | None]:
    """Return the next messages of these tasks, oldest first, held against a purge; and up to which, None for all.

    They are held by one statement, in the order of their ids: who changes many locks them so, too.
    """
    wanted = {task.last_message for task in tasks if task.last_message == task.first_message != 0}
    for task in tasks:
        if task.last_message > task.first_message:
            wanted.update(_stretch(task.session_id, task.first_message, task.last_message, size=size))
    ids = sorted(wanted)[:size]
    found = [_Written._make(row) for row in _held(joined(ids))] if ids else []
    return found, None if len(ids) < size else ids[-1]


@prepared
def _stretch(session_id: Place, first: Place, last: Place, *, size: int) -> "models.QuerySet[Message, int]":
    rows = Message.objects.filter(session=session_id, pk__gte=first, pk__lte=last)
    return rows.order_by("pk").values_list("pk", flat=True)[:size]


@prepared
def _held(ids: Place) -> models.QuerySet[Message, tuple[Any, ...]]:
    rows = Message.objects.filter(Among("pk", ids)).annotate(text=Substr("content", 1, CLIP))
    return rows.select_for_update(no_key=True).order_by("pk").values_list(*_Written._fields)


@prepared
def _sessions(ids: Place) -> SessionQuerySet:
    return Session.objects.only(*_OF_A_SESSION).filter(Among("pk", ids))


def _calls_of(tasks: Sequence[Unindexed], size: int) -> tuple[list[ToolCall], bool]:
    """Return the next calls of these tasks that stand in the log alone, held against a purge; and whether all."""
    wanted = models.Q()
    for task in tasks:
        if task.last_seq:
            wanted |= models.Q(session=task.session_id, result_seq__range=(task.first_seq, task.last_seq))
    if not wanted:
        return [], True
    found = list(ToolCall.objects.filter(wanted, message=None).order_by("result_seq", "pk")[:size])
    # Writers change calls in any order, and this one would wait for them while they wait for it.
    there = hold_rows(ToolCall, [call.pk for call in found])
    return [call for call in found if call.pk in there], len(found) < size


def _drop_entries(messages: Sequence[_Written], calls: Sequence[ToolCall]) -> None:
    """Drop what the index holds of these, and of calls that an event told of first and that now stand in a message."""
    ids = joined(message.pk for message in messages)
    if entered := _entered(ids):
        SearchEntry.objects.filter(Among("pk", entered)).delete()
    told = {call.pk for call in calls}.union(_asked_in(ids))
    # By ids: of rows that nobody has counted yet, PostgreSQL would put a join together the wrong way round, and take
    # minutes for a batch.
    for some in batched(sorted(told)):
        SearchEntry.objects.filter(tool_call__in=some).delete()


@prepared
def _entered(messages: Place) -> "models.QuerySet[SearchEntry, int]":
    return SearchEntry.objects.filter(Among("message", messages)).values_list("pk", flat=True)


@prepared
def _asked_in(messages: Place) -> "models.QuerySet[ToolCall, int]":
    return ToolCall.objects.filter(Among("message", messages)).values_list("pk", flat=True)


def _settle(tasks: Sequence[Unindexed], calls: Sequence[ToolCall], *, until: int | None, is_all: bool) -> None:
    """Take out what is done, and let the rest go on where this batch ended: `until` is its last message."""
    seq = (calls[-1].result_seq or 0) if calls else 0
    done = []
    for task in tasks:
        has_messages = until is not None and task.last_message > until
        has_calls = not is_all and task.last_seq > seq
        if not has_messages and not has_calls:
            done.append(task.pk)
            continue
        before = vars(task).copy()
        task.first_message = max(task.first_message, (until or 0) + 1) if has_messages else 0
        task.last_message = task.last_message if has_messages else 0
        task.first_seq = max(task.first_seq, seq + 1) if has_calls else 0
        task.last_seq = task.last_seq if has_calls else 0
        task.is_of_session = False
        update(task, changed_names(task, before))
    Unindexed.objects.filter(Among("pk", done)).delete()


# --- Entries -----------------------------------------------------------------------------------------------


def _of_sessions(sessions: dict[int, Session]) -> Iterator[Entry]:
    """Yield new entries for the titles and keys of these sessions, and drop the old ones."""
    if not sessions:
        return
    SearchEntry.objects.filter(session__in=sessions, message=None, tool_call=None).delete()
    for session in sessions.values():
        words = folded(text_of_session(session))
        if words:
            yield _entry(session, words, at=session.created_at, agent=session.agent_name)


def _of_messages(messages: Sequence[_Written], sessions: dict[int, Session]) -> Iterator[Entry]:
    """Yield the entries of messages that have words."""
    tools = _tools_by_result(messages)
    for message in messages:
        calls = calls_in(message.tool_calls)
        words = folded(text_of(message.text, calls))
        session = sessions.get(message.session_id)
        if session is None or not words:
            continue
        yield _entry(
            session, words, at=message.created_at, agent=message.agent_name or session.agent_name, role=message.role,
            tools=[name_of(call) for call in calls] or tools.get(message.pk, ()), message_id=message.pk,
        )  # fmt: skip


def _of_calls(calls: Sequence[ToolCall], sessions: dict[int, Session]) -> Iterator[Entry]:
    """Yield the entries of calls of which only the log tells."""
    texts = texts_of_calls(calls)
    for call in calls:
        words = folded(texts[call.pk])
        if words:
            session = sessions[call.session_id]
            yield _entry(
                session, words, at=call.started_at, agent=session.agent_name, role="tool", tools=[call.name],
                tool_call_id=call.pk,
            )  # fmt: skip


def _entry(
    session: Session, words: str, *, at: datetime, agent: str, role: str = "", tools: Sequence[str] = (), **of: int
) -> Entry:
    """Return an entry with the facets under which it is found; `of` says what it stands for."""
    more = [("a", agent), ("r", role), *(("t", tool) for tool in dict.fromkeys(tools))]
    scope = scope_of(session.owner_id, session.visibility, session.project_root, session.source, *more)
    return Entry(session.pk, words, scope, at, role, agent, tools[0] if tools else "", **of)


def _tools_by_result(messages: Sequence[_Written]) -> dict[int, list[str]]:
    """Return the names of the tools whose results these messages are."""
    results = [message.pk for message in messages if message.role == "tool"]
    if not results:
        return {}
    rows = ToolCall.objects.filter(result_message__in=results).values_list("result_message", "name")
    return {pk: [name] for pk, name in rows}


# --- Text --------------------------------------------------------------------------------------------------


def text_of(content: str | None, calls: Sequence[dict[str, Any]]) -> str:
    """Return what a message says and asks tools for, as people read it."""
    if not calls:
        return content or ""
    lines = [content or "", *(f"{name_of(call)} {' '.join(_texts(_args_of(call)))}" for call in calls)]
    return "\n".join(line for line in lines if line)


def text_of_session(session: Session) -> str:
    """Return title and key."""
    return "\n".join(filter(None, [session.title, session.key]))


def texts_of_calls(calls: Iterable[ToolCall]) -> dict[int, str]:
    """Return by id name, input and output of calls; the output stands in the event that closed a call."""
    rows = list(calls)
    wanted = models.Q()
    for call in rows:
        if call.result_seq is not None:
            wanted |= models.Q(session=call.session_id, seq=call.result_seq)
    events = Event.objects.filter(wanted) if wanted else []
    outputs = {(event.session_id, event.seq): event.payload.get("output") for event in events}
    return {
        call.pk: " ".join(
            [call.name, *_texts(call.args), *_texts(outputs.get((call.session_id, call.result_seq or 0)))]
        )
        for call in rows
    }


def name_of(call: dict[str, Any]) -> str:
    """Return the name of the tool that a message asks for, in any of the contracts' shapes."""
    nested = call.get("function")
    function = nested if isinstance(nested, dict) else {}
    return str(call.get("function_name") or call.get("name") or function.get("name") or "?")


def _args_of(call: dict[str, Any]) -> Any:
    nested = call.get("function")
    function = nested if isinstance(nested, dict) else {}
    return call.get("arguments", call.get("input", function.get("arguments")))


def _texts(value: Any) -> Iterator[str]:
    """Yield the texts inside a JSON value, or inside text that is JSON; numbers and keys say little.

    Text that is JSON may hold text that is JSON, and so on: no recursion would end in time.
    """
    waiting = [value]
    while waiting:
        found = waiting.pop()
        parsed = _parsed(found) if isinstance(found, str) else found
        if isinstance(parsed, dict | list):
            waiting += reversed(parsed.values() if isinstance(parsed, dict) else parsed)
        elif isinstance(found, str):
            yield found


def _parsed(text: str) -> Any:
    """Return the object or array that `text` is, or None."""
    if text[:1] not in {"{", "["}:
        return None
    try:
        value = load_written(text)
    except ValueError:
        return None
    return value if isinstance(value, dict | list) else None
