"""The selects of a filter bar: the values that sessions have, and the one that is chosen."""

from dataclasses import dataclass
from operator import itemgetter
from pathlib import PurePath

from django.db.models import QuerySet

from sessions.models import Session
from sessions.models.prepared import Place, known, prepared

FACETS_FROM = 2000
"""Sessions, newest first, whose agents, projects and sources a filter bar offers."""
_COLUMNS = {"agent": "agent_name", "project": "project_root", "source": "source"}


@dataclass(frozen=True, slots=True)
class Facet:
    """A select: its options are (label, value), by label."""

    name: str
    options: list[tuple[str, str]]
    chosen: str

    @property
    def label(self) -> str:
        """Return what stands in it while nothing is chosen."""
        return self.name.capitalize()


def facets_of(owner_id: int | None, words: dict[str, str]) -> list[Facet]:
    """Return the selects of agent, project and source, in one query over the newest sessions that somebody sees.

    Who it is says `confined_to`.
    """
    newest = _newest(*known(owner_id))
    facets = []
    for place, name in enumerate(_COLUMNS):
        values = {*map(itemgetter(place), newest), words.get(name)}.difference({"", None})
        options = sorted(((label_of(name, value), value) for value in values), key=lambda option: option[0].lower())
        facets.append(Facet(name, options, words.get(name, "")))
    return facets


@prepared
def _newest(owner_id: Place | None = None) -> "QuerySet[Session, tuple[str, ...]]":
    sessions = Session.objects.seen_by(owner_id).active().order_by("-last_activity_at", "-pk")
    return sessions.values_list(*_COLUMNS.values())[:FACETS_FROM]


def label_of(name: str, value: str) -> str:
    """Return a value as people call it: a project by the last part of its path."""
    return PurePath(value.replace("\\", "/")).name or value if name == "project" else value
