"""What the frame of every page needs to know: how its reader wants it to look."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django import template
from django.conf import settings
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from sessions.models import overview

register = template.Library()

THEME_COOKIE = "koda_theme"
DENSITY_COOKIE = "koda_density"
PAGES = (
    ("wall", "Wall", "w"),
    ("inbox", "Inbox", "i"),
    ("sessions", "Sessions", "s"),
    ("search", "Search", "f"),
    ("figures", "Figures", "n"),
    ("storage", "Storage", "d"),
    ("connect", "Connect", "c"),
)
THEMES = {"system": "System", "light": "Light", "dark": "Dark"}
DENSITIES = {"calm": "Calm", "tight": "Tight"}


def chosen(request: HttpRequest | None, cookie: str, choices: dict[str, str]) -> str:
    """Return what the reader chose in `cookie`, or the first of `choices` when that is none of them."""
    value = request.COOKIES.get(cookie, "") if request is not None else ""
    return value if value in choices else next(iter(choices))


@register.simple_tag(takes_context=True)
def appearance(context: dict[str, Any]) -> SafeString:
    """Return the attributes of `<html>` that hold the reader's theme and density, so that nothing flashes."""
    request = context.get("request")
    theme = chosen(request, THEME_COOKIE, THEMES)
    density = chosen(request, DENSITY_COOKIE, DENSITIES)
    parts = [] if theme == "system" else [format_html(' data-theme="{}"', theme)]
    if density != "calm":
        parts.append(format_html(' data-density="{}"', density))
    return mark_safe("".join(parts))  # noqa: S308  (made of choices of ours, by format_html)


@register.simple_tag(takes_context=True)
def choices_of(context: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """Return the options of the `theme` or `density` select: value, label, and whether it is chosen."""
    cookie, choices = {"theme": (THEME_COOKIE, THEMES), "density": (DENSITY_COOKIE, DENSITIES)}[name]
    current = chosen(context.get("request"), cookie, choices)
    return [{"value": value, "label": label, "is_chosen": value == current} for value, label in choices.items()]


@dataclass(frozen=True, slots=True)
class Place:
    """A page of the menu."""

    name: str
    label: str
    url: str
    key: str


@register.simple_tag
def menu() -> list[Place]:
    """Return the pages of the menu, and the letter that leads to each after `g`."""
    return [Place(name, label, reverse(f"web:{name}"), key) for name, label, key in PAGES if _exists(name)]


def _exists(name: str) -> bool:
    try:
        reverse(f"web:{name}")
    except NoReverseMatch:
        return False
    return True


@register.simple_tag(takes_context=True)
def asked_count(context: dict[str, Any]) -> int:
    """Return how many requests wait for the reader; one query over a small index."""
    return overview.asked_count(context["user"])


@register.simple_tag(takes_context=True)
def page_with(context: dict[str, Any], name: str, mark: str, side: str = "after") -> str:
    """Return this page with the list `name` standing at a mark, or at its beginning without one."""
    words = context["request"].GET.copy()
    for word in (f"{name}after", f"{name}before"):
        words.pop(word, None)
    if mark:
        words[f"{name}{side}"] = mark
    return f"?{words.urlencode()}"


@register.simple_tag
def koda_version() -> str:
    """Return the version that serves this page."""
    return str(settings.KODA_VERSION)


@register.filter
def microseconds(at: datetime) -> int:
    """Return a time as microseconds since 1970, by which the page knows the server's clock."""
    return int(at.timestamp() * 1_000_000)
