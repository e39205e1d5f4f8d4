"""Tool calls in words: what was asked, how it ended, and the parts that open."""

import json
import re
from dataclasses import dataclass
from typing import Any

from django import template
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from sessions.models import Event, Outcome, Session, ToolCall
from sessions.models.fields import load_written
from sessions.templatetags.cleartext import on_one_line
from sessions.templatetags.words import change_words

register = template.Library()

_EXIT = re.compile(r"\bexit(?:ed)?(?: with)?(?: code| status)?[ :]+(\d{1,3})\b", re.IGNORECASE)
_ENDED = {
    Outcome.FAILED: "failed",
    Outcome.REJECTED: "refused by a person",
    Outcome.ABORTED: "cut off",
}


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument of a call, as text."""

    name: str
    text: str

    @property
    def is_short(self) -> bool:
        """Say whether it stands on one line."""
        return "\n" not in self.text and len(self.text) <= 100  # noqa: PLR2004  (a line's worth)


@register.simple_tag
def outcome_words(call: ToolCall) -> SafeString:
    """Return how a call ended, in words: lines added and taken, `exit 1`, `212 lines`; an open one says nothing.

    The call comes from `with_outputs`: a closed row never loads a whole output.
    """
    if call.is_open:
        return SafeString("")
    ends = getattr(call, "output_head", None), getattr(call, "output_tail", None)
    if call.outcome != Outcome.SUCCESS:
        return format_html("{}", _exit_words(*ends) or _ENDED[Outcome(str(call.outcome))])
    if change := change_words(call.args):
        return change
    head, tail = ends
    if head is None or tail is None:
        return SafeString("")
    count = int(getattr(call, "output_line_ends", 0)) + (not tail.endswith("\n"))
    is_empty = not head.strip() and not tail.strip()
    return format_html("{}", "no output" if is_empty else f"{count:,} line{'s' if count != 1 else ''}")


@register.filter
def tool_icon(call: ToolCall) -> str:
    """Return the icon of a call: a tick when all went well."""
    if call.is_open:
        return "live"
    return {Outcome.SUCCESS: "done", Outcome.FAILED: "failed"}.get(Outcome(str(call.outcome)), "aborted")


@register.filter
def tool_state(call: ToolCall) -> str:
    """Return the state of a call for those who cannot see its icon."""
    return "running" if call.is_open else {Outcome.SUCCESS: "done"}.get(Outcome(str(call.outcome)), str(call.outcome))


@register.simple_tag(takes_context=True)
def tool_url(context: dict[str, Any], call: ToolCall) -> str:
    """Return where the input and output of a call stand."""
    session: Session = context.get("session") or call.session
    return reverse("web:tool", args=[session.uuid, call.pk])


@register.simple_tag(takes_context=True)
def event_url(context: dict[str, Any], event: Event) -> str:
    """Return where the payload of an event stands."""
    session: Session = context.get("session") or event.session
    return reverse("web:event", args=[session.uuid, event.seq])


@register.filter
def arguments(args: Any) -> list[Argument]:
    """Return the arguments of a call, one by one; text keeps its lines, the rest is JSON."""
    if isinstance(args, str):
        try:
            args = load_written(args)
        except ValueError:
            return [Argument("", args)]
    if not isinstance(args, dict):
        return [] if args is None else [Argument("", _text(args))]
    return [Argument(str(name), _text(value)) for name, value in args.items()]


@register.filter
def call_name(call: dict[str, Any]) -> str:
    """Return the name of a call that has no id, as the message holds it."""
    nested = call.get("function")
    name = call.get("function_name") or call.get("name") or (nested.get("name") if isinstance(nested, dict) else None)
    return on_one_line(str(name or "?"), longest=60)


@register.filter
def event_words(event: Event) -> str:
    """Return what an event carries, on one line: its telling texts and numbers."""
    parts = [
        f"{name} {on_one_line(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False), longest=120)}"
        for name, value in list(event.payload.items())[:6]
        if value not in (None, "", [], {})
    ]
    return on_one_line(" · ".join(parts), longest=240)


@register.filter
def json_text(value: Any) -> str:
    """Return a JSON value indented for reading."""
    return json.dumps(value, ensure_ascii=False, indent=2)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json_text(value)


def _exit_words(*ends: str | None) -> str:
    found = next((match for end in ends if end and (match := _EXIT.search(end))), None)
    return f"exit {found[1]}" if found else ""
