"""What a session does, asks or did, in words: the rows of the wall and the verdict of the session page say the same."""

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

from django import template
from django.contrib.auth.models import AnonymousUser, User
from django.utils.html import format_html
from django.utils.safestring import SafeString

from sessions.models import Command, CommandStatus, Liveness, Needs, Request, Session
from sessions.templatetags.ages import DASH, age
from sessions.templatetags.cleartext import is_whole_on_one_line, on_one_line, reveal
from sessions.templatetags.diffs import MINUS, change_of, left_out_of, number_of

register = template.Library()

_MARKS = re.compile(r"(?m)\*\*|__|`+|^\s*(?:#{1,6}|>|[-*])\s+")
"""Marks of markdown that say nothing on one line."""
_ASKS = {
    "bash": "May I run",
    "shell": "May I run",
    "exec": "May I run",
    "edit": "May I edit",
    "multiedit": "May I edit",
    "write": "May I write",
    "delete": "May I delete",
    "webfetch": "May I fetch",
}
"""How an agent would ask to use a tool, by the tool's name in small letters."""

_COMMANDS = {
    "interrupt": "Stop",
    "quit": "Quit",
    "stop": "Stop at the limit",
    "continue50": "Go on for 50 rounds",
    "continue200": "Go on for 200 rounds",
}
_FATES: dict[str, str] = {
    CommandStatus.REQUESTED: "not fetched yet",
    CommandStatus.DELIVERED: "delivered",
    CommandStatus.OBEYED: "obeyed",
    CommandStatus.REFUSED: "refused by the agent",
    CommandStatus.EXPIRED: "too late for its turn",
}
"""What became of an answer."""
_PREVIEWS: dict[str, Callable[[dict[str, Any]], str]] = {
    "Edit": lambda told: _edits_left_out(left_out_of(told)),
    "WriteNew": lambda told: f"A new file of {_size(told)}.{_lines_left_out(told, of='line_count')}",
    "WriteOverwrite": lambda told: (
        f"Overwrites {_size(told, 'old_')} with {_size(told, 'new_')}.{_lines_left_out(told, of='new_line_count')}"
    ),
    "DeleteFile": lambda told: f"Deletes {_size(told)}.",
    "DeleteDir": lambda told: (
        "Deletes the folder with all that is in it." if told.get("recursive") else "Deletes the folder."
    ),
    "FileNotYetExists": lambda _: "The file does not exist yet.",
    "PathNotFound": lambda _: "There is nothing at this path.",
}
"""What each kind of Koda's DiffPreview means for a person (contracts/koda.md 4.2)."""

VERDICTS = {
    "needs": "Waits for you",
    "failed": "Ended with an error",
    Liveness.LIVE: "Running",
    Liveness.QUIET: "Quiet",
    Liveness.STUCK: "Stuck",
    Liveness.LOST: "Lost",
    Liveness.UNKNOWN: "Running",
    Liveness.RESTING: "Resting",
}
NEEDED = {
    Needs.APPROVAL: "to approve",
    Needs.LOOP_DECISION: "to let it go on or stop",
    Needs.INPUT: "to answer",
}


@register.filter
def spaced(name: str) -> str:
    """Return a name of ours as words: `tool_calls` is `tool calls`."""
    return name.replace("_", " ")


@register.filter
def clear(text: str | None) -> str:
    """Return text that a stranger wrote, with nothing hidden in it; the template escapes it."""
    return reveal(text or "")


@register.filter
def line(text: str | None) -> str:
    """Return the beginning of such a text on one line."""
    return on_one_line(text or "")


@register.filter
def has_more_than_line(text: str | None) -> bool:
    """Say whether the beginning on one line leaves something unsaid."""
    return not is_whole_on_one_line(text or "")


@register.filter
def changeable_by(session: Session, user: User | AnonymousUser) -> bool:
    """Say whether `user` may answer and change this session."""
    return session.may_be_changed_by(user)


@register.filter
def verdict(session: Session) -> str:
    """Return the one word, or few, for how the session stands."""
    return VERDICTS[session.look]


@register.filter
def needed(session: Session) -> str:
    """Return what a person must do, as the end of "Waits for you …"."""
    return NEEDED[Needs(session.needs)] if session.needs else ""


@register.simple_tag
def now_words(session: Session, now: datetime) -> SafeString:
    """Return what the session does now, asks for, or did last, on one line.

    `session` comes from `worded()` and `with_requests()`: its last words and its open requests stand ready.
    """
    if session.needs:
        requests: list[Request] = getattr(session, "open_requests", [])
        return asked_words(requests[0]) if requests else format_html("Waits {}", needed(session))
    if session.liveness in {Liveness.STUCK, Liveness.LOST}:
        return _adrift_words(session)
    if session.is_running:
        return _running_words(session, now)
    return _last_words(session)


@register.simple_tag
def asked_words(request: Request) -> SafeString:
    """Return a request as its agent would say it: "May I run `rm -rf dist/`"."""
    detail = on_one_line(request.detail)
    if request.kind == Needs.INPUT:
        return format_html("{}", detail or "Asks a question")
    if request.kind == Needs.LOOP_DECISION:
        tools = [on_one_line(name, longest=40) for name in choices(request.options)]
        if not tools:
            return format_html("{}", detail)
        return format_html("{}; last were {}", detail, ", ".join(tools))
    asks = _ASKS.get(request.tool_name.lower())
    if asks is None:
        return format_html("May I use {} <code>{}</code>", on_one_line(request.tool_name, longest=60), detail)
    return format_html("{} <code>{}</code>{}", asks, detail, change_words(request.preview))


@register.filter
def choices(options: Any) -> list[str]:
    """Return the choices of a question, or the tools of a cap, as texts.

    Agents send a list of texts, or of objects with a label; what else they send there is none.
    """
    listed = options if isinstance(options, list) else []
    named = (option.get("label", option) if isinstance(option, dict) else option for option in listed)
    return [str(option) for option in named]


@register.filter
def preview_words(preview: Any) -> str:
    """Return what Koda's DiffPreview says beyond the lines of its diff: sizes, losses, and what is not shown."""
    if not isinstance(preview, dict):
        return ""
    words = _PREVIEWS.get(str(preview.get("kind")))
    return "" if words is None else words(preview)


@register.simple_tag
def command_words(command: Command) -> SafeString:
    """Return what a person told the agent, in words."""
    body = command.body
    if command.kind == "approval_response":
        decision = body["decision"]
        if decision["decision"] == "reject_with_feedback":
            return format_html("Denied: “{}”", on_one_line(decision["feedback"]))
        return format_html("{}", "Approved" if decision["decision"] == "approve" else "Denied")
    if command.kind in {"user_prompt", "ask_user_response"}:
        return format_html("“{}”", on_one_line(str(body.get("text", body.get("answer", "")))))
    return format_html("{}", _COMMANDS.get(str(body.get("action", command.kind)), on_one_line(command.kind)))


@register.simple_tag
def settled_words(request: Request) -> SafeString:
    """Return how a request was settled: by whom, and what its agent made of the answer."""
    command = request.command
    if command is None:
        return format_html("{}", "expired: answered in its own terminal, or its turn ended")
    who = request.answered_by.get_username() if request.answered_by else "somebody who has gone"
    answer = "answered" if request.kind == Needs.INPUT else command_words(command)
    return format_html("{} by {}, {}", answer, on_one_line(who), _FATES[command.status])


@register.simple_tag
def change_words(args: Any) -> SafeString:
    """Return lines added and taken for arguments or a preview that edit a file; nothing where that is not known."""
    change = change_of(args)
    if change is None:
        return SafeString("")
    added, taken = change
    return format_html(' <span class="plus">+{}</span> <span class="minus">{}{}</span>', added, MINUS, taken)


def _size(told: dict[str, Any], which: str = "") -> str:
    return f"{_count(told, f'{which}line_count', 'line')} ({_count(told, f'{which}byte_count', 'byte')})"


def _count(told: dict[str, Any], name: str, noun: str) -> str:
    count = number_of(told, name)
    return f"{DASH} {noun}s" if count is None else f"{count:,} {noun}{'' if count == 1 else 's'}"


def _lines_left_out(told: dict[str, Any], *, of: str) -> str:
    """Say how much of what would be written the preview shows, when that is not all."""
    lines, count = told.get("first_lines"), number_of(told, of)
    shown = len(lines) if isinstance(lines, list) else 0
    if count is not None and shown < count:
        return f" Shown: the first {shown:,} of {count:,} lines."
    return " Shown: its beginning only." if told.get("truncated") else ""


def _edits_left_out(count: int | None) -> str:
    if count is None:
        return "More edits are not shown."
    return f"{count:,} more edit{' is' if count == 1 else 's are'} not shown." if count else ""


def _activity(session: Session) -> SafeString:
    if not session.doing_detail:
        return format_html("{}", on_one_line(session.doing, longest=60))
    return format_html("{} <code>{}</code>", on_one_line(session.doing, longest=60), on_one_line(session.doing_detail))


def _adrift_words(session: Session) -> SafeString:
    is_lost = session.liveness == Liveness.LOST
    if not session.doing:
        return format_html("{}", "No sign of life any more" if is_lost else "No progress, and nothing is open")
    if is_lost:
        return format_html("Signs of life ended during {}", _activity(session))
    if not session.doing_detail:
        return format_html("No progress while {}", on_one_line(session.doing, longest=60).lower())
    return format_html("{} is open, no progress", _activity(session))


def _running_words(session: Session, now: datetime) -> SafeString:
    if not session.doing:
        reports = session.has_events or session.heartbeat_at
        return format_html("{}", "Between two steps" if reports else "Running; this source reports no events")
    return format_html("{}, {}", _activity(session), age(session.doing_since or session.heard_at, now))


def _last_words(session: Session) -> SafeString:
    if session.look == "failed":
        reason = on_one_line(getattr(session, "last_reason", None) or "")
        return format_html("{}", reason or "The last turn ended with an error")
    words = on_one_line(_MARKS.sub("", getattr(session, "last_words", None) or ""))
    if words:
        return format_html("“{}”", words)
    return format_html("{}", "No answer yet" if session.message_count else "No message yet")
