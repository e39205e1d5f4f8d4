"""The selects of a filter bar: the values that sessions have, and the one that is chosen."""

from dataclasses import dataclass
from pathlib import PurePath

from sessions.models.session_rows import SessionQuerySet

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


def facets_of(sessions: SessionQuerySet, words: dict[str, str]) -> list[Facet]:
    """Return the selects of agent, project and source, in one query over the newest sessions."""
    newest = sessions.order_by("-last_activity_at", "-pk").values_list(*_COLUMNS.values())
    columns = list(zip(*newest[:FACETS_FROM], strict=True)) or [()] * len(_COLUMNS)
    facets = []
    for name, column in zip(_COLUMNS, columns, strict=True):
        values = {value for value in (*column, words.get(name)) if value}
        options = sorted(((label_of(name, value), value) for value in values), key=lambda option: option[0].lower())
        facets.append(Facet(name, options, words.get(name, "")))
    return facets


def label_of(name: str, value: str) -> str:
    """Return a value as people call it: a project by the last part of its path."""
    return PurePath(value.replace("\\", "/")).name or value if name == "project" else value
