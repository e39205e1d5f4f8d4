"""The tabs of a session's page: what each is called, what it counts, and what it shows."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models.functions import Substr
from django.urls import reverse

from sessions import asides, transcripts
from sessions.checkpoints import AGENT
from sessions.models import TODO_KEY, Message, Octets, Session, Usage
from sessions.models.prepared import Counts, Place, count_of, prepared
from sessions.templatetags.ages import commas
from sessions.templatetags.prose import HEAD
from sessions.web import blocks, turns
from sessions.web.checkpoint_tree import tree_of
from sessions.web.places import events_at, messages_at, number, shows_archived
from sessions.web.requests import PageRequest

Show = Callable[[PageRequest, Session, datetime], dict[str, Any]]
ROWS = 200
"""Files, or entries of metadata, that a page shows."""


@dataclass(frozen=True, slots=True)
class Tab:
    """A tab; `show` returns what its template needs beside what every tab has."""

    name: str
    label: str
    count: Callable[[Session, asides.Counts], str]
    show: Show

    @property
    def template(self) -> str:
        """Return the template of the whole page."""
        return "sessions/session.html" if self.is_transcript else f"sessions/session_{self.name}.html"

    @property
    def is_transcript(self) -> bool:
        """Say whether it is the one with which a page opens."""
        return self.name == TRANSCRIPT

    def url(self, session: Session) -> str:
        """Return where it stands."""
        if self.name == CHECKPOINTS:
            return reverse("web:checkpoints", args=[session.uuid])
        page = reverse("web:session", args=[session.uuid])
        return page if self.is_transcript else f"{page}?tab={self.name}"


@dataclass(frozen=True, slots=True)
class Counted:
    """A tab with its count, as the bar of tabs shows it; a count of nothing is 0, an unknown one is empty."""

    name: str
    label: str
    count: str
    url: str


TRANSCRIPT = "transcript"
CHECKPOINTS = "checkpoints"


def tab_of(request: PageRequest) -> Tab:
    """Return the tab that `?tab=` names; any other word is the transcript."""
    return TABS.get(request.GET.get("tab", TRANSCRIPT), TABS[TRANSCRIPT])


def tabs_of(session: Session) -> list[Counted]:
    """Return all tabs with their counts, in one query."""
    found = asides.counts(session)
    return [Counted(tab.name, tab.label, tab.count(session, found), tab.url(session)) for tab in TABS.values()]


def transcript(request: PageRequest, session: Session, _now: datetime) -> dict[str, Any]:
    """Return a stretch of messages, what is said now, and what stands beside them."""
    return {
        "stretch": messages_at(request, session),
        "present": transcripts.present(session),
        "aside": asides.aside(session, can_change=session.may_be_changed_by(request.user)),
        "is_archive_shown": shows_archived(request),
        "at": number(request, "at"),
        "archived_count": archived_count(session),
    }


def archived_count(session: Session) -> int:
    """Return how many messages compactions have archived, which the line at the border tells."""
    return _archived(session.pk)[0]


@prepared
def _archived(session_id: Place) -> Counts[int]:
    return count_of(Message.objects.of(session_id).archived())


def timeline(request: PageRequest, session: Session, now: datetime) -> dict[str, Any]:
    """Return turns with their lanes: the newest first, or with `?sort=slowest` those that took longest."""
    is_slowest = request.GET.get("sort") == "slowest"
    if is_slowest:
        return {"rows": turns.rows_of(session, turns.slowest(session), now=now), "sort": "slowest"}
    stretch = turns.newest(session, before=number(request, "before"))
    return {"rows": turns.rows_of(session, list(stretch.rows)[::-1], now=now), "stretch": stretch, "sort": "newest"}


def checkpoints(request: PageRequest, session: Session, _now: datetime) -> dict[str, Any]:
    """Return the tree of checkpoints, the newest first."""
    return {"tree": tree_of(session, before=number(request, "before")), "can_resume": session.agent_name == AGENT}


def usage(request: PageRequest, session: Session, _now: datetime) -> dict[str, Any]:
    """Return the tokens by agent, and those of the newest turns."""
    stretch = turns.newest(session, before=number(request, "before"))
    by_turn = turns.usage_by_turn(session, list(stretch.rows)[::-1])
    return {"agents": Usage.objects.by_agent(session), "by_turn": by_turn, "stretch": stretch}


def todo(_request: PageRequest, session: Session, _now: datetime) -> dict[str, Any]:
    """Return the checklist and the text in which it stands."""
    kept = session.metadata.filter(key=TODO_KEY).first()
    return {"kept": kept, "items": asides.checklist(kept.value if kept else "")}


def files(request: PageRequest, session: Session, _now: datetime) -> dict[str, Any]:
    """Return the newest files that the session created."""
    return {"stretch": _newest(request, session.files.all())}


def metadata(request: PageRequest, session: Session, _now: datetime) -> dict[str, Any]:
    """Return the newest entries of metadata, of each value the beginning and its true size."""
    entries = session.metadata.defer("value").annotate(head=Substr("value", 1, HEAD + 1), size=Octets("value"))
    return {"stretch": _newest(request, entries)}


def events(request: PageRequest, session: Session, _now: datetime) -> dict[str, Any]:
    """Return a stretch of the log."""
    return {"stretch": events_at(request, session)}


def _newest(request: PageRequest, rows: Any) -> blocks.Block[Any]:
    before = number(request, "before")
    if before is not None:
        return blocks.before(rows, before, key="pk", count=ROWS)
    return blocks.newest(rows, key="pk", count=ROWS)


TABS = {
    tab.name: tab
    for tab in (
        Tab(TRANSCRIPT, "Transcript", lambda session, _: commas(session.message_count), transcript),
        Tab("timeline", "Timeline", lambda session, _: commas(session.turn_count), timeline),
        Tab(CHECKPOINTS, "Checkpoints", lambda _, counts: commas(counts.checkpoints), checkpoints),
        Tab("usage", "Usage", lambda _, counts: commas(counts.agents), usage),
        Tab("todo", "To-do", lambda _, counts: f"{counts.todo_done}/{counts.todo}" if counts.todo else "0", todo),
        Tab("files", "Files", lambda _, counts: commas(counts.files), files),
        Tab("metadata", "Metadata", lambda _, counts: commas(counts.metadata), metadata),
        Tab("events", "Events", lambda session, _: commas(session.last_seq), events),
    )
}
"""All tabs, in their order."""
