"""What stands beside a transcript: the to-do list, tokens by agent, files and sub-agents of a session."""

import re
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, IntegerField, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce

from sessions.models import TODO_KEY, File, Metadata, Session, Usage

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
    files = File.objects.filter(session=session).order_by("-id").values_list("path", flat=True)
    below = Session.objects.filter(parent=session).named_beside(session, can_change=can_change)
    children = below.active().order_by("-id")
    newest_files, newest_children = list(files[:FILES_SHOWN]), list(children[:CHILDREN_SHOWN])
    return Aside(
        todo=checklist(Metadata.objects.read(session, TODO_KEY) or ""),
        usage=Usage.objects.by_agent(session),
        files=newest_files,
        file_count=files.count() if len(newest_files) == FILES_SHOWN else len(newest_files),
        children=newest_children,
        child_count=children.count() if len(newest_children) == CHILDREN_SHOWN else len(newest_children),
    )


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
    own = {"session": OuterRef("pk")}
    found = Session.objects.filter(
        pk=session.pk
    ).values_list(
        "active_checkpoint__seq",  # they are numbered without gaps
        _count_of(Usage.objects.filter(**own), "agent_name"),
        _count_of(File.objects.filter(**own), "pk"),
        _count_of(Metadata.objects.filter(**own), "pk"),
        Subquery(Metadata.objects.filter(**own, key=TODO_KEY).values("value")[:1]),
    )
    checkpoints, agents, files, metadata, todo = found.get()
    items = checklist(todo or "")
    done = sum(item.state == "done" for item in items)
    return Counts(
        checkpoints=checkpoints or 0, agents=agents, files=files, metadata=metadata, todo=len(items), todo_done=done
    )


def _count_of(rows: QuerySet[Any], name: str) -> Coalesce:
    """Return the number of distinct values of `name` in the rows that belong to the outer session."""
    counted = rows.order_by().values("session").annotate(found=Count(name, distinct=True)).values("found")
    return Coalesce(Subquery(counted, output_field=IntegerField()), 0)
