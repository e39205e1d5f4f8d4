"""Somebody else's private ids, names and marks in a request that is otherwise one's own: in every place of every door.

The table has a row for each parameter that can name something; a parameter without a row fails. Each request is made
three times: with the caller's own id, which works, with that of somebody else, and with one that nothing has. The last
two get the same answer. Nothing is told of what is not the caller's, and nothing of it is changed.
"""

import asyncio
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from difflib import unified_diff
from fnmatch import fnmatchcase
from http import HTTPStatus
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote, urlencode
from uuid import UUID

import pytest
from django import forms
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from sessions.live.consumers.pages import FILTER_WORDS
from sessions.live.inbound import FrameIn
from sessions.models import File, Metadata, Session
from tests.api.calling import Agent, agent_of
from tests.api.test_permissions import see_store, undone
from tests.conftest import ROOT
from tests.factories import make_events, make_message, make_session, make_user
from tests.koda_web.neighbours import Things, furnish, nobodys, rows_of
from tests.koda_web.test_permissions import ALL, CONTRACTS, PAGES
from tests.live.sockets import cursor_of, in_db, page, program, settle, sign_in

HOURS = timedelta(hours=2)
"""So long ago is all that there is; a purge goes by the age."""
FORM = "application/x-www-form-urlencoded"
ROOTS = {"native": "/api/v1/", "stakpak": "/v1/", "zeroclaw": "/api/zeroclaw/"}


@dataclass(frozen=True, kw_only=True)
class Row:
    """A request. `{its.…}` is what one's own, somebody else's or nobody's thing takes in turn; `{mine.…}` stays.

    `refused` is the status for what is not the caller's; None: it is passed over like a name that nothing has.
    """

    path: str
    method: str = "GET"
    body: Any = None
    refused: int | None = None
    own: int | None = None
    """The status for the caller's own; None: any that lets in."""
    shows: bool = False
    """Whether the answer then shows the caller's own words."""
    changes: bool = False
    """Whether the caller's own is changed then."""
    is_alike: bool = True
    """Whether what nothing has gets the very same answer; not where that tells of what was made, or begins at a mark.

    A mark is a place between rows and names none: another one gives another stretch of the same list.
    """
    is_fragment: bool = False


def read(path: str, refused: int | None = None, **more: Any) -> Row:
    return Row(path=path, refused=refused, **{"shows": True, **more})


def mark(path: str, **more: Any) -> Row:
    return Row(path=path, is_alike=False, **more)


def send(method: str, path: str, body: Any = None, refused: int | None = None, **more: Any) -> Row:
    facts = {"changes": True, "is_alike": refused is not None, **more}
    return Row(path=path, method=method, body=body, refused=refused, **facts)


def post(path: str, body: Any = None, refused: int | None = None, **more: Any) -> Row:
    return send("POST", path, body, refused, **more)


def form(path: str, body: Any, **more: Any) -> Row:
    return post(path, body, is_alike=True, **more)


# --- Rows that follow from the matrices of paths -------------------------------------------------------------

OF_PATHS = {
    "native": {"id": ("session_id", "session"), "command": ("command_id", "command"),
               "checkpoint": ("checkpoint_id", "checkpoint")},
    "stakpak": {"session": ("session_id", "session"), "checkpoint": ("checkpoint_id", "checkpoint")},
}  # fmt: skip
"""By what the matrices of permissions call an id in a path: the parameter, and what it is here."""
OF_PAGES = {
    "web:signal": "key_pk", "web:revoke": "key_pk", "web:webhook": "webhook", "web:try-webhook": "webhook",
    "web:renew-secret": "webhook", "web:remove-webhook": "webhook", "web:answer": "request",
    "web:message": "message", "web:value": "metadata", "web:tool": "tool",
    "web:fork": "checkpoint_seq", "web:event": "event_seq", "web:receipt": "receipt",
}  # fmt: skip
"""What the number, or the one id, in a page's path is."""


def _of_operations() -> Iterator[tuple[str, Row]]:
    for door, words in OF_PATHS.items():
        for name, (method, path, body, _) in CONTRACTS[f"api-{door}"].RULES.items():
            for word in (word for word in words if f"{{{word}}}" in path):
                parameter, thing = words[word]
                filled = ROOTS[door] + path.replace(f"{{{word}}}", f"{{its.{thing}}}")
                yield f"{door} {name} path.{parameter}", Row(path=filled, method=method, body=body, refused=404)
    for name, (method, path, body, _, expected) in CONTRACTS["api-zeroclaw"].RULES.items():
        if "/sessions/k" in path:
            refused = 404 if expected is None else None
            filled = path.replace("/sessions/k", "/sessions/{its.key}")
            yield f"zeroclaw {name} path.key", Row(path=filled, method=method, body=body, refused=refused)


def _of_pages() -> Iterator[tuple[str, Row]]:
    for name, route in ALL:
        if name not in PAGES or "<" not in route:
            continue
        method, body, _ = PAGES[name]
        thing = OF_PAGES.get(name, "session")
        path = re.sub(r"<int:\w+>", f"{{its.{thing}}}", f"/{route}")
        uuid = "receipt" if thing == "receipt" else "session"
        whole = path.replace("<uuid:uuid>", f"{{its.{uuid}}}")
        for parameter in re.findall(r"<\w+:(\w+)>", route):
            its = whole if parameter == "uuid" else path.replace("<uuid:uuid>", "{mine.session}")
            yield f"{name} path.{parameter}", Row(path=its, method=method, body=body, refused=404)


# --- The native API ------------------------------------------------------------------------------------------

MINE = "/api/v1/sessions/{mine.session}"
NATIVE = {
    "create_session body.id": post(  # one that is taken cannot be used, whoever has it
        "/api/v1/sessions", {"agent_name": "koda", "id": "{its.session}"}, 409, own=409, changes=False, is_alike=False
    ),
    "create_session body.key": post(
        "/api/v1/sessions", {"agent_name": "koda", "key": "{its.key}"}, own=409, changes=False
    ),
    "create_session body.parent_id": post("/api/v1/sessions", {"agent_name": "a", "parent_id": "{its.session}"}, 422),
    "create_session body.parent_tool_call_id": post(
        "/api/v1/sessions",
        {"agent_name": "koda", "parent_id": "{mine.session}", "parent_tool_call_id": "{its.call}"},
    ),
    "list_sessions query.parent_id": read("/api/v1/sessions?parent_id={its.session}"),
    "list_sessions query.key": read("/api/v1/sessions?key={its.key}"),
    "list_sessions query.source": read("/api/v1/sessions?source={its.source}"),
    "list_sessions query.agent_name": read("/api/v1/sessions?agent_name={its.agent}"),
    "list_sessions query.project_root": read("/api/v1/sessions?project_root={its.project}"),
    "list_sessions query.q": read("/api/v1/sessions?q={its.word}"),
    "list_sessions query.cursor": mark("/api/v1/sessions?cursor={its.list_mark}"),
    "list_running_sessions query.cursor": mark("/api/v1/sessions/running?cursor={its.running_mark}"),
    "list_stuck_sessions query.cursor": mark("/api/v1/sessions/stuck?threshold_secs=0&cursor={its.stuck_mark}"),
    "fork_session body.message_id": post(f"{MINE}/fork", {"message_id": "{its.message}"}, 422),
    "fork_session body.checkpoint_id": post(f"{MINE}/fork", {"checkpoint_id": "{its.checkpoint}"}, 422),
    "append_messages body.client_id": post(
        f"{MINE}/messages", {"role": "user", "content": "x", "client_id": "{its.client_id}"}, changes=False
    ),
    "append_messages body.messages.client_id": post(
        f"{MINE}/messages", {"messages": [{"role": "user", "client_id": "{its.client_id}"}]}, changes=False
    ),
    "append_messages body.tool_call_id": post(
        f"{MINE}/messages", {"role": "tool", "content": "done", "tool_call_id": "{its.open_call}"}
    ),
    "append_messages body.messages.tool_call_id": post(
        f"{MINE}/messages", {"messages": [{"role": "tool", "content": "done", "tool_call_id": "{its.open_call}"}]}
    ),
    "append_messages body.tool_calls": post(
        f"{MINE}/messages", {"role": "assistant", "tool_calls": [{"id": "{its.open_call}", "function_name": "Bash"}]}
    ),
    "append_messages body.messages.tool_calls": post(
        f"{MINE}/messages",
        {"messages": [{"role": "assistant", "tool_calls": [{"id": "{its.open_call}", "function_name": "Bash"}]}]},
    ),
    "list_messages query.after": mark(f"{MINE}/messages?after={{its.message}}"),
    "list_messages query.before": mark(f"{MINE}/messages?before={{its.message}}", shows=True),
    "list_messages query.cursor": mark(f"{MINE}/messages?cursor=before:{{its.message}}", shows=True),
    "list_recent_messages query.cursor": mark("/api/v1/messages/recent?cursor={its.recent_mark}", shows=True),
    "search query.q": read("/api/v1/search?q={its.word}"),
    "search query.agent_name": read("/api/v1/search?q={mine.word}&agent_name={its.agent}"),
    "search query.project_root": read("/api/v1/search?q={mine.word}&project_root={its.project}"),
    "search query.tool": read("/api/v1/search?q={mine.word}&tool={its.tool_name}"),
    "search query.source": read("/api/v1/search?q={mine.word}&source={its.source}"),
    "search query.cursor": mark("/api/v1/search?q={mine.word}&cursor={its.search_mark}", shows=True),
    "ingest_events body.events.type": post(
        f"{MINE}/events", {"events": [{"type": "server.messages_added", "message_ids": ["{its.message}"]}]},
        422, own=422, changes=False,
    ),
    "ingest_events body.events.event_id": post(
        f"{MINE}/events", {"events": [{"type": "info", "event_id": "{its.event_id}"}]}, changes=False
    ),
    "ingest_events body.events.turn_id": post(
        f"{MINE}/events", {"events": [{"type": "turn_end", "turn_id": "{its.turn}", "reason": {"kind": "complete"}}]},
        422,
    ),
    "ingest_events body.events.id": post(
        f"{MINE}/events",
        {"events": [{"type": "tool_call_result", "id": "{its.open_call}", "name": "Bash", "output": "done"},
                    {"type": "approval_request", "id": "{its.request_id}", "tool_name": "Bash", "detail": "x"}]},
    ),
    "list_events query.after": mark(f"{MINE}/events?after={{its.event_seq}}"),
    "list_events query.before": mark(f"{MINE}/events?before={{its.event_seq}}", shows=True),
    "list_events query.cursor": mark(f"{MINE}/events?cursor=before:{{its.event_seq}}", shows=True),
    "list_turns query.cursor": mark(f"{MINE}/turns?cursor={{its.turn_mark}}"),
    "set_state body.turn_id": send("PUT", f"{MINE}/state", {"state": "running", "turn_id": "{its.turn}"}),
    "ask_command body.id": post(
        f"{MINE}/commands",
        {"type": "approval_response", "id": "{its.request_id}", "decision": {"decision": "approve"}}, 404,
    ),
    "ask_command body.id of a question": post(
        f"{MINE}/commands", {"type": "ask_user_response", "id": "{its.question_id}", "answer": "this"}, 404
    ),
    "get_metadata path.key": read(f"{MINE}/metadata/{{its.metadata_key}}", 404),
    "set_metadata path.key": send("PUT", f"{MINE}/metadata/{{its.metadata_key}}", {"value": "x"}),
    "delete_metadata path.key": send("DELETE", f"{MINE}/metadata/{{its.metadata_key}}"),
    "list_files query.cursor": mark(f"{MINE}/files?cursor={{its.file_mark}}"),
    "add_file body.path": send("PUT", f"{MINE}/files", {"path": "{its.file}"}, changes=False),
    "delete_file body.path": send("DELETE", f"{MINE}/files", {"path": "{its.file}"}),
    "list_checkpoints query.after": mark(f"{MINE}/checkpoints?after={{its.checkpoint_seq}}"),
    "list_checkpoints query.before": mark(f"{MINE}/checkpoints?include_state=1&before={{its.checkpoint_seq}}",
                                          shows=True),
    "list_checkpoints query.cursor": mark(f"{MINE}/checkpoints?cursor=before:{{its.checkpoint_seq}}"),
    "create_checkpoint body.parent_id": post(
        f"{MINE}/checkpoints", {"state": {"messages": []}, "parent_id": "{its.checkpoint}"}, 422
    ),
    "compare_checkpoints path.checkpoint_id against one's own": read(
        "/api/v1/checkpoints/{its.checkpoint}/diff?against={mine.checkpoint}", 404, shows=False
    ),
    "compare_checkpoints query.against": read(
        "/api/v1/checkpoints/{mine.checkpoint}/diff?against={its.checkpoint}", 404, shows=False
    ),
    "stats query.agent_name": read("/api/v1/stats?agent_name={its.agent}"),
    "stats query.project_root": read("/api/v1/stats?project_root={its.project}"),
    "stats query.source": read("/api/v1/stats?source={its.source}", shows=False),
    "purge body.source": post(
        "/api/v1/purges", {"policy": "stale", "ttl_hours": 0, "force": True, "include_running": True,
                           "source": "{its.source}"},
    ),
    "purge body.project_root": post(
        "/api/v1/purges", {"policy": "stale", "ttl_hours": 0, "force": True, "include_running": True,
                           "project_root": "{its.project}"},
    ),
    "list_purges query.cursor": mark("/api/v1/purges?cursor={its.purge_mark}"),
}  # fmt: skip

# --- ZeroClaw's and Stakpak's --------------------------------------------------------------------------------

OTHER_DOORS = {
    "zeroclaw append body.client_id": post(
        "/api/zeroclaw/sessions/{mine.key}/messages",
        {"role": "user", "content": "x", "client_id": "{its.client_id}"},
        changes=False,
    ),
    "zeroclaw set_session_state body.turn_id": send(
        "PUT", "/api/zeroclaw/sessions/{mine.key}/state", {"state": "running", "turn_id": "{its.turn}"}
    ),
    "zeroclaw list_sessions query.keyword": read("/api/zeroclaw/sessions?keyword={its.word}"),
    "stakpak list_sessions query.search": read("/v1/sessions?search={its.title}"),
    "stakpak create_checkpoint body.parent_id": post(
        "/v1/sessions/{mine.session}/checkpoints", {"state": {"messages": []}, "parent_id": "{its.checkpoint}"}, 400
    ),
}

# --- Pages ---------------------------------------------------------------------------------------------------

PAGE = "/sessions/{mine.session}"
PURGE = {"policy": "stale", "age": "1", "include_running": "1"}
BULK = {"action": "delete", "is_confirmed": "1", "top": "9000000000"}
WEB = {
    "web:wall ?q": read("/?q={its.word}"),
    "web:wall ?agent": read("/?agent={its.agent}"),
    "web:wall ?project": read("/?project={its.project}"),
    "web:wall ?source": read("/?source={its.source}"),
    "web:sessions ?q": read("/sessions/?q={its.word}"),
    "web:sessions ?agent": read("/sessions/?agent={its.agent}"),
    "web:sessions ?project": read("/sessions/?project={its.project}"),
    "web:sessions ?source": read("/sessions/?source={its.source}"),
    "web:sessions ?after": mark("/sessions/?after={its.list_mark}"),
    "web:sessions ?before": mark("/sessions/?before={its.list_mark}"),
    "web:search ?q": read("/search/?q={its.word}"),
    "web:search ?agent": read("/search/?q={mine.word}&agent={its.agent}"),
    "web:search ?project": read("/search/?q={mine.word}&project={its.project}"),
    "web:search ?tool": read("/search/?q={mine.word}&tool={its.tool_name}"),
    "web:search ?source": read("/search/?q={mine.word}&source={its.source}"),
    "web:search ?cursor": mark("/search/?q={mine.word}&cursor={its.search_mark}", shows=True),
    "web:figures ?agent": read("/figures/?agent={its.agent}"),
    "web:figures ?project": read("/figures/?project={its.project}"),
    "web:figures ?source": read("/figures/?source={its.source}"),
    "web:storage ?source": read("/storage/?policy=stale&age=1&source={its.source}"),
    "web:storage ?project": read("/storage/?policy=stale&age=1&project={its.project}"),
    "web:purge ?source": form("/storage/purge/", {**PURGE, "source": "{its.source}", "confirm": "1"}),
    "web:purge ?project": form("/storage/purge/", {**PURGE, "project": "{its.project}", "confirm": "2"}),
    "web:inbox ?open_after": mark("/inbox/?open_after={its.open_mark}"),
    "web:inbox ?open_before": mark("/inbox/?open_before={its.open_mark}"),
    "web:inbox ?past_after": mark("/inbox/?past_after={its.past_mark}"),
    "web:inbox ?past_before": mark("/inbox/?past_before={its.past_mark}"),
    "web:inbox ?ask": form("/inbox/", {"action": "approve", "ask": ["{its.request}"]}),
    "web:bulk ?pick": form("/sessions/bulk/", {**BULK, "pick": ["{its.session}"]}),
    "web:bulk ?pick before it is confirmed": form(
        "/sessions/bulk/", {"action": "public", "pick": ["{its.session}"]}, changes=False
    ),
    "web:bulk ?after": form("/sessions/bulk/", {**BULK, "after": "0", "pick": ["{its.session}", "{its.child}"]}),
    "web:bulk ?q": form("/sessions/bulk/", {**BULK, "all": "1", "q": "{its.word}"}),
    "web:bulk ?source": form("/sessions/bulk/", {**BULK, "action": "public", "all": "1", "source": "{its.source}"}),
    "web:connect ?key": read("/connect/?key={its.key_pk}", 404),
    "web:connect ?source": post(
        "/connect/", {"name": "n", "agent": "koda", "scopes": ["read"], "source": "{its.source}"}
    ),
    "web:session ?at": mark(f"{PAGE}/?at={{its.message}}", shows=True),
    "web:session ?before": mark(f"{PAGE}/?before={{its.message}}", shows=True),
    "web:session ?after": mark(f"{PAGE}/?after={{its.message}}", shows=True),
    "web:session ?find": read(f"{PAGE}/?find={{its.word}}"),
    "web:session ?before of the timeline": mark(f"{PAGE}/?tab=timeline&before={{its.message}}", shows=True),
    "web:session ?before of usage": mark(f"{PAGE}/?tab=usage&before={{its.message}}", shows=True),
    "web:session ?before of files": mark(f"{PAGE}/?tab=files&before={{its.message}}", shows=True),
    "web:session ?before of metadata": mark(f"{PAGE}/?tab=metadata&before={{its.metadata}}", shows=True),
    "web:session ?before of events": mark(f"{PAGE}/?tab=events&before={{its.event_seq}}", shows=True),
    "web:messages ?before": mark(f"{PAGE}/messages/?before={{its.message}}", is_fragment=True, shows=True),
    "web:messages ?after": mark(f"{PAGE}/messages/?after={{its.message}}", is_fragment=True),
    "web:messages ?at": mark(f"{PAGE}/messages/?at={{its.message}}", is_fragment=True, shows=True),
    "web:find ?find": read(f"{PAGE}/find/?find={{its.word}}", is_fragment=True),
    "web:events ?before": mark(f"{PAGE}/events/?before={{its.event_seq}}", is_fragment=True, shows=True),
    "web:events ?after": mark(f"{PAGE}/events/?after={{its.event_seq}}", is_fragment=True),
    "web:fork-session ?at": read(f"{PAGE}/fork/?at={{its.message}}", 404),
    "web:fork-session ?at by POST": post(f"{PAGE}/fork/?at={{its.message}}", refused=404),
    "web:checkpoints ?before": mark(f"{PAGE}/checkpoints/?before={{its.checkpoint_seq}}", shows=True),
    "web:checkpoints ?from": read(f"{PAGE}/checkpoints/?from={{its.checkpoint_seq}}&to={{mine.checkpoint_seq}}", 404),
    "web:checkpoints ?to": read(f"{PAGE}/checkpoints/?from={{mine.checkpoint_seq}}&to={{its.checkpoint_seq}}", 404),
}  # fmt: skip

TABLE: dict[str, Row] = {
    **dict(_of_operations()),
    **dict(_of_pages()),
    **{f"native {place}": row for place, row in NATIVE.items()},
    **OTHER_DOORS,
    **WEB,
}

SAYS = (
    "* query.limit", "* query.offset", "* query.order", "* query.state", "* query.status", "* query.visibility",
    "* query.role", "* query.view", "* query.days", "* query.threshold_secs", "* query.keys_only", "* query.wait",
    "* query.include_state", "* query.format", "* query.liveness", "* query.needs", "* query.permanent",
    "native search query.after", "native search query.before",  # times
    "* body.title", "* body.name", "* body.mode", "* body.model", "* body.provider", "* body.visibility", "* body.cwd",
    "* body.state", "* body.content", "* body.role", "* body.value", "* body.summary",
    "* body.preserve_count", "* body.stuck_after_secs", "* body.dry_run", "* body.force", "* body.include_running",
    "* body.ttl_hours", "* body.older_than_days", "* body.min_age_days", "* body.policy", "* body.obeyed",
    "* body.detail", "* body.activity", "* body.interval", "* body.progress", "* body.expect_within",
    "native create_session body.agent_name", "native create_session body.project_root", "native ask_command body.type",
    "native append_messages body.*usage.*", "native append_messages body.*created_at",
    "native append_messages body.messages.content", "native append_messages body.messages.role",
    "native append_messages body.*agent_name", "native ingest_events body.events.at",
)  # fmt: skip
"""Parameters that say something and name nothing that is there."""
FREE = {"native ingest_events body.events.id", "native ask_command body.id"}
"""Fields that no schema has: events and commands are kept as they are sent."""
WORDS_THAT_SAY = {
    "action", "age", "all", "archived", "choice", "confirm", "days", "density", "done", "first", "format",
    "include_running", "is_confirmed", "is_enabled", "keep", "kinds", "liveness", "name", "next", "notifies", "part",
    "policy", "prompt", "quiet_minutes", "role", "scopes", "since", "sort", "state", "summary", "tab", "theme", "title",
    "top", "total", "until", "url", "username", "visibility", "words",
}  # fmt: skip
"""The same in addresses and forms of pages."""


# --- No parameter is left out --------------------------------------------------------------------------------


def _fields(schema: dict[str, Any], known: dict[str, Any], place: str = "") -> Iterator[str]:
    """Yield the places of all fields of a body that hold no others."""
    if "$ref" in schema:
        yield from _fields(known[schema["$ref"].rpartition("/")[2]], known, place)
        return
    parts = [one for word in ("anyOf", "oneOf", "allOf") for one in schema.get(word, ())]
    for part in [*parts, *([schema["items"]] if "items" in schema else [])]:
        yield from _fields(part, known, place)
    for name, one in schema.get("properties", {}).items():
        here = f"{place}.{name}" if place else name
        yield from set(_fields(one, known, here)) or {here}


def _parameters(door: str) -> Iterator[str]:
    """Yield every parameter of a contract: door, operation, where it stands and its name."""
    schema = CONTRACTS[f"api-{door}"].api.get_openapi_schema()
    known = schema.get("components", {}).get("schemas", {})
    for operation in (one for path in schema["paths"].values() for one in path.values()):
        for one in operation.get("parameters", ()):
            yield f"{door} {operation['operationId']} {one['in']}.{one['name']}"
        content = operation.get("requestBody", {}).get("content", {})
        for body in content.values():
            for field in set(_fields(body["schema"], known)):
                yield f"{door} {operation['operationId']} body.{field}"


def _placed(rows: Iterable[str]) -> set[str]:
    """Return the parameters that rows are of, without what tells several rows of one apart."""
    return {re.sub(r" for good| (?:against|of|by|before) .*| before it .*", "", row) for row in rows}


def test_every_parameter_of_an_api_has_its_row():
    known = {one for door in ROOTS for one in _parameters(door)}
    rows = {row for row in _placed(TABLE) if row.split()[0] in ROOTS}
    naming = {one for one in known if not any(fnmatchcase(one, pattern) for pattern in SAYS)}
    assert naming == rows - FREE, "what names something needs a row in TABLE, what says something a line in SAYS"
    assert not [pattern for pattern in SAYS if not any(fnmatchcase(one, pattern) for one in known)]


_BAGS = "(?:GET|POST|data|query)"
_WORD = re.compile(
    rf"""{_BAGS}\.(?:get|getlist|pop)\("(\w+)"|{_BAGS}\["(\w+)"\]|\bnumber\((?:request, )?"(\w+)\""""
    rf"""|"(\w+)" (?:not )?in request\.{_BAGS}"""
)


def _words_read(folder: str) -> set[str]:
    """Return the words that modules read from an address or a form, one by one."""
    texts = [path.read_text() for path in Path(ROOT, folder).rglob("*.py")]
    return {next(filter(None, found)) for text in texts for found in _WORD.findall(text)}


def _form_fields(form: type[forms.Form] = forms.Form) -> Iterator[str]:
    for one in form.__subclasses__():
        if one.__module__.startswith("sessions.web"):
            yield from one.base_fields
        yield from _form_fields(one)


def test_every_id_in_a_path_and_every_word_of_a_page_has_its_row():
    paths = {
        f"{name} path.{word}" for name, route in ALL if name in PAGES for word in re.findall(r"<\w+:(\w+)>", route)
    }
    rows = {row for row in _placed(TABLE) if row.split()[0] not in ROOTS}
    assert paths == {row for row in rows if " path." in row}

    known = _words_read("sessions/web") | set(_form_fields()) | {"pick", "ask"}
    naming = {row.partition(" ?")[2] for row in rows if " ?" in row}
    assert known - WORDS_THAT_SAY == naming, "what names something needs a row in WEB"
    assert known >= WORDS_THAT_SAY


# --- Asking --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Answer:
    """What came back: with `text` goes where it leads."""

    status: int
    text: str


def _filled(value: Any, things: dict[str, Things], *, in_path: bool = False) -> Any:
    """Return `value` with the things that it names; a text that is nothing else becomes what it names."""
    if isinstance(value, dict):
        return {name: _filled(one, things) for name, one in value.items()}
    if isinstance(value, list):
        return [_filled(one, things) for one in value]
    if not isinstance(value, str):
        return value
    if (whole := re.fullmatch(r"\{(\w+)\.(\w+)\}", value)) is not None:
        found = getattr(things[whole[1]], whole[2])
        return str(found) if isinstance(found, UUID) else found

    def named(match: re.Match[str]) -> str:
        text = str(getattr(things[match[1]], match[2]))
        return quote(text, safe="") if in_path else text

    return re.sub(r"\{(\w+)\.(\w+)\}", named, value)


def _answer(response: Any) -> Answer:
    content = b"".join(response) if response.streaming else response.content
    told = [content.decode(errors="replace"), response.get("Location", ""), response.get("HX-Trigger", "")]
    said = [str(one) for one in response.cookies.values() if one.key == "messages"]
    return Answer(response.status_code, "\n".join([*told, *said]))


def _ask(row: Row, mine: Things, its: Things) -> Answer:
    things = {"mine": mine, "its": its}
    path = _filled(row.path, things, in_path=True)
    body = _filled(row.body, things)
    client = Client(raise_request_exception=False)
    if path.startswith(tuple(ROOTS.values())):
        data = b"" if body is None else json.dumps(body)
        headers = {"Authorization": f"Bearer {mine.plain}"}
        return _answer(client.generic(row.method, path, data, content_type="application/json", headers=headers))
    client.force_login(mine.owner)
    headers = {"HX-Request": "true"} if row.is_fragment else {}
    response = client.generic(row.method, path, urlencode(body or {}, doseq=True), FORM, headers=headers)
    answer = _answer(response)
    if response.status_code == HTTPStatus.FOUND:  # what a page has done is said on the next one
        answer = Answer(answer.status, answer.text + _answer(client.get("/account/")).text)
    return answer


def _sent(row: Row, its: Things) -> list[str]:
    """Return all forms in which an answer may repeat what was asked for, the longest first."""
    names = set(re.findall(r"\{its\.(\w+)\}", json.dumps([row.path, row.body])))
    texts = {str(getattr(its, name)) for name in names}
    if "project" in names:
        texts.add(PurePosixPath(its.project).name)
    ways = {way for text in texts for way in (text, quote(text, safe=""), quote(text), json.dumps(text)[1:-1])}
    return sorted(ways, key=len, reverse=True)


def _without(text: str, sent: list[str]) -> str:
    """Return an answer without what was sent, and without what differs from request to request."""
    text = re.sub(r"\b[A-Za-z0-9]{64}\b", "…", text)  # what proves that a form is ours
    for one in sent:
        text = re.sub(r"\d+", "…", text) if one.isdigit() else text.replace(one, "…")
    return text


def _told_of(its: Things, text: str) -> list[str]:
    """Return what a text tells of a person, by their words and by the ids of what they have."""
    ids = {str(value) for value in vars(its).values() if isinstance(value, UUID)}
    return [one for one in (its.secret, *ids) if one in text]


@dataclass(frozen=True)
class World:
    """Who asks, who is asked of, and nobody."""

    mine: Things
    theirs: Things
    nobodys: Things


@pytest.fixture
def world(db: None, own_counts: None, time_machine: Any) -> World:
    time_machine.move_to(timezone.now(), tick=False)
    mine = furnish("sealion", "mackerel")
    theirs = furnish("zebra", "acacia", more=3)
    time_machine.shift(HOURS)
    return World(mine, theirs, nobodys(theirs))


ASKED = {place: " ".join(place.split()[: 2 if place.split()[0] in ROOTS else 1]) for place in TABLE}
"""By the places of the table, which operation or page is asked."""


@pytest.mark.parametrize("asked", dict.fromkeys(ASKED.values()))
def test_what_is_not_ones_own_is_as_what_is_not_there(world, asked):
    before = see_store()
    wrong = {}
    for place in (place for place, one in ASKED.items() if one == asked):
        faults = list(_faults(TABLE[place], world, before))
        if faults:
            wrong[place] = faults
    assert wrong == {}


def _faults(row: Row, world: World, before: dict[str, list[Any]]) -> Iterator[Any]:
    """Make a request with one's own, with somebody else's and with nobody's; yield what should not have come of it."""
    mine, theirs = world.mine, world.theirs
    with undone():
        own = _ask(row, mine, mine)
        has_changed = rows_of(mine, see_store()) != rows_of(mine, before)
    with undone():
        foreign = _ask(row, mine, theirs)
        after = see_store()
    with undone():
        absent = _ask(row, mine, world.nobodys)
    if not _is(own, row.own) or (row.shows and mine.secret not in _without(own.text, _sent(row, mine))):
        yield "one's own is refused, or not shown", own
    if row.changes and not has_changed:
        yield "one's own is not changed", own
    if not _is(foreign, row.refused):
        yield "is not answered as it should be", foreign
    if rows_of(theirs, after) != rows_of(theirs, before) or (row.refused and after != before):
        yield "changes something"
    yield from _told(row, world, foreign, absent)


def _is(answer: Answer, status: int | None) -> bool:
    """Say whether the status is this one; None: whether it lets in."""
    return answer.status < HTTPStatus.BAD_REQUEST if status is None else answer.status == status


def _told(row: Row, world: World, foreign: Answer, absent: Answer) -> Iterator[Any]:
    """Yield what an answer tells of somebody else's, beginning with whether it is there."""
    said = _without(foreign.text, _sent(row, world.theirs))
    nothing = _without(absent.text, _sent(row, world.nobodys))
    if told := _told_of(world.theirs, said):
        yield "tells of somebody else's", told
    if not row.is_alike or (foreign.status, said) == (absent.status, nothing):
        return
    lines = unified_diff(said.splitlines(), nothing.splitlines(), lineterm="", n=0)
    yield "tells whether there is such a thing", foreign.status, absent.status, *lines


# --- What is shown of all together ---------------------------------------------------------------------------

ALL_TOGETHER = [
    *(f"/{route}" for name, route in ALL if name in PAGES and PAGES[name][0] == "GET" and "<" not in route
      and not name.startswith(("admin/", "^", "healthz"))),
    "/search/?q={word}", "/sessions/?q={word}", "/?q={word}", "/storage/?policy=stale&age=0", "/figures/?days=365",
    "/storage/?policy=compacted&age=0", "/sessions/{session}/", "/sessions/{session}/?tab=usage",
    *("/api/v1/" + path for _, path, _, _ in CONTRACTS["api-native"].RULES.values() if "{" not in path),
    "/api/v1/search?q={word}", "/api/v1/sessions?q={word}", "/api/v1/sessions?status=ALL",
    "/api/v1/messages/recent?role=assistant", "/api/v1/sessions/stuck?threshold_secs=0",
    *("/v1/" + path for method, path, _, _ in CONTRACTS["api-stakpak"].RULES.values()
      if method == "GET" and "{" not in path),
    "/v1/sessions?status=ALL",
    *(path for method, path, *_ in CONTRACTS["api-zeroclaw"].RULES.values()
      if method == "GET" and "/sessions/k" not in path),
    "/api/zeroclaw/sessions", "/api/zeroclaw/sessions?keyword={word}",
]  # fmt: skip
"""All that shows or counts over many sessions."""
PREVIEWS = [
    ("/api/v1/purges", {"policy": "stale", "ttl_hours": 0, "force": True, "dry_run": True, "include_running": True}),
    ("/api/v1/purges", {"policy": "events", "older_than_days": 0, "dry_run": True}),
    ("/api/v1/compacted/purge", {"min_age_days": 0, "dry_run": True}),
    ("/api/zeroclaw/cleanup", {"ttl_hours": 0, "force": True, "dry_run": True}),
]


def _seen_together(mine: Things, word: str) -> dict[str, str]:
    rows = [Row(path=path.format(word=word, session=mine.session)) for path in dict.fromkeys(ALL_TOGETHER)]
    rows += [Row(path=path, method="POST", body=body) for path, body in PREVIEWS]
    found = {}
    for row in rows:
        with undone():
            answer = _ask(row, mine, mine)
        assert answer.status < 500, row.path
        found[f"{row.method} {row.path} {row.body or ''}"] = re.sub(r"key:\d+", "key:…", _without(answer.text, []))
    return found


@pytest.mark.parametrize("word", ["sealion", "zebra"])
def test_what_others_keep_to_themselves_is_in_no_list_and_no_figure(db, own_counts, time_machine, word):
    time_machine.move_to(timezone.now(), tick=False)
    mine = furnish("sealion", "mackerel")
    mine.row.see(mine.owner)
    time_machine.shift(HOURS)
    before = _seen_together(mine, word)
    time_machine.shift(-HOURS)
    theirs = furnish("zebra", "acacia", more=3)
    time_machine.shift(HOURS)
    after = _seen_together(mine, word)
    assert {place: text for place, text in after.items() if text != before[place]} == {}
    assert {place for place, text in after.items() if _told_of(theirs, text)} == set()


def test_how_large_the_database_is_only_staff_are_told(world):
    staff = make_user(is_staff=True)
    receipts = Agent(plain=world.mine.plain).get("purges")["items"]
    assert [(one["bytes_before"], one["bytes_after"]) for one in receipts] == [(None, None)]
    theirs = furnish_receipt(staff)
    (shown,) = agent_of(staff).get("purges")["items"]
    assert (shown["id"], shown["bytes_before"]) == (str(theirs.uuid), 5)


def furnish_receipt(user: User) -> Any:
    from sessions.models import Receipt

    receipt = Receipt.objects.begin("stale", "of a test", {}, owner=user, by=f"user:{user.pk}", now=timezone.now())
    receipt.bytes_before = 5
    receipt.complete(counts={}, size=0, session_count=0, is_complete=True, bytes_after=5, now=timezone.now())
    return receipt


# --- What stands above and below a session that everybody may read -------------------------------------------


@pytest.fixture
def family(db: None, own_counts: None) -> tuple[Session, Session, Session]:
    """A public session between a private one above it and a private one below it."""
    owner = make_user()
    above = make_session(owner, title="secret above")
    between = make_session(owner, title="between", parent=above, visibility="PUBLIC")
    below = make_session(owner, title="secret below", parent=between)
    make_session(owner, title="open below", parent=between, visibility="PUBLIC")
    return above, between, below


def test_the_page_of_a_public_session_names_no_private_one_above_or_below_it(family):
    above, between, below = family
    for user in (None, make_user(), between.owner, make_user(is_staff=True)):
        client = Client()
        if user is not None:
            client.force_login(user)
        page = f"/sessions/{between.uuid}/"
        told = "".join(client.get(path).content.decode() for path in (page, f"{page}?tab=files", f"{page}glance/"))
        is_told = user is not None and between.may_be_changed_by(user)
        for session in (above, below):
            assert (session.title in told, str(session.uuid) in told) == (is_told, is_told), user
        assert "open below" in told
        assert f"<small>{2 if is_told else 1}</small>" in told


def test_a_private_session_of_somebody_else_is_not_named_below_ones_own(family):
    _, between, _ = family
    make_session(make_user(is_staff=True), title="secret of staff", parent=between)
    client = Client()
    client.force_login(between.owner)
    assert "secret of staff" not in client.get(f"/sessions/{between.uuid}/").content.decode()


@pytest.mark.django_db(transaction=True)
async def test_an_open_page_of_a_public_session_is_sent_the_names_of_no_private_one():
    owner = await in_db(make_user)()
    session = await in_db(make_session)(owner, visibility="PUBLIC")
    await in_db(make_session)(owner, title="secret below", parent=session)
    for user, is_told in ((None, False), (await in_db(make_user)(), False), (owner, True)):
        peer = await page(f"sessions/{session.uuid}/", await sign_in(user) if user else None).open()
        await peer.frame()
        await in_db(make_events)(session, {"type": "turn_start", "turn_id": f"t-{user}"})
        html = await peer.batches(until=lambda html: 'id="aside"' in html)
        assert ("secret below" in html) == is_told
        await peer.leave()


# --- Sockets -------------------------------------------------------------------------------------------------

FRAMES = {
    "command_ack.id": {"command_ack": {"id": "{its.command}", "obeyed": True}},
    "events.event_id": {"events": [{"type": "info", "event_id": "{its.event_id}"}]},
    "events.turn_id": {"events": [{"type": "turn_end", "turn_id": "{its.turn}", "reason": {"kind": "complete"}}]},
    "events.type": {"events": [{"type": "server.messages_added", "message_ids": ["{its.message}"]}]},
    "events.id": {"events": [{"type": "tool_call_result", "id": "{its.open_call}", "name": "Bash", "output": "done"}]},
}
"""What a program may say on the socket of its own session, with a name in it that is not its own."""
FRAME_WORDS_THAT_SAY = {
    "id", "events.at", "heartbeat.activity", "heartbeat.expect_within", "heartbeat.interval", "heartbeat.progress",
    "command_ack.obeyed", "command_ack.detail",
}  # fmt: skip
BOARDS = (
    "board/?q={word}", "board/?agent={agent}", "board/?project={project}", "board/?source={source}", "board/?since=1",
    "board/?state=running", "board/", "inbox/?since=1",
)  # fmt: skip
PLACES = ("sessions/{session}/?after={seq}", "sessions/{session}/?events=1&after={seq}")


def test_every_word_of_a_socket_has_its_row():
    schema = FrameIn.model_json_schema()
    assert set(_fields(schema, schema["$defs"])) - FRAME_WORDS_THAT_SAY == FRAMES.keys() - {"events.id"}
    known = {*_words_of_sockets(), *FILTER_WORDS}
    assert known == {word for path in (*BOARDS, *PLACES) for word in re.findall(r"[?&](\w+)=", path)}


def _words_of_sockets() -> Iterator[str]:
    for path in Path(ROOT, "sessions/live/consumers").glob("*.py"):
        yield from re.findall(r'(?:number|query\.get)\("(\w+)"', path.read_text())


async def _texts(peer: Any) -> list[str]:
    """Return all that a peer is sent until there is no more, pings left out; it acknowledges what a page must."""
    found: list[str] = []
    while True:
        await settle()
        if peer.wire.output_queue.empty():
            return found
        while not peer.wire.output_queue.empty():
            text = (await peer.receive()).get("text", "closed")
            if text.startswith("<"):
                await peer.ack(cursor_of(text))
            if not text.startswith('{"type":"ping"'):
                found.append(text)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("place", FRAMES)
async def test_a_frame_names_nothing_that_is_not_ones_own(own_counts, place):
    mine = await in_db(furnish)("sealion", "mackerel")
    theirs = await in_db(furnish)("zebra", "acacia", more=3)
    before = rows_of(theirs, await in_db(see_store)())
    answers = []
    for its in (nobodys(theirs), theirs, mine):
        peer = await program(f"sessions/{mine.session}/?after={theirs.event_seq}", mine.plain).open()
        await peer.say({"id": "…", **_filled(FRAMES[place], {"its": its})})
        texts = await _texts(peer)
        said = _without("".join(texts), _sent(Row(path="", body=FRAMES[place]), its))
        assert its is mine or _told_of(theirs, said) == []
        (answer,) = [frame for frame in map(json.loads, texts) if frame.get("id") == "…"]
        answers.append({word: answer.get(word) for word in ("type", "code", "detail", "stored")})
        await peer.leave()
    assert rows_of(theirs, await in_db(see_store)()) == before
    assert answers[0] == answers[1]
    assert (answers[1] == answers[2]) == (place in {"events.type", "events.id"}), "one's own has its effect"


@pytest.mark.django_db(transaction=True)
async def test_no_socket_tells_of_what_others_keep_to_themselves(own_counts):
    mine = await in_db(furnish)("sealion", "mackerel")
    theirs = await in_db(furnish)("zebra", "acacia", more=3)
    words = {"word": theirs.word, "agent": theirs.agent, "project": quote(theirs.project), "source": theirs.source}
    words |= {"session": str(mine.session), "seq": str(theirs.event_seq)}
    cookie = await sign_in(mine.owner)
    peers = {path: page(path.format(**words), cookie) for path in (*BOARDS, *PLACES)}
    peers |= {f"api {path}": program(path.format(**words), mine.plain) for path in ("board/", PLACES[0])}
    told = {path: await _beginning(await peer.open(), path, mine) for path, peer in peers.items()}
    for path, texts in (await _all_texts(peers)).items():
        told[path] += texts  # what came of it that all have come: the agent was handed its commands
    await in_db(_stir)(theirs)
    news = await _all_texts(peers)
    sent = [theirs.word, theirs.agent, quote(theirs.project), theirs.project, theirs.source]
    for path, peer in peers.items():
        texts = _without("".join([*told[path], *news[path]]), sent)
        rows = [pk for pk in (theirs.row.pk, theirs.child_row.pk) if f'id="session-{pk}"' in texts]
        assert (path, _told_of(theirs, texts), rows) == (path, [], [])
        assert (path, news[path]) == (path, [])
        await peer.leave()
    own = page("board/", cookie)
    await _beginning(await own.open(), "board/", mine)
    await in_db(_stir)(mine)
    assert mine.secret in "".join(await _texts(own))
    await own.leave()


async def _all_texts(peers: dict[str, Any]) -> dict[str, list[str]]:
    return dict(zip(peers, await asyncio.gather(*map(_texts, peers.values())), strict=True))


async def _beginning(peer: Any, path: str, mine: Things) -> list[str]:
    """Return all that a page or a program is sent at first: of a board its counters, of the past one's own."""
    first = [await peer.raw()]
    if path.startswith(("board/", "inbox/")):
        wanted = ['id="counters"', *([mine.secret] if "since" in path else [])]
        first.append(await peer.batches(until=lambda html: all(one in html for one in wanted)))
    return [*first, *await _texts(peer)]


def _stir(its: Things) -> None:
    """Let everything happen of which sockets tell."""
    its.row.edit(by="test", title=f"{its.title} again")
    make_message(its.row, content=its.title)
    asked = {"tool_name": its.tool_name, "detail": its.title, "preview": None}
    make_events(its.row, {"type": "approval_request", "id": "again", **asked}, {"type": "loop_cap_reached", "cap": 9})
    make_events(its.child_row, {"type": "info", "text": its.title})
    Metadata.objects.put(its.row, "todo", f"- [x] {its.title}")
    File.objects.own(its.row, f"{its.file}-again")
    its.child_row.remove(by="test")
    its.child_row.destroy(by="test")
