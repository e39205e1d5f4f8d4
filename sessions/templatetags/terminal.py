"""What a terminal would show: colours and weight as classes, by rich's decoder; no other escape does anything."""

import re

from django import template
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe
from rich.ansi import AnsiDecoder
from rich.color import ColorSystem
from rich.style import Style
from rich.text import Text

from sessions.templatetags.cleartext import reveal
from sessions.templatetags.prose import HEAD

register = template.Library()

_COLOUR = re.compile(r"(\x1b\[[0-9;:]{0,40}m)")
_HUES = ("", "red", "green", "yellow", "blue", "magenta", "cyan", "")
"""The eight colours of a terminal, bright ones alike; black and white are the page's own ink."""
_WEIGHTS = ("bold", "dim", "italic", "underline", "strike")


@register.filter
def terminal(text: str | None) -> SafeString:
    """Return the beginning of an output as escaped HTML, its colours as classes; everything else is revealed."""
    return coloured((text or "")[:HEAD])


def coloured(text: str) -> SafeString:
    """Return all of an output so."""
    if "\x1b[" not in text:
        return mark_safe(escape(reveal(text)))  # noqa: S308  (escaped here)
    kept = "".join(part if _COLOUR.fullmatch(part) else reveal(part) for part in _COLOUR.split(text))
    decoder = AnsiDecoder()
    return mark_safe("\n".join(_line(decoder.decode_line(line)) for line in kept.split("\n")))  # noqa: S308  (escaped)


def _line(line: Text) -> str:
    parts: list[str] = []
    at = 0
    for span in line.spans:
        parts.append(escape(line.plain[at : span.start]))
        words = escape(line.plain[span.start : span.end])
        classes = _classes(span.style) if isinstance(span.style, Style) else ""
        parts.append(f'<span class="{classes}">{words}</span>' if classes else words)
        at = span.end
    return "".join([*parts, escape(line.plain[at:])])


def _classes(style: Style) -> str:
    names = [f"t-{name}" for name in _WEIGHTS if getattr(style, name)]
    if style.color is not None and not style.color.is_default:
        hue = _HUES[(style.color.downgrade(ColorSystem.STANDARD).number or 0) % len(_HUES)]
        names += [f"t-{hue}"] if hue else []
    if style.reverse or (style.bgcolor is not None and not style.bgcolor.is_default):
        names.append("t-filled")
    return " ".join(names)
