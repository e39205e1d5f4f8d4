"""What the style page shows: every fragment in its states, made of objects that are never saved. Pure.

A fragment that is changed anywhere shows here, because it is the same file that is rendered. Whoever adds a fragment
adds a specimen, or a reason why it has none; a test holds this.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib.auth.models import User

from sessions.asides import Aside, checklist
from sessions.findings import Finding, FindingKind
from sessions.liveness import Watch
from sessions.models import (
    ApiKey,
    Command,
    Delivery,
    Event,
    Liveness,
    Needs,
    Outcome,
    Receipt,
    RequestStatus,
    Session,
    State,
    TokenCounts,
    ToolCall,
    Webhook,
    who,
)
from sessions.models.filtering import StateFilter
from sessions.passages import Found, Passage
from sessions.stats import DayTimes, Figures, Period, TurnFigures
from sessions.templatetags.diffs import diff_lines
from sessions.tool_stats import ToolFigures
from sessions.web import figure_charts
from sessions.web.alert_forms import WebhookForm
from sessions.web.facets import Facet
from sessions.web.ribbon import Stay, draw
from sessions.web.studio import Studio
from sessions.web.tabs import Counted
from sessions.web.views.figures import shown

WITHOUT_SPECIMEN = {
    "_top.html": "stands above the style page itself",
    "_title.html": "is a page's one heading; the style page has its own",
    "_icons.html": "holds the drawings that icons use; the style page has it",
    "_keys.html": "the help of keys opens over the style page itself",
    "_bands.html": "is bands of _row.html, and reads the wall's own query",
    "_messages.html": "is a stretch of _message.html with links to go on",
    "_events.html": "is a stretch of _event.html with links to go on",
    "_figures.html": "is a whole page; its parts are here",
    "_hits.html": "is a whole page",
    "_glance.html": "is _tabs.html, _facts.html, _ribbon.html and _acts.html, which are here",
    "_list.html": "is a band of _row.html, and reads the list's own query",
    "_bulk_fields.html": "hidden fields, nothing to see",
    "_side.html": "is one side of _sides.html",
    "_leafing.html": "links that need a list with a cursor",
    "_seam.html": "a line between messages, which leads on from its page",
}
"""Fragments that are not shown, each with the reason."""


@dataclass(frozen=True, slots=True)
class Specimen:
    """One fragment in one state."""

    fragment: str
    state: str
    context: dict[str, Any]
    wrap: str = ""

    @property
    def template(self) -> str:
        """Return where the fragment lies."""
        return f"sessions/{self.fragment}"


_PROSE = """# What I found

The lamp is lit **an hour late**: `dusk()` returns local time, and `lamp.on` wants UTC.

| Lamp | Lit at |
|---|---:|
| north | 17:04 |

- [x] Read `lamp.py`
- [ ] Change one line

```python
def lit(at):  # the hour
    return at.astimezone(UTC)
```

> Two people share this file.
"""
_PICTURE = "data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAA="
_EDIT = {"path": "lamp.py", "old_string": "return at\n", "new_string": "return at.astimezone(UTC)\n"}


def specimens(user: User, *, now: datetime) -> Iterator[Specimen]:
    """Yield all specimens, by fragment."""
    studio = Studio(user, now)
    yield Specimen("_controls.html", "what forms are made of, in each state", {})
    yield from _rows(studio)
    yield from _asks(studio)
    yield from _transcript(studio)
    yield from _beside(studio)
    yield from _of_pages(studio)
    yield from _of_store(studio)
    yield from _of_connect(studio)
    yield from _charts(studio)


def _states(studio: Studio) -> dict[str, Session]:
    """Return a session in each state that a row can show."""
    asking = studio.running("Waits for an approval", needs=Needs.APPROVAL, needs_since=studio.ago(184))
    asking.open_requests = [studio.request(asking)]  # type: ignore[attr-defined]
    deciding = studio.running("At its limit of calls", needs=Needs.LOOP_DECISION, needs_since=studio.ago(61))
    deciding.open_requests = [studio.request(deciding, Needs.LOOP_DECISION)]  # type: ignore[attr-defined]
    failed = studio.session("Ended in an error", state=State.ERROR)
    failed.last_reason = "The model refused: quota exceeded"  # type: ignore[attr-defined]
    rested = studio.session("Days that are not 24 hours")
    rested.last_words = "All tests pass; the change is in `days.py`."  # type: ignore[attr-defined]
    late = {"heard_at": studio.ago(940), "progressed_at": studio.ago(940), "liveness_since": studio.ago(640)}
    return {
        "approval": asking,
        "loop decision": deciding,
        "stuck": studio.running("Flash the buoy's firmware", Liveness.STUCK, liveness_reason="No progress", **late),
        "lost": studio.running("Night watch", Liveness.LOST, **late),
        "live": studio.running("Lamp an hour late"),
        "quiet": studio.running("All charts, full depth", Liveness.QUIET, heard_at=studio.ago(90)),
        "unknown": studio.running("A source without events", Liveness.UNKNOWN, has_events=False, doing=""),
        "in a loop": studio.running("The same call again", same_call_count=9, same_call_seq=3),
        "failed": failed,
        "resting": rested,
        "done, not opened": studio.session("Tides by chat", is_unseen=True),
        "a title too long": studio.session("The harbour master wants every lamp on the north pier checked " * 4),
    }


def _rows(studio: Studio) -> Iterator[Specimen]:
    for state, session in _states(studio).items():
        yield Specimen("_row.html", state, {"session": session, "can_change": True}, wrap="row")
    for state, session in _states(studio).items():
        yield Specimen("_verdict.html", state, {"session": session, "can_change": False})
    live = studio.running("Lamp an hour late")
    stuck = studio.running("Flash the buoy's firmware", Liveness.STUCK, next_deadline_at=studio.ago(-60))
    yield Specimen("_reason.html", "stuck", {"session": stuck, "reason": "No progress for 16 m"})
    yield Specimen("_stop.html", "on a row that is hovered", {"session": live})
    yield Specimen("_acts.html", "a turn runs", {"session": live, "can_change": True})
    yield Specimen("_acts.html", "its agent went away", {"session": stuck, "can_change": True})
    counts = {"needs": 2, "adrift": 1, "running": 12, "today": 1204}
    yield Specimen("_counters.html", "something to do", {"counts": counts})
    yield Specimen("_counters.html", "all quiet", {"counts": dict.fromkeys(counts, 0)})
    yield Specimen("_inbox_count.html", "three wait", {"asked_count": 3})
    incident = {"source": "build-server", "since": studio.ago(400), "count": 4, "running": 5}
    yield Specimen("_incidents.html", "one source is silent", {"incidents": [incident]})
    late = Watch(studio.ago(3 * 3600), is_late=True)
    yield Specimen("_late.html", "the watchdog has not looked for hours", {"watch": late})
    yield Specimen("_watched.html", "it looked a moment ago", {"watch": Watch(studio.ago(1), is_late=False)})


def _asks(studio: Studio) -> Iterator[Specimen]:
    session = studio.running("Lamp an hour late", needs=Needs.APPROVAL, needs_since=studio.ago(184))
    preview = {
        "kind": "Edit", "path": "lamp.py", "truncated_count": 0,
        "replacements": [{"index": 1, "total": 1, "start_line": 7, "old_lines": ["return at"],
                          "new_lines": ["return at.astimezone(UTC)"]}],
    }  # fmt: skip
    asked = {
        "approval of a command": studio.request(session),
        "approval of an edit": studio.request(session, tool_name="Edit", detail="lamp.py", preview=preview),
        "loop limit": studio.request(session, Needs.LOOP_DECISION, options=["Bash", "Edit"]),
        "question": studio.request(session, Needs.INPUT, detail="Which pier?", options=["North", "South"]),
        "expired": studio.request(session, status=RequestStatus.EXPIRED, closed_at=studio.ago(12)),
    }
    for state, request in asked.items():
        yield Specimen("_ask.html", state, {"request": request, "session": session, "can_change": True})
    listed = {"request": asked["approval of a command"], "session": session, "can_change": True, "is_listed": True}
    yield Specimen("_ask.html", "in the inbox", listed)
    for state in ("approval of a command", "loop limit", "question"):
        context = {"request": asked[state], "session": session, "is_whole": True}
        yield Specimen("_answers.html", state, context)
    yield Specimen("_diff.html", "a line changed, a line added", {"lines": diff_lines(_EDIT)})
    yield Specimen("_sides.html", "the same, side by side", {"lines": diff_lines(_EDIT)})
    past = {"rows": [asked["expired"]]}
    yield Specimen("_answered.html", "one expired", {"past": past})
    yield Specimen("_answered.html", "none yet", {"past": {"rows": []}})


def _calls(studio: Studio, session: Session) -> dict[str, ToolCall]:
    ended = {"ended_at": studio.ago(30)}
    return {
        "open": studio.call(session),
        "success": studio.call(session, outcome=Outcome.SUCCESS, **ended),
        "failed": studio.call(session, outcome=Outcome.FAILED, **ended),
        "rejected": studio.call(session, outcome=Outcome.REJECTED, **ended),
        "aborted": studio.call(session, outcome=Outcome.ABORTED, **ended),
        "an edit by a sub-agent": studio.call(
            session, name="Edit", args=_EDIT, detail="lamp.py", is_sub_agent=True, outcome=Outcome.SUCCESS, **ended
        ),
    }


def _transcript(studio: Studio) -> Iterator[Specimen]:
    session = studio.running("Lamp an hour late")
    calls = _calls(studio, session)
    spent = {"prompt_tokens": 9_000, "completion_tokens": 412}
    messages = {
        "user": studio.message(session, "user", "The lamp is late. Look, and say why."),
        "assistant": studio.message(
            session, "assistant", _PROSE, thinking="Local time, then.", model="large-2",
            calls_made=list(calls.values()), **spent,
        ),
        "system": studio.message(session, "system", "You keep the lighthouse."),
        "tool": studio.message(session, "tool", "running 3 tests\n... ok"),
        "with a picture": studio.message(session, "tool", _PICTURE),
        "archived": studio.message(session, "user", "An old question.", compacted_at=studio.ago(60)),
    }  # fmt: skip
    for state, message in messages.items():
        yield Specimen("_message.html", state, {"message": message, "session": session})
    for state, call in calls.items():
        yield Specimen("_tool.html", state, {"call": call, "session": session}, wrap="tools")
    insides: dict[str, tuple[str, str | None]] = {
        "success": ("command and output", "running 3 tests\n... ok"),
        "open": ("no output yet, a sub-agent at it", None),
        "an edit by a sub-agent": ("an edit", ""),
    }
    for key, (state, output) in insides.items():
        context: dict[str, Any] = {
            "call": calls[key],
            "session": session,
            "output": output,
            "output_size": 4000,
            "children": [session] if key == "open" else [],
        }
        yield Specimen("_tool_inside.html", state, context, wrap="tools")
    present = {
        "text": "I look at `dusk()` first",
        "thinking": "",
        "calls": [calls["open"]],
        "requests": [],
        "commands": [],
    }
    yield Specimen("_now.html", "writing, a call open", {"present": present, "session": session})
    event = Event(
        pk=studio.next(), session=session, seq=7, type="tool_call_start", received_at=studio.ago(42),
        payload={"name": "Bash", "args": {"command": "ls"}},
    )  # fmt: skip
    own = Event(
        pk=studio.next(), session=session, seq=8, type="server.liveness_changed", received_at=studio.ago(2),
        payload={"from": "live", "to": "quiet", "reason": "No sign for 60 s"},
    )  # fmt: skip
    for state, one in (("an agent's", event), ("the server's", own)):
        yield Specimen("_event.html", state, {"event": one, "session": session}, wrap="list")
    yield Specimen("_event_inside.html", "payload", {"event": event}, wrap="tools")


def _beside(studio: Studio) -> Iterator[Specimen]:
    session = studio.running("Lamp an hour late")
    child = studio.running("Look for fixed day lengths")
    usage = {"agent_name": "main", "prompt_tokens": 42_102, "cache_read_tokens": 344_224, "completion_tokens": 1_232}
    aside = Aside(
        todo=checklist("- [x] Read lamp.py\n- [ ] Change one line\n- [ ] Run the tests"),
        usage=[usage, {**usage, "agent_name": "scout"}],
        files=["src/lamp.py"],
        file_count=1,
        children=[child],
        child_count=1,
    )
    place = Passage(
        message_id=1, call_id=None, role="user", at=studio.ago(300), is_archived=True, words=("The ", "lamp", " is on")
    )
    for state, passages in (("one place", [place]), ("nothing", [])):
        yield Specimen("_found.html", state, {"found": Found(passages), "sought": "lamp", "session": session})
    yield Specimen("_checklist.html", "done, doing, left", {"items": aside.todo})
    yield Specimen("_facts.html", "reported", {"session": session})
    yield Specimen("_facts.html", "mostly unknown", {"session": studio.session("Nothing said", message_count=0)})
    tabs = [Counted("transcript", "Transcript", "42", "#"), Counted("events", "Events", "1,204", "#")]
    yield Specimen("_tabs.html", "the second is open", {"session": session, "tabs": tabs, "tab": "events"}, wrap="tabs")
    yield Specimen("_aside.html", "all that there can be", {"aside": aside, "session": session})
    findings = [Finding(kind=FindingKind.LOOP, sentence="Bash was called 6 times alike", seq=7)]
    yield Specimen("_findings.html", "one", {"findings": findings, "session": session})
    commands = [
        Command(
            pk=studio.next(), session=session, status=status, created_at=studio.ago(20), body={"action": "interrupt"}
        )
        for status in ("requested", "delivered", "obeyed", "refused")
    ]
    yield Specimen("_commands.html", "each stage", {"commands": commands})
    end = studio.now
    stays = [
        Stay("live", studio.ago(900), studio.ago(500)),
        Stay("quiet", studio.ago(500), studio.ago(400)),
        Stay("stuck", studio.ago(400), studio.ago(200), "No progress"),
        Stay("needs", studio.ago(200), studio.ago(60)),
        Stay("live", studio.ago(60), end),
    ]
    yield Specimen("_ribbon.html", "each height", {"ribbon": draw(stays, start=studio.ago(1000), end=end)})


def _of_pages(studio: Studio) -> Iterator[Specimen]:
    webhook = Webhook(pk=1, owner=studio.user, url="https://example.org/hook")
    session = studio.running("Lamp an hour late")
    known = {
        "webhook": webhook,
        "session": session,
        "due_at": studio.ago(60),
        "next_attempt_at": studio.now,
        "body": {},
    }
    deliveries = [
        Delivery(pk=1, kind="needs", delivered_at=studio.ago(50), attempts=1, last_status=200, **known),
        Delivery(pk=2, kind="stuck", attempts=2, last_error="503 from the receiver", **known),
        Delivery(pk=3, kind="lost", given_up_at=studio.ago(5), attempts=8, last_error="No answer in 5 s", **known),
    ]
    yield Specimen("_deliveries.html", "told, tried, given up", {"deliveries": deliveries})
    yield Specimen("_deliveries.html", "nothing yet", {"deliveries": []})
    form = WebhookForm({"url": "ftp://example.org", "quiet_minutes": "-1", "kinds": ["needs"]})
    yield Specimen("_webhook_fields.html", "filled in", {"form": form}, wrap="sheet")
    yield Specimen("_form_faults.html", "two faults", {"form": form})
    facets = [
        Facet("agent", [("koda", "koda")], ""),
        Facet("project", [("lighthouse", "/w/lighthouse")], "/w/lighthouse"),
    ]
    states = {"words": {"state": "stuck"}, "states": StateFilter.choices}
    yield Specimen("_states.html", "one is chosen", states, wrap="fields")
    yield Specimen("_facets.html", "one is chosen", {"facets": facets}, wrap="fields")


def _of_store(studio: Studio) -> Iterator[Specimen]:
    session = studio.session("Days that are not 24 hours")
    asked_for = {"policy": {"noun": "message"}, "words": "archived more than 30 days ago"}
    one = {"session": session, "count": 804, "size": 1_204_000, "at": studio.ago(40 * 86400)}
    found = {
        "count": 11_204, "session_count": 38, "size": 48_200_000, "newest": studio.ago(30 * 86400), "rule": asked_for,
        "largest": [one], "more": 37, "kept": 2,
    }  # fmt: skip
    yield Specimen("_preview.html", "something would go", {"found": found, "words": {}})
    yield Specimen("_preview.html", "nothing would go", {"found": {"count": 0, "kept": 0, "rule": asked_for}})
    receipt = Receipt(
        policy="archived", rule="archived more than 30 days ago", owner=studio.user, by=who(studio.user),
        counts={"messages": 11_204}, session_count=38, size=48_200_000, previewed=11_204, is_complete=True,
        started_at=studio.ago(62), ended_at=studio.ago(60),
    )  # fmt: skip
    yield Specimen("_receipt.html", "to the end", {"receipt": receipt})
    shelf = {"session_count": 38, "deleted_count": 2, "messages": 11_204, "archived": 900, "bytes": 48_200_000}
    yield Specimen("_shelf.html", "cells of a row", {"shelf": {**shelf, "checkpoints": 0}}, wrap="cells")
    going = {"done": 400, "total": 1204, "given": {"all": True}, "words": {}, "back": "/sessions/"}
    yield Specimen("_going_on.html", "a third is done", going)


def _of_connect(studio: Studio) -> Iterator[Specimen]:
    key = ApiKey(pk=1, user=studio.user, name="laptop", source="laptop")
    heard = ApiKey(pk=2, user=studio.user, name="laptop", source="laptop", last_used_at=studio.ago(4))
    session = studio.running("Lamp an hour late")
    yield Specimen("_signal.html", "nothing yet", {"signal": {"key": key, "has_come": False}})
    yield Specimen("_signal.html", "connected", {"signal": {"key": heard, "has_come": True, "session": session}})
    yield Specimen(
        "_paste.html", "lines", {"name": "curl", "note": "In a shell:", "text": "curl -H 'Authorization: …' …"}
    )


def _charts(studio: Studio) -> Iterator[Specimen]:
    period = Period.of_days(14, now=studio.now)
    counts = {day: _counts(number) for number, day in enumerate(period.days) if number % 5}
    tools = [ToolFigures("Bash", success=80, failed=9, rejected=3, aborted=2, open=1), ToolFigures("Read", success=31)]
    turns = TurnFigures(
        count=96, reasons={"complete": 90, "error": 5}, lengths=[4, 9, 14, 20, 18, 12, 8, 4, 3, 2, 1, 0],
        median=41, p95=610, longest=2400,
    )  # fmt: skip
    times = {day: DayTimes(working=3600 + 100 * number, waiting=300 * number) for number, day in enumerate(period.days)}
    sums = {"koda": _counts(9), "claude-code": _counts(4)}
    found = Figures(period, 12, counts, sums, {"/w/lighthouse": _counts(13), "": _counts(1)}, tools, turns, times)
    parts = shown(found, {})
    for small in figure_charts.tokens(found)[:1]:
        yield Specimen("_chart.html", "amounts, some unknown", {"chart": small.chart})
    yield Specimen("_chart.html", "working and waiting", {"chart": parts["times"]})
    yield Specimen("_chart.html", "a distribution with its lines", {"chart": parts["lengths"]})
    rows = {"rows": parts["agents"], "head": "Agent", "caption": "Tokens by agent", "total": found.tokens}
    yield Specimen("_tokens.html", "with sums", rows)
    yield Specimen("_tokens.html", "some unknown", {**rows, "rows": figure_charts.token_rows(found)[:6], "total": None})
    yield Specimen("_tools_used.html", "all outcomes", {"tools": parts["tools"], "all": found.all_tools})


def _counts(number: int) -> TokenCounts:
    return TokenCounts(
        prompt_tokens=9_000 + 700 * number,
        completion_tokens=300 + 90 * number,
        cache_read_tokens=80_000,
        thinking_tokens=7,
    )
