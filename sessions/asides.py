"""What stands beside a transcript: the to-do list, tokens by agent, files and sub-agents of a session."""

import re
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, IntegerField, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce

from sessions.models import TODO_KEY, File, Metadata, Session, Usage
from sessions.models.prepared import Place, prepared
from sessions.models.session_rows import SessionQuerySet

FILES_SHOWN = 8
CHILDREN_SHOWN = 20

_ITEM = re.compile(r"[-*+]\s+\[([ xX~-])\]\s+(.+)")


@dataclass(frozen=True, slots=True)
class TodoItem:
    """One line of a checklist; `state` is "done", "doing" (the first that is not done) or "left"."""

    text: str
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Aside:
    """What was found; `files` and `children` are the newest, their counts are of all."""

    todo: list[TodoItem]
    usage: list[dict[str, Any]]
    files: list[str]
    file_count: int
    children: list[Session]
    child_count: int

    @property
    def done_count(self) -> int:
        """Return how many items of the list are done."""
        return sum(item.state == "done" for item in self.todo)

    @property
    def is_empty(self) -> bool:
        """Say whether there is nothing to show."""
        return not (self.todo or self.usage or self.files or self.children)


def aside(session: Session, *, can_change: bool) -> Aside:
    """Return what stands beside the transcript of `session`, in four bounded queries.

    Two more count what is left out. Who may not change the session is told of no private one below it.
    """
    files, children = _files(session.pk), _children(session.pk, session.owner_id, can_change=can_change)
    below = _below(session.pk, session.owner_id, can_change=can_change)
    return Aside(
        todo=checklist(Metadata.objects.read(session, TODO_KEY) or ""),
        usage=Usage.objects.by_agent(session),
        files=files,
        file_count=session.files.count() if len(files) == FILES_SHOWN else len(files),
        children=children,
        child_count=below.count() if len(children) == CHILDREN_SHOWN else len(children),
    )


@prepared
def _files(session_id: Place) -> QuerySet[File, str]:
    return File.objects.filter(session=session_id).order_by("-id").values_list("path", flat=True)[:FILES_SHOWN]


@prepared
def _children(session_id: Place, owner_id: Place, *, can_change: bool) -> QuerySet[Session]:
    return _below(session_id, owner_id, can_change=can_change).order_by("-id")[:CHILDREN_SHOWN]


def _below(session_id: int | Place, owner_id: int | Place, *, can_change: bool) -> SessionQuerySet:
    rows: SessionQuerySet = Session.objects.filter(parent=session_id).active()
    return rows.named_beside(owner_id, can_change=can_change)


def checklist(markdown: str) -> list[TodoItem]:
    """Return the items of a markdown checklist, nested ones in their place; the first that is open is being done.

    Source: contracts/koda.md 1.8. Lines that are no items say nothing here.
    """
    found = [match.groups() for line in markdown.splitlines() if (match := _ITEM.fullmatch(line.strip()))]
    states = ["done" if mark in "xX" else "left" for mark, _ in found]
    if "left" in states:
        states[states.index("left")] = "doing"
    return [TodoItem(text, state) for (_, text), state in zip(found, states, strict=True)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How many of each thing a session keeps beside its messages; `todo` and `todo_done` are items of its checklist."""

    checkpoints: int
    agents: int
    files: int
    metadata: int
    todo: int
    todo_done: int


def counts(session: Session) -> Counts:
    """Return the counts of `session` in one query."""
    checkpoints, agents, files, metadata, todo = _counts(session.pk)[0]
    items = checklist(todo or "")
    done = sum(item.state == "done" for item in items)
    return Counts(
        checkpoints=checkpoints or 0, agents=agents, files=files, metadata=metadata, todo=len(items), todo_done=done
    )


@prepared
def _counts(session_id: Place) -> QuerySet[Session, Any]:
    own = {"session": OuterRef("pk")}
    return Session.objects.filter(
        pk=session_id
    ).values_list(
        "active_checkpoint__seq",  # they are numbered without gaps
        _count_of(Usage.objects.filter(**own), "agent_name"),
        _count_of(File.objects.filter(**own), "pk"),
        _count_of(Metadata.objects.filter(**own), "pk"),
        Subquery(Metadata.objects.filter(**own, key=TODO_KEY).values("value")[:1]),
    )


def _count_of(rows: QuerySet[Any], name: str) -> Coalesce:
    """Return the number of distinct values of `name` in the rows that belong to the outer session."""
    counted = rows.order_by().values("session").annotate(found=Count(name, distinct=True)).values("found")
    return Coalesce(Subquery(counted, output_field=IntegerField()), 0)
