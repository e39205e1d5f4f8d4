"""The figures page: tokens, tools, turns and waiting, of a period and of what the reader may see."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET
from django.views.decorators.vary import vary_on_headers

from sessions.models import TokenCounts
from sessions.models.session_rows import confined_to
from sessions.stats import Figures, Filters, Period, figures
from sessions.tool_stats import ToolFigures
from sessions.web import figure_charts
from sessions.web.charts import Block, share
from sessions.web.facets import facets_of, label_of
from sessions.web.forms import FiguresForm
from sessions.web.requests import PageRequest, wants_fragment

DAYS = 30
"""Days shown when nobody chose."""
CHOICES = {"1": "Today", "7": "7 days", "30": "30 days", "90": "90 days", "365": "A year"}
ROWS = 12
"""Rows of a table by agent or project; what comes after is one row."""
TOOLS = 40


@dataclass(frozen=True, slots=True)
class TokenRow:
    """One row of a table of tokens; the last one may stand for several names."""

    label: str
    title: str
    url: str
    counts: TokenCounts


@dataclass(frozen=True, slots=True)
class ToolRow:
    """One tool with the picture of how its calls ended."""

    figures: ToolFigures
    bar: list[Block]


@require_GET
@login_required
@vary_on_headers("HX-Request")
def figures_page(request: PageRequest) -> HttpResponse:
    """Show the figures; without the frame when htmx asks."""
    words = FiguresForm(request.GET).words()
    period = Period.of_days(int(words.get("days", DAYS)), now=timezone.now())
    filters = Filters(words.get("agent", ""), words.get("project", ""), words.get("source", ""))
    found = figures(request.user, period=period, filters=filters)
    context = {"page": "figures", "words": words, "is_narrowed": filters != Filters(), **shown(found, words)}
    if wants_fragment(request):
        return render(request, "sessions/_figures.html", context)
    facets = facets_of(confined_to(request.user), words)
    return render(request, "sessions/figures.html", {**context, "facets": facets, "choices": _choices(words)})


def shown(found: Figures, words: Mapping[str, str]) -> dict[str, object]:
    """Return what the fragment needs to show `found`; pure."""
    agents = _by_name(found.by_agent, lambda name: (name, name, _url(words, agent=name)), "agents")
    projects = _by_name(found.by_project, lambda name: _project(name, words), "projects")
    return {
        "found": found,
        "tokens": figure_charts.tokens(found),
        "token_rows": figure_charts.token_rows(found),
        "times": figure_charts.times(found),
        "time_rows": figure_charts.time_rows(found),
        "lengths": figure_charts.lengths(found.turns) if found.turns.median is not None else None,
        "length_rows": figure_charts.length_rows(found.turns),
        "agents": agents,
        "projects": projects,
        "tools": _tools(found.tools),
        "more_tools": max(0, len(found.tools) - TOOLS),
    }


def _choices(words: Mapping[str, str]) -> list[tuple[str, str, bool]]:
    """Return the options of the select of days: value, label, whether it is chosen; a number of one's own stays."""
    chosen = words.get("days", str(DAYS))
    options = CHOICES if chosen in CHOICES else {**CHOICES, chosen: f"{chosen} days"}
    return [(value, label, value == chosen) for value, label in options.items()]


def _project(root: str, words: Mapping[str, str]) -> tuple[str, str, str]:
    return (label_of("project", root), root, _url(words, project=root)) if root else ("no project", "", "")


def _by_name(
    sums: Mapping[str, TokenCounts], named: Callable[[str], tuple[str, str, str]], plural: str
) -> list[TokenRow]:
    """Return a row for each name, the most tokens first; the rest together in the last one."""
    ranked = sorted(sums.items(), key=lambda item: (-item[1].total, item[0]))
    rows = [TokenRow(*named(name), counts) for name, counts in ranked[:ROWS]]
    rest = [counts for _, counts in ranked[ROWS:]]
    if rest:
        rows.append(TokenRow(f"{len(rest)} other {plural}", "", "", sum(rest, TokenCounts())))
    return rows


def _tools(tools: Sequence[ToolFigures]) -> list[ToolRow]:
    most = tools[0].total if tools else 0
    return [ToolRow(tool, share(_parts(tool), of=most)) for tool in tools[:TOOLS]]


def _parts(tool: ToolFigures) -> Sequence[tuple[str, float]]:
    return [("amount", tool.success), ("failed", tool.failed), ("rest", tool.rejected + tool.aborted + tool.open)]


def _url(words: Mapping[str, str], **changed: str) -> str:
    """Return this page with these words."""
    wanted = {name: value for name, value in {**words, **changed}.items() if value}
    return f"{reverse('web:figures')}?{urlencode(wanted)}"
